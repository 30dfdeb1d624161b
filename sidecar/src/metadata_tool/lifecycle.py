"""Shows that long work is alive, and stops it."""

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

from metadata_tool.errors import Stopped

T = TypeVar("T")

_POLL = 0.05
"""Seconds between two looks for a stop."""


def interruptible(work: Callable[[], T], heartbeat: Callable[[], None]) -> T:
    """The result of work that takes no heartbeat, such as a request. After a stop, nobody waits for its end.

    Only for work that leaves nothing behind if the process ends in the middle of it.
    """
    results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            results.put((work(), None))
        except BaseException as error:  # noqa: BLE001  # raised below
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    while True:
        try:
            found, error = results.get(timeout=_POLL)
        except Empty:
            heartbeat()
            continue
        if error:
            raise error
        return cast("T", found)


class Every:
    """True once per interval, to log the progress of long work. True for the first time after one interval."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def __call__(self) -> bool:
        """Whether the interval has passed. True starts the next one."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Heartbeat:
    """Called by long work at every step. A call shows that the work is alive, and raises Stopped after a stop."""

    def __init__(self, every: float = 1.0) -> None:
        """A sleep has a heartbeat once in `every` seconds."""
        self._every = every
        self._stopping = threading.Event()
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Note that the work is alive.

        Raises:
            Stopped: `stop` was called.
        """
        self._last = time.monotonic()
        if self._stopping.is_set():
            raise Stopped("stopped before the work was done")

    def stop(self) -> None:
        """Stop the work at its next step."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    @property
    def age(self) -> float:
        """Seconds since the last step."""
        return time.monotonic() - self._last

    def sleep(self, seconds: float) -> bool:
        """Wait with heartbeats. True if a stop ended the wait early."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._last = time.monotonic()
            if self._stopping.wait(min(left, self._every)):
                return True
        return self.stopping
