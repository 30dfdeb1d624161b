"""Whether a server at one address serves, is without a quorum, or does not show it. It needs no session and no login.

It uses the four-letter command `srvr`, which every server allows, whatever its whitelist says (FourLetterCommands).
A server in the read-only mode has no quorum.

Only a clear answer counts. A port that speaks TLS, closes the connection or answers anything else may be that of a
server that serves.
"""

import re
import socket
import ssl
from enum import Enum, auto

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import AnswerUnclear, SpeaksTls, ZooKeeperError
from metadata_tool.zookeeper.net import four_letter, tls
from metadata_tool.zookeeper.net.sockets import secured
from metadata_tool.zookeeper.net.tls import Tls

_SERVING = re.compile(r"^Mode: (?!read-only)|is not in the whitelist", re.MULTILINE)
"""A server that does not allow the command may serve, which the session that follows will show."""
_WAITING = re.compile(r"^Mode: read-only|is not currently serving requests", re.MULTILINE)

Address = tuple[str, int]


class State(Enum):
    """What a server does."""

    SERVES = auto()
    """It is part of a quorum."""
    WAITS = auto()
    """It runs without a quorum."""


def state(server: str, name: str, address: Address, secure: Tls | None) -> State | ZooKeeperError | None:
    """What the server at this address does. None if nothing accepts connections there. An error if it is not clear.

    `server` is its `host:port` for messages, `name` the name that its certificate must have.

    Raises:
        AuthoritiesUnusable, CertificateUnusable: a file for TLS cannot be used.
    """
    context = secure.context() if secure else None
    try:
        connection = socket.create_connection(address, timeout=limits.PROBE_TIMEOUT)
    except OSError:
        return None
    try:
        found = _state(connection, context, name)
    except TimeoutError:
        found = "it does not answer"
    except OSError as error:
        if context and isinstance(error, ssl.SSLError | ConnectionResetError):
            return tls.failure(server, address, error)
        found = error.strerror or str(error)
    if isinstance(found, State):
        return found
    return SpeaksTls(server) if not context and tls.is_spoken(address) else AnswerUnclear(server, found)


def _state(connection: socket.socket, context: ssl.SSLContext | None, name: str) -> State | str:
    """What a server does, or the reason why its answer is unclear.

    Raises:
        OSError: it does not answer.
    """
    with secured(connection, context, name) as stream:
        answer = four_letter.answer(stream, four_letter.STATUS, limits.PROBE_TIMEOUT)
    if _SERVING.search(answer):
        return State.SERVES
    if _WAITING.search(answer):
        return State.WAITS
    return "its answer is not that of a ZooKeeper" if answer else "it closed the connection without an answer"
