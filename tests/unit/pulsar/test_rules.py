"""Each rule of a recovery."""

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.broker_metadata.records import Hole, Position, SavedCursor
from metadata_tool.broker_metadata.restorable import Hold, Restorable
from metadata_tool.pulsar.codec import encode, managed_cursor, managed_ledger
from metadata_tool.pulsar.holds import AUTO_UPDATE, HELD, RETENTION, TTL
from metadata_tool.pulsar.ids import MARGIN
from metadata_tool.pulsar.managed_ledger_pb2 import (
    ManagedCursorInfo,
    ManagedLedgerInfo,
    MessageRange,
    NestedPositionInfo,
)
from metadata_tool.pulsar.moved_buckets import MovedBuckets, ledger_buckets
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import RULES, Scope
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import Stat
from support.metadata import NAMESPACE, as_json, cursor, ledgers, tree
from support.offload import Offloaded, topic_value
from support.recovery import KEPT, LOST, POLICIES, ZXID, recover, recovered
from support.trees import PATIENT

COMPRESSED = b"\x47\x78\0\0\0\x04\x08\x03\x10\x00"
"""The prefix and the header of a value that is compressed with ZSTD."""
RENAMED = RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True)


def data(nodes: Mapping[str, Node], path: str) -> bytes:
    """The data of a znode."""
    return nodes[path].data or b""


def listed(nodes: Mapping[str, Node], path: str) -> list[tuple[int, bool]]:
    """A topic's ledgers as (id, marked as deleted from BookKeeper)."""
    info = managed_ledger(data(nodes, path))
    return [(ledger.ledgerId, ledger.offloadContext.bookkeeperDeleted) for ledger in info.ledgerInfo]


def policies(nodes: Mapping[str, Node], path: str) -> dict[str, Any]:
    """The JSON of a znode."""
    return dict(json.loads(data(nodes, path)))


def cversion(nodes: Mapping[str, Node], path: str) -> int:
    """The stored cversion of a znode."""
    return Stat.unpack(nodes[path].stat).cversion


def test_texts() -> None:
    """The texts of a rule are one or two sentences, without a colon or a semicolon."""
    for text in (text for rule in RULES for text in (rule.action, rule.why)):
        sentences = re.findall(r"[A-Z_][^:;]*?\.(?= [A-Z]|$)", text)
        assert len(sentences) in (1, 2)
        assert text == " ".join(sentences)


def test_names() -> None:
    """Rules have different names, and each has paths and scopes."""
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.paths and rule.scopes for rule in RULES)


def test_offloaded_ledgers_stay_before_a_placeholder() -> None:
    """Offloaded ledgers are kept and marked, the others are removed, and a ledger that never existed ends the list."""
    new = recover({f"{NAMESPACE}/t": ledgers((3, True), (5, False), (8, True), (9, False))})
    assert [(3, True), (8, True), (9 + MARGIN + 1, False)] == listed(new, f"{NAMESPACE}/t")


def test_topic_without_offloaded_ledgers_is_empty() -> None:
    """A topic without offloaded ledgers gets an empty list."""
    new = recover({f"{NAMESPACE}/t": ledgers((3, False))})
    expected: list[tuple[int, bool]] = []
    assert expected == listed(new, f"{NAMESPACE}/t")


def test_terminated_topic_is_reopened() -> None:
    """A terminated topic is reopened if the bookies are lost, and stays terminated if they are kept."""
    content = {f"{NAMESPACE}/t": ledgers((3, True), terminated=True)}
    assert not managed_ledger(data(recover(content), f"{NAMESPACE}/t")).HasField("terminatedPosition")
    assert managed_ledger(data(recover(content, KEPT), f"{NAMESPACE}/t")).HasField("terminatedPosition")


def test_terminated_topic_without_ledgers_is_reopened() -> None:
    """A terminated topic is reopened, also if its list is empty."""
    info = ManagedLedgerInfo()
    info.terminatedPosition.ledgerId, info.terminatedPosition.entryId = 3, 99
    new = recover({f"{NAMESPACE}/t": info.SerializeToString()})
    assert b"" == data(new, f"{NAMESPACE}/t")


