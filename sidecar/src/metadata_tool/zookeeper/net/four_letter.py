"""Four-letter commands: questions that a server answers without a session, before it closes the connection.

A server whose whitelist lacks a command says so instead (FourLetterCommands).
"""

import socket
import ssl
import time

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.net.sockets import connected

STATUS, IS_READ_ONLY, IS_OK = b"srvr", b"isro", b"ruok"
"""Its version and mode, which every server answers. Whether it has lost its quorum. Whether it runs."""
OK = b"imok"
"""The answer to IS_OK."""
_VERSION = "Zookeeper version: "


def ask(
    address: tuple[str, int], word: bytes, context: ssl.SSLContext | None = None, name: str = "", until: bytes = b""
) -> str:
    """The answer of a server to a command. `name` is the one that its certificate must have, if the context checks it.

    Nothing behind `until` is awaited, if it is not empty.

    Raises:
        OSError: it did not answer.
    """
    with connected(address, limits.COMMAND_TIMEOUT, context, name or address[0]) as connection:
        return answer(connection, word, limits.COMMAND_TIMEOUT, until)


def answer(connection: socket.socket, word: bytes, seconds: float, until: bytes = b"") -> str:
    """The answer on a connection that was just opened, as far as it arrives in time. Empty if it is closed without one.

    A proxy may keep the connection open behind the answer, so nothing behind `until` is awaited, if it is not empty.

    Raises:
        OSError: there is none.
    """
    connection.sendall(word)
    said, deadline = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < deadline and len(said) < limits.COMMAND_ANSWER and (chunk := connection.recv(65536)):
            said += chunk
            if until and until in said:
                break
    except OSError:
        if not said:
            raise
    return said.decode(errors="replace")


def version(address: tuple[str, int], context: ssl.SSLContext | None = None) -> str:
    """The version that a server reports. Empty if it does not answer, or does not allow the command."""
    try:
        said = ask(address, STATUS, context, until=b"\n")
    except OSError:
        return ""
    _, found, rest = said.partition(_VERSION)
    reported = rest.partition(",")[0].partition("-")[0].strip()
    return reported if found and reported.isprintable() else ""


def is_read_only(address: tuple[str, int], context: ssl.SSLContext | None = None) -> bool:
    """Whether a server says that it has lost its quorum, and serves readers alone (readonlymode)."""
    try:
        return ask(address, IS_READ_ONLY, context).strip() == "ro"
    except OSError:
        return False
