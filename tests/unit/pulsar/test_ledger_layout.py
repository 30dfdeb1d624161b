"""The layout of BookKeeper's ledgers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.ledger_layout import Ids, LedgerLayout
from support.trees import PATIENT

PACKAGE = b"org.apache.bookkeeper.meta."


@pytest.mark.parametrize(
    ("manager", "expected"),
    [
        (b"HierarchicalLedgerManagerFactory", Ids.SHORT_THEN_LONG),
        (b"LongHierarchicalLedgerManagerFactory", Ids.SHORT_THEN_LONG),
        (b"PulsarLedgerManagerFactory", Ids.SHORT_THEN_LONG),
        (b"LegacyHierarchicalLedgerManagerFactory", Ids.SHORT),
        (b"FlatLedgerManagerFactory", Ids.FLAT),
        (b"MSLedgerManagerFactory", Ids.UNKNOWN),
        (b"EtcdLedgerManagerFactory", Ids.UNKNOWN),
    ],
)
@pytest.mark.parametrize("package", [PACKAGE, b"dlshade.org.apache.bookkeeper.meta.", b""])
def test_managers(package: bytes, manager: bytes, expected: Ids) -> None:
    """The class of the ledger manager decides where ids come from, whatever its package is."""
    layout = LedgerLayout(manager.decode(), expected)
    assert layout == LedgerLayout.parse(b"2\n" + package + manager + b":1")
    assert layout == LedgerLayout.parse(b"2\n" + package + manager + b":1\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"1\nflat:1", LedgerLayout("flat", Ids.FLAT)),
        (b"1\nhierarchical:1", LedgerLayout("hierarchical", Ids.SHORT_THEN_LONG)),
        (b"1\nms:1", LedgerLayout("ms", Ids.UNKNOWN)),
        (b"2\nflat:1", LedgerLayout("flat", Ids.UNKNOWN)),
        (b"1\nFlatLedgerManagerFactory:1", LedgerLayout("FlatLedgerManagerFactory", Ids.UNKNOWN)),
    ],
)
def test_first_format(data: bytes, expected: LedgerLayout) -> None:
    """The first format names types of managers, the second one classes."""
    assert expected == LedgerLayout.parse(data)


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"2",
        b"2\n",
        b"3\n%sHierarchicalLedgerManagerFactory:1" % PACKAGE,
        b"0\nflat:1",
        b"2\n%sHierarchicalLedgerManagerFactory" % PACKAGE,
        b"2\n%sHierarchicalLedgerManagerFactory:x" % PACKAGE,
        b"2\n%sHierarchicalLedgerManagerFactory:1:1" % PACKAGE,
        b"2 %sHierarchicalLedgerManagerFactory:1" % PACKAGE,
        b"\x00\xff",
    ],
)
def test_damaged(data: bytes | None) -> None:
    """Data that BookKeeper cannot parse names no manager."""
    assert LedgerLayout("", Ids.UNKNOWN) == LedgerLayout.parse(data)


@PATIENT
@given(st.binary(max_size=60) | st.binary(max_size=300).map(lambda name: b"2\n" + name + b":1"))
def test_any_data(data: bytes) -> None:
    """Whatever the data is, the name of the manager is short, and fits on one line."""
    manager = LedgerLayout.parse(data).manager
    assert len(manager) <= 100
    assert manager.isprintable()
