"""The rules that make a saved tree that of a new cluster: each alone, and all of them on any tree."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from metadata_tool.errors import ClusterNameDiffers
from metadata_tool.pulsar import recovery as recovery_module
from metadata_tool.pulsar import tree_facts as facts_module
from metadata_tool.pulsar.codec import encode, managed_cursor, managed_ledger
from metadata_tool.pulsar.coverage import Coverage
from metadata_tool.pulsar.ids import MARGIN
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery import Recovery, Transform
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.report import RecoveryReport
from metadata_tool.pulsar.rules import RULES, Scope
from metadata_tool.pulsar.tree_facts import TreeFacts, TreeSummary
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.zookeeper.snapshot import Node, tree_key
from metadata_tool.zookeeper.stat import Stat
from support.metadata import NAMESPACE, as_json, cursor, ledgers, tree
from support.trees import PATIENT, trees

COMPRESSED = b"\x47\x78\0\0\0\x04\x08\x03\x10\x00"
"""How a value begins that is compressed by ZSTD."""
ZXID, TIME = 0x6_0000_0000, 1_623_721_488_825
TIERED = RecoveryOptions(Scope.BOOKIES_LOST)
BOOKIES_KEPT = RecoveryOptions(Scope.BOOKIES_KEPT)


def known(nodes: list[Node], layout: Layout) -> TreeFacts:
    """What a first reading learns."""
    scan = TreeScan(layout)
    for node in nodes:
        scan.see(node)
    return scan.findings().facts


def recovered(nodes: list[Node], recovery_options: RecoveryOptions, layout: Layout) -> tuple[list[Node], Transform]:
    """The new tree, and what was done."""
    facts = known(nodes, layout)
    plan = recovery_options.plan(facts.summary, ZXID, TIME)
    renamed = facts.clusters[plan.rename[0]] if plan.rename else []
    recovery = Recovery(plan, facts.summary, renamed, layout)
    return list(recovery.nodes(nodes)), recovery.changes


def recover(
    content: Mapping[str, bytes],
    recovery_options: RecoveryOptions = TIERED,
    cversions: Mapping[str, int] | None = None,
    layout: Layout | None = None,
) -> dict[str, Node]:
    """The new tree by path."""
    nodes, _ = recovered(tree(content, cversions), recovery_options, layout or Layout())
    return {node.path.decode(): node for node in nodes}


def data(nodes: Mapping[str, Node], path: str) -> bytes:
    """The data of a znode."""
    return nodes[path].data or b""


def listed(nodes: Mapping[str, Node], path: str) -> list[tuple[int, bool]]:
    """A topic's ledgers: their ids, and whether they are marked as deleted from BookKeeper."""
    info = managed_ledger(data(nodes, path))
    return [(ledger.ledgerId, ledger.offloadContext.bookkeeperDeleted) for ledger in info.ledgerInfo]


def test_offloaded_ledgers_stay_before_a_sentinel() -> None:
    """Offloaded ledgers are kept and marked, the others go, and the last in the list is one that was never there."""
    new = recover({f"{NAMESPACE}/t": ledgers((3, True), (5, False), (8, True), (9, False))})
    assert [(3, True), (8, True), (9 + MARGIN + 1, False)] == listed(new, f"{NAMESPACE}/t")


def test_topic_without_offloaded_ledgers_is_empty() -> None:
    """A topic of which nothing survived has no ledgers."""
    new = recover({f"{NAMESPACE}/t": ledgers((3, False))})
    expected: list[tuple[int, bool]] = []
    assert expected == listed(new, f"{NAMESPACE}/t")


def test_terminated_topic_is_open_again() -> None:
    """A terminated topic comes back open, and is named; with everything kept it stays as it is."""
    content = {f"{NAMESPACE}/t": ledgers((3, True), terminated=True)}
    assert not managed_ledger(data(recover(content), f"{NAMESPACE}/t")).HasField("terminatedPosition")
    assert managed_ledger(data(recover(content, BOOKIES_KEPT), f"{NAMESPACE}/t")).HasField("terminatedPosition")
    facts = known(tree(content), Layout())
    assert (1, ["public/default/t"]) == (facts.terminated_count, facts.terminated)


def test_topics_of_the_first_version() -> None:
    """Topics with their cluster in the name are treated alike, and so are their cursors."""
    topic = "/managed-ledgers/prop/us-west/ns/persistent/t"
    new = recover({topic: ledgers((3, True)), f"{topic}/sub": cursor(17)})
    assert (3, True) == listed(new, topic)[0]
    assert -1 == managed_cursor(data(new, f"{topic}/sub")).cursorsLedgerId


