"""ACLs in their thousands, by a session over a socket of its own: requests are packed by the batch, replies sliced.

kazoo's way of a request costs ten times as much, and an ACL is all that a multi-read cannot bring. The protocol is that
of zookeeper.jute: frames of an int32 length; ConnectRequest; AuthPacket; RequestHeader and ReplyHeader.
"""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from metadata_tool.zookeeper.jute import INT, WIRE_STAT_SIZE, buffer

_CONNECT = struct.Struct(">iqiq")
_REQUEST = struct.Struct(">ii")
_FRAME = struct.Struct(">iii")
_REPLY = struct.Struct(">iqi")
_AUTH_XID, _AUTH, _GET_ACL, _CLOSE = -4, 100, 6, -11
_SESSION_TIMEOUT = 40_000
"""Milliseconds; servers allow no more by default, and every request counts as a ping."""
_POLL = 0.2
_REPLY_TIMEOUT = 120.0
_LIMIT = 64 << 20
"""No reply may claim more bytes than this."""
_CHUNK = 256 << 10


class WireError(Exception):
    """The connection broke, or what came is not the protocol."""


class AuthRefusedError(WireError):
    """The server refused the login."""


class Wire:
    """One session. `zxid` is the newest that a reply showed."""

    def __init__(
        self,
        address: tuple[str, int],
        login: tuple[str, str] | None,
        secured: tuple[ssl.SSLContext, bytes] | None,
        zxid: int,
        checkpoint: Callable[[], None],
    ) -> None:
        """Open a session; its server has seen this zxid at least. With TLS it must show this certificate (DER).

        Raises:
            WireError, OSError: it cannot be had.
        """
        self.zxid = zxid
        self._checkpoint = checkpoint
        self._received, self._at = b"", 0
        self._xid = 0
        plain = socket.create_connection(address, timeout=10)
        try:
            self._socket = _secure(plain, *secured) if secured else plain
            self._socket.settimeout(_POLL)
            self._begin(login)
        except BaseException:
            plain.close()
            raise

    def _begin(self, login: tuple[str, str] | None) -> None:
        self._send(buffer(_CONNECT.pack(0, self.zxid, _SESSION_TIMEOUT, 0) + buffer(bytes(16)) + b"\0"))
        answer = self._frame()
        if len(answer) < 16 or INT.unpack_from(answer, 4)[0] <= 0:
            raise WireError("the server gave no session")
        if login:
            scheme, credential = (buffer(part.encode()) for part in login)
            self._send(buffer(_REQUEST.pack(_AUTH_XID, _AUTH) + INT.pack(0) + scheme + credential))
            if self._reply(_AUTH_XID)[0]:
                raise AuthRefusedError("the server refused the login")

    def acls(self, paths: Sequence[bytes]) -> list[tuple[int, bytes, bytes]]:
        """Of each znode an error code, 0 for none, and then its encoded ACL and the client's stat that goes with it.

        Raises:
            WireError, OSError: the connection broke.
        """
        first, xid = self._xid + 1, self._xid
        requests = []
        for path in paths:
            xid += 1
            requests.append(_FRAME.pack(12 + len(path), xid & 0x7FFF_FFFF, _GET_ACL) + INT.pack(len(path)) + path)
        self._xid = xid
        self._send(b"".join(requests))
        replies = []
        for expected in range(first, first + len(paths)):
            error, body = self._reply(expected & 0x7FFF_FFFF)
            if not error and len(body) < WIRE_STAT_SIZE + INT.size:
                raise WireError("an ACL is cut off")
            replies.append((error, body[:-WIRE_STAT_SIZE], body[-WIRE_STAT_SIZE:]))
        return replies

    def close(self) -> None:
        """End the session."""
        with suppress(OSError):
            self._send(buffer(_REQUEST.pack(self._xid + 1, _CLOSE)))
        self._socket.close()

    def _reply(self, expected: int) -> tuple[int, bytes]:
        """Error and body of the next reply, which is that of this request."""
        frame = self._frame()
        if len(frame) < _REPLY.size:
            raise WireError("a reply is cut off")
        xid, zxid, error = _REPLY.unpack_from(frame)
        if xid != expected:
            raise WireError(f"reply {xid} came where {expected} was due")
        self.zxid = max(self.zxid, zxid)
        return error, frame[_REPLY.size :]

    def _frame(self) -> bytes:
        """What the next frame holds."""
        if len(self._received) - self._at < INT.size:
            self._receive(INT.size)
        begin = self._at + INT.size
        (size,) = INT.unpack_from(self._received, self._at)
        if not 0 <= size <= _LIMIT:
            raise WireError(f"a reply claims {size} bytes")
        if len(self._received) - begin < size:
            self._receive(INT.size + size)
            begin = self._at + INT.size
        self._at = begin + size
        return self._received[begin : self._at]

    def _receive(self, size: int) -> None:
        """Wait until so many bytes have come that were not read."""
        parts = [self._received[self._at :]]
        have = len(parts[0])
        deadline = time.monotonic() + _REPLY_TIMEOUT
        while have < size:
            self._checkpoint()
            if time.monotonic() > deadline:
                raise WireError(f"no whole reply came for {_REPLY_TIMEOUT:.0f} s")
            try:
                chunk = self._socket.recv(_CHUNK)
            except TimeoutError:
                continue
            if not chunk:
                raise WireError("the server has closed the connection")
            parts.append(chunk)
            have += len(chunk)
        self._received, self._at = b"".join(parts), 0

    def _send(self, content: bytes) -> None:
        self._socket.settimeout(_REPLY_TIMEOUT)
        self._socket.sendall(content)
        self._socket.settimeout(_POLL)


def _secure(plain: socket.socket, context: ssl.SSLContext, certificate: bytes) -> ssl.SSLSocket:
    """The address may be known by its IP alone: it is the server that was checked if it shows the same certificate."""
    secure = context.wrap_socket(plain)
    if secure.getpeercert(binary_form=True) != certificate:
        raise WireError("another certificate is shown than before")
    return secure
