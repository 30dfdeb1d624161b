"""The coverage of a tree: what a restore would bring back, and what it would lose."""

from collections.abc import Mapping

from metadata_tool.pulsar.codec import managed_ledger
from metadata_tool.pulsar.coverage import OTHERS, Coverage, CoverageCounts, is_offloaded
from metadata_tool.pulsar.limits import DEFAULT_LIMITS, MAX_REPORTED, ScanLimits
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


def test_sums_are_sums() -> None:
    """Everything of which a topic or a namespace has several is added up."""
    ledger = {"ledgerId": 9, "timestamp": 0}
    content = {
        f"{NAMESPACE}/a": ledgers((1, False), (2, False), (3, False)),
        f"{NAMESPACE}/a/s": cursor(0),
        f"{NAMESPACE}/a/t": cursor(0),
        f"{NAMESPACE}/a/u": cursor(-1),
        f"{NAMESPACE}/b": ManagedLedgerInfo(ledgerInfo=[ledger, ledger]).SerializeToString(),
        f"{NAMESPACE}/c": b"\xff",
        f"{NAMESPACE}/d": b"\xff",
        "/schemas/public/default/a": b"",
        "/schemas/public/default/b": b"",
    }
    found = coverage_of(content)
    counts = found.namespaces["public/default"]
    assert (300, 2, 2, 2) == (counts.lost_entries, counts.open_ledgers, counts.cursors_in_bookkeeper, counts.schemas)
    assert 2 == found.undecodable
    assert 2 == found.to_json(1)["undecodable"]


def test_unknown_znodes() -> None:
    """Znodes with data that are neither topics nor cursors are counted, and the first ones named."""
    root = "/managed-ledgers/t/n/other"
    found = coverage_of({**TREE, **{f"{root}/{n:03}": b"x" for n in range(MAX_REPORTED + 1)}, f"{root}/empty": b""})
    expected = {"count": MAX_REPORTED + 1, "first": [f"{root}/{n:03}" for n in range(MAX_REPORTED)]}
    assert expected == found.to_json(1)["unknown"]
    assert {"count": 0, "first": []} == coverage_of(TREE).to_json(1)["unknown"]


def test_ledger_that_is_not_offloaded_completely_is_lost() -> None:
    """A ledger with an offload that has not ended is lost: it is not in tiered storage."""
    info = managed_ledger(ledgers((1, True)))
    info.ledgerInfo[0].offloadContext.complete = False
    found = coverage_of({f"{NAMESPACE}/t": info.SerializeToString()}).total
    assert (0, 100) == (found.recoverable_entries, found.lost_entries)
    assert not is_offloaded(info.ledgerInfo[0])
    assert is_offloaded(managed_ledger(ledgers((1, True))).ledgerInfo[0])


def test_segments_of_a_scalable_topic() -> None:
    """Each segment of a scalable topic counts as a topic of its namespace, with its cursors."""
    topic = "/managed-ledgers/t/n/segment/a"
    content = {
        f"{topic}/0000-7fff-1": ledgers((3, True)),
        f"{topic}/8000-ffff-2": ledgers((4, False)),
        f"{topic}/8000-ffff-2/sub": cursor(7),
    }
    found = scanned(tree(content))
    counts = found.coverage.namespaces["t/n"]
    assert (2, 100, 100, 1, 1) == (
        counts.topics,
        counts.recoverable_entries,
        counts.lost_entries,
        counts.topics_never_offloaded,
        counts.cursors,
    )
    assert ["a/8000-ffff-2"] == [loss.name for loss in found.coverage.topics_of("t/n")]
    assert (7, False) == (found.facts.highest_id, found.facts.has_v1_names)


def test_tenant_of_a_v1_name() -> None:
    """The tenant is the first part of a namespace's name, also of one with a cluster."""
    content = {f"/managed-ledgers/a/c/{name}/persistent/t": ledgers((1, True)) for name in ("x", "y")}
    assert ["a"] == list(coverage_of(content).tenants)


def test_json_of_a_loss() -> None:
    """The JSON of a topic has its name and its counts."""
    (loss,) = coverage_of({f"{NAMESPACE}/t": ledgers((1, False))}).topics_of("public/default")
    expected = {"topic": "t", "topics": 1, "lostEntries": 100, "lostBytes": 1000, "topicsNeverOffloaded": 1}
    assert expected.items() <= loss.to_json().items()


def test_smallest_loss_makes_room() -> None:
    """Of more topics than are kept the smallest losses go, whatever their order, with open ledgers as the second."""
    ledger = {"ledgerId": 9, "timestamp": 0}
    content = {
        f"{NAMESPACE}/{name}": ledgers(*[(i, False) for i in range(number)])
        for name, number in zip("abcd", (3, 1, 2, 4), strict=True)
    }
    for name, number in zip("xyz", (2, 1, 3), strict=True):
        content[f"{NAMESPACE}/{name}"] = ManagedLedgerInfo(ledgerInfo=[ledger] * number).SerializeToString()
    kept = coverage_of(content, ScanLimits(topics=6)).topics_of("public/default")
    assert ["d", "a", "c", "b", "z", "x"] == [loss.name for loss in kept]
    assert [(0, 3), (0, 2)] == [(loss.counts.lost_bytes, loss.counts.open_ledgers) for loss in kept[-2:]]


def test_equal_losses_are_in_the_order_of_names() -> None:
    """Namespaces that would lose as much come in the order of their names."""
    content = {f"/managed-ledgers/t/{name}/persistent/a": ledgers((1, False)) for name in "cab"}
    found = coverage_of(content)
    found.namespaces = dict(sorted(found.namespaces.items(), reverse=True))
    assert ["t/a", "t/b", "t/c"] == [name for name, _ in found.by_loss()]