def test_cursors_are_those_of_their_znode() -> None:
    """A cursor's position no longer is in BookKeeper; the rest of it stays."""
    new = recover({f"{NAMESPACE}/t": b"", f"{NAMESPACE}/t/sub": cursor(17, (3, 7))})
    found = managed_cursor(data(new, f"{NAMESPACE}/t/sub"))
    assert (-1, 3, 7) == (found.cursorsLedgerId, found.markDeleteLedgerId, found.markDeleteEntryId)


def test_compaction_cursors_go() -> None:
    """What names a compacted ledger goes."""
    new = recover({f"{NAMESPACE}/t": b"", f"{NAMESPACE}/t/__compaction": cursor(-1)})
    assert f"{NAMESPACE}/t/__compaction" not in new


@pytest.mark.parametrize(
    ("path", "stays"),
    [
        ("/ledgers/00/0000/L0001", False),
        ("/ledgers/000/0000/0042/9496/L7296", False),
        ("/ledgers/cookies/bookie-0:3181", False),
        ("/ledgers/available/bookie-0:3181", False),
        ("/ledgers/available/readonly/bookie-0:3181", False),
        ("/ledgers/underreplication/ledgers/0000/0000/urL0001", False),
        ("/ledgers/underreplication/locks/urL0001", False),
        ("/schemas/public/default/t", False),
        ("/loadbalance/brokers/broker:8080", False),
        ("/namespace/public/default/0x00000000_0x40000000", False),
        ("/ledgers/LAYOUT", True),
        ("/ledgers/INSTANCEID", True),
        ("/ledgers/underreplication/LAYOUT", True),
        ("/bookies", True),
        ("/admin/partitioned-topics/public/default/persistent/p", True),
        ("/counters/producer-name", True),
        ("/anything/00/0000/L0001", True),
    ],
)
@pytest.mark.parametrize("chroot", ["", "/a/b"])
def test_what_goes_and_what_stays(path: str, chroot: str, *, stays: bool) -> None:
    """What names dead bookies and brokers goes, its parents and all else stay; with everything kept, nothing goes."""
    path, layout = chroot + path, Layout(chroot)
    parent = path.rpartition("/")[0] if not path.startswith(f"{chroot}/ledgers/0") else f"{chroot}/ledgers"
    parent = f"{chroot}/schemas" if "/schemas/" in path else parent
    for recovery_options, expected in ((TIERED, stays), (BOOKIES_KEPT, True)):
        new = recover({path: b"data"}, recovery_options, layout=layout)
        assert expected == (path in new)
        if expected or not path.startswith((f"{chroot}/ledgers/u", f"{chroot}/load", f"{chroot}/name")):
            assert parent in new


@pytest.mark.parametrize("recovery_options", [TIERED, BOOKIES_KEPT])
@pytest.mark.parametrize(
    "content",
    [
        {"/ledgers/00/0012/L3456": b""},
        {f"{NAMESPACE}/t": ledgers((123456, False))},
        {f"{NAMESPACE}/t": ledgers((5, False)), f"{NAMESPACE}/t/sub": cursor(123456)},
        {f"{NAMESPACE}/t": b"", f"{NAMESPACE}/t/sub": cursor(-1, (123456, 0))},
    ],
)
def test_ids_go_on_above_every_trace(content: dict[str, bytes], recovery_options: RecoveryOptions) -> None:
    """The counter is raised above the highest id, wherever it is found, in both scopes."""
    new = recover({"/ledgers/idgen": b"", **content}, recovery_options, {"/ledgers/idgen": 7})
    assert 123456 + MARGIN + 2 == Stat.unpack(new["/ledgers/idgen"].stat).cversion


def test_counter_itself_is_a_trace() -> None:
    """Ids that were given out and of which nothing is left are not given out again either."""
    new = recover({"/ledgers/idgen": b""}, cversions={"/ledgers/idgen": 1000})
    assert 999 + MARGIN + 2 == Stat.unpack(new["/ledgers/idgen"].stat).cversion


def test_missing_counter_is_made() -> None:
    """A BookKeeper without a counter gets one, in its place."""
    new = recover({"/ledgers/LAYOUT": b"", f"{NAMESPACE}/t": ledgers((5, True))})
    assert 5 + MARGIN + 2 == Stat.unpack(new["/ledgers/idgen"].stat).cversion
    assert sorted(new, key=lambda path: tree_key(path.encode())) == list(new)