def test_topic_without_data_is_unchanged() -> None:
    """A topic whose znode has no data, not even an empty one, stays as it is."""
    nodes = [node._replace(data=None) for node in tree({f"{NAMESPACE}/t": b""})]
    new, changes = recovered(nodes)
    assert (nodes, 0, {}) == (new, changes.undecodable_count, changes.changed)


def test_changed_znode_keeps_its_acl() -> None:
    """A changed znode has the ACL that it had."""
    nodes = [node._replace(acl=7) for node in tree({f"{NAMESPACE}/t": ledgers((3, True))})]
    assert {7} == {node.acl for node in recovered(nodes)[0]}


def test_raised_counter_has_had_children() -> None:
    """A raised counter looks as if its last child came with the recovery."""
    new = recover({"/ledgers/idgen": b""})
    assert (ZXID, 1) == (Stat.unpack(new["/ledgers/idgen"].stat).pzxid, Stat.unpack(new["/ledgers/idgen"].stat).mzxid)


@pytest.mark.parametrize("ledger_id", [0, 1, 17])
def test_any_ledger_of_a_cursor(ledger_id: int) -> None:
    """Whichever ledger has the exact position, the cursor no longer refers to it, compressed or not."""
    for before in (b"", COMPRESSED):
        saved = encode(managed_cursor(cursor(ledger_id)), before)
        new = data(recover({f"{NAMESPACE}/t": b"", f"{NAMESPACE}/t/sub": saved}), f"{NAMESPACE}/t/sub")
        assert -1 == managed_cursor(new).cursorsLedgerId
        assert bool(before) == new.startswith(COMPRESSED[:2])


def test_compressed_stays_compressed() -> None:
    """A compressed list of ledgers is compressed again with the same compression."""
    saved = encode(managed_ledger(ledgers((3, True))), COMPRESSED)
    new = data(recover({f"{NAMESPACE}/t": saved}), f"{NAMESPACE}/t")
    assert (saved[:8], 2) == (new[:8], len(managed_ledger(new).ledgerInfo))


@pytest.mark.parametrize("names", ["prop/us-west/ns/persistent/t", "t/n/segment/a/0000-7fff-1"])
def test_v1_topics_and_segments(names: str) -> None:
    """Topics with V1 names, segments of scalable topics, and their cursors are changed like other topics."""
    topic = f"/managed-ledgers/{names}"
    new = recover({topic: ledgers((3, True)), f"{topic}/sub": cursor(17)})
    assert (3, True) == listed(new, topic)[0]
    assert -1 == managed_cursor(data(new, f"{topic}/sub")).cursorsLedgerId


def test_cursors_use_the_position_in_their_znode() -> None:
    """A cursor no longer refers to BookKeeper, and keeps the position in its znode."""
    new = recover({f"{NAMESPACE}/t": b"", f"{NAMESPACE}/t/sub": cursor(17, (3, 7))})
    found = managed_cursor(data(new, f"{NAMESPACE}/t/sub"))
    assert (-1, 3, 7) == (found.cursorsLedgerId, found.markDeleteLedgerId, found.markDeleteEntryId)


def saved_cursor(path: str, mark_delete: tuple[int, int] = (29, -1), holes: int = 2) -> SavedCursor:
    """A position that a broker gave out, with this many holes."""
    ranges = [Hole(Position(29, 10 * number), Position(30, 10 * number + 5)) for number in range(holes)]
    return SavedCursor(path, 7, Position(*mark_delete), tuple(ranges))


def restored_cursor(
    saved: bytes, cursors: list[SavedCursor], name: str = "sub", size: int = 500_000
) -> tuple[ManagedCursorInfo, Restorable]:
    """The cursor `t/sub` that is restored with these positions, and what was counted."""
    broker = Restorable(cursors)
    nodes = tree({f"{NAMESPACE}/t": b"", f"{NAMESPACE}/t/{name}": saved})
    new, _ = recovered(nodes, broker=broker, cursor_size=size)
    (value,) = (node.data or b"" for node in new if node.path.endswith(f"/{name}".encode()))
    assert len(value) <= max(size, len(saved) + 100)
    return managed_cursor(value), broker


