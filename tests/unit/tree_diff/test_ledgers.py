"""Lists of ledgers compared."""

import pytest

from metadata_tool.pulsar.codec import managed_ledger
from metadata_tool.tree_diff.ledgers import LedgerChanges, ledger_changes, ranges
from support.metadata import ledgers

OLD = ledgers((1, True), (2, True), (3, False), (4, False))
NEW = ledgers((2, True), (3, True), (4, False), (5, True), (6, False))


def test_what_happened() -> None:
    """Ledgers that were added, offloaded and trimmed are told. One that was added and offloaded is both."""
    expected = LedgerChanges(added=(5, 6), offloaded=(3, 5), trimmed=(1,))
    found = ledger_changes(managed_ledger(OLD), managed_ledger(NEW))
    assert expected == found
    assert "added 5-6, offloaded 3, 5, trimmed 1" == str(found)


@pytest.mark.parametrize(
    ("ids", "expected"), [([], ""), ([7], "7"), ([1, 2, 3], "1-3"), ([1, 3, 4, 9], "1, 3-4, 9"), ([4, 3], "4, 3")]
)
def test_ranges(ids: list[int], expected: str) -> None:
    """Ids that follow each other are shown as a range."""
    assert expected == ranges(ids)