def test_long_ids() -> None:
    """With ids of 63 bits the largest of their counters is raised."""
    counters = {"/ledgers/idgen-long/HOB-0000000001": 9, "/ledgers/idgen-long/HOB-0000000002": 4}
    content = {"/ledgers/idgen": b"", **dict.fromkeys(counters, b""), f"{NAMESPACE}/t": ledgers(((2 << 32) + 77, True))}
    new = recover(content, cversions=counters)
    assert (9, 77 + MARGIN + 2) == tuple(Stat.unpack(new[path].stat).cversion for path in counters)


def test_tree_without_bookkeeper_stays_so() -> None:
    """Where BookKeeper keeps its metadata elsewhere, no counter is made here."""
    assert "/ledgers" not in recover({f"{NAMESPACE}/t": ledgers((5, True))})


def test_undecodable_is_left_as_it_is() -> None:
    """A znode that cannot be decoded stays, is named, and stops nothing."""
    nodes = tree({f"{NAMESPACE}/bad": b"\xff\xff", f"{NAMESPACE}/t": ledgers((3, True)), f"{NAMESPACE}/t/bad": b""})
    new, changes = recovered(nodes, TIERED, Layout())
    kept = {node.path.decode(): node for node in new}
    assert {node.path.decode(): node for node in nodes}[f"{NAMESPACE}/bad"] == kept[f"{NAMESPACE}/bad"]
    assert 2 == changes.undecodable_count
    assert [f"{NAMESPACE}/bad", f"{NAMESPACE}/t/bad"] == [line.partition(":")[0] for line in changes.undecodable]
    assert (3, True) == listed(kept, f"{NAMESPACE}/t")[0]


POLICIES = {
    "/admin/clusters/old": as_json(serviceUrl="http://dead:8080", brokerServiceUrl="pulsar://dead:6650", peer=["x"]),
    "/admin/clusters/old/failureDomain": b"",
    "/admin/clusters/global": as_json(),
    "/admin/policies/shop": as_json(adminRoles=["root"], allowedClusters=["old", "far"]),
    "/admin/policies/shop/orders": as_json(replication_clusters=["old"], bundles={"numBundles": 4}),
    "/admin/policies/shop/empty": b"",
    "/admin/policies/broken/ns": b"not JSON",
}


def policies(new: Mapping[str, Node], path: str) -> dict[str, Any]:
    """The JSON of a znode."""
    return dict(json.loads(data(new, path)))


def test_own_urls_are_not_those_of_the_dead() -> None:
    """The lost cluster's addresses go, or the new ones take their place; all else stays."""
    assert {"peer": ["x"]} == policies(recover(POLICIES), "/admin/clusters/old")
    urls = (("serviceUrl", "http://new:8080"),)
    for scope in Scope:
        new = recover(POLICIES, RecoveryOptions(scope, urls=urls))
        assert "http://new:8080" == policies(new, "/admin/clusters/old")["serviceUrl"]
        assert "brokerServiceUrl" not in policies(new, "/admin/clusters/old")
    assert POLICIES["/admin/clusters/old"] == data(recover(POLICIES, BOOKIES_KEPT), "/admin/clusters/old")


@pytest.mark.parametrize("scope", Scope)
def test_rename(scope: Scope) -> None:
    """A renamed cluster has the new name wherever it had the old one."""
    new = recover(POLICIES, RecoveryOptions(scope, "new", rename_cluster=True))
    assert not [path for path in new if path.startswith("/admin/clusters/old")]
    assert "/admin/clusters/new/failureDomain" in new
    assert ["x"] == policies(new, "/admin/clusters/new")["peer"]
    assert ["new", "far"] == policies(new, "/admin/policies/shop")["allowedClusters"]
    assert {"replication_clusters": ["new"], "bundles": {"numBundles": 4}} == policies(
        new, "/admin/policies/shop/orders"
    )
    assert sorted(new, key=lambda path: tree_key(path.encode())) == list(new)


@pytest.mark.parametrize(
    ("content", "recovery_options", "said"),
    [
        (POLICIES, RecoveryOptions(Scope.BOOKIES_LOST, "new"), "cluster old, CLUSTER_NAME is new"),
        (
            POLICIES | {"/admin/clusters/far": b"{}"},
            RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True),
            "cluster far, old, CLUSTER_NAME is new",
        ),
        (
            POLICIES | {"/managed-ledgers/shop/old/ns/persistent/t": b""},
            RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True),
            "cluster old, CLUSTER_NAME is new",
        ),
        (
            POLICIES | {"/admin/policies/shop/old/ns": b"{}"},
            RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True),
            "cluster old, CLUSTER_NAME is new",
        ),
    ],
)
def test_other_name_is_refused(content: dict[str, bytes], recovery_options: RecoveryOptions, said: str) -> None:
    """A tree of a cluster with another name is refused with both names, unless it can be renamed whole."""
    with pytest.raises(ClusterNameDiffers, match=said):
        recover(content, recovery_options)


