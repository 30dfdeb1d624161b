"""A backup that is large enough to be verified by one process while another writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from metadata_tool.errors import ArchiveCorrupt
from metadata_tool.zookeeper.snapshot import Node, SnapshotReader, Written
from support.large import make_backup, make_snapshot
from support.tool import assert_refused, run, succeed

ZNODES = 110_000


Snapshot = tuple[Path, Written]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The snapshot of a large tree."""
    path = tmp_path_factory.mktemp("large") / "snapshot"
    return path, make_snapshot(path, ZNODES)


def restored(directory: Path, snapshot: Snapshot, **summary: Any) -> tuple[list[Node], object]:
    """The restored tree and the report for a backup with this manifest, without the marker, which names the backup."""
    for name in ("store", "data"):
        (directory / name).mkdir(parents=True)
    point = make_backup(directory / "store", *snapshot, **summary)
    placed = succeed("restore", settings={"RESTORE_POINT": str(point), "ZOOKEEPER_DATA_DIR": str(directory / "data")})
    with Path(placed).open("rb") as file:
        nodes = [node for node in SnapshotReader(file).nodes() if node.path != b"/metadata-backup"]
    report = json.loads((Path(placed).parent / "restore-report.json").read_bytes())
    assert len(nodes) > ZNODES // 2
    return nodes, report


def test_what_the_manifest_tells_is_not_trusted(snapshot: Snapshot, tmp_path: Path) -> None:
    """With a right, a missing or a wrong outline in the manifest, the restored tree is the same."""
    true = restored(tmp_path / "true", snapshot)
    assert true == restored(tmp_path / "silent", snapshot, clusters=None)
    assert true == restored(tmp_path / "wrong", snapshot, highestLedgerId=7)


def test_damage_beyond_the_manifest(snapshot: Snapshot, tmp_path: Path) -> None:
    """An error that only verification finds is reported, and nothing is placed, although writing had begun."""
    data = tmp_path / "data"
    data.mkdir()
    point = make_backup(tmp_path, *snapshot, zxid=0)
    outcome = run("restore", settings={"RESTORE_POINT": str(point), "ZOOKEEPER_DATA_DIR": str(data)})
    assert_refused(ArchiveCorrupt, "later than the snapshot's 0x0", outcome)
    assert [] == list(data.iterdir())
