"""How long a capture takes, beside the walk that a client can do by kazoo's own calls, ACLs included."""

import time
from collections import deque
from contextlib import closing
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from ci.parts.zookeeper import NEWEST
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.zookeeper import session
from metadata_tool.zookeeper.capture import capture
from metadata_tool.zookeeper.spool import Spool
from support.bench import Cost, table
from support.large import ZXID, make_snapshot
from support.zookeeper import client, standalone

WINDOW = 1000


def walk(reading: KazooClient) -> int:
    """Data, ACL and children of every znode, pipelined; how many there are."""
    waiting, level, found = deque(["/"]), deque[tuple[str, object, object]](), 0
    while waiting or level:
        while waiting and len(level) < WINDOW:
            path = waiting.popleft()
            level.append((path, reading.get_async(path), reading.get_acls_async(path)))
        path, data, acls = level.popleft()
        stat = data.get()[1]  # type: ignore[attr-defined]  # kazoo has no types
        acls.get()  # type: ignore[attr-defined]
        found += 1
        if stat.numChildren:
            waiting += [f"{path.rstrip('/')}/{name}" for name in reading.get_children(path)]
    return found


@pytest.mark.timeout(3600)
def test_capture(znodes: int, tmp_path: Path) -> None:
    """A capture, in times of itself: a plain pipelined walk with ACLs takes many."""
    (tmp_path / "data" / "version-2").mkdir(parents=True)
    make_snapshot(tmp_path / "data" / "version-2" / f"snapshot.{ZXID:x}", znodes)
    with standalone(NEWEST, tmp_path, heap="4g") as server, closing(Spool(tmp_path / "spool")) as spool:
        begin, cpu = time.monotonic(), time.process_time()
        with session.connect(server.address, None, 60, Checkpoint()) as zookeeper:
            capture(zookeeper, spool, tmp_path, b"", Checkpoint())
        ours = Cost(time.monotonic() - begin, time.process_time() - cpu)
        rows = {"capture": ours}
        if znodes <= 200_000:
            with client(server.address) as reading:
                begin, cpu = time.monotonic(), time.process_time()
                assert spool.nodes == walk(reading)
                rows[f"kazoo's calls, {WINDOW} at a time"] = Cost(time.monotonic() - begin, time.process_time() - cpu)
    table(f"{spool.nodes:,} znodes", rows, ours)
