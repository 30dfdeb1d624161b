"""Whether an ensemble serves, without a session: the four-letter command `srvr`, which is allowed by default."""

import contextlib
import re
import socket
from dataclasses import dataclass

PATIENCE = 3.0
"""Seconds for one server: those of a new cluster refuse at once, or have no name yet."""

_ADDRESS = re.compile(r"\[?(?P<host>.*?)\]?(?::(?P<port>[0-9]+))?")
_SERVES = re.compile(r"^Mode: |is not in the whitelist", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """The first server that is part of a quorum, or will not tell; the first that runs at all. Empty for none."""

    serving: str = ""
    running: str = ""


def look(servers: str) -> Found:
    """Ask each of these (`host:port,…`)."""
    answers = {server: _ask(server) for server in servers.split(",") if server}
    return Found(
        next((server for server, answer in answers.items() if _SERVES.search(answer)), ""),
        next((server for server, answer in answers.items() if answer), ""),
    )


def _ask(server: str) -> str:
    """What a server answers; empty where none runs."""
    match = _ADDRESS.fullmatch(server)
    if not match:
        return ""
    answer = b""
    address = (match["host"], int(match["port"] or 2181))
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=PATIENCE) as connection:
        answer = b"\n"  # it runs, whatever it says
        connection.sendall(b"srvr")
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode(errors="replace")
