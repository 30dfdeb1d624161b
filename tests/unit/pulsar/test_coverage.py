"""What a restore would bring back, and what it would not."""

import pytest

from metadata_tool.pulsar import coverage
from metadata_tool.pulsar.coverage import OTHERS, Tally
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.tree_scan import ScanResult, TreeScan
from metadata_tool.zookeeper.snapshot import Node
from support.metadata import NAMESPACE, cursor, ledgers, tree

OPEN = ManagedLedgerInfo(ledgerInfo=[{"ledgerId": 9, "timestamp": 0}]).SerializeToString()
TREE = {
    f"{NAMESPACE}/whole": ledgers((1, True), (2, True)),
    f"{NAMESPACE}/partly": ledgers((3, True), (4, False)),
    f"{NAMESPACE}/never": ledgers((5, False)),
    f"{NAMESPACE}/never/sub": cursor(6),
    f"{NAMESPACE}/never/other": cursor(-1),
    f"{NAMESPACE}/never/__compaction": cursor(7),
    f"{NAMESPACE}/open": OPEN,
    "/managed-ledgers/shop/orders/persistent/bad": b"\xff",
    "/schemas/public/default/whole": b"",
    "/schemas/shop/orders/x": b"",
}
EXPECTED = {
    "public/default": Tally(
        topics=4,
        recoverable_entries=300,
        recoverable_bytes=3000,
        lost_entries=200,
        lost_bytes=2000,
        open_ledgers=1,
        topics_never_offloaded=2,
        cursors=2,
        cursors_in_bookkeeper=1,
        schemas=1,
    ),
    "shop/orders": Tally(schemas=1),
}


def scan(nodes: list[Node]) -> ScanResult:
    """Everything seen."""
    made = TreeScan(Layout())
    assert [node.encode() for node in nodes] == list(made.watch(node.encode() for node in nodes))
    return made.findings()


def test_counts() -> None:
    """Entries and bytes are counted by what becomes of their ledgers; topics, cursors and schemas by namespace."""
    found = scan(tree(TREE)).coverage
    assert EXPECTED == found.namespaces
    assert 1 == found.undecodable
    assert (300, 200, 2) == (found.total.recoverable_entries, found.total.lost_entries, found.total.schemas)


def test_topics_one_by_one() -> None:
    """Topics that would lose anything are told with their own counts, the worst first."""
    found = scan(tree(TREE)).coverage.topics_of("public/default")
    assert ["partly", "never", "open"] == [loss.name for loss in found]
    assert (100, 100) == (found[0].tally.recoverable_entries, found[0].tally.lost_entries)


def test_topics_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many topics there are, only those that would lose most are kept."""
    monkeypatch.setattr(coverage, "MAX_TOPICS", 3)
    content = {f"{NAMESPACE}/t-{n}": ledgers(*[(i, False) for i in range(n)]) for n in range(1, 9)}
    assert ["t-8", "t-7", "t-6"] == [loss.name for loss in scan(tree(content)).coverage.topics_of("public/default")]


def test_tenants() -> None:
    """A tenant has what its namespaces have."""
    content = {
        f"/managed-ledgers/{tenant}/ns-{n}/persistent/a": ledgers((n, True)) for tenant in "ab" for n in range(3)
    }
    assert {"a": 3, "b": 3} == {name: tally.topics for name, tally in scan(tree(content)).coverage.tenants.items()}


def test_namespaces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many namespaces there are, their number is bounded, and nothing is left out of the whole."""
    monkeypatch.setattr(coverage, "MAX_NAMESPACES", 3)
    content = {f"/managed-ledgers/t/ns-{n}/persistent/a": ledgers((n, True)) for n in range(9)}
    found = scan(tree(content)).coverage
    assert ["t/ns-0", "t/ns-1", "t/ns-2", OTHERS] == list(found.namespaces)
    assert 9 == found.total.topics


def test_json_names_those_that_would_lose_most() -> None:
    """JSON has the whole, and as many namespaces as asked for."""
    content = {f"/managed-ledgers/t/ns-{n}/persistent/a": ledgers(*[(i, False) for i in range(n)]) for n in range(5)}
    found = scan(tree(content)).coverage.to_json(2)
    assert ["t/ns-4", "t/ns-3"] == list(found["namespaces"])
    assert (5, 10_000) == (found["namespaceCount"], found["total"]["lostBytes"])


def test_end_that_a_restore_adds_is_no_open_ledger() -> None:
    """The last ledger of a restored topic, which never was, is not counted among those that hold something."""
    content = {f"{NAMESPACE}/t": ManagedLedgerInfo(ledgerInfo=[{"ledgerId": 9}]).SerializeToString()}
    assert 0 == scan(tree(content)).coverage.total.open_ledgers
