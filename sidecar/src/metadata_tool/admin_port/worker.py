"""gunicorn's worker process for the admin port."""

import logging
import os
import signal
import socket
from contextlib import suppress
from types import FrameType

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.workers.base import Worker

from metadata_tool import limits
from metadata_tool.admin_port import bounds
from metadata_tool.admin_port.event_loop import EventLoop
from metadata_tool.web import HEALTH

log = logging.getLogger(__name__)

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
    """gunicorn's main process, which reacts only to signals that stop it, and ends with its worker.

    What has to restart the service is outside: it counts deaths, and waits longer after each.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
    _stopping = False
    _exit_code = 0

    def reap_workers(self) -> None:
        """Note how the worker has ended. As process 1, also take the ends of others' children."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if worker := self.WORKERS.pop(ended[0], None):
                    worker.tmp.close()
                    self._worker_ended(os.waitstatus_to_exitcode(ended[1]))

    def _worker_ended(self, code: int) -> None:
        if self._stopping and code in (0, -signal.SIGTERM):  # SIGTERM alone, if it had not begun yet
            return
        how = f"was killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with code {code}"
        if self._stopping:
            self._exit_code = 1
            log.error("the worker process %s before it had stopped cleanly", how)
        else:
            memory = " Give the pod more memory, if it was not killed on purpose." if code == -signal.SIGKILL else ""
            raise HaltServer(f"the worker process {how}, so the service ends.{memory}", 3 if code < 0 else code or 1)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002  # gunicorn's signature
        """Stop the worker."""
        self._stopping = True
        super().stop(graceful)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop the worker, and end with a code that tells whether it stopped cleanly."""
        try:
            super().halt(reason, exit_status)
        except SystemExit as end:
            raise SystemExit(end.code or self._exit_code) from None


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
