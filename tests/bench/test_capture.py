"""How long a capture takes, beside the walk that a client can do by kazoo's own calls, ACLs included."""

from collections import deque
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from support.bench import captured, measured, table
from support.zookeeper import client

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
    with captured(znodes, tmp_path) as (server, spool, ours):
        rows = {"capture": ours}
        if znodes <= 200_000:
            with client(server.address) as reading:
                found: list[int] = []
                rows[f"kazoo's calls, {WINDOW} at a time"] = measured(lambda: found.append(walk(reading)))
            assert [spool.nodes] == found
    table(f"{spool.nodes:,} znodes", rows, ours)
