"""SASL to ZooKeeper, without I/O: DIGEST-MD5 (RFC 2831) by hashlib, GSSAPI (RFC 4752) by MIT's library.

kazoo's SASL needs pure-sasl, which must be built from source, and whose GSSAPI needs a C extension. Also, it retries a
server that offers no SASL thousands of times a second, without end.

On the wire these are requests of type 102 with a token in a buffer, and as many replies. The token in a reply is null
if the server has no SASL (ZooKeeperServer.processSasl, ZooKeeperSaslClient). The login is complete when the server has
answered the last token without an error. If it fails, the server answers so and closes the connection.
"""

import hashlib
import re
import secrets
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import (
    ConnectionBroken,
    DecodeError,
    KeyMissing,
    KeytabUnreadable,
    LibraryMissing,
    NoTicket,
    SaslMismatch,
    SaslNotOffered,
    SaslRefused,
    ZooKeeperError,
)
from metadata_tool.zookeeper.jute import buffer, read_buffer
from metadata_tool.zookeeper.net import gssapi
from metadata_tool.zookeeper.net.gssapi import GssError, LibraryMissingError
from metadata_tool.zookeeper.protocol import AUTH_FAILED, LOGIN_DEMANDED

DIGEST_MD5 = "DIGEST-MD5"
GSSAPI = "GSSAPI"
_URI = b"zookeeper/zk-sasl-md5"
"""The fixed name that ZooKeeper uses for itself (SaslServerPrincipal, SecurityUtils.createSaslServer)."""
_FIELD = re.compile(rb'[\s,]*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|\Z)', re.DOTALL)

Exchange = Generator[bytes, bytes | None, None]
"""Yields the tokens to send, and takes the answers. Raises MechanismError for an invalid answer."""
LoginSteps = Generator[bytes, tuple[int, bytes], None]
"""Yields the bodies of requests, and takes the error (0: none) and the body of each reply."""


@dataclass(frozen=True)
class Sasl:
    """A mechanism and its credentials: user and password for DIGEST-MD5, the others for GSSAPI.

    `service` is the first part of the servers' principals. `principal` is that of the client, empty for the first one
    in `keytab`.
    """

    mechanism: str
    user: str = ""
    password: str = field(default="", repr=False)
    service: str = "zookeeper"
    principal: str = ""
    keytab: str = ""

    def require(self) -> None:
        """Check what this machine must have, before a server is asked.

        Raises:
            LibraryMissing, KeytabUnreadable, KeyMissing: it lacks this.
        """
        if self.mechanism != GSSAPI:
            return
        try:
            Path(self.keytab).open("rb").close()
            gssapi.require_key(self.keytab, self.principal)
        except OSError as error:
            raise KeytabUnreadable(self.keytab, error.strerror or str(error)) from error
        except LibraryMissingError as error:
            raise LibraryMissing(gssapi.LIBRARY) from error
        except GssError as error:
            raise KeyMissing(self.keytab, self.principal, str(error)) from error

    def exchange(self, host: str) -> Exchange:
        """The exchange of one login to the server with this name."""
        return _gssapi(self, host) if self.mechanism == GSSAPI else _digest_md5(self)


def log_in(sasl: Sasl, host: str) -> LoginSteps:
    """One login to the server with this name.

    Raises:
        ZooKeeperError: the server refused, there is no ticket, or the library for GSSAPI is missing.
        ConnectionBroken: a reply is malformed.
    """
    try:
        with closing(sasl.exchange(host)) as exchange:
            yield from _requests(exchange)
    except _RefusedError as error:
        raise SaslRefused(host, sasl.mechanism) from error
    except _NotOfferedError as error:
        raise SaslNotOffered(host) from error
    except LibraryMissingError as error:
        raise LibraryMissing(gssapi.LIBRARY) from error
    except GssError as error:
        raise _no_ticket(error, host) from error
    except MechanismError as error:
        raise SaslMismatch(host, sasl.mechanism, str(error)) from error


class MechanismError(Exception):
    """What the server sent does not belong to the mechanism."""


class _RefusedError(Exception):
    """The server refused the login."""


class _NotOfferedError(Exception):
    """The server has no SASL."""


def _requests(exchange: Exchange) -> LoginSteps:
    token = next(exchange)
    for _ in range(limits.SASL_TOKENS):
        error, body = yield buffer(token)
        try:
            token = exchange.send(_token(error, body))
        except StopIteration:
            return
    raise MechanismError("the exchange does not end")


