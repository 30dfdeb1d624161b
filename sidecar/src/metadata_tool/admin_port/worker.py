"""gunicorn's worker process for the admin port."""

import os
import signal
import socket
from types import FrameType

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from metadata_tool import limits
from metadata_tool.admin_port import bounds
from metadata_tool.admin_port.event_loop import EventLoop
from metadata_tool.web import HEALTH

IGNORED = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGTTIN,
    signal.SIGTTOU,
)
"""Signals by which gunicorn reloads, starts a second server, or changes the number of workers."""


def ignore_signals() -> None:
    """Ignore the signals in IGNORED."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


class SingleWorkerArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's main process, which reacts only to signals that stop it."""

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class AdminWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """Answers requests in an event loop, whatever clients do."""

    _loop: EventLoop | None = None

    def init_signals(self) -> None:
        """Handle the signals that stop the worker, and ignore the others."""
        super().init_signals()
        ignore_signals()

    def handle_exit(self, _number: int, _frame: FrameType | None) -> None:
        """Stop after the requests that have arrived were answered."""
        self.alive = False
        if self._loop:
            self._loop.wake()

    handle_quit = handle_exit

    def run(self) -> None:
        """Answer until a signal comes, or until the main process has ended."""
        for listener in self.sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.SEND_BUFFER)
        self._loop = EventLoop(self.sockets, self.wsgi, HEALTH, bounds.of_this_process())
        self._loop.run(lambda: self.alive and os.getppid() == self.ppid)
