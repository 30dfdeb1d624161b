"""Which members of an ensemble run, which serve, and from which restore those that do not serve were started.

It needs no session. The AdminServer answers `system_properties` even if its server has no quorum
(Commands.SystemPropertiesCommand).
"""

import http.client
import json
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from socket import SOCK_STREAM
from typing import Any

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import NameUnresolved, ZooKeeperError
from metadata_tool.zookeeper.net import addresses, tls
from metadata_tool.zookeeper.net.tls import Tls
from metadata_tool.zookeeper.server_state import State, state

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

_NO_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)
"""DNS says that there is no such name, or no address. All other errors of a lookup say nothing of the server."""


@dataclass(frozen=True)
class Member:
    """A server that runs. If `unclear` is an error, it is not known whether it serves.

    `reached` are those of its addresses (`host:port`) that accept connections. A name may have several, and each may be
    that of another server.
    """

    address: str
    serves: bool
    unclear: ZooKeeperError | None = None
    reached: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """What a server reports about the restore that it was started from. Empty if it reports nothing."""

    digest: str
    point: str
    has_run: bool = False


def look(servers: str, secure: Tls | None = None) -> list[Member]:
    """The servers of these (`host:port,…`) that run, or may run.

    Raises:
        AuthoritiesUnusable, CertificateUnusable: a file for TLS cannot be used.
    """
    return list(filter(None, (_member(server, secure) for server in servers.split(",") if server)))


def _member(server: str, secure: Tls | None) -> Member | None:
    """A server, by the answers at its addresses. It serves if one of them does. None if none accepts connections."""
    name, port = addresses.split(server)
    try:
        found = socket.getaddrinfo(name, port, type=SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_NAME:
            return None
        return Member(server, serves=False, unclear=NameUnresolved(server, str(error.strerror)))
    except UnicodeError:
        return None  # no host can have this name
    reachable = dict.fromkeys((str(address[0]), int(address[1])) for *_, address in found)
    states = {address: state(server, name, address, secure) for address in reachable}
    reached = tuple(f"[{host}]:{at}" for (host, at), seen in states.items() if seen)
    errors = (seen for seen in states.values() if isinstance(seen, ZooKeeperError))
    serves = State.SERVES in states.values()
    return Member(server, serves, None if serves else next(errors, None), reached) if reached else None


def origin(server: str, admin_port: int, secure: Tls | None = None) -> Origin:
    """What a server (`host:port`) reports as its ORIGIN, its POINT and HAS_RUN."""
    reported = properties(server, admin_port, secure=secure)
    return Origin(str(reported.get(ORIGIN, "")), str(reported.get(POINT, "")), reported.get(HAS_RUN) == "true")


def properties(server: str, admin_port: int, asker: str = "", secure: Tls | None = None) -> Mapping[str, Any]:
    """The answer of a server (`host:port`) on its AdminServer's port, empty if it is missing or not a mapping.

    An AdminServer that answers only by HTTPS (admin.forceHttps) is asked so. Its certificate is that of the quorum,
    which other authorities may have signed, and is not checked. Its answer is trusted no more than one by HTTP.
    """
    host = addresses.split(server)[0]
    connection = http.client.HTTPConnection(host, admin_port, timeout=limits.PROBE_TIMEOUT)
    try:
        return _get(connection, asker)
    except (http.client.BadStatusLine, ConnectionResetError):
        context = tls.unchecked(secure)
    except (OSError, http.client.HTTPException):
        return {}
    try:
        return _get(http.client.HTTPSConnection(host, admin_port, timeout=limits.PROBE_TIMEOUT, context=context), asker)
    except (OSError, http.client.HTTPException):
        return {}


def _get(connection: http.client.HTTPConnection, asker: str) -> Mapping[str, Any]:
    """The properties that an AdminServer answers, empty if its answer is not a mapping.

    Raises:
        OSError, HTTPException: it does not answer.
    """
    with closing(connection):
        connection.request("GET", PROPERTIES, headers={ASKER: asker} if asker else {})
        answer = connection.getresponse().read(limits.PROBE_ANSWER)
    try:
        reported = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return reported if isinstance(reported, dict) else {}
