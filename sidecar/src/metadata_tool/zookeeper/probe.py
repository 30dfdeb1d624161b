"""Whether an ensemble serves, without a session: the four-letter command `srvr`, which is allowed by default."""

import contextlib
import re
import socket

PATIENCE = 3.0
"""Seconds for one server: those of a new cluster refuse at once, or have no name yet."""

_ADDRESS = re.compile(r"\[?(?P<host>.*?)\]?(?::(?P<port>[0-9]+))?")
_SERVES = re.compile(r"^Mode: (leader|follower|observer|standalone|read-only)", re.MULTILINE)


def serving(servers: str) -> str | None:
    """The first of these (`host:port,…`) that is part of a quorum, or will not tell; None where there is none."""
    return next((server for server in servers.split(",") if _serves(server)), None)


def _serves(server: str) -> bool:
    match = _ADDRESS.fullmatch(server)
    if not match:
        return False
    answer = _ask(match["host"], int(match["port"] or 2181))
    return bool(_SERVES.search(answer)) or "is not in the whitelist" in answer


def _ask(host: str, port: int) -> str:
    answer = b""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=PATIENCE) as connection:
        connection.sendall(b"srvr")
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode(errors="replace")
