"""The tree that a restore makes of a backup with broker metadata."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from metadata_tool.broker_metadata.records import Hole, Position, Record, SavedCursor, SavedSchemas, SchemaVersion
from metadata_tool.catalog import RestorePoint
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.codec import managed_cursor
from metadata_tool.pulsar.new_metadata import INFINITE_RETENTION
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.restore import restore
from metadata_tool.store import open_store
from metadata_tool.store.base import StoreOptions
from metadata_tool.zookeeper.jute import READ, Acl, pack_acls
from metadata_tool.zookeeper.snapshot import SnapshotReader, in_tree_order
from support import policy_events
from support.backups import TREE, make_backup
from support.drills import job
from support.metadata import NAMESPACE, as_json, cursor
from support.trees import in_tree_order as ordered

HOLES = tuple(Hole(Position(3, 2 * number), Position(3, 2 * number + 1)) for number in range(100))
RECORDS: list[Record] = [
    SavedSchemas("public/default/t", 7, 8, (SchemaVersion(0, bytes(32)),)),
    SavedCursor("public/default/persistent/t/sub", 7, Position(3, 4), HOLES),
]
CONTENT: dict[bytes, bytes | None] = {
    **TREE,
    b"/admin/policies": b"",
    b"/admin/policies/public": b"{}",
    b"/admin/policies/public/default": as_json(bundles=4),
    b"/managed-ledgers/public": b"",
    b"/managed-ledgers/public/default": b"",
    NAMESPACE.encode(): b"",
    f"{NAMESPACE}/t".encode(): b"",
    f"{NAMESPACE}/t/sub".encode(): cursor(17),
}
HELD, POLICIES, SUB = "/metadata-backup/held", "/admin/policies/public/default", f"{NAMESPACE}/t/sub"
AUTO_UPDATE = "is_allow_auto_update_schema"
NOTE = as_json(is_allow_auto_update_schema=None)


class Restored(NamedTuple):
    """The data of znodes by path, the ACLs of read-only ones, the report, and the bytes of the snapshot."""

    data: dict[str, bytes | None]
    read_only: list[str]
    report: dict[str, Any]
    snapshot: bytes


def restored(
    point: RestorePoint,
    directory: Path,
    scope: Scope = Scope.BOOKIES_LOST,
    *,
    infinite_retention: bool = False,
    **changes: Any,
) -> Restored:
    """What a real restore places."""
    data = directory / "data"
    data.mkdir(parents=True)
    recovery = RecoveryOptions(scope, infinite_retention=infinite_retention)
    options = replace(job(point, directory), recovery_options=recovery, **changes)
    placed = restore(
        options.restore_job(data, directory), lambda location: open_store(location, StoreOptions()), Heartbeat()
    )
    assert placed
    content = placed.read_bytes()
    reader = SnapshotReader(io.BytesIO(content))
    zxid = int(placed.name.partition(".")[2], 16)
    nodes = list(in_tree_order(reader.nodes(), reader.header.acls, zxid))
    own = pack_acls([Acl(READ, "world", "anyone")])
    read_only = [node.path.decode() for node in nodes if reader.header.acls.get(node.acl) == own]
    report = json.loads((placed.parent / "restore-report.json").read_bytes())
    return Restored({node.path.decode(): node.data for node in nodes}, read_only, report, content)


def backed_up(directory: Path, content: Mapping[bytes, bytes | None], **changes: Any) -> RestorePoint:
    """A backup of this tree."""
    directory.mkdir()
    return make_backup(directory, tree={path: content[path] for path in ordered(content)}, **changes)


def test_broker_metadata_is_in_the_tree(tmp_path: Path) -> None:
    """Cursors have the positions of brokers, and namespaces wait for their schemas, which znodes tell."""
    point = backed_up(tmp_path / "store", CONTENT, records=RECORDS)
    made = restored(point, tmp_path)
    info = managed_cursor(made.data[SUB] or b"")
    position = info.cursorsLedgerId, info.markDeleteLedgerId, info.markDeleteEntryId
    assert ((-1, 3, 4), 100) == (position, len(info.individualDeletedMessages))
    assert as_json(bundles=4, is_allow_auto_update_schema=False) == made.data[POLICIES]
    held = {path: data for path, data in made.data.items() if path.startswith(HELD)}
    assert {HELD: b"", f"{HELD}/public": b"", f"{HELD}/public/default": NOTE} == held
    assert {HELD, f"{HELD}/public", "/metadata-backup"} <= {*made.read_only}
    assert f"{HELD}/public/default" not in made.read_only, "a put-back sets it"
    found = made.report["brokerMetadata"]
    assert (1, {"schemas": 1}, {"public/default": {AUTO_UPDATE: None}}) == (
        found["positions"],
        found["putBack"],
        found["held"]["before"],
    )
    counts = made.report["coverage"]["total"]
    assert (1, 1, 0) == tuple(counts[name] for name in ("schemasSaved", "cursorsSaved", "topicPoliciesSaved"))
    assert made.snapshot == restored(point, tmp_path / "other").snapshot


def test_policies_of_topics(tmp_path: Path) -> None:
    """Where a topic overrides what deletes data, the namespace deletes nothing until a put-back. A znode tells it.

    With infinite retention, that stays infinite after the put-back.
    """
    size = {"retentionSizeInMB": 1, "retentionTimeInMinutes": 2}
    own = policy_events.saved("public/default", "t", retentionPolicies=size, messageTTLInSeconds=7)
    point = backed_up(tmp_path / "store", CONTENT, records=[policy_events.schema("public/default"), own])
    made, infinite = (
        restored(point, tmp_path / str(infinite), infinite_retention=infinite) for infinite in (False, True)
    )
    policies = as_json(bundles=4, retention_policies=INFINITE_RETENTION, message_ttl_in_seconds=0)
    assert json.loads(policies) == json.loads(made.data[POLICIES] or b"") == json.loads(infinite.data[POLICIES] or b"")
    before = {"retention_policies": None, "message_ttl_in_seconds": None}
    assert before == json.loads(made.data[f"{HELD}/public/default"] or b"")
    assert {"message_ttl_in_seconds": None} == json.loads(infinite.data[f"{HELD}/public/default"] or b"")
    assert {"public/default": before} == made.report["brokerMetadata"]["held"]["before"]


def test_room_for_holes(tmp_path: Path) -> None:
    """No cursor takes more than half of what ZooKeeper takes as a request, whatever brokers gave out."""
    point = backed_up(tmp_path / "store", CONTENT, records=RECORDS)
    made = restored(point, tmp_path, jute_maxbuffer=2000)
    assert 900 < len(made.data[SUB] or b"") <= 1000
    found = made.report["brokerMetadata"]
    assert (1, 100) == (
        found["shortened"],
        found["holesLeftOut"] + len(managed_cursor(made.data[SUB] or b"").individualDeletedMessages),
    )


def test_bookies_that_were_kept(tmp_path: Path) -> None:
    """With bookies that were kept, the tree is as it was saved, because they have what brokers gave out."""
    point = backed_up(tmp_path / "store", CONTENT, records=RECORDS)
    made = restored(point, tmp_path, Scope.BOOKIES_KEPT)
    assert (CONTENT[POLICIES.encode()], CONTENT[SUB.encode()]) == (made.data[POLICIES], made.data[SUB])
    assert [] == [path for path in made.data if path.startswith(HELD)]


@pytest.mark.parametrize(("scope", "waits"), [(Scope.BOOKIES_LOST, False), (Scope.BOOKIES_KEPT, True)], ids=str)
def test_restored_again(scope: Scope, tmp_path: Path, *, waits: bool) -> None:
    """What an earlier restore has left is not in the tree of a later one, except where schemas are still waited for."""
    first = restored(backed_up(tmp_path / "store", CONTENT, records=RECORDS), tmp_path / "first")
    restored_before = {"restored": {"version": "drill", "point": "file:///p-1.tar.gz", "zxid": "0x1"}}
    content = {path.encode().rstrip(b"/"): data for path, data in first.data.items()}
    content |= {f"{HELD}/gone".encode(): b"", f"{HELD}/gone/ns".encode(): NOTE}
    again = restored(backed_up(tmp_path / "again", content, identity=restored_before), tmp_path / "second", scope)
    assert waits == (f"{HELD}/public/default" in again.data)
    assert f"{HELD}/gone" not in again.data
    expected = as_json(bundles=4, is_allow_auto_update_schema=False) if waits else as_json(bundles=4)
    assert expected == again.data[POLICIES]
    assert int(waits) == again.report["brokerMetadata"]["held"]["namespaces"]


def test_nothing_of_brokers(tmp_path: Path) -> None:
    """Without broker metadata, a restore leaves nothing but its marker."""
    made = restored(backed_up(tmp_path / "store", CONTENT), tmp_path)
    assert ["/metadata-backup"] == [path for path in made.data if path.startswith("/metadata-backup")]
    assert CONTENT[POLICIES.encode()] == made.data[POLICIES]
