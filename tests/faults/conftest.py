"""What the fault suites counted is printed at the end, whether they passed or not."""

import pytest

_COUNTED: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what a test printed."""
    if report.when == "call" and "tests/faults/" in report.nodeid:
        _COUNTED.extend(f"{report.nodeid.rpartition('::')[2]}: {line}" for line in report.capstdout.splitlines())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print it."""
    if _COUNTED:
        terminalreporter.section("faults")
        for line in _COUNTED:
            terminalreporter.write_line(line)
