"""Work in a second process."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metadata_tool.errors import ArchiveCorrupt, HelperKilled, OpenFilesExhausted, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.subprocess_worker import in_subprocess
from support.processes import eventually


def whose(value: int) -> tuple[int, int]:
    """A value, and the process that returned it."""
    return value, os.getpid()


def fail() -> None:
    """Work that raises an error."""
    raise ArchiveCorrupt("it is damaged", "use another")


def sleep() -> None:
    """Work without an end."""
    time.sleep(600)


def die() -> None:
    """Work whose process is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    """Work that ends its process."""
    os._exit(7)


class _Deadly:
    """A result that is too large to be sent at once, and kills its process in the middle."""

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        threading.Timer(0.5, die).start()
        return bytes, (bytes(64 << 20),)


def die_while_sending() -> object:
    """Work whose process is killed while its result is sent: the pipe holds less than the result."""
    return _Deadly()


def test_result() -> None:
    """The result comes from another process."""
    with in_subprocess(Heartbeat(), whose, 7) as result:
        value, pid = result()
    assert (7, True) == (value, pid != os.getpid())


def test_error() -> None:
    """An error of the work is raised unchanged, with its hint."""
    with pytest.raises(ArchiveCorrupt, match="it is damaged") as raised, in_subprocess(Heartbeat(), fail) as result:
        result()
    assert "use another" == raised.value.hint


def open_too_many() -> None:
    """Work that blames a file, because no more files can be opened."""
    try:
        raise OSError(errno.EMFILE, "too many open files")
    except OSError as error:
        raise ArchiveCorrupt("it is damaged", "use another") from error


def test_cause() -> None:
    """An error is explained by its cause, which stays in the process."""
    with pytest.raises(OpenFilesExhausted), in_subprocess(Heartbeat(), open_too_many) as result:
        result()


def exhaust() -> None:
    """Work that needs more memory than there is."""
    raise MemoryError


def stumble() -> None:
    """Work with a programming error."""
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (die, "a helper process was killed by signal 9 (Killed)"),
        (die_while_sending, "a helper process was killed by signal 9 (Killed)"),
        (exhaust, "a helper process ran out of memory"),
    ],
)
def test_killed(work: Callable[[], None], expected: str) -> None:
    """A process that was killed is an error of its own, which says by what, and to give the pod more memory."""
    with in_subprocess(Heartbeat(), work) as result:
        while work is die_while_sending and multiprocessing.active_children():
            time.sleep(0.05)  # nothing of the result is read before the process has died
        with pytest.raises(HelperKilled) as raised:
            result()
    assert (expected, 3) == (raised.value.message, raised.value.exit_code)
    assert "more memory" in raised.value.hint


def test_fault(capfd: pytest.CaptureFixture[str]) -> None:
    """A fault in the work is raised here with the process's traceback, and the process itself prints nothing."""
    with (
        pytest.raises(RuntimeError, match="a fault in a helper process") as raised,
        in_subprocess(Heartbeat(), stumble) as result,
    ):
        result()
    assert "in stumble" in str(raised.value.__cause__)
    assert ("", "") == capfd.readouterr()


def test_end_without_a_result() -> None:
    """A process that ends by itself, without a result, is a fault to report."""
    with (
        pytest.raises(ToolError, match="failed with exit status 7") as raised,
        in_subprocess(Heartbeat(), leave) as result,
    ):
        result()
    assert (1, "Report it together with the log") == (raised.value.exit_code, raised.value.hint)


def test_stop() -> None:
    """A stop ends the wait and the process."""
    heartbeat = Heartbeat()
    threading.Timer(0.3, heartbeat.stop).start()
    with pytest.raises(Stopped), in_subprocess(heartbeat, sleep) as result:
        result()


KILLED = """
import os, signal
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.subprocess_worker import in_subprocess
from multiprocessing import active_children
from time import sleep
if __name__ == "__main__":
    with in_subprocess(Heartbeat(), sleep, 600):
        (child,) = active_children()
        print(child.pid, flush=True)
        sleep(600)
"""


def test_killed_parent(tmp_path: Path) -> None:
    """If the process is killed that started the work, the work ends, too."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    eventually("the work ends", lambda: not is_running(pid), 60)


def is_running(pid: int) -> bool:
    """Whether a process has not ended. One that nobody waits for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
