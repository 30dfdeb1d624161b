"""Work in a process of its own, beside this one: where there is a second core, both take half the time."""

import gc
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from metadata_tool.errors import ToolError

T = TypeVar("T")

_POLL = 0.1
_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the locks of boto3's threads, as they are


@contextmanager
def in_subprocess(heartbeat: Callable[[], None], work: Callable[..., T], *arguments: Any) -> Iterator[Callable[[], T]]:
    """Begin the work; what is given waits for its result, or raises the ToolError that it has raised.

    It ends with the block, done or not. Work, arguments and result must be such that they can be pickled.
    """
    receiving, sending = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_run, args=(sending, work, arguments), daemon=True)
    process.start()
    sending.close()

    def result() -> T:
        while not receiving.poll(_POLL):
            heartbeat()
        try:
            found: T | ToolError = receiving.recv()
        except EOFError:
            raise ToolError("a process that was helping has ended", "Was it killed? is there memory enough?") from None
        if isinstance(found, ToolError):
            raise found
        return found

    try:
        yield result
    finally:
        process.terminate()
        process.join()
        receiving.close()


def _run(sending: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    gc.disable()  # streaming makes no cycles, and looking for them among millions of objects takes its time
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the other, which ends this one
    try:
        sending.send(work(*arguments))
    except ToolError as error:
        sending.send(error)