def holes_of(info: ManagedCursorInfo) -> list[tuple[int, int, int, int]]:
    """The holes of a cursor."""
    ends = [(each.lowerEndpoint, each.upperEndpoint) for each in info.individualDeletedMessages]
    return [(low.ledgerId, low.entryId, high.ledgerId, high.entryId) for low, high in ends]


LAST_ACTIVE = b"\x30\x09"
"""Field 6 of a cursor."""
T_SUB = "public/default/persistent/t/sub"


@pytest.mark.parametrize("before", [b"", COMPRESSED])
def test_cursors_get_the_position_of_brokers(before: bytes) -> None:
    """A cursor gets the position and the holes that a broker gave out. What else it has stays, but for batches."""
    hole = MessageRange(
        lowerEndpoint=NestedPositionInfo(ledgerId=3, entryId=8), upperEndpoint=NestedPositionInfo(ledgerId=3, entryId=9)
    )
    saved = ManagedCursorInfo(individualDeletedMessages=[hole], batchedEntryDeletionIndexInfo=[b"batch"])
    value = cursor(17, (3, 7)) + saved.SerializePartialToString() + LAST_ACTIVE
    info, broker = restored_cursor(encode(managed_cursor(value), before), [saved_cursor(T_SUB)])
    expected = managed_cursor(cursor(-1, (29, -1)) + LAST_ACTIVE)
    assert [(29, 0, 30, 5), (29, 10, 30, 15)] == holes_of(info)
    info.ClearField("individualDeletedMessages")
    assert expected.SerializeToString() == info.SerializeToString()
    assert (1, 0, 0) == (broker.positions, broker.shortened, broker.holes_left_out)


@pytest.mark.parametrize(
    ("saved", "cursors", "name"),
    [
        pytest.param(cursor(17), [], "sub", id="not saved"),
        pytest.param(cursor(17), [saved_cursor("public/default/persistent/t/other")], "sub", id="of another"),
        pytest.param(cursor(-1), [saved_cursor(T_SUB)], "sub", id="exact already"),
        pytest.param(
            cursor(17), [saved_cursor("public/default/persistent/t/pulsar.dedup")], "pulsar.dedup", id="deduplication"
        ),
    ],
)
def test_cursors_that_keep_their_position(saved: bytes, cursors: list[SavedCursor], name: str) -> None:
    """Other cursors keep the position in their znode.

    That of the deduplication belongs to sequence ids, which brokers do not give out.
    """
    info, broker = restored_cursor(saved, cursors, name)
    assert (3, 7, [], 0) == (info.markDeleteLedgerId, info.markDeleteEntryId, holes_of(info), broker.positions)


@pytest.mark.parametrize(
    ("ledger", "hole", "possible"),
    [
        pytest.param(17 + MARGIN, 3, True, id="created after the capture"),
        pytest.param(17 + MARGIN, None, True, id="without holes"),
        pytest.param(19 + MARGIN, None, False, id="of a new ledger, without holes"),
        pytest.param(19 + MARGIN, 3, False, id="of a new ledger"),
        pytest.param(3, 19 + MARGIN, False, id="a hole in a new ledger"),
        pytest.param((1 << 63) - 1, 3, False, id="any"),
    ],
)
def test_positions_that_cannot_be(ledger: int, hole: int | None, *, possible: bool) -> None:
    """A position in a ledger that only the new cluster can have is not used, or new messages would be skipped."""
    holes = (Hole(Position(3, 8), Position(3, 9)), Hole(Position(3, 9), Position(hole, 5))) if hole else ()
    info, broker = restored_cursor(cursor(17), [SavedCursor(T_SUB, 7, Position(ledger, 4), holes)])
    assert (ledger if possible else 3) == info.markDeleteLedgerId
    assert (possible, not possible) == (broker.positions == 1, broker.impossible == 1)


