"""What a benchmark measures with, and how it says what it found."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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


def table(title: str, rows: Mapping[str, Cost], unit: Cost) -> None:
    """Print rows, each beside a unit of time."""
    width = max(map(len, rows))
    print(f"\n{title}\n{'':{width}}  {'seconds':>8}  {'CPU s':>6}  {'MiB':>5}  {'times':>6}")
    for name, cost in rows.items():
        cpu, memory = f"{cost.cpu:.2f}" if cost.cpu else "", str(cost.memory or "")
        print(f"{name:{width}}  {cost.seconds:8.2f}  {cpu:>6}  {memory:>5}  {cost.seconds / unit.seconds:6.2f}")
