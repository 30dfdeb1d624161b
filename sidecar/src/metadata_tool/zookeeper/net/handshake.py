"""The handshake that opens a session and logs in, without I/O.

    client                                                server
    ConnectRequest                              ->
                                                <-        ConnectResponse: the timeout that it grants
    SASL tokens, type 102, xids from 1          ->        if there is a login by SASL
                                                <-        a reply to each
    AuthPacket, type 100, xid -4                ->        if there is a login by scheme and credential
                                                <-        its reply

All are frames as in `connection.py`, but ConnectRequest and ConnectResponse have no header:

    byte             0                4              12       16          24       28
    ConnectRequest   protocolVersion  lastZxidSeen   timeOut  sessionId   16       passwd, readOnly
    byte             0                4              8           16       20
    ConnectResponse  protocolVersion  timeOut        sessionId   length   passwd, readOnly

Sources: zookeeper.jute, ZooKeeperServer.processConnectRequest, .processPacket, ClientCnxn.primeConnection.
"""

import struct
from collections.abc import Generator
from contextlib import closing
from typing import TypeVar

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import (
    ConnectionBroken,
    DecodeError,
    LoginDemanded,
    LoginRefused,
    OtherLoginDemanded,
    ZooKeeperError,
)
from metadata_tool.zookeeper.jute import INT, buffer, read_buffer
from metadata_tool.zookeeper.net.ensemble import Login
from metadata_tool.zookeeper.net.sasl import Sasl, log_in
from metadata_tool.zookeeper.protocol import AUTH_FAILED, LOGIN_DEMANDED

T = TypeVar("T")
Steps = Generator[bytes | int, bytes, T]
"""Yields bytes to send, then takes b"". Or yields how many bytes to receive, then takes exactly these.

If the connection breaks, its user throws ConnectionBroken into it.
"""

READ_ONLY = "it lost its quorum and is read-only (readonlymode)"

_CONNECT = struct.Struct(">iqiq")
_ACCEPTED = struct.Struct(">iiq")
_REQUEST = struct.Struct(">iii")
_REPLY = struct.Struct(">iqi")
_NO_PASSWORD = bytes(16)
_AUTH, _SASL = 100, 102
_AUTH_XID = -4


def handshake(host: str, login: Login | None, sasl: Sasl | None) -> Steps[float]:
    """Open a session with the server of this name, and log in. Returns the session timeout in seconds.

    Raises:
        ZooKeeperError: the server refused the login or demands another, there is no ticket, or a library is missing.
        ConnectionBroken: the connection broke, the session was not granted, or an answer is malformed.
    """
    yield connect_request()
    timeout = _granted((yield from _frame()))
    if sasl:
        yield from _log_in_by_sasl(host, sasl)
    if login:
        yield from _log_in(login, sasl)
    return timeout


def login_demanded(sasl: Sasl | None) -> ZooKeeperError:
    """The error for a server that closes sessions with no login but this one."""
    return OtherLoginDemanded() if sasl else LoginDemanded()


def connect_request() -> bytes:
    """The frame that asks for a new session, with a server that has a quorum."""
    milliseconds = int(1000 * limits.SESSION_TIMEOUT)
    body = _CONNECT.pack(0, 0, milliseconds, 0) + buffer(_NO_PASSWORD) + b"\0"
    return INT.pack(len(body)) + body


def _granted(body: bytes) -> float:
    try:
        _, milliseconds, _ = _ACCEPTED.unpack_from(body)
        _, end = read_buffer(body, _ACCEPTED.size)
    except struct.error as error:
        raise ConnectionBroken("the answer cannot be decoded (it ends too early)") from error
    except DecodeError as error:
        raise ConnectionBroken(f"the answer cannot be decoded ({error})") from error
    if milliseconds <= 0:
        raise ConnectionBroken("it grants no session")
    if body[end : end + 1] not in {b"", b"\0"}:  # servers before 3.4 do not send it
        raise ConnectionBroken(READ_ONLY)
    return float(milliseconds) / 1000


def _log_in_by_sasl(host: str, sasl: Sasl) -> Steps[None]:
    xid = 0
    with closing(log_in(sasl, host)) as login:
        body = next(login)
        while True:
            xid += 1
            try:
                body = login.send((yield from _ask(xid, _SASL, body)))
            except StopIteration:
                return
            except ConnectionBroken as error:
                raise ConnectionBroken(
                    f"the connection broke during the login by SASL {sasl.mechanism} ({error})"
                ) from error


def _log_in(login: Login, sasl: Sasl | None) -> Steps[None]:
    body = INT.pack(0) + buffer(login.scheme.encode()) + buffer(login.credential.encode())
    error, _ = yield from _ask(_AUTH_XID, _AUTH, body)
    if error == AUTH_FAILED:
        raise LoginRefused
    if error == LOGIN_DEMANDED:
        raise login_demanded(sasl)
    if error:
        raise ConnectionBroken(f"ZooKeeper's error {error}")


def _ask(xid: int, kind: int, body: bytes) -> Steps[tuple[int, bytes]]:
    """The error and the body of the reply to a request."""
    yield _REQUEST.pack(8 + len(body), xid, kind) + body
    answer = yield from _frame()
    if len(answer) < _REPLY.size:
        raise ConnectionBroken("the answer cannot be decoded (it ends too early)")
    got, _, error = _REPLY.unpack_from(answer)
    if got != xid:
        raise ConnectionBroken(f"reply {got} with error {error} arrived instead of reply {xid}")
    return error, answer[_REPLY.size :]


def _frame() -> Steps[bytes]:
    (size,) = INT.unpack((yield INT.size))
    if not 0 <= size <= limits.HANDSHAKE_FRAME:
        raise ConnectionBroken(f"an answer claims {size} bytes, the limit is {limits.HANDSHAKE_FRAME}")
    return (yield size)
