"""Which members of an ensemble run, which serve, and from which restore those that do not serve were started.

It needs no session. It uses the four-letter command `srvr`, which is allowed by default, and the AdminServer's
`system_properties`, which a server answers even without a quorum (Commands.SystemPropertiesCommand).
"""

import contextlib
import http.client
import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metadata_tool.zookeeper import limits

ORIGIN = "metadata-backup.restored"
"""A Java system property of a server: the digest of the marker in its data directory."""

POINT = "metadata-backup.restore-point"
"""A second property: the restore point that the marker names."""

HAS_RUN = "metadata-backup.has-run"
"""A third property: the data directory holds transactions, so the server was part of a quorum since the restore. It is
set only if members of its ensemble have no vote while they are empty.
"""

PROPERTIES = "/commands/system_properties"
ASKER = "Metadata-Backup-Member"
"""A header of a request for PROPERTIES: the id of the member that asks. An AdminServer ignores it."""

_ADDRESS = re.compile(r"\[?(?P<host>.*?)\]?(?::(?P<port>[0-9]+))?")
_SERVES = re.compile(r"^Mode: |is not in the whitelist", re.MULTILINE)


@dataclass(frozen=True)
class Member:
    """A server that runs. It serves if it is part of a quorum, or refuses to answer."""

    address: str
    serves: bool


@dataclass(frozen=True)
class Origin:
    """What a server reports about the restore that it was started from. Empty if it reports nothing."""

    digest: str
    point: str
    has_run: bool = False


def look(servers: str) -> list[Member]:
    """The servers of these (`host:port,…`) that run."""
    answers = {server: _ask(server) for server in servers.split(",") if server}
    return [Member(server, bool(_SERVES.search(answer))) for server, answer in answers.items() if answer]


def origin(server: str, admin_port: int) -> Origin:
    """What a server (`host:port`) reports as its ORIGIN, its POINT and HAS_RUN."""
    reported = properties(server, admin_port)
    return Origin(str(reported.get(ORIGIN, "")), str(reported.get(POINT, "")), reported.get(HAS_RUN) == "true")


def properties(server: str, admin_port: int, asker: str = "") -> Mapping[str, Any]:
    """The answer of a server (`host:port`) on its AdminServer's port, empty if it is missing or not a mapping."""
    host = _split(server)[0]
    connection = http.client.HTTPConnection(host, admin_port, timeout=limits.PROBE_TIMEOUT)
    try:
        connection.request("GET", PROPERTIES, headers={ASKER: asker} if asker else {})
        reported = json.loads(connection.getresponse().read(limits.PROBE_ANSWER))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return {}
    finally:
        connection.close()
    return reported if isinstance(reported, dict) else {}


def _ask(server: str) -> str:
    """The answer of a server, empty if none runs."""
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(_split(server), timeout=limits.PROBE_TIMEOUT) as connection,
    ):
        answer = b"\n"  # the server runs, even if it answers nothing
        connection.sendall(b"srvr")
        deadline = time.monotonic() + limits.PROBE_TIMEOUT
        while time.monotonic() < deadline and (chunk := connection.recv(65536)):
            answer += chunk
    return answer.decode(errors="replace")


def _split(server: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(server)
    return (match["host"], int(match["port"] or 2181)) if match else (server, 2181)
