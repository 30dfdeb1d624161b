"""Threads of the service that work until they are asked to end."""

import threading

import pytest

from metadata_tool.background_thread import BackgroundThread
from metadata_tool.errors import Stopped

PATIENCE = 60.0


class Worker(BackgroundThread):
    """Waits, and then takes a step."""

    def __init__(self, *, hangs: bool = False) -> None:
        super().__init__("worker")
        self.hangs, self.ended = hangs, False
        self.woken, self.released = threading.Event(), threading.Event()

    def _run(self) -> None:
        self.woken.wait()
        if self.hangs:
            self.released.wait()
        with pytest.raises(Stopped):
            self._heartbeat()
        self.ended = True

    def _wake(self) -> None:
        self.woken.set()


def test_stop() -> None:
    """A stop wakes the thread, and its next step ends it."""
    worker = Worker()
    worker.start()
    assert not worker.stopping
    assert worker.stop(PATIENCE)
    assert (True, True) == (worker.stopping, worker.ended)


def test_thread_that_hangs() -> None:
    """A stop waits only for as long as it may, and says that the thread runs."""
    worker = Worker(hangs=True)
    worker.start()
    assert not worker.stop(0.01)
    worker.released.set()
    assert worker.stop(PATIENCE)
