"""Writes the tables of docs/reliability.md from the tests that are marked with a fault.

A test says by `@pytest.mark.fault(area, what)` what breaks in it. Its docstring says what is promised then.
"""

import contextlib
import io
import sys
from collections import Counter
from collections.abc import Iterable

import pytest

from ci.docs import DOCS, between, table

DOCUMENT = DOCS / "reliability.md"
TESTS = DOCS.parent / "tests"
AREAS = (
    "Service",
    "Object store",
    "Backups in the bucket",
    "Copies",
    "Encryption",
    "ZooKeeper",
    "Brokers",
    "Put-back",
    "Process",
    "Disk",
    "Restored ensemble",
)
"""In the order of the document."""

_SUITES = ("proof", "faults", "integration", "unit")


Faults = Counter[tuple[str, str, str]]
"""How many cases are tested, by area, by what breaks, and by what is promised."""


def faults(items: Iterable[pytest.Item]) -> Faults:
    """The faults of these tests."""
    cases: Faults = Counter()
    for item in items:
        if isinstance(item, pytest.Function) and (mark := item.get_closest_marker("fault")):
            area, what = mark.args
            cases[area, what, (item.function.__doc__ or "").partition("\n")[0]] += 1
    unknown = {area for area, _, _ in cases} - set(AREAS)
    assert not unknown, f"{unknown} are not among the areas of ci/fault_table.py"
    return cases


def tables(cases: Faults) -> str:
    """A table for each area."""
    parts = [f"{cases.total()} cases of {len(cases)} faults."]
    for area in AREAS:
        rows = [(what, promised, str(number)) for (own, what, promised), number in cases.items() if own == area]
        parts.append(f"### {area}\n\n" + table(("what breaks", "what is promised", "cases"), sorted(rows)))
    return "\n\n".join(parts)


class _Collected:
    """A plugin of pytest that keeps what was collected."""

    items: Iterable[pytest.Item] = ()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = session.items


def main() -> int:
    """Rewrite the document."""
    collected, said = _Collected(), io.StringIO()
    config = DOCS.parent / "sidecar" / "pyproject.toml"
    arguments = ["--config-file", str(config), "--rootdir", str(DOCS.parent), "--collect-only"]
    with contextlib.redirect_stdout(said):
        code = pytest.main([*arguments, *(str(TESTS / suite) for suite in _SUITES)], plugins=[collected])
    if code:
        print(said.getvalue(), file=sys.stderr)
        return 1
    DOCUMENT.write_text(between(DOCUMENT.read_text(), "faults", tables(faults(collected.items))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
