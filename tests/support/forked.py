"""Runs commands of the program in processes that are forked from one that has loaded it.

Loading takes most of the processor time of a short command, and a run of all tests has more than a thousand of them.
Everything else is as in a process of its own: environment, descriptors, signals and exit code.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_WITHIN = 240
"""Seconds after which a command is ended."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_SERVE = "import sys; from support.forked import serve; serve(sys.argv[1])"
"""No module is the main one, because processes that the program spawns would load that, too."""


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a command to its end. Returns its exit code and what it wrote to stdout and stderr."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as connection:
        out, err = Path(directory, "out"), Path(directory, "err")
        connection.connect(_server())
        order = {"arguments": arguments, "environment": dict(environment), "out": str(out), "err": str(err)}
        connection.sendall(json.dumps(order).encode() + b"\n")
        answer = connection.makefile().readline()
        assert answer, f"what forks the program has ended during {arguments}"
        return int(answer), out.read_text(), err.read_text()


@cache
def _server() -> str:
    """The address of a process that has loaded the program. It ends with this one."""
    address = str(Path(tempfile.mkdtemp(prefix="metadata-tool-forked-"), "socket"))
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout
    assert process.stdout.readline(), "the program cannot be loaded"

    def end() -> None:
        process.kill()
        process.wait()
        Path(address).unlink()
        Path(address).parent.rmdir()

    atexit.register(end)
    return address


def serve(address: str) -> None:
    """Fork a process for each connection, until stdin ends."""
    from metadata_tool import cli  # noqa: F401, PLC0415  # the tests themselves need none of it
    from metadata_tool.store import directory, s3  # noqa: F401, PLC0415

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # they are not waited for
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(100)
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if not os.fork():
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(connection)
                os._exit(0)
            connection.close()


def _answer(connection: socket.socket) -> None:
    """Fork the program, and tell its exit code."""
    order = json.loads(connection.makefile().readline())
    if not (pid := os.fork()):
        connection.close()
        become(order["out"], order["err"], order["environment"])
        signal.alarm(_WITHIN)
        os._exit(_run(order["arguments"]))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.sendall(f"{code}\n".encode())


def become(out: str, err: str, environment: Mapping[str, str]) -> None:
    """Make this process what a new one would be: its own output, which goes to these files, and environment."""
    for descriptor, name, flags in ((0, os.devnull, os.O_RDONLY), (1, out, _NEW), (2, err, _NEW)):
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)


def _run(arguments: Sequence[str]) -> int:
    """The exit code, as the interpreter gives it."""
    from metadata_tool.cli import main  # noqa: PLC0415

    try:
        code = main(arguments)
    except SystemExit as end:  # of argparse
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code
