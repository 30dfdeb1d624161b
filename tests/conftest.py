"""Servers and directories that several tests share."""

import gc
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

pytest.register_assert_rewrite("support.store_contract")  # before anything imports it

from support.s3 import Bucket, S3Server, new_bucket, s3_server  # noqa: E402

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs that are tested would inherit it

hypothesis.settings.register_profile("default", deadline=None)  # slowness on a busy machine is not a failure
hypothesis.settings.register_profile("half", max_examples=50, deadline=None)  # for make test
hypothesis.settings.register_profile("few", max_examples=10, deadline=None)  # for make test-unit and make mutants
hypothesis.settings.load_profile("default")

gc.disable()  # while tests are collected: all of that is kept

_ID = 60
"""Characters of a value in a test's name."""
_TELLING = ("tests/faults/", "tests/proof/")
"""Suites that count: what their tests print is printed at the end, whether they passed or not."""
_TOLD: list[str] = []


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a test by the beginning of a long value, which would be sent to and fro between processes."""
    return f"{val[:_ID]!r} of {len(val)}" if isinstance(val, str | bytes) and len(val) > _ID else None


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a fixture of their module in one process, where several share the tests.

    A group is a module. If all such fixtures have parameters, it is these, too: servers of two versions can be in two
    processes.
    """
    for item in items:
        if item.get_closest_marker("soak") and not item.config.getoption("--soak"):
            item.add_marker(pytest.mark.skip(reason="takes long, so it runs in `make soak` alone"))
        if isinstance(item, pytest.Function) and not item.get_closest_marker("xdist_group"):
            shared = [name for name, found in item._fixtureinfo.name2fixturedefs.items() if found[-1].scope == "module"]
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            if shared:
                values = [str(parameters[name]) for name in sorted(shared)] if parameters.keys() >= set(shared) else []
                item.add_marker(pytest.mark.xdist_group("-".join([item.path.stem, *values])))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to share tests if their groups have no effect, as with a pytest that pytest-xdist does not know yet."""
    if getattr(session.config.option, "loadgroup", False):
        grouped = [item.nodeid for item in session.items if item.get_closest_marker("xdist_group")]
        alone = [nodeid for nodeid in grouped if "@" not in nodeid]
        if alone:
            raise pytest.UsageError(f"pytest-xdist does not group {alone[0]}. Use the versions of the lock file")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Leave the collected tests out of every search for garbage: they take most of its time, and are none."""
    gc.freeze()
    gc.enable()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what a test printed."""
    if report.when == "call" and report.nodeid.startswith(_TELLING):
        name = re.sub(r"@[^]@]*$", "", report.nodeid.rpartition("::")[2])  # the group, which pytest-xdist appends
        _TOLD.extend(f"{name}: {line}" for line in report.capstdout.splitlines())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print it."""
    if _TOLD:
        terminalreporter.section("counted")
        for line in _TOLD:
            terminalreporter.write_line(line)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the whole suite."""
    parser.addoption("--soak", action="store_true", help="the long form of tests that have one")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether this is the long form."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    """An empty bucket in a real S3 server."""
    return new_bucket(s3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty directory for backups."""
    made = tmp_path / "backups"
    made.mkdir()
    return made