@pytest.mark.parametrize("before", [b"", COMPRESSED])
@pytest.mark.parametrize("size", [1, 200, 3000])
def test_holes_that_do_not_fit(size: int, before: bytes) -> None:
    """If the holes make a znode too large, the first that fit are kept, as many as there is room for."""
    many = saved_cursor(T_SUB, holes=2000)
    info, broker = restored_cursor(encode(managed_cursor(cursor(17)), before), [many], size=size)
    kept = len(info.individualDeletedMessages)
    assert [(*hole.after, *hole.last) for hole in many.holes[:kept]] == holes_of(info)
    assert (1, 1, 2000 - kept) == (broker.positions, broker.shortened, broker.holes_left_out)
    assert (29, -1) == (info.markDeleteLedgerId, info.markDeleteEntryId)
    info.individualDeletedMessages.add().CopyFrom(
        MessageRange(
            lowerEndpoint=NestedPositionInfo(ledgerId=29, entryId=10 * kept),
            upperEndpoint=NestedPositionInfo(ledgerId=30, entryId=10 * kept + 5),
        )
    )
    assert len(encode(info, encode(managed_cursor(cursor(17)), before))) > size


def test_a_tree_and_positions_that_differ() -> None:
    """Positions of cursors that the tree has not, and cursors that have none, are passed over in any mixture."""
    topics = [f"public/default/persistent/{name}" for name in ("a", "a-", "b", "c")]
    content = {f"/managed-ledgers/{topic}": b"" for topic in topics}
    content |= {f"/managed-ledgers/{topic}/s": cursor(17) for topic in topics}
    named = [saved_cursor(f"{topic}/s") for topic in (*topics[:2], "public/default/persistent/aa", topics[3], "z/z")]
    new, _ = recovered(tree(content), broker=Restorable(named))
    found = [managed_cursor(node.data or b"").markDeleteLedgerId for node in new if node.path.endswith(b"/s")]
    assert [29, 29, 3, 29] == found


@pytest.mark.parametrize("options", [LOST, KEPT])
def test_held_settings(options: RecoveryOptions) -> None:
    """Settings of namespaces are held or set back as the restore has found, and nothing else is changed."""
    content = {
        "/admin/policies/shop/a": as_json(bundles=4),
        "/admin/policies/shop/b": as_json(is_allow_auto_update_schema=True, message_ttl_in_seconds=9),
        "/admin/policies/shop/broken": b"not JSON",
        "/admin/policies/shop/freed": as_json(is_allow_auto_update_schema=False, bundles=4),
        "/admin/policies/shop/other": as_json(),
        "/admin/policies/shop/us-west/v1": as_json(),
    }
    after: dict[str, dict[str, Any]] = {
        "shop/a": {AUTO_UPDATE: False},
        "shop/b": {AUTO_UPDATE: False, TTL: 0},
        "shop/broken": {AUTO_UPDATE: False},
        "shop/freed": {AUTO_UPDATE: None},
        "shop/us-west/v1": {RETENTION: HELD[RETENTION]},
    }
    broker = Restorable([], [Hold(name, {}, settings) for name, settings in after.items()])
    nodes, changes = recovered(tree(content), options, broker=broker)
    found = {node.path.decode(): node for node in nodes}
    expected = content | {
        "/admin/policies/shop/a": as_json(bundles=4, is_allow_auto_update_schema=False),
        "/admin/policies/shop/b": as_json(is_allow_auto_update_schema=False, message_ttl_in_seconds=0),
        "/admin/policies/shop/freed": as_json(bundles=4),
        "/admin/policies/shop/us-west/v1": as_json(retention_policies=HELD[RETENTION]),
    }
    assert expected == {path: data(found, path) for path in content}
    assert {"schema registration": 3, "topics' own policies": 2} == changes.changed


def test_compaction_cursors_are_removed() -> None:
    """The cursor that refers to a compacted ledger is removed."""
    new = recover({f"{NAMESPACE}/t": b"", f"{NAMESPACE}/t/__compaction": cursor(-1)})
    assert f"{NAMESPACE}/t/__compaction" not in new


