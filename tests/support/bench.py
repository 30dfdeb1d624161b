"""Measures the cost of commands, and prints the results of benchmarks."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

from ci.parts.zookeeper import NEWEST
from support.large import ZXID, make_snapshot
from support.processes import free_port
from support.zookeeper import LIKE_IN_PRODUCTION, ZooKeeper, standalone


@dataclass(frozen=True)
class Cost:
    """The cost of one task: seconds of time, seconds of CPU, MiB of memory at its peak (0: unknown)."""

    seconds: float
    cpu: float = 0.0
    memory: int = 0


def cost_of(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command, which must succeed."""
    with TemporaryFile() as said:
        begin = time.monotonic()
        child = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=said)
        memory = _peak(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        assert child.returncode == 0, said.read().decode()
    return Cost(time.monotonic() - begin, usage.ru_utime + usage.ru_stime, memory >> 10)


def _peak(pid: int) -> int:
    """The memory of a child at its peak, in KiB, once it has ended. In `ru_maxrss` its parent's memory counts, too."""
    peak = 0
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        peak = int(found[1]) if found else peak
        time.sleep(0.01)
    return peak


def measured(work: Callable[[], object]) -> Cost:
    """Run a function in this process."""
    begin, cpu = time.monotonic(), time.process_time()
    work()
    return Cost(time.monotonic() - begin, time.process_time() - cpu)


T = TypeVar("T")


def middle_by(number: Callable[[T], float], found: Sequence[T]) -> T:
    """The median by a number, because measurements on a busy machine vary."""
    return sorted(found, key=number)[len(found) // 2]


def middle_of(costs: Sequence[Cost]) -> Cost:
    """The median by time."""
    return middle_by(lambda cost: cost.seconds, costs)


@contextmanager
def large_server(znodes: int, directory: Path) -> Iterator[ZooKeeper]:
    """A server with this many znodes and an AdminServer, as in production."""
    (directory / "data" / "version-2").mkdir(parents=True)
    make_snapshot(directory / "data" / "version-2" / f"snapshot.{ZXID:x}", znodes)
    admin = {"admin.enableServer": "true", "admin.serverPort": str(free_port()), "admin.serverAddress": "127.0.0.1"}
    with standalone(NEWEST, directory, admin, heap="4g", java_options=LIKE_IN_PRODUCTION, quick=False) as server:
        yield server


def table(title: str, rows: Mapping[str, Cost], unit: Cost) -> None:
    """Print rows, each compared with a unit of time."""
    width = max(map(len, rows))
    print(f"\n{title}\n{'':{width}}  {'seconds':>8}  {'CPU s':>6}  {'MiB':>5}  {'times':>6}")
    for name, cost in rows.items():
        cpu, memory = f"{cost.cpu:.2f}" if cost.cpu else "", str(cost.memory or "")
        print(f"{name:{width}}  {cost.seconds:8.2f}  {cpu:>6}  {memory:>5}  {cost.seconds / unit.seconds:6.2f}")
