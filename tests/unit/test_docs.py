"""The tables in docs/ are those of the code."""

import pytest

from ci.docs import DOCS, TABLES, current


@pytest.mark.parametrize("name", sorted(TABLES))
def test_table_is_current(name: str) -> None:
    """A document has the table that the code makes; if not, `make docs` writes it."""
    text = (DOCS / f"{name}.md").read_text()
    assert TABLES[name]() in text
    assert text == current(text, name)
