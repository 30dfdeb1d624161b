"""Servers that a test starts, and ends by process id."""

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from support.secrets import assert_not_in_command, assert_untold

T = TypeVar("T")

READY_WITHIN = 90
"""Seconds: a bound for a machine under load, not an expectation."""


class Process:
    """A child in a process group of its own, with its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._environment = environment if environment and "metadata_tool" in command else {}
        """That of this program, which must not tell its secrets. A server that is started with keys may."""
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
            )
        self.pid = self._child.pid

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready. Fail with the end of its output if it dies or takes too long."""
        deadline = time.monotonic() + READY_WITHIN
        while not ready():
            if self._child.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self._child.args!r} did not come up:\n{self.output()[-3000:]}")
            time.sleep(0.05)

    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.poll() is None

    def _assert_no_secrets(self) -> None:
        """At its end, nothing that it has printed may hold a secret of its environment."""
        if self._environment:
            assert_untold(self._environment, f"the log {self.log.name}", self.output())

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self._child.send_signal(number)

    def wait(self) -> int:
        """Wait for its end. Returns its exit code."""
        code = self._child.wait(READY_WITHIN)
        self._assert_no_secrets()
        return code

    def stop(self) -> int:
        """End it by SIGTERM, or by SIGKILL if that does not help. Returns its exit code."""
        if self._child.poll() is None:
            assert_not_in_command(self._environment, self.pid)
            self._child.terminate()
            try:
                self._child.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        code = self._child.wait()
        self._assert_no_secrets()
        return code

    def kill(self) -> None:
        """SIGKILL to it and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        self._assert_no_secrets()


def eventually(
    what: str, probe: Callable[[], T], patience: float, state: Callable[[], str] = str, every: float = 0.2
) -> T:
    """Ask until there is an answer that counts as true. If there is none in time, the error has `state`."""
    deadline = time.monotonic() + patience
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{what}: not within {patience} s\n{state()}"
        time.sleep(every)
    return found


def free_port() -> int:
    """A loopback port that nobody has. It is given once.

    Outgoing connections take theirs from above 32,768, Kubernetes has some just above 10,000 and those above 30,000.
    Test processes that run side by side take theirs from ranges of their own.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))  # on every address of the loopback network
            return port


def _ports() -> Iterator[int]:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    each = 19_000 // workers
    ports = range(11_000 + worker * each, 11_000 + (worker + 1) * each)
    return itertools.cycle(random.sample(ports, len(ports)))


_PORTS = _ports()
