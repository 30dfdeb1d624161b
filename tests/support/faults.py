"""The program with faults, many times a second: forked from a process that has loaded it, this file as a script.

Its steps in files are counted: a moment comes before and after each, and at a moment a fault can strike.
"""

import contextlib
import io
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from support.forked import become
from support.processes import READY_WITHIN
from support.secrets import assert_untold
from support.tool import Outcome, environment

_STEPS = [
    "rename",
    "replace",
    "link",
    "mkdir",
    "rmdir",
    "unlink",
    "remove",
    "open",
    "write",
    "truncate",
    "ftruncate",
    "chown",
    "chmod",
    "fsync",
]
_LONGEST_WRITE = 4096
"""Bytes: as a kernel may, so that there are moments in the middle of a file."""
_COUNTER = 8


@dataclass(frozen=True)
class Fault:
    """What strikes the program: SIGKILL or a full disk of the file `fill` at a moment, or SIGKILL after some seconds.

    `memory` is how many bytes of address space the program may take beyond those it begins with. `user` is the id
    of the user that runs it.
    """

    at: int = -1
    fill: str = ""
    seconds: float | None = None
    memory: int | None = None
    user: int | None = None


NONE = Fault()


@dataclass(frozen=True)
class Ending:
    """How a run ended (the exit code is -9 after SIGKILL), and how many moments it had."""

    outcome: Outcome
    moments: int

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.outcome.exit_code == -signal.SIGKILL


_PYTHONPATH = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
"""Includes what this process was given, so that the same program runs."""


class Nursery:
    """Runs the program. `directory` takes its output."""

    def __init__(self, directory: Path, prefix: Sequence[str] = ()) -> None:
        """Load the program. `prefix` is a command that starts it, for example in a namespace of its own."""
        self._said = directory
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "support.faults"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment({"PYTHONPATH": os.pathsep.join(_PYTHONPATH), "PYTHONDONTWRITEBYTECODE": "1"}),
            text=True,
        )
        self._ask(command=["true"])

    def run(self, *arguments: str, settings: Mapping[str, str], fault: Fault = NONE) -> Ending:
        """Run one command to its end."""
        return self.run_together(*arguments, settings=[settings], fault=fault)[0]

    def run_together(self, *arguments: str, settings: Sequence[Mapping[str, str]], fault: Fault = NONE) -> list[Ending]:
        """Run a command in several processes at once, which have these settings."""
        environments = [environment(each) for each in settings]
        found = self._ask(
            arguments=arguments, environments=environments, fault=asdict(fault), directory=str(self._said)
        )
        endings = [
            Ending(Outcome(code, (self._said / f"{n}.out").read_text(), (self._said / f"{n}.err").read_text()), moments)
            for n, (code, moments) in enumerate(found)
        ]
        for told, ending in zip(environments, endings, strict=True):
            assert_untold(told, f"what {arguments[:1]} said", ending.outcome.output + ending.outcome.said)
        return endings

    def command(self, *command: str) -> None:
        """Run a command where the program runs. The command must succeed."""
        code, said = self._ask(command=command)
        assert code == 0, f"{command}: {said}"

    def seen(self, path: Path) -> Path:
        """What the program sees at a path, with its own mounts."""
        return Path(f"/proc/{self._process.pid}/root{path}")

    def end(self) -> None:
        """End it, and with it its namespace."""
        with self._process:
            self._process.kill()

    def _ask(self, **order: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        answer = stdout.readline()
        assert answer, "the process that forks the program has ended"
        return json.loads(answer)


@contextlib.contextmanager
def nursery(directory: Path, *prefix: str) -> Iterator[Nursery]:
    """A nursery, ended afterwards."""
    directory.mkdir()
    made = Nursery(directory, prefix)
    try:
        yield made
    finally:
        made.end()


def contents(directory: Path) -> dict[str, bytes | None] | None:
    """Everything in a directory: the bytes of files, None for directories. None if the directory does not exist."""
    if not directory.exists():
        return None
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }


def _serve() -> None:
    """Read orders, one a line, and answer each."""
    from metadata_tool import cli  # noqa: PLC0415  # the tests themselves need none of it
    from metadata_tool.store import directory  # noqa: F401, PLC0415  # another user may not reach its file

    for line in sys.stdin:
        order = json.loads(line)
        if "command" in order:
            done = subprocess.run(order["command"], capture_output=True, text=True, check=False)
            answer: Any = (done.returncode, done.stderr)
        else:
            answer = _together(cli.main, order)
        os.write(_ANSWERS, json.dumps(answer).encode() + b"\n")


def _together(main: Callable[[Sequence[str]], int], order: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Fork a process for each environment. Returns their exit codes and moments."""
    fault = Fault(**order["fault"])
    children = []
    for number, settings in enumerate(order["environments"]):
        counter = mmap.mmap(-1, _COUNTER)
        if not (pid := os.fork()):
            _become(Path(order["directory"], str(number)), settings, fault, counter)
            os._exit(_run(main, order["arguments"]))
        children.append((pid, counter))
    if fault.seconds is not None:
        time.sleep(fault.seconds)
        for pid, _ in children:
            os.kill(pid, signal.SIGKILL)
    return [
        (os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), int.from_bytes(counter[:], "big"))
        for pid, counter in children
    ]


def _run(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        return main(arguments)
    except BaseException:  # noqa: BLE001  # as the interpreter does
        sys.excepthook(*sys.exc_info())
        return 1


def _become(said: Path, settings: Mapping[str, str], fault: Fault, counter: mmap.mmap) -> None:
    """Make this process what a new one would be, under watch."""
    signal.alarm(READY_WITHIN)  # what hangs ends
    become(f"{said}.out", f"{said}.err", settings)
    if fault.memory is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + fault.memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if fault.user is not None:
        os.setgroups([])
        os.setgid(fault.user)
        os.setuid(fault.user)

    def moment() -> None:
        now = int.from_bytes(counter[:], "big")
        counter[:] = (now + 1).to_bytes(_COUNTER, "big")
        if now != fault.at:
            return
        if not fault.fill:
            os.kill(os.getpid(), signal.SIGKILL)
        _fill(fault.fill)

    _watch(moment)


def _fill(name: str) -> None:
    """Leave no room on a disk, by a file of this name."""
    with contextlib.suppress(OSError), io.FileIO(name, "w") as file:
        free = os.statvfs(name)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)


def _watch(moment: Callable[[], None]) -> None:
    """Let a moment come before and after every step of this process."""
    for name in _STEPS:
        setattr(os, name, _watched(getattr(os, name), moment))
    original = io.open

    class Raw(io.FileIO):
        def write(self, data: Any, /) -> int:
            moment()
            written = super().write(memoryview(data)[:_LONGEST_WRITE])
            moment()
            return written

    def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> IO[Any]:
        if "b" in mode and set(mode) & set("wxa"):
            return io.BufferedWriter(_watched(Raw, moment)(file, mode.replace("b", "")))
        return original(file, mode, *rest, **options)

    io.open = opened  # type: ignore[assignment]  # what pathlib calls


def _watched(call: Callable[..., Any], moment: Callable[[], None]) -> Callable[..., Any]:
    def watched(*arguments: Any, **options: Any) -> Any:
        moment()
        result = call(*arguments, **options)
        moment()
        return result

    return watched


if __name__ == "__main__":
    _ANSWERS = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    _serve()
