"""Runs a server for a drill, and ends it together with the drill, even if that was killed.

The arguments are the server's command. The drill holds the other end of stdin, which ends with the drill.
"""

import os
import select
import signal
import subprocess
import sys
from types import FrameType

from metadata_tool.drill.limits import ASKED_EVERY, ENDS_WITHIN


def main(command: list[str]) -> int:
    """Run the command until it ends or stdin does. Returns its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)  # not SIG_IGN, which Java would inherit
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603  # as for the guard
    while child.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], ASKED_EVERY)
        if readable and not os.read(sys.stdin.fileno(), 1):
            _end(child)
    return child.returncode


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Only the end of stdin ends the server."""


def _end(child: "subprocess.Popen[bytes]") -> None:
    os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