def _token(error: int, body: bytes) -> bytes | None:
    if error in {AUTH_FAILED, LOGIN_DEMANDED}:
        raise _RefusedError
    if error:
        raise ConnectionBroken(f"ZooKeeper's error {error}")
    try:
        return read_buffer(body, 0)[0]
    except DecodeError as malformed:
        raise ConnectionBroken(f"the answer cannot be decoded ({malformed})") from malformed


def _digest_md5(sasl: Sasl) -> Exchange:
    challenge = yield b""
    if challenge is None:
        raise _NotOfferedError
    said = fields(challenge)
    response, expected = digest(sasl.user, sasl.password, said, _URI, secrets.token_hex(16).encode())
    verdict = yield response
    if verdict is None:  # with zookeeper.allowSaslFailedClients the session stays open without a login
        raise _RefusedError
    if fields(verdict).get(b"rspauth") != expected:
        raise MechanismError("it did not show that it knows the password")


def _gssapi(sasl: Sasl, host: str) -> Exchange:
    with closing(gssapi.Context(sasl.keytab, sasl.principal, sasl.service, host)) as context:
        token, unfinished = context.step(None)
        answer = yield token
        while unfinished:
            token, unfinished = context.step(_required(answer))
            answer = yield token
        offer = context.unwrap(_required(answer))
        if len(offer) != 4 or not offer[0] & 1:
            raise MechanismError("it wants all traffic signed or encrypted by SASL, which ZooKeeper itself cannot do")
        yield context.wrap(b"\1\0\0\0")  # no security layer, RFC 4752, 3.1


def _required(answer: bytes | None) -> bytes:
    if answer is None:
        raise _NotOfferedError
    return answer


def fields(challenge: bytes) -> dict[bytes, bytes]:
    """The directives of a challenge (RFC 2831, 7.1). Of a repeated one, such as a realm, the first counts.

    Raises:
        MechanismError: it is malformed.
    """
    if len(challenge) > limits.DIGEST_CHALLENGE:
        raise MechanismError(f"its challenge has {len(challenge)} bytes, the limit is {limits.DIGEST_CHALLENGE}")
    found: dict[bytes, bytes] = {}
    at, end = 0, len(challenge.rstrip(b", \t\r\n\0"))
    while at < end:
        match = _FIELD.match(challenge, at)
        if not match:
            raise MechanismError("its challenge is malformed")
        name, quoted, plain = match.groups()
        found.setdefault(name.lower(), plain if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL))
        at = match.end()
    return found


def digest(user: str, password: str, said: dict[bytes, bytes], uri: bytes, cnonce: bytes) -> tuple[bytes, bytes]:
    """The response to a challenge, and the answer by which the server shows that it knows the password.

    Raises:
        MechanismError: the challenge cannot be answered.
    """
    nonce, realm = said.get(b"nonce"), said.get(b"realm", b"")
    if not nonce or said.get(b"algorithm") != b"md5-sess":
        raise MechanismError("its challenge does not belong to DIGEST-MD5")
    if b"auth" not in re.split(rb"[\s,]+", said.get(b"qop", b"auth")):
        raise MechanismError("it wants all traffic signed or encrypted by SASL, which ZooKeeper itself cannot do")
    secret = _md5(b":".join((_narrow(user), realm, _narrow(password)))).digest()
    a1 = _hex(b":".join((secret, nonce, cnonce)))

    def verifier(a2: bytes) -> bytes:
        return _hex(b":".join((a1, nonce, b"00000001", cnonce, b"auth", _hex(a2))))

    directives = (
        b"charset=utf-8",
        b"username=" + _quoted(user.encode()),
        b"realm=" + _quoted(realm),
        b"nonce=" + _quoted(nonce),
        b"nc=00000001",
        b"cnonce=" + _quoted(cnonce),
        b"digest-uri=" + _quoted(uri),
        b"response=" + verifier(b"AUTHENTICATE:" + uri),
        b"qop=auth",
    )
    return b",".join(directives), verifier(b":" + uri)


def _narrow(text: str) -> bytes:
    """ISO 8859-1 if possible, else UTF-8 (RFC 2831, 2.1.2.1)."""
    return text.encode("latin-1") if all(char <= "\xff" for char in text) else text.encode()


def _md5(data: bytes) -> "hashlib._Hash":
    return hashlib.md5(data, usedforsecurity=False)  # so that it works even if a policy forbids MD5


def _hex(data: bytes) -> bytes:
    return _md5(data).hexdigest().encode()


def _quoted(data: bytes) -> bytes:
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _no_ticket(error: GssError, host: str) -> ZooKeeperError:
    if error.defective:
        return SaslMismatch(host, GSSAPI, str(error))
    return NoTicket(host, str(error), error.code)
