"""A few threads for work that may wait for another server. They never keep the process from ending."""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger(__name__)


class DaemonThreads:
    """Runs work in the order in which it comes."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._run, name=f"request-{number}", daemon=True).start()

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` as soon as a thread is free. `work` must not raise."""
        self._work.put(work)

    def stop(self) -> None:
        """Let the threads end after the work that was submitted. Does not wait for them."""
        for _ in range(self._count):
            self._work.put(None)

    def _run(self) -> None:
        while work := self._work.get():
            work()
