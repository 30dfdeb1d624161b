"""What a restore would bring back, and what it would not."""

import pytest

from metadata_tool.pulsar import coverage
from metadata_tool.pulsar.coverage import OTHERS, Surveyor, Tally
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo
from metadata_tool.pulsar.paths import Layout
from metadata_tool.zookeeper.snapshot import Node
from support.metadata import NAMESPACE, cursor, ledgers, tree

OPEN = ManagedLedgerInfo(ledgerInfo=[{"ledgerId": 9}]).SerializeToString()
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


def survey(nodes: list[Node]) -> Surveyor:
    """Everything seen."""
    surveyor = Surveyor(Layout())
    assert [node.encode() for node in nodes] == list(surveyor.watch(node.encode() for node in nodes))
    return surveyor


def test_counts() -> None:
    """Entries and bytes are counted by what becomes of their ledgers; topics, cursors and schemas by namespace."""
    found = survey(tree(TREE)).coverage
    assert EXPECTED == found.namespaces
    assert 1 == found.undecodable
    assert (300, 200, 2) == (found.total.recoverable_entries, found.total.lost_entries, found.total.schemas)


def test_topics_one_by_one() -> None:
    """Each topic is told with its own counts."""
    seen: dict[tuple[str, str], Tally] = {}
    surveyor = Surveyor(Layout(), lambda namespace, name, tally: seen.update({(namespace, name): tally}))
    for node in tree(TREE):
        surveyor.see(node.path, node.data)
    surveyor.finish()
    assert {"whole", "partly", "never", "open"} == {name for _, name in seen}
    assert (100, 100) == (
        seen["public/default", "partly"].recoverable_entries,
        seen["public/default", "partly"].lost_entries,
    )


def test_namespaces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many namespaces there are, their number is bounded, and nothing is left out of the whole."""
    monkeypatch.setattr(coverage, "MAX_NAMESPACES", 3)
    content = {f"/managed-ledgers/t/ns-{n}/persistent/a": ledgers((n, True)) for n in range(9)}
    found = survey(tree(content)).coverage
    assert ["t/ns-0", "t/ns-1", "t/ns-2", OTHERS] == list(found.namespaces)
    assert 9 == found.total.topics


def test_json_names_those_that_would_lose_most() -> None:
    """JSON has the whole, and as many namespaces as asked for."""
    content = {f"/managed-ledgers/t/ns-{n}/persistent/a": ledgers(*[(i, False) for i in range(n)]) for n in range(5)}
    found = survey(tree(content)).coverage.to_json(2)
    assert ["t/ns-4", "t/ns-3"] == list(found["namespaces"])
    assert (5, 10_000) == (found["namespaceCount"], found["total"]["lostBytes"])
