"""What a benchmark measures with, and how it says what it found."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ci.parts.zookeeper import NEWEST
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.zookeeper.capture import Capture, Source, captured
from metadata_tool.zookeeper.session import Ensemble
from support.large import ZXID, make_snapshot
from support.zookeeper import ZooKeeper, standalone


@dataclass(frozen=True)
class Cost:
    """Of one thing that was done: seconds by the wall, of the processor, MiB of memory at its peak (0: not told)."""

    seconds: float
    cpu: float = 0.0
    memory: int = 0


def cost_of(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end, which must be a good one."""
    begin = time.monotonic()
    child = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, said.decode()
    child.stderr.close()
    return Cost(time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10)


def measured(work: Callable[[], object]) -> Cost:
    """Do this here, to its end."""
    begin, cpu = time.monotonic(), time.process_time()
    work()
    return Cost(time.monotonic() - begin, time.process_time() - cpu)


@contextmanager
def captured(znodes: int, directory: Path) -> Iterator[tuple[ZooKeeper, Spool, Cost]]:
    """A large server, its tree as it was captured, and what that cost."""
    (directory / "data" / "version-2").mkdir(parents=True)
    make_snapshot(directory / "data" / "version-2" / f"snapshot.{ZXID:x}", znodes)
    with standalone(NEWEST, directory, heap="4g") as server, closing(Spool(directory / "spool")) as spool:

        def work() -> None:
            with session.connect(server.address, None, 60, Checkpoint()) as zookeeper:
                capture(zookeeper, spool, directory, b"", Checkpoint())

        yield server, spool, measured(work)


def table(title: str, rows: Mapping[str, Cost], unit: Cost) -> None:
    """Print rows, each beside a unit of time."""
    width = max(map(len, rows))
    print(f"\n{title}\n{'':{width}}  {'seconds':>8}  {'CPU s':>6}  {'MiB':>5}  {'times':>6}")
    for name, cost in rows.items():
        cpu, memory = f"{cost.cpu:.2f}" if cost.cpu else "", str(cost.memory or "")
        print(f"{name:{width}}  {cost.seconds:8.2f}  {cpu:>6}  {memory:>5}  {cost.seconds / unit.seconds:6.2f}")