@pytest.mark.parametrize(
    ("path", "stays"),
    [
        ("/ledgers/00/0000/L0001", False),
        ("/ledgers/000/0000/0042/9496/L7296", False),
        ("/ledgers/L0000000042", False),
        ("/ledgers/cookies/bookie-0:3181", False),
        ("/ledgers/available/bookie-0:3181", False),
        ("/ledgers/available/readonly/bookie-0:3181", False),
        ("/ledgers/underreplication/ledgers/0000/0000/urL0001", False),
        ("/ledgers/underreplication/locks/urL0001", False),
        ("/schemas/public/default/t", False),
        ("/loadbalance/brokers/broker:8080", False),
        ("/namespace/public/default/0x00000000_0x40000000", False),
        ("/service_unit_state/public/default/0x00000000_0xffffffff", False),
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
def test_what_is_removed_and_what_stays(path: str, chroot: str, *, stays: bool) -> None:
    """References to lost bookies and brokers are removed, but not their parents. If bookies are kept, all stays."""
    path, layout = chroot + path, Layout(chroot)
    parent = path.rpartition("/")[0] if not path.startswith(f"{chroot}/ledgers/0") else f"{chroot}/ledgers"
    parent = f"{chroot}/schemas" if "/schemas/" in path else parent
    for options, expected in ((LOST, stays), (KEPT, True)):
        new = recover({path: b"data"}, options, layout=layout)
        assert expected == (path in new)
        if expected or not path.startswith(
            tuple(f"{chroot}/{part}" for part in ("ledgers/u", "load", "name", "service"))
        ):
            assert parent in new


@pytest.mark.parametrize("options", [LOST, KEPT])
@pytest.mark.parametrize(
    "content",
    [
        {"/ledgers/00/0012/L3456": b""},
        {f"{NAMESPACE}/t": ledgers((123456, False))},
        {f"{NAMESPACE}/t": ledgers((5, False)), f"{NAMESPACE}/t/sub": cursor(123456)},
        {f"{NAMESPACE}/t": b"", f"{NAMESPACE}/t/sub": cursor(-1, (123456, 0))},
    ],
)
def test_counter_is_above_every_id(content: dict[str, bytes], options: RecoveryOptions) -> None:
    """The counter is raised above the highest id, wherever it is found, in both scopes."""
    new = recover({"/ledgers/idgen": b"", **content}, options, {"/ledgers/idgen": 7})
    assert 123456 + MARGIN + 2 == cversion(new, "/ledgers/idgen")


FLAT = b"2\norg.apache.bookkeeper.meta.FlatLedgerManagerFactory:1"


@pytest.mark.parametrize("options", [LOST, KEPT])
@pytest.mark.parametrize("chroot", ["", "/a/b"])
@PATIENT
@given(st.integers(1, 1 << 30), st.lists(st.integers(0, 1 << 30), max_size=3), st.integers(0, 1 << 30))
def test_flat_counter(
    options: RecoveryOptions, chroot: str, allocated: int, listed_ids: list[int], open_id: int
) -> None:
    """In the flat layout, the number of the next sequential child of the root is above every id, and so is idgen's."""
    root, layout = f"{chroot}/ledgers", Layout(chroot)
    content = {f"{root}/LAYOUT": FLAT, f"{root}/L{open_id:010d}": b""}
    content[f"{chroot}{NAMESPACE}/t"] = ledgers(*[(ledger_id, True) for ledger_id in listed_ids])
    new = recover(content, options, {root: allocated}, layout)
    highest = max(allocated - 1, open_id, *listed_ids, 0)
    assert highest + MARGIN + 2 == cversion(new, root) == cversion(new, f"{root}/idgen")


def test_flat_counter_in_other_layouts() -> None:
    """In all other layouts, the root of the ledgers stays as it is."""
    new = recover({"/ledgers/idgen": b"", "/ledgers/00/0000/L0005": b""}, cversions={"/ledgers": 7})
    assert 7 == cversion(new, "/ledgers")


def test_counter_is_above_itself() -> None:
    """An id that was allocated is not allocated again, even if its ledger has been deleted."""
    new = recover({"/ledgers/idgen": b""}, cversions={"/ledgers/idgen": 1000})
    assert 999 + MARGIN + 2 == cversion(new, "/ledgers/idgen")


def test_long_ids() -> None:
    """If ids have 63 bits, the counter with the highest number is raised."""
    counters = {"/ledgers/idgen-long/HOB-0000000001": 9, "/ledgers/idgen-long/HOB-0000000002": 4}
    content = {"/ledgers/idgen": b"", **dict.fromkeys(counters, b""), f"{NAMESPACE}/t": ledgers(((2 << 32) + 77, True))}
    new = recover(content, cversions=counters)
    assert [9, 77 + MARGIN + 2] == [cversion(new, path) for path in counters]


@pytest.mark.parametrize("phase", ["PREPARATION", "COPYING", "COMPLETED", "FAILED"])
@pytest.mark.parametrize("options", [LOST, KEPT])
def test_move_to_another_store(options: RecoveryOptions, phase: str) -> None:
    """The flag of a move to another store is removed, whatever its phase is and what survived."""
    flag = "/a/pulsar/migration-coordinator/migration"
    new = recover({flag: as_json(phase=phase, targetUrl="oxia://x")}, options, layout=Layout("/a"))
    assert ["", "/a", "/a/pulsar", "/a/pulsar/migration-coordinator"] == list(new)


def test_addresses_of_the_lost_cluster_are_replaced_or_removed() -> None:
    """The lost cluster's addresses are replaced by the new ones, or removed if there are none. The rest stays."""
    assert {"peer": ["x"]} == policies(recover(POLICIES), "/admin/clusters/old")
    urls = (("serviceUrl", "http://new:8080"),)
    for scope in Scope:
        new = recover(POLICIES, RecoveryOptions(scope, urls=urls))
        assert "http://new:8080" == policies(new, "/admin/clusters/old")["serviceUrl"]
        assert "brokerServiceUrl" not in policies(new, "/admin/clusters/old")
    assert POLICIES["/admin/clusters/old"] == data(recover(POLICIES, KEPT), "/admin/clusters/old")


def test_other_clusters_keep_their_addresses() -> None:
    """Only the own cluster gets the new addresses, not those that it replicates to."""
    far = as_json(serviceUrl="http://far:8080")
    options = RecoveryOptions(Scope.BOOKIES_LOST, "old", urls=(("serviceUrl", "http://new:8080"),))
    new = recover({**POLICIES, "/admin/clusters/far": far}, options)
    assert far == data(new, "/admin/clusters/far")
    assert "http://new:8080" == policies(new, "/admin/clusters/old")["serviceUrl"]


def test_same_addresses_are_no_change() -> None:
    """A cluster that has the wanted addresses already keeps its znode, byte for byte."""
    path = "/admin/clusters/old"
    content = {path: b'{ "serviceUrl": "http://new:8080" }'}
    new = recover(content, RecoveryOptions(Scope.BOOKIES_LOST, urls=(("serviceUrl", "http://new:8080"),)))
    assert tree(content)[-1] == new[path]


@pytest.mark.parametrize("scope", Scope)
def test_rename(scope: Scope) -> None:
    """A renamed cluster has the new name everywhere."""
    new = recover(POLICIES, RecoveryOptions(scope, "new", rename_cluster=True))
    assert not [path for path in new if path.startswith("/admin/clusters/old")]
    assert "/admin/clusters/new/failureDomain" in new
    assert ["x"] == policies(new, "/admin/clusters/new")["peer"]
    assert ["new", "far"] == policies(new, "/admin/policies/shop")["allowedClusters"]
    expected = {"replication_clusters": ["new"], "bundles": {"numBundles": 4}}
    assert expected == policies(new, "/admin/policies/shop/orders")


def test_rename_in_the_clusters_that_a_namespace_may_use() -> None:
    """Both lists of clusters of a namespace have the new name."""
    lists = {"replication_clusters": ["old"], "allowed_clusters": ["far", "old"]}
    new = recover({"/admin/clusters/old": b"{}", "/admin/policies/a/b": as_json(**lists)}, RENAMED)
    expected = {"replication_clusters": ["new"], "allowed_clusters": ["far", "new"]}
    assert expected == policies(new, "/admin/policies/a/b")


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        (RENAMED, b'{ "replication_clusters": ["far"] }'),
        (
            RecoveryOptions(Scope.BOOKIES_LOST, infinite_retention=True),
            b'{ "retention_policies": {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1} }',
        ),
    ],
)
def test_policies_that_are_as_wanted_are_no_change(options: RecoveryOptions, saved: bytes) -> None:
    """Policies that need no change keep their znode, byte for byte."""
    content = {"/admin/clusters/old": b"{}", "/admin/policies/a/b": saved}
    assert saved == data(recover(content, options), "/admin/policies/a/b")