def test_rename_leaves_health_checks_behind() -> None:
    """What brokers check their health with under the old name stops no rename, and is gone; system topics stay."""
    checks = "/managed-ledgers/pulsar/old/broker-0:8080/persistent/healthcheck"
    system = "/managed-ledgers/pulsar/old/persistent/healthcheck"  # of the second version: a namespace named so
    content = POLICIES | {checks: ledgers((3, True)), f"{checks}/reader": cursor(-1), system: ledgers((4, True))}
    new = recover(content, RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True))
    assert (False, False, True) == (checks in new, f"{checks}/reader" in new, system in new)
    assert checks in recover(content, RecoveryOptions(Scope.BOOKIES_LOST, "old"))


def test_cluster_too_large_to_be_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """More znodes below the cluster than are kept in memory are refused, none is left out."""
    monkeypatch.setattr(facts_module, "MAX_CLUSTER_ZNODES", 2)
    with pytest.raises(ClusterNameDiffers, match="cluster old, CLUSTER_NAME is new"):
        recover(POLICIES, RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True))


def test_retention_as_it_was_is_known() -> None:
    """What a namespace's retention was before it was held is told by the report."""
    before = {"retentionTimeInMinutes": 60, "retentionSizeInMB": 100}
    content = POLICIES | {"/admin/policies/shop/kept": as_json(retention_policies=before)}
    nodes = tree(content)
    facts = known(nodes, Layout())
    plan = RecoveryOptions(Scope.BOOKIES_LOST, infinite_retention=True).plan(facts.summary, ZXID, TIME)
    expected = {"broken/ns": None, "shop/kept": before, "shop/orders": None}
    assert expected == RecoveryReport(plan, facts, Transform(), Coverage()).to_json()["retentionBefore"]


def test_compressed_stays_compressed() -> None:
    """A list of ledgers that was compressed is so again."""
    saved = encode(managed_ledger(ledgers((3, True))), COMPRESSED)
    new = data(recover({f"{NAMESPACE}/t": saved}), f"{NAMESPACE}/t")
    assert (saved[:8], 2) == (new[:8], len(managed_ledger(new).ledgerInfo))


def test_growth_beyond_the_usual_limit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A znode that marks have made larger than ZooKeeper takes by default is named, one that was so before is not."""
    monkeypatch.setattr(recovery_module, "USUAL_LIMIT", len(ledgers((3, True))))
    changes = recovered(tree({f"{NAMESPACE}/t": ledgers((3, True))}), TIERED, Layout())[1]
    assert [f"{NAMESPACE}/t"] == [line.partition(" ")[0] for line in changes.large]
    assert [] == recovered(tree({f"{NAMESPACE}/t": ledgers((3, True))}), BOOKIES_KEPT, Layout())[1].large


@pytest.mark.parametrize("name", ["", "old"])
def test_same_name_changes_no_policy(name: str) -> None:
    """Under the name that it has, nothing is renamed; and where no name is given, none is checked."""
    new = recover(POLICIES, RecoveryOptions(Scope.BOOKIES_LOST, name))
    for path in ("/admin/policies/shop", "/admin/policies/shop/orders", "/admin/policies/shop/empty"):
        assert POLICIES[path] == data(new, path)


def test_same_content_is_no_change() -> None:
    """Addresses that are the new cluster's already leave the znode as it is, spaces and all."""
    path = "/admin/clusters/old"
    content = {path: b'{ "serviceUrl": "http://new:8080" }'}
    new = recover(content, RecoveryOptions(Scope.BOOKIES_LOST, urls=(("serviceUrl", "http://new:8080"),)))
    assert tree(content)[-1] == new[path]


def test_retention_is_held() -> None:
    """On demand every namespace keeps its data for ever; the rest of its policies stays."""
    path = "/admin/policies/shop/orders"
    assert "retention_policies" not in policies(recover(POLICIES), path)
    held = policies(recover(POLICIES, RecoveryOptions(Scope.BOOKIES_LOST, infinite_retention=True)), path)
    assert {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1} == held["retention_policies"]
    assert ["old"] == held["replication_clusters"]


