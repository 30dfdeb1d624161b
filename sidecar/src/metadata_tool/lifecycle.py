"""How long work shows that it is alive, and how it is told to stop."""

import threading
import time

from metadata_tool.errors import Stopped


class Every:
    """Whether it is time to say again how far long work is: true once in so many seconds, the first time after them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def __call__(self) -> bool:
        """Ask; true starts the next wait."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Heartbeat:
    """Called by long work at every step: a heartbeat for whoever watches, and the place where a stop takes effect."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Note that the work goes on.

        Raises:
            Stopped: `stop` was called.
        """
        self._last = time.monotonic()
        if self._stopping.is_set():
            raise Stopped("stopped before the work was done")

    def stop(self) -> None:
        """Ask the work to end at its next step."""
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
        """Wait, alive; True when the wait ended early because of a stop."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._last = time.monotonic()
            if self._stopping.wait(min(left, 1.0)):
                return True
        return self.stopping
