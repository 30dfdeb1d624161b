"""The coverage of a tree: what a restore would bring back, and what it would lose."""

from collections.abc import Mapping

from metadata_tool.pulsar.coverage import OTHERS, Coverage, CoverageCounts
from metadata_tool.pulsar.limits import DEFAULT_LIMITS, ScanLimits
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo
from support.metadata import NAMESPACE, cursor, ledgers, tree
from support.recovery import scanned

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
    "public/default": CoverageCounts(
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
    "shop/orders": CoverageCounts(schemas=1),
}


def coverage_of(content: Mapping[str, bytes], limits: ScanLimits = DEFAULT_LIMITS) -> Coverage:
    """The coverage of a tree with this content."""
    return scanned(tree(content), limits=limits).coverage


def test_counts() -> None:
    """Entries and bytes are counted as recoverable or lost. Topics, cursors and schemas are counted by namespace."""
    found = coverage_of(TREE)
    assert EXPECTED == found.namespaces
    assert 1 == found.undecodable
    assert (300, 200, 2) == (found.total.recoverable_entries, found.total.lost_entries, found.total.schemas)


def test_topics_of_a_namespace() -> None:
    """Topics that would lose data have counts of their own, the largest loss first."""
    found = coverage_of(TREE).topics_of("public/default")
    assert ["partly", "never", "open"] == [loss.name for loss in found]
    assert (100, 100) == (found[0].counts.recoverable_entries, found[0].counts.lost_entries)


def test_topics_are_limited() -> None:
    """Only a limited number of topics is kept, those with the largest losses."""
    content = {f"{NAMESPACE}/t-{n}": ledgers(*[(i, False) for i in range(n)]) for n in range(1, 9)}
    assert ["t-8", "t-7", "t-6"] == [
        loss.name for loss in coverage_of(content, ScanLimits(topics=3)).topics_of("public/default")
    ]


def test_tenants() -> None:
    """The counts of a tenant are those of its namespaces together."""
    content = {
        f"/managed-ledgers/{tenant}/ns-{n}/persistent/a": ledgers((n, True)) for tenant in "ab" for n in range(3)
    }
    assert {"a": 3, "b": 3} == {name: counts.topics for name, counts in coverage_of(content).tenants.items()}


def test_namespaces_are_limited() -> None:
    """Only a limited number of namespaces has counts of its own, but the total has all."""
    content = {f"/managed-ledgers/t/ns-{n}/persistent/a": ledgers((n, True)) for n in range(9)}
    found = coverage_of(content, ScanLimits(namespaces=3))
    assert ["t/ns-0", "t/ns-1", "t/ns-2", OTHERS] == list(found.namespaces)
    assert 9 == found.total.topics


def test_json() -> None:
    """The JSON has the total, and the wanted number of namespaces, those with the largest losses."""
    content = {f"/managed-ledgers/t/ns-{n}/persistent/a": ledgers(*[(i, False) for i in range(n)]) for n in range(5)}
    found = coverage_of(content).to_json(2)
    assert ["t/ns-4", "t/ns-3"] == list(found["namespaces"])
    assert (5, 10_000) == (found["namespaceCount"], found["total"]["lostBytes"])


def test_placeholder_is_not_an_open_ledger() -> None:
    """The last ledger that a restore adds to a topic is not counted as open."""
    content = {f"{NAMESPACE}/t": ManagedLedgerInfo(ledgerInfo=[{"ledgerId": 9}]).SerializeToString()}
    assert 0 == coverage_of(content).total.open_ledgers