def test_policies_that_cannot_be_decoded_are_reported() -> None:
    """Policies that are not a JSON object stay unchanged, and are reported."""
    content = {"/admin/clusters/old": b"{}", "/admin/policies/a/b": b"{", "/admin/policies/a/c": b"[1]"}
    new, changes = recovered(tree(content), RENAMED)
    expected = ["/admin/policies/a/b: not JSON", "/admin/policies/a/c: not a JSON object"]
    assert expected == changes.undecodable
    assert [b"{", b"[1]"] == [node.data for node in new[-2:]]


@pytest.mark.parametrize("name", ["", "old"])
def test_same_name_changes_no_policy(name: str) -> None:
    """If the name is the same or unknown, no policy changes."""
    new = recover(POLICIES, RecoveryOptions(Scope.BOOKIES_LOST, name))
    for path in ("/admin/policies/shop", "/admin/policies/shop/orders", "/admin/policies/shop/empty"):
        assert POLICIES[path] == data(new, path)


def test_rename_removes_health_checks() -> None:
    """Health checks under the old name do not prevent a rename, and are removed. Other topics stay."""
    checks = "/managed-ledgers/pulsar/old/broker-0:8080/persistent/healthcheck"
    system = "/managed-ledgers/pulsar/old/persistent/healthcheck"  # a V2 name, in a namespace that is called so
    content = POLICIES | {checks: ledgers((3, True)), f"{checks}/reader": cursor(-1), system: ledgers((4, True))}
    new = recover(content, RENAMED)
    assert (False, False, True) == (checks in new, f"{checks}/reader" in new, system in new)
    other = "/managed-ledgers/pulsar/old/persistent/persistent/healthcheck"  # a cursor of a topic called `persistent`
    assert other in recover(content | {other: cursor(-1)}, RENAMED)
    assert checks in recover(content, RecoveryOptions(Scope.BOOKIES_LOST, "old"))


