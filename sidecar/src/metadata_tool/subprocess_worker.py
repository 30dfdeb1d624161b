"""Runs work in a second process. With two cores, both processes together take half the time."""

import gc
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from metadata_tool import root_cause
from metadata_tool.errors import HelperKilled, ToolError

T = TypeVar("T")

_POLL = 0.1
"""Seconds between heartbeats while the caller waits."""
_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the locks that boto3's threads hold
_MORE_MEMORY = "Give the pod more memory, then run the command again"


@contextmanager
def in_subprocess(heartbeat: Callable[[], None], work: Callable[..., T], *arguments: Any) -> Iterator[Callable[[], T]]:
    """Start the work. Calling the yielded function waits for its result, or raises the ToolError that it raised.

    The process ends with the block, or with this process, whether the work is done or not. Work, arguments and result
    must be picklable.

    Raises:
        HelperKilled: the process was killed, or ran out of memory.
        RuntimeError: a fault in the work. Its cause has the traceback in the process.
    """
    receiving, sending = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_run, args=(sending, work, arguments), daemon=True)
    process.start()
    sending.close()

    def result() -> T:
        while not receiving.poll(_POLL):
            heartbeat()
        try:
            found: T | ToolError | _RemoteError = receiving.recv()
        except (EOFError, OSError):  # OSError: it ended while it sent the result
            raise _ended(process) from None
        if isinstance(found, ToolError):
            raise found
        if isinstance(found, _RemoteError):
            raise RuntimeError("a fault in a helper process") from found  # noqa: TRY004  # the type is not what is wrong
        return found

    try:
        yield result
    finally:
        process.terminate()
        process.join()
        receiving.close()


class _RemoteError(Exception):
    """The traceback of a fault in the process, as text: not every exception can be sent."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _ended(process: BaseProcess) -> ToolError:
    """The error for a process that ended without a result."""
    process.join()
    status = process.exitcode or 0
    if status < 0:
        return HelperKilled(
            f"a helper process was killed by signal {-status} ({signal.strsignal(-status)})", _MORE_MEMORY
        )
    return ToolError(f"a helper process failed with exit status {status}", "Report it together with the log")


def _run(sending: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    gc.disable()  # streaming creates no cycles, and searching millions of objects for them takes time
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C also reaches the parent, which ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        sending.send(work(*arguments))
    except ToolError as error:
        sending.send(root_cause.explained(error))  # its causes are not sent
    except MemoryError:
        sending.send(HelperKilled("a helper process ran out of memory", _MORE_MEMORY))
    except Exception:  # noqa: BLE001  # reported by the caller, in the form of its log
        sending.send(_RemoteError(traceback.format_exc()))


def _end_with_parent() -> None:
    """End this process as soon as its parent is gone, even if it was killed."""
    parent = multiprocessing.parent_process()
    if parent:
        wait([parent.sentinel])
        os._exit(1)
