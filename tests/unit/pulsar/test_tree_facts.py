"""The facts about a tree that a recovery needs."""

import json

import pytest

from metadata_tool.errors import ClusterNameDiffers
from metadata_tool.pulsar.ids import MAX_ID
from metadata_tool.pulsar.ledger_layout import Ids, LedgerLayout
from metadata_tool.pulsar.limits import ScanLimits
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.pulsar.tree_facts import TreeFacts, TreeSummary
from support.metadata import NAMESPACE, as_json, cursor, ledgers, tree
from support.recovery import POLICIES, TIME, ZXID, facts_of, scanned

BOOKKEEPER = {"/ledgers/idgen": b"", "/ledgers/idgen-long": b"", "/ledgers/idgen-long/HOB-0000000002": b""}


def test_empty_tree() -> None:
    """A tree without Pulsar has no facts."""
    assert TreeFacts(last_change=1) == facts_of({})
    assert TreeSummary(-1, has_ledgers=False, counters=(), clusters=(), renamable=True) == facts_of({}).summary


def test_summary() -> None:
    """A summary has the highest id, the counters and the clusters, but not Pulsar's entry `global`."""
    content = {**POLICIES, **BOOKKEEPER, f"{NAMESPACE}/t": ledgers((5, True)), f"{NAMESPACE}/t/s": cursor(2 << 32)}
    summary = facts_of(content).summary
    assert TreeSummary(2 << 32, has_ledgers=True, counters=tuple(BOOKKEEPER), clusters=("old",), renamable=True) == (
        summary
    )
    assert summary.has_long_ids


@pytest.mark.parametrize(
    "content", [{}, {**POLICIES, **BOOKKEEPER, f"{NAMESPACE}/t": ledgers((5, True))}, {"/ledgers/L0000000003": b""}]
)
def test_summary_round_trip(content: dict[str, bytes]) -> None:
    """A summary is read from a manifest as it was written."""
    expected = facts_of(content).summary
    assert expected == TreeSummary.parse(json.loads(json.dumps(expected.to_json())))


@pytest.mark.parametrize("key", ["highestLedgerId", "bookKeeper", "idCounters", "clusters", "renamable", "flatLedgers"])
@pytest.mark.parametrize("value", [None, "x", 1.5, 1 << 62, {"a": 1}, [1], [None]])
def test_invalid_summary(key: str, value: object) -> None:
    """A summary with an invalid field is ignored."""
    assert TreeSummary.parse({**facts_of({}).summary.to_json(), key: value}) is None


def test_summary_below_the_lowest_id() -> None:
    """The lowest id is -1, for a tree that has none."""
    assert TreeSummary.parse({**facts_of({}).summary.to_json(), "highestLedgerId": -2}) is None


def test_missing_summary() -> None:
    """A manifest without a summary has none."""
    assert TreeSummary.parse(None) is None


def test_counters_count_as_allocated() -> None:
    """The id before a counter's next one is in use."""
    facts = scanned(tree(BOOKKEEPER, {"/ledgers/idgen": 1000})).facts
    assert (2 << 32) - 1 == facts.highest_id
    assert 999 == scanned(tree({"/ledgers/idgen": b""}, {"/ledgers/idgen": 1000})).facts.highest_id


def test_terminated_topics() -> None:
    """All terminated topics are counted, and the first ones are named."""
    content = {f"{NAMESPACE}/t-{n}": ledgers((n, True), terminated=True) for n in range(3)}
    content[f"{NAMESPACE}/open"] = ledgers((9, True))
    facts = facts_of(content, ScanLimits(terminated=2))
    assert (3, ["public/default/t-0", "public/default/t-1"]) == (facts.terminated_count, facts.terminated)