def test_unexpected_json_is_accepted() -> None:
    """A lone surrogate, or an object in a list of names, does not stop a rename."""
    content = {
        "/admin/clusters/old": b"{}",
        "/admin/policies/a/b": b'{"x":"\\ud800","replication_clusters":[{"y":1},"old"]}',
    }
    new = recover(content, RENAMED)
    assert "new" in policies(new, "/admin/policies/a/b")["replication_clusters"]


MOVED = MovedBuckets((("old", "new"),))
LEDGERS = [Offloaded(UUID(int=1), 3), Offloaded(UUID(int=2), 4)]


def buckets(nodes: Mapping[str, Node], path: str) -> list[str]:
    """The buckets of a topic's ledgers."""
    return [name for ledger in managed_ledger(data(nodes, path)).ledgerInfo for name in ledger_buckets(ledger)]


@pytest.mark.parametrize("scope", Scope)
def test_moved_buckets(scope: Scope) -> None:
    """In both scopes, ledgers and policies name the new bucket, and other buckets keep their names."""
    options = RecoveryOptions(scope, buckets=MOVED)
    policy = as_json(offload_policies={"s3ManagedLedgerOffloadBucket": "old"}, bundles={"numBundles": 4})
    content = {
        f"{NAMESPACE}/moved": topic_value(LEDGERS, "old"),
        f"{NAMESPACE}/other": topic_value(LEDGERS, "other"),
        "/managed-ledgers/t/n/segment/a/0000-ffff-0": topic_value(LEDGERS, "old"),
        f"{NAMESPACE}/moved/sub": cursor(-1),
        "/admin/policies/public/default": policy,
        "/admin/policies/prop/us-west/ns": policy,
        "/admin/policies/public/none": b"",
    }
    nodes, changes = recovered(tree(content), options)
    new = {node.path.decode(): node for node in nodes}
    for path in (f"{NAMESPACE}/moved", "/managed-ledgers/t/n/segment/a/0000-ffff-0"):
        assert ["new", "new"] == buckets(new, path)
    assert ["other", "other"] == buckets(new, f"{NAMESPACE}/other")
    expected = {"offload_policies": {"s3ManagedLedgerOffloadBucket": "new"}, "bundles": {"numBundles": 4}}
    for path in ("/admin/policies/public/default", "/admin/policies/prop/us-west/ns"):
        assert expected == policies(new, path)
    assert (2, 2) == (changes.changed["moved buckets"], changes.changed["namespaces' buckets"])
    kept = Stat.unpack(new["/admin/policies/public/none"].stat)
    assert 1 == kept.mzxid