def test_changed_znodes_are_as_if_set() -> None:
    """A znode that was changed has one version more, and the zxid and time of the restore; others have their own."""
    new = recover({f"{NAMESPACE}/t": ledgers((3, True)), "/other": b"x"})
    changed, other = Stat.unpack(new[f"{NAMESPACE}/t"].stat), Stat.unpack(new["/other"].stat)
    assert (1, ZXID, TIME, 1) == (changed.version, changed.mzxid, changed.mtime, changed.czxid)
    assert (0, 1, 1) == (other.version, other.mzxid, other.mtime)


@PATIENT
@given(trees())
def test_any_tree_stays_a_tree(nodes: list[Node]) -> None:
    """Whatever the tree, the new one is in tree order, each znode once and after its parent."""
    for recovery_options in (TIERED, BOOKIES_KEPT):
        new, _ = recovered(nodes, recovery_options, Layout())
        keys = [tree_key(node.path) for node in new]
        assert sorted(set(keys)) == keys
        there = {node.path for node in new}
        assert not [node.path for node in new[1:] if node.path.rpartition(b"/")[0] not in there]


def test_every_rule_says_why() -> None:
    """Rules have names of their own, and say what they do and why."""
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.action and rule.why and rule.paths and rule.scopes for rule in RULES)


def test_other_root_of_ledgers_is_none() -> None:
    """A znode whose name only begins like BookKeeper's root is not taken for it."""
    assert "/ledgers/idgen" not in recover({"/ledgers2/LAYOUT": b""})


def test_json_of_any_kind_stops_nothing() -> None:
    """A lone surrogate, or something else where names should be, is no fault."""
    content = {
        "/admin/clusters/old": b"{}",
        "/admin/policies/a/b": b'{"x":"\\ud800","replication_clusters":[{"y":1},"old"]}',
    }
    new = recover(content, RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True))
    assert "new" in policies(new, "/admin/policies/a/b")["replication_clusters"]


def test_outline_is_told_by_the_manifest() -> None:
    """What decides a recovery is read from a manifest as it was written, whatever the tree."""
    content = {**POLICIES, "/ledgers/idgen": b"", "/ledgers/idgen-long": b"", f"{NAMESPACE}/t": ledgers((5, True))}
    for told in (known(tree(content), Layout()).summary, known(tree({}), Layout()).summary):
        assert told == TreeSummary.parse(json.loads(json.dumps(told.to_json())))


@pytest.mark.parametrize("key", ["highestLedgerId", "bookKeeper", "idCounters", "clusters", "renamable"])
@pytest.mark.parametrize("value", [None, "x", 1.5, 1 << 62, {"a": 1}, [1], [None]])
def test_outline_that_is_none(key: str, value: object) -> None:
    """A manifest that tells anything else tells nothing."""
    assert TreeSummary.parse({**known(tree({}), Layout()).summary.to_json(), key: value}) is None
    assert TreeSummary.parse(None) is None


@pytest.mark.parametrize(
    "content",
    [
        {"/ledgers/00/0000/L99999999999999999999": b""},
        {f"/ledgers/00/0000/L{'9' * 5000}": b""},
        {f"{NAMESPACE}/odd": ledgers(((1 << 63) - 1, True))},
    ],
)
def test_id_that_no_counter_gave_out(content: dict[str, bytes]) -> None:
    """An id beyond all that can be given out is odd, and counts for none; the tree is restored."""
    new = recover({"/ledgers/idgen": b"", f"{NAMESPACE}/t": ledgers((5, True)), **content})
    assert 5 + MARGIN + 2 == Stat.unpack(new["/ledgers/idgen"].stat).cversion


def test_list_that_lacks_an_id_is_left_as_it_is() -> None:
    """A list in which one ledger has no id cannot be decoded, though the others can."""
    odd = ledgers((7, True)) + b"\x0a\x02\x10\x01"  # a ledger with entries alone
    nodes = tree({f"{NAMESPACE}/odd": odd})
    new, changes = recovered(nodes, TIERED, Layout())
    assert nodes == new
    assert (1, 0) == (changes.undecodable_count, sum(changes.changed.values()))


def test_counter_of_too_many_digits_is_none() -> None:
    """A counter that no program made is left alone."""
    path = f"/ledgers/idgen-long/HOB-{'9' * 5000}"
    assert path in recover({"/ledgers/idgen": b"", path: b"", f"{NAMESPACE}/t": ledgers((5, True))})
