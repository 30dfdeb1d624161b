"""What a capture costs, compared with other ways to read a ZooKeeper, and what it costs other clients."""

import json
import subprocess
import sys
import time
import urllib.request
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient

from support.bench import Cost, cost_of, large_server, measured, middle_by, middle_of, table
from support.other_client import Latency, reading
from support.tool import environment
from support.zookeeper import SUPERUSER, ZooKeeper, client

TESTS = Path(__file__).parents[1]
WINDOW = 1000
FEW = 200_000
"""Znodes that kazoo's calls are tried with."""
IDLE = 3.0
"""Seconds for which another client is measured on an idle server."""
WARM_UP = 1_200_000
"""How many znodes are captured before: Java is fast only after a while, and users' servers have run longer."""
TIMES = range(3)
"""What takes seconds is measured so often, and the middle one counts."""
MEMORY = 128
"""MiB that the program may take, however large the tree."""
OURS = "capture, ACLs included"
AGAIN = "the next one, ACLs known but for new ones"
PLAIN = "the same walk without ACLs"
ADMIN_SERVER = "AdminServer's snapshot, streamed (fuzzy)"
BACKUP = "metadata-tool backup, all of it"
KAZOO = f"kazoo's calls, {WINDOW} at a time, ACLs included"
_CHUNK = 1 << 20


def walk(reading: KazooClient) -> int:
    """Read data, ACL and children of every znode by kazoo's own calls, pipelined. Returns the number of znodes."""
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


def capture(
    server: ZooKeeper, directory: Path, acls: str, meanwhile: AbstractContextManager[Any] | None = None
) -> tuple[Cost, dict[str, Any]]:
    """One capture in a process of its own: its cost, and what else it measured. `meanwhile` lasts as long."""
    directory.mkdir()
    command = [sys.executable, "-m", "support.one_capture", server.address, str(directory), acls]
    with subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        try:
            assert child.stdout.readline() == b"ready\n"
            with meanwhile or nullcontext():
                said, _ = child.communicate(b"go\n")
        finally:
            child.kill()
    told = json.loads(said)
    return Cost(told.pop("seconds"), told.pop("cpu"), told.pop("memory")), told


def admin_snapshot(server: ZooKeeper, file: Path) -> int:
    """Have the server stream a snapshot, which is not of one zxid, into a file. Returns its size in bytes."""
    request = urllib.request.Request(
        f"http://{server.admin_address}/commands/snapshot?streaming=true",
        headers={"Authorization": f"digest {SUPERUSER}"},
    )
    with urllib.request.urlopen(request, timeout=600) as answer, file.open("wb") as stored:
        return sum(stored.write(chunk) for chunk in iter(lambda: answer.read(_CHUNK), b""))


def backup(server: ZooKeeper, directory: Path) -> Cost:
    """The whole program: capture, snapshot, compression, verification, a directory as the store."""
    directory.mkdir()
    settings = {"ZOOKEEPER_SERVERS": server.address, "BUCKET": f"file://{directory}"}
    return cost_of([sys.executable, "-m", "metadata_tool", "backup"], environment(settings))


@pytest.mark.timeout(3600)
def test_capture(znodes: int, tmp_path: Path) -> None:
    """A capture, in times of itself: a plain pipelined walk with ACLs takes many. Memory is bounded."""
    rows: dict[str, Cost] = {}
    with large_server(znodes, tmp_path) as server:
        for number in range(WARM_UP // znodes):
            capture(server, tmp_path / f"warm-up-{number}", "acls")
        idle = Latency()
        with reading(server.address, idle):
            time.sleep(IDLE)
        beside = [Latency() for _ in TIMES]
        for each, latency in enumerate(beside):
            capture(server, tmp_path / f"beside-{each}", "acls", reading(server.address, latency))
        captures = [capture(server, tmp_path / f"with-{each}", "acls") for each in TIMES]
        next_ones = [capture(server, tmp_path / f"again-{each}", "again")[0] for each in TIMES]
        sizes: list[int] = []
        plain, snapshots = [], []
        for each in TIMES:
            plain.append(capture(server, tmp_path / f"without-{each}", "no-acls")[0])
            snapshots.append(measured(lambda: sizes.append(admin_snapshot(server, tmp_path / "streamed"))))
        rows[AGAIN], rows[PLAIN], rows[ADMIN_SERVER] = map(middle_of, (next_ones, plain, snapshots))
        rows[BACKUP] = backup(server, tmp_path / "bucket")
        found: list[int] = []
        if znodes <= FEW:
            with client(server.address) as other:
                rows[KAZOO] = measured(lambda: found.append(walk(other)))
            captures += [capture(server, tmp_path / f"after-{each}", "acls") for each in TIMES]
    ours, told = middle_of([cost for cost, _ in captures]), captures[-1][1]
    rows = {OURS: ours, **rows}
    table(f"{told['znodes']:,} znodes, a snapshot of {sizes[0] >> 20} MiB", rows, ours)
    _say(rows, idle, middle_by(lambda latency: latency.p99, beside), told)
    assert set(found) <= {told["znodes"]}
    assert max(ours.memory, rows[AGAIN].memory, rows[BACKUP].memory) <= MEMORY


def _say(rows: dict[str, Cost], idle: Latency, meanwhile: Latency, told: dict[str, Any]) -> None:
    phases = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in told["phases"].items())
    print(
        f"the capture's phases: {phases}; {told['unproven']} ACLs unproven; in tree order {told['in_order']:.2f} s more"
    )
    if KAZOO in rows:
        times = rows[KAZOO].seconds / rows[OURS].seconds
        in_order = rows[KAZOO].seconds / (rows[OURS].seconds + told["in_order"])
        print(f"kazoo's calls take {times:.1f} times as long as the capture, {in_order:.1f} with tree order")
        print(f"and {rows[KAZOO].seconds / rows[AGAIN].seconds:.1f} times as long as the next one")
    else:
        print("NOT RUN: kazoo's calls, which take five minutes and more for so many")
    times = rows[PLAIN].seconds / rows[ADMIN_SERVER].seconds
    print(f"data and stats take {times:.2f} times as long as the AdminServer's snapshot")
    print(f"another client, idle server:        {idle}")
    print(f"another client, during a capture:   {meanwhile}")
    print("NOT RUN: zoocreeper's dump, whose jar is not at hand")
