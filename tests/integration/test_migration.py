"""A ZooKeeper from which Pulsar has moved its metadata to another store."""

import json
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from ci.parts.zookeeper import NEWEST
from metadata_tool.pulsar.migration import FLAG
from metadata_tool.zookeeper.snapshot import SnapshotReader
from support.metadata import NAMESPACE, as_json, ledgers
from support.tool import Service, run, succeed
from support.zookeeper import client, standalone

MOVED = (
    f"Pulsar has moved its metadata to oxia://oxia:6648 ({FLAG} has phase COMPLETED). This ZooKeeper is no longer used"
)
LAST_CHANGE = "backup_tree_last_change_timestamp_seconds"
STATE = {"phase": "COMPLETED", "targetUrl": "oxia://oxia:6648"}
CONTENT = {
    f"{NAMESPACE}/t1": ledgers((10, True), (11, False)),
    "/admin/clusters/c1": as_json(),
    "/admin/policies/public/default": as_json(),
    "/ledgers/idgen": b"",
    "/loadbalance/brokers": b"",
    FLAG: as_json(**STATE),
}


def ephemerals(source: KazooClient) -> None:
    """What brokers do whose metadata is elsewhere: they come, go, and update their own znodes."""
    source.create("/loadbalance/brokers/b:8080", b"1", ephemeral=True)
    source.set("/loadbalance/brokers/b:8080", b"2")
    source.delete(source.create("/ledgers/idgen/ID-", b"", ephemeral=True, sequence=True))


def test_moved(tmp_path: Path) -> None:
    """Each backup warns, the admin port tells it, ephemerals are no change, and a restore removes the flag."""
    for name in ("backups", "data"):
        (tmp_path / name).mkdir()
    settings = {"BUCKET": f"file://{tmp_path}/backups", "ZOOKEEPER_DATA_DIR": str(tmp_path / "data")}
    with standalone(NEWEST, tmp_path / "zookeeper") as server, client(server.address) as source:
        for path, data in CONTENT.items():
            source.create(path, data, makepath=True)
        service = Service({**settings, "ZOOKEEPER_SERVERS": server.address, "BACKUP_INTERVAL": "1"}, tmp_path / "log")
        try:
            service.wait_for("backup_count", 1)
            before = service.metric(LAST_CHANGE)
            assert source.get(FLAG)[1].mtime / 1000 == before
            ephemerals(source)
            service.wait_for("backup_count", 4)
            assert 1 == service.metric("backup_metadata_moved")
            assert STATE == service.json("/backup/latest")["migration"]
            assert before == service.metric(LAST_CHANGE)
            source.set("/admin/policies/public/default", as_json(a=1))
            service.wait_for("backup_count", 7)
            assert source.get("/admin/policies/public/default")[1].mtime / 1000 == service.metric(LAST_CHANGE)
        finally:
            service.process.stop()
        made = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": server.address})
    assert (0, True) == (made.exit_code, MOVED in made.said)
    point = made.output.strip()
    assert MOVED in succeed("inspect", point, settings=settings)
    restored = run("restore", settings={**settings, "RESTORE_POINT": point})
    assert (0, True) == (restored.exit_code, "had moved to oxia://oxia:6648 (phase COMPLETED)" in restored.said)
    with Path(restored.output.strip()).open("rb") as file:
        paths = {node.path.decode() for node in SnapshotReader(file).nodes()}
    assert (False, True) == (FLAG in paths, "/pulsar/migration-coordinator" in paths)
    report = json.loads((Path(restored.output.strip()).parent / "restore-report.json").read_text())
    assert 1 == report["removed"]["move to another store"]


@pytest.mark.parametrize("phase", ["FAILED", "NOT_STARTED"])
def test_move_that_failed(phase: str, tmp_path: Path) -> None:
    """A move that failed or never started needs no warning."""
    with standalone(NEWEST, tmp_path / "zookeeper") as server, client(server.address) as source:
        for path, data in {**CONTENT, FLAG: as_json(phase=phase, targetUrl="oxia://oxia:6648")}.items():
            source.create(path, data, makepath=True)
        made = run("backup", settings={"BUCKET": f"file://{tmp_path}", "ZOOKEEPER_SERVERS": server.address})
    assert (0, False) == (made.exit_code, "oxia" in made.said)
