"""A thread of the service that works until it is asked to end."""

import threading
from abc import ABC, abstractmethod

from metadata_tool.lifecycle import Heartbeat


class BackgroundThread(ABC):
    """One thread, which is started once. Subclasses say what it does, and call the heartbeat at every step."""

    def __init__(self, name: str) -> None:
        """Nothing runs yet."""
        self._heartbeat = Heartbeat()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        """Start the work."""
        self._thread.start()

    def begin_stop(self) -> None:
        """Ask the work to end at its next step. Signal handlers may call this."""
        self._heartbeat.stop()
        self._wake()

    def stop(self, patience: float) -> bool:
        """Do the same, and wait. Returns whether the thread ended within `patience` seconds."""
        self.begin_stop()
        self._thread.join(patience)
        return not self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._heartbeat.stopping

    @abstractmethod
    def _run(self) -> None:
        """Work until the heartbeat says that it is to end."""

    @abstractmethod
    def _wake(self) -> None:
        """End a wait of the thread. Signal handlers may call this."""
