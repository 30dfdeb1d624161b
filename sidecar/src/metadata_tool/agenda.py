"""When the next backup of the service is due, and requests for one before that."""

import threading
import time
from contextlib import suppress
from enum import Enum, auto
from queue import Empty, SimpleQueue

from metadata_tool.errors import Stopped
from metadata_tool.lifecycle import Heartbeat

_LOOK = 1.0
"""Seconds between two signs of life while nothing is due."""


class Requested(Enum):
    """The result of a request for a backup."""

    ACCEPTED = auto()
    ALREADY = auto()
    """A backup runs, or was requested and will start."""
    STOPPING = auto()


class Agenda:
    """When backups start. One thread makes them, and any thread may request one."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._lock = threading.Lock()
        self._wakes: SimpleQueue[None] = SimpleQueue()  # signal handlers may put into it
        self._taken = False
        """Whether a backup runs, or was requested."""
        self._due: float | None = None
        """When the last backup was due, or the next one is, in seconds of time.monotonic(). None before the first."""
        self._scheduled = False
        """Whether `due` is that of the next backup."""

    def wake(self) -> None:
        """End a wait. Signal handlers may call this."""
        self._wakes.put(None)

    def request(self) -> Requested:
        """Ask for a backup as soon as none runs. Of requests that come together, one is accepted."""
        if self._heartbeat.stopping:
            return Requested.STOPPING
        with self._lock:
            if self._taken:
                return Requested.ALREADY
            self._taken = True
        self.wake()
        return Requested.ACCEPTED

    def begin(self) -> None:
        """Note that a backup begins now, which is also the one that was requested."""
        if self._due is None:
            self._due = time.monotonic()
        with self._lock:
            self._taken, self._scheduled = True, False

    def end(self) -> None:
        """Note that the backup has ended."""
        with self._lock:
            self._taken = False

    def wait(self, pause: float) -> bool:
        """Wait until a backup is due, `pause` seconds after the last one was, or is requested. False after a stop."""
        now = time.monotonic()
        with self._lock:
            self._due = now if self._due is None else max(self._due + pause, now)
            self._scheduled = True
        while not self._heartbeat.stopping and (left := self._due - time.monotonic()) > 0:
            with suppress(Stopped):
                self._heartbeat()
            if self._taken:
                self._due = time.monotonic()
                break
            try:
                self._wakes.get(timeout=min(left, _LOOK))
            except Empty:
                continue
        return not self._heartbeat.stopping

    @property
    def taken(self) -> bool:
        """Whether a backup runs, or was requested."""
        return self._taken

    def next_due(self, interval: float) -> float | None:
        """When the next backup is due, in epoch seconds. None before the first one.

        While a backup runs, and until the next one is scheduled, it is expected an interval after the last one was due.
        """
        with self._lock:
            due, scheduled = self._due, self._scheduled
        if due is None:
            return None
        now = time.monotonic()
        return time.time() - now + (due if scheduled else max(due + interval, now))