@pytest.mark.parametrize("scope", Scope)
def test_no_bucket_has_moved(scope: Scope) -> None:
    """Without moved buckets, no topic and no policy changes for them."""
    saved = {f"{NAMESPACE}/t": topic_value(LEDGERS, "old"), "/admin/policies/a/b": b'{"offload_policies": {}}'}
    _, changes = recovered(tree(saved), RecoveryOptions(scope))
    assert not {"moved buckets", "namespaces' buckets"} & set(changes.changed)


def test_moved_buckets_of_a_compressed_list() -> None:
    """A compressed list of ledgers stays compressed."""
    saved = encode(managed_ledger(topic_value(LEDGERS, "old")), COMPRESSED)
    new = recover({f"{NAMESPACE}/t": saved}, RecoveryOptions(Scope.BOOKIES_KEPT, buckets=MOVED))
    assert (saved[:8], ["new", "new"]) == (data(new, f"{NAMESPACE}/t")[:8], buckets(new, f"{NAMESPACE}/t"))


@pytest.mark.parametrize("scope", Scope)
def test_undecodable_is_reported_once(scope: Scope) -> None:
    """A znode that several rules cannot decode is reported once, in the order of the tree."""
    content = {f"{NAMESPACE}/bad": b"\xff", f"{NAMESPACE}/worse": b"\xff", "/admin/policies/a/b": b"{"}
    _, changes = recovered(tree(content), RecoveryOptions(scope, buckets=MOVED, infinite_retention=True))
    expected = ["/admin/policies/a/b", f"{NAMESPACE}/bad", f"{NAMESPACE}/worse"]
    assert expected == [line.partition(":")[0] for line in changes.undecodable]
    assert 3 == changes.undecodable_count


def test_infinite_retention() -> None:
    """With infinite retention, every namespace has it, and keeps its other policies."""
    path = "/admin/policies/shop/orders"
    assert "retention_policies" not in policies(recover(POLICIES), path)
    new = policies(recover(POLICIES, RecoveryOptions(Scope.BOOKIES_LOST, infinite_retention=True)), path)
    assert {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1} == new["retention_policies"]
    assert ["old"] == new["replication_clusters"]


def test_infinite_retention_replaces_another() -> None:
    """With infinite retention, an earlier retention is replaced."""
    path = "/admin/policies/shop/kept"
    content = {path: as_json(retention_policies={"retentionTimeInMinutes": 60, "retentionSizeInMB": 100})}
    new = policies(recover(content, RecoveryOptions(Scope.BOOKIES_KEPT, infinite_retention=True)), path)
    assert {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1} == new["retention_policies"]
