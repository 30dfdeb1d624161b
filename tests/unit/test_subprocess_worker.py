"""Work in a process of its own."""

import os
import signal
import threading
import time

import pytest

from metadata_tool.errors import ArchiveCorrupt, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.subprocess_worker import in_subprocess


def whose(value: int) -> tuple[int, int]:
    """Something that tells who did it."""
    return value, os.getpid()


def fail() -> None:
    """An error, as work may raise it."""
    raise ArchiveCorrupt("it is damaged", "use another")


def sleep() -> None:
    """Work without an end."""
    time.sleep(600)


def die() -> None:
    """A process that is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_result() -> None:
    """The result comes from another process."""
    with in_subprocess(Heartbeat(), whose, 7) as result:
        value, pid = result()
    assert (7, True) == (value, pid != os.getpid())


def test_error() -> None:
    """An error is raised here as it was there, with what to do."""
    with pytest.raises(ArchiveCorrupt, match="it is damaged") as raised, in_subprocess(Heartbeat(), fail) as result:
        result()
    assert "use another" == raised.value.hint


def test_killed() -> None:
    """A process that is killed is an error in one line."""
    with pytest.raises(ToolError, match="has ended"), in_subprocess(Heartbeat(), die) as result:
        result()


def test_stop() -> None:
    """Told to stop, nobody waits for the work, and its process ends."""
    heartbeat = Heartbeat()
    threading.Timer(0.3, heartbeat.stop).start()
    with pytest.raises(Stopped), in_subprocess(heartbeat, sleep) as result:
        result()
