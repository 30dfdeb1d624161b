"""From a backup in a directory to a ZooKeeper that serves, beside ZooKeeper's own start from the plain snapshot."""

import shutil
import sys
import time
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from ci.parts.zookeeper import NEWEST
from support.bench import Cost, cost_of, table
from support.large import ZXID, make_backup, make_snapshot, pulsar_shaped
from support.tool import environment
from support.zookeeper import ZooKeeper, client, standalone

TRANSACTION = 500
MEMORY = 128
"""MiB that a restore may take, however large the tree."""


def start(directory: Path, snapshot: Path | None = None) -> Cost:
    """Start a ZooKeeper with what is in its data directory, or with this snapshot alone, and end it."""
    server = ZooKeeper(NEWEST, directory, heap="4g")
    if snapshot:
        (server.data_dir / "version-2").mkdir()
        shutil.copy(snapshot, server.data_dir / "version-2" / f"snapshot.{ZXID:x}")
    begin = time.monotonic()
    try:
        server.start()
        server.wait()
        return Cost(time.monotonic() - begin)
    finally:
        server.kill()


def create_again(target: KazooClient, znodes: int) -> None:
    """What one does without this program: create every znode, in transactions."""
    transaction, pending = target.transaction(), []
    for number, node in enumerate(pulsar_shaped(znodes)):
        if node.path:
            transaction.create(node.path.decode(), node.data or b"")
        if number % TRANSACTION == TRANSACTION - 1:
            pending.append(transaction.commit_async())
            transaction = target.transaction()
            if len(pending) > 4:
                pending.pop(0).get()
    pending.append(transaction.commit_async())
    for each in pending:
        each.get()


@pytest.mark.timeout(3600)
def test_restore(znodes: int, tmp_path: Path) -> None:
    """A restore and the start after it take at most twice as long as ZooKeeper's own start, with bounded memory."""
    written = make_snapshot(tmp_path / "snapshot", znodes)
    point = make_backup(tmp_path, tmp_path / "snapshot", written)
    data = tmp_path / "restored" / "data"
    data.mkdir(parents=True)
    settings = {"RESTORE_POINT": str(point), "ZOOKEEPER_DATA_DIR": str(data)}
    own = start(tmp_path / "plain", tmp_path / "snapshot")
    restore = cost_of([sys.executable, "-m", "metadata_tool", "restore"], environment(settings))
    after = start(tmp_path / "restored")
    rows = {
        "ZooKeeper starts from the plain snapshot": own,
        "metadata-tool restore": restore,
        "ZooKeeper starts from what was restored": after,
        "restore and start": Cost(restore.seconds + after.seconds),
    }
    if znodes <= 200_000:
        with standalone(NEWEST, tmp_path / "created", heap="4g") as server, client(server.address) as target:
            begin = time.monotonic()
            create_again(target, znodes)
            rows[f"kazoo creates all in one that runs, in transactions of {TRANSACTION}"] = Cost(
                time.monotonic() - begin
            )
    table(f"{written.nodes:,} znodes, {written.size >> 20} MiB", rows, own)
    print("NOT RUN: zoocreeper's load, whose jar is not at hand")
    assert restore.memory <= MEMORY
