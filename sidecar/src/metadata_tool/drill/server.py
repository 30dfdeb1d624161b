"""A ZooKeeper server of a drill: started on a restored data directory, on a loopback port of its own, and ended."""

import base64
import contextlib
import hashlib
import logging
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from metadata_tool.drill import limits
from metadata_tool.errors import DrillFailed
from metadata_tool.lifecycle import Every, Heartbeat
from metadata_tool.zookeeper.snapshot import escaped

log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_FAULT = re.compile(r"[\w.$]+(?:Exception|Error): .*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TAIL = 64 << 10
_SHOWN = 300


@dataclass(frozen=True)
class ServerCommand:
    """How to start a server: a command to which the path of zoo.cfg is appended, its environment, its jute.maxbuffer.

    The server gets jute.maxbuffer by SERVER_JVMFLAGS, which zkServer.sh passes to Java.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    jute_maxbuffer: int


@dataclass(frozen=True)
class Server:
    """A server that serves: its port on loopback, its version, and a login that may read everything."""

    port: int
    version: str
    login: str

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{_HOST}:{self.port}"


@contextmanager
def serving(command: ServerCommand, data: Path, directory: Path, heartbeat: Heartbeat) -> Iterator[Server]:
    """A server that serves this data directory, ended with the block. `directory` is for its configuration and log.

    Raises:
        DrillFailed: it does not serve.
        OSError: the configuration cannot be written.
    """
    port, login = _free_port(), f"super:{secrets.token_urlsafe(24)}"
    config, output = directory / "zoo.cfg", directory / "server.log"
    config.write_text(_configuration(data, port, login))
    arguments = [sys.executable, "-m", "metadata_tool.drill.server_guard", *command.command, str(config)]
    flags = f"{command.environment.get('SERVER_JVMFLAGS', '')} -Djute.maxbuffer={command.jute_maxbuffer}".strip()
    with output.open("wb") as writer:
        guard = subprocess.Popen(  # noqa: S603  # the operator's own command
            arguments,
            stdin=subprocess.PIPE,
            stdout=writer,
            stderr=subprocess.STDOUT,
            env={**command.environment, "SERVER_JVMFLAGS": flags},
            start_new_session=True,
        )
    try:
        yield Server(port, _wait(guard, port, output, heartbeat), login)
    finally:
        _end(guard)


def _end(guard: "subprocess.Popen[bytes]") -> None:
    assert guard.stdin
    guard.stdin.close()  # the guard ends the server
    try:
        guard.wait(3 * limits.ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()


def _configuration(data: Path, port: int, login: str) -> str:
    user, _, _ = login.partition(":")
    digest = base64.b64encode(hashlib.sha1(login.encode()).digest()).decode()  # noqa: S324  # as ZooKeeper computes it
    lines = {
        "dataDir": data,
        "clientPort": port,
        "clientPortAddress": _HOST,
        "tickTime": 2000,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "srvr",
        "DigestAuthenticationProvider.superDigest": f"{user}:{digest}",
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _wait(guard: "subprocess.Popen[bytes]", port: int, output: Path, heartbeat: Heartbeat) -> str:
    """Wait until the server serves. Returns its version."""
    begin, report = time.monotonic(), Every(limits.REPORT_EVERY)
    while not (version := _version(port)):
        waited = time.monotonic() - begin
        if guard.poll() is not None:
            raise DrillFailed(
                f"the server that DRILL_SERVER starts ended before it served (exit status {guard.returncode})"
                f"{_reason(output)}",
                "If it does not load the restored tree, use another backup. If it cannot start at all, correct "
                "DRILL_SERVER",
            )
        if waited > limits.SERVES_WITHIN:
            raise DrillFailed(
                f"the server that DRILL_SERVER starts does not serve after {waited:.0f} s{_reason(output)}",
                "Check that DRILL_SERVER uses the zoo.cfg that is its last argument, and has enough memory",
            )
        if report():
            log.info("waiting for the server to serve, for %.0f s by now", waited)
        heartbeat()
        time.sleep(limits.ASKED_EVERY)
    return version


def _version(port: int) -> str:
    """The version of a server that serves. Empty if none does."""
    with contextlib.suppress(OSError), socket.create_connection((_HOST, port), timeout=5) as connection:
        connection.sendall(b"srvr")
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")
        found = re.match(r"Zookeeper version: ([\w.]+)", answer)
        if "\nMode: " in answer:
            return found[1] if found else "of unknown version"
    return ""


def _reason(output: Path) -> str:
    """The first fault in the server's output, or its last line, to be appended to a message."""
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - _TAIL))
        text = _COLOUR.sub("", file.read().decode(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    faults = (found[0] for line in lines if (found := _FAULT.search(line)))
    said = next(faults, lines[-1] if lines else "").rstrip(".")
    return f", and said {escaped(said)[:_SHOWN]}" if said else ""
