"""docs/reliability.md has the faults that the suite tests."""

import pytest

from ci.fault_table import DOCUMENT, TESTS, Faults, faults, tables

FILES = {path for path in TESTS.rglob("test_*.py") if "@pytest.mark.fault(" in path.read_text()}
"""Tests of faults."""


def test_tables_are_current(request: pytest.FixtureRequest) -> None:
    """The tables are those of the tests that run. `make docs` writes them."""
    collected = faults(request.session.items)
    text = DOCUMENT.read_text()
    config = request.config
    # parts of the suite, and its long form, have other numbers of cases
    if FILES <= {item.path for item in request.session.items} and not config.option.keyword and not config.option.soak:
        assert tables(collected) in text
    for _, what, promised in collected:
        assert f"| {what} | {promised} |" in text


def test_tables() -> None:
    """Cases are counted by what breaks and by what is promised, in the table of their area."""
    found = Faults({("Disk", "b", "It fails."): 2, ("Disk", "a", "It fails."): 1, ("Service", "c", "It goes on."): 1})
    made = tables(found)
    assert made.startswith("4 cases of 3 faults.")
    disk = made.partition("### Disk\n\n")[2].partition("\n\n")[0]
    assert ["| a | It fails. | 1 |", "| b | It fails. | 2 |"] == disk.splitlines()[2:]
