"""A backup that is large enough to be verified by one process while another writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from metadata_tool.broker_metadata.records import Position, Record, SavedCursor, SavedSchemas, SchemaVersion, encode
from metadata_tool.errors import ArchiveCorrupt
from metadata_tool.pulsar.codec import managed_cursor
from metadata_tool.zookeeper.snapshot import Node, SnapshotReader, Written
from support.large import make_backup, make_snapshot
from support.tool import assert_refused, run, succeed

ZNODES = 110_000


Snapshot = tuple[Path, Written]


NAMESPACE, MANY = "tenant/namespace-0000", 300
"""A namespace with policies, and in how many of its topics a subscription has a saved position."""


@pytest.fixture(scope="module")
def broker_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas of a topic, and positions of subscriptions."""
    path = tmp_path_factory.mktemp("large") / "broker.json"
    saved: list[Record] = [SavedSchemas(f"{NAMESPACE}/topic-0000", 7, 8, (SchemaVersion(0, bytes(32)),))]
    saved += [SavedCursor(f"{NAMESPACE}/persistent/topic-{n:04}/billing", 7, Position(9, n)) for n in range(MANY)]
    path.write_bytes(b"".join(encode(record) for record in saved))
    return path


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The snapshot of a large tree."""
    path = tmp_path_factory.mktemp("large") / "snapshot"
    return path, make_snapshot(path, ZNODES)


def restored(directory: Path, snapshot: Snapshot, broker: Path, **summary: Any) -> tuple[list[Node], object]:
    """The restored tree and the report for a backup with this manifest, without the marker, which names the backup."""
    for name in ("store", "data"):
        (directory / name).mkdir(parents=True)
    point = make_backup(directory / "store", *snapshot, broker=broker, **summary)
    placed = succeed("restore", settings={"RESTORE_POINT": str(point), "ZOOKEEPER_DATA_DIR": str(directory / "data")})
    with Path(placed).open("rb") as file:
        nodes = [node for node in SnapshotReader(file).nodes() if node.path != b"/metadata-backup"]
    report = json.loads((Path(placed).parent / "restore-report.json").read_bytes())
    assert len(nodes) > ZNODES // 2
    return nodes, report


def test_what_the_manifest_tells_is_not_trusted(snapshot: Snapshot, broker_json: Path, tmp_path: Path) -> None:
    """With a right, a missing or a wrong outline in the manifest, the restored tree is the same.

    So is what comes from brokers, also if the tree is written twice.
    """
    true = restored(tmp_path / "true", snapshot, broker_json)
    assert true == restored(tmp_path / "silent", snapshot, broker_json, clusters=None)
    assert true == restored(tmp_path / "wrong", snapshot, broker_json, highestLedgerId=7)
    nodes = {node.path.decode(): node.data or b"" for node in true[0]}
    paths = [f"/managed-ledgers/{NAMESPACE}/persistent/topic-{number:04}/billing" for number in range(MANY)]
    assert list(range(MANY)) == [managed_cursor(nodes[path]).markDeleteEntryId for path in paths]
    held = nodes[f"/metadata-backup/held/{NAMESPACE}"], nodes[f"/admin/policies/{NAMESPACE}"]
    assert (b'{"is_allow_auto_update_schema":null}', b'{"is_allow_auto_update_schema":false}') == held


def test_damage_beyond_the_manifest(snapshot: Snapshot, tmp_path: Path) -> None:
    """An error that only verification finds is reported, and nothing is placed, although writing had begun."""
    data = tmp_path / "data"
    data.mkdir()
    point = make_backup(tmp_path, *snapshot, zxid=0)
    outcome = run("restore", settings={"RESTORE_POINT": str(point), "ZOOKEEPER_DATA_DIR": str(data)})
    assert_refused(ArchiveCorrupt, "later than the snapshot's 0x0", outcome)
    assert [] == list(data.iterdir())