def test_retention() -> None:
    """The retention of namespaces is known up to a limit, None for the broker's default."""
    before = {"retentionTimeInMinutes": 60, "retentionSizeInMB": 100}
    content = POLICIES | {"/admin/policies/shop/kept": as_json(retention_policies=before)}
    expected = {"broken/ns": None, "shop/kept": before, "shop/orders": None}
    assert expected == facts_of(content).retention
    assert {"broken/ns": None} == facts_of(content, ScanLimits(namespaces=1)).retention


def test_cluster_with_too_many_znodes() -> None:
    """A cluster with more znodes than the limit cannot be renamed."""
    assert facts_of(POLICIES, ScanLimits(cluster_znodes=4)).summary.renamable
    summary = facts_of(POLICIES, ScanLimits(cluster_znodes=2)).summary
    assert summary.renamable is False
    with pytest.raises(ClusterNameDiffers, match="too many znodes"):
        RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True).plan(summary, ZXID, TIME)


FLAT = b"2\norg.apache.bookkeeper.meta.FlatLedgerManagerFactory:1"


@pytest.mark.parametrize("chroot", ["", "/a"])
@pytest.mark.parametrize(
    ("content", "flat", "highest"),
    [
        ({"LAYOUT": FLAT}, True, 6),
        ({"LAYOUT": FLAT, "L0000000012": b""}, True, 12),
        ({"LAYOUT": b"2\norg.apache.bookkeeper.meta.HierarchicalLedgerManagerFactory:1"}, False, -1),
        ({"L0000000003": b""}, True, 6),
        ({"INSTANCEID": b""}, False, -1),
    ],
)
def test_flat_layout(chroot: str, content: dict[str, bytes], highest: int, *, flat: bool) -> None:
    """In the flat layout, told by LAYOUT or by a ledger's path, the root of the ledgers is an id counter."""
    root = f"{chroot}/ledgers"
    nodes = tree({f"{root}/{name}": data for name, data in content.items()}, {root: 7})
    facts = scanned(nodes, Layout(chroot)).facts
    assert (flat, flat, highest) == (facts.flat, facts.summary.flat, facts.highest_id)


def test_layout() -> None:
    """The layout is what LAYOUT says. There is none if LAYOUT is missing."""
    assert LedgerLayout("FlatLedgerManagerFactory", Ids.FLAT) == facts_of({"/ledgers/LAYOUT": FLAT}).layout
    assert facts_of({"/ledgers/idgen": b""}).layout is None


def test_summary_of_an_older_manifest() -> None:
    """A manifest that does not say whether the layout is flat stands for one that is not."""
    expected = facts_of(POLICIES | BOOKKEEPER).summary
    fields = expected.to_json()
    del fields["flatLedgers"]
    assert expected == TreeSummary.parse(fields)


def test_counters_below_a_chroot() -> None:
    """The paths of counters are without the chroot."""
    content = {f"/a/b{path}": data for path, data in BOOKKEEPER.items()}
    assert set(BOOKKEEPER) == scanned(tree(content), Layout("/a/b")).facts.counters


def test_v1_name_before_others() -> None:
    """One topic with a V1 name is enough, whatever comes after it."""
    topics = dict.fromkeys(("/managed-ledgers/a/b/c/persistent/t", "/managed-ledgers/z/n/persistent/t"), b"")
    assert facts_of(topics).has_v1_names


@pytest.mark.parametrize(
    ("content", "expected"), [([], -1), ([MAX_ID + 1], -1), ([MAX_ID, MAX_ID + 1], MAX_ID), ([5, MAX_ID + 1], 5)]
)
def test_highest_id_of_a_list(content: list[int], expected: int) -> None:
    """An id that no counter can have allocated does not count, the others of its list do."""
    saved = ledgers(*[(ledger_id, True) for ledger_id in content])
    assert expected == facts_of({f"{NAMESPACE}/t": saved}).highest_id


def test_policies_that_are_not_an_object() -> None:
    """Policies that are JSON, but not an object, have no retention."""
    assert {"shop/odd": None} == facts_of({"/admin/policies/shop/odd": b"[]"}).retention
