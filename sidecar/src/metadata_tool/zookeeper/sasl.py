"""SASL to ZooKeeper, within kazoo's handshake: DIGEST-MD5 (RFC 2831) by hashlib, GSSAPI (RFC 4752) by MIT's library.

kazoo's own is not used. It needs pure-sasl, whose current version is no wheel and whose GSSAPI needs a C extension, and
so a compiler; and it asks a server that offers no SASL again and again without end, thousands of times a second.

What goes over the wire: requests of type 102 with a token in a buffer, xids from 1, and as many replies; the token is
null where the server has no SASL (ZooKeeperServer.processSasl, ZooKeeperSaslClient). The login is complete once the
server has answered the last token without an error; where it fails, it says so and hangs up.
"""

import hashlib
import re
import secrets
import struct
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kazoo.exceptions import AuthFailedError, ConnectionDropped, SessionClosedRequireSaslError
from kazoo.protocol.serialization import SASL

from metadata_tool.zookeeper import gssapi, limits
from metadata_tool.zookeeper.errors import (
    KeyMissing,
    KeytabUnreadable,
    LibraryMissing,
    NoTicket,
    SaslMismatch,
    SaslNotOffered,
    SaslRefused,
    ZooKeeperError,
)
from metadata_tool.zookeeper.gssapi import GssError, LibraryMissingError

DIGEST_MD5 = "DIGEST-MD5"
GSSAPI = "GSSAPI"
_URI = b"zookeeper/zk-sasl-md5"
"""What ZooKeeper calls itself, whatever its name (SaslServerPrincipal, SecurityUtils.createSaslServer)."""
_FIELD = re.compile(rb'[\s,]*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|\Z)', re.DOTALL)
_REFUSALS = (AuthFailedError.code, SessionClosedRequireSaslError.code)

Exchange = Generator[bytes, bytes | None, None]
"""Yields the tokens to send, and takes the answers; raises MechanismError where one is not of its mechanism."""


@dataclass(frozen=True)
class Sasl:
    """A mechanism; a user and a password are for DIGEST-MD5, the rest for GSSAPI.

    That is the first part of ZooKeeper's principals, our own principal (empty: the keytab's first), and a keytab.
    """

    mechanism: str
    user: str = ""
    password: str = field(default="", repr=False)
    service: str = "zookeeper"
    principal: str = ""
    keytab: str = ""

    def require(self) -> None:
        """See that what the machine must have is there, before anybody is asked.

        Raises:
            LibraryMissing, KeytabUnreadable, KeyMissing: that is missing.
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
        """The tokens of one login to the server of this name."""
        return _gssapi(self, host) if self.mechanism == GSSAPI else _digest_md5(self)


class _Token(SASL):  # type: ignore[misc]  # kazoo has no types
    """A token that no log shows: kazoo's has all of it in its debug log, open to guessing."""

    def __repr__(self) -> str:
        return "SASL(…)"


def log_in(connection: Any, sasl: Sasl, host: str, timeout: float) -> None:
    """Log in on a connection of kazoo's; stands for its `_authenticate_with_sasl`.

    Raises:
        ZooKeeperError: the server refused, there is no ticket, or the library for GSSAPI is missing.
        ConnectionDropped: the connection broke.
    """
    try:
        with closing(sasl.exchange(host)) as exchange:
            _play(connection, exchange, timeout)
    except (AuthFailedError, SessionClosedRequireSaslError) as error:
        raise SaslRefused(host, sasl.mechanism) from error
    except _NotOfferedError as error:
        raise SaslNotOffered(host) from error
    except ConnectionDropped as error:
        raise ConnectionDropped(f"it hung up during the login by SASL {sasl.mechanism} ({error})") from error
    except LibraryMissingError as error:
        raise LibraryMissing(gssapi.LIBRARY) from error
    except GssError as error:
        raise _no_ticket(error, host) from error
    except MechanismError as error:
        raise SaslMismatch(host, sasl.mechanism, str(error)) from error


class MechanismError(Exception):
    """What the server sent does not belong to the mechanism."""


class _NotOfferedError(Exception):
    """The server has no SASL."""


def _play(connection: Any, exchange: Exchange, timeout: float) -> None:
    token = next(exchange)
    for xid in range(1, limits.SASL_TOKENS + 1):
        answer = _ask(connection, xid, token, timeout)
        try:
            token = exchange.send(answer)
        except StopIteration:
            return
    raise MechanismError("it asks again and again")


def _ask(connection: Any, xid: int, token: bytes, timeout: float) -> bytes | None:
    connection._submit(_Token(token), timeout, xid)  # noqa: SLF001  # as kazoo's own does
    try:
        header, body, at = connection._read_header(timeout)  # noqa: SLF001
        if header.err in _REFUSALS:
            raise AuthFailedError
        if header.err or header.xid != xid:
            raise ConnectionDropped(f"reply {header.xid} with error {header.err} came where {xid} was due")
        answer, _ = SASL.deserialize(body, at)
    except struct.error as error:
        raise ConnectionDropped(f"what came cannot be read ({error})") from error
    return None if answer is None else bytes(answer)


def _digest_md5(sasl: Sasl) -> Exchange:
    challenge = yield b""
    if challenge is None:
        raise _NotOfferedError
    said = fields(challenge)
    response, expected = digest(sasl.user, sasl.password, said, _URI, secrets.token_hex(16).encode())
    verdict = yield response
    if verdict is None:  # as with zookeeper.allowSaslFailedClients: the session goes on, and is nobody's
        raise AuthFailedError
    if fields(verdict).get(b"rspauth") != expected:
        raise MechanismError("it does not prove that it knows the password")


def _gssapi(sasl: Sasl, host: str) -> Exchange:
    with closing(gssapi.Context(sasl.keytab, sasl.principal, sasl.service, host)) as context:
        token, unfinished = context.step(None)
        answer = yield token
        while unfinished:
            token, unfinished = context.step(_required(answer))
            answer = yield token
        offer = context.unwrap(_required(answer))
        if len(offer) != 4 or not offer[0] & 1:
            raise MechanismError("it wants all traffic signed or encrypted by SASL, which ZooKeeper itself cannot")
        yield context.wrap(b"\1\0\0\0")  # no security layer, RFC 4752, 3.1


def _required(answer: bytes | None) -> bytes:
    if answer is None:
        raise _NotOfferedError
    return answer


def fields(challenge: bytes) -> dict[bytes, bytes]:
    """The directives of a challenge, RFC 2831, 7.1; the first of those that come several times, such as realms.

    Raises:
        MechanismError: it is none.
    """
    if len(challenge) > limits.DIGEST_CHALLENGE:
        raise MechanismError(f"a challenge of {len(challenge)} bytes, and {limits.DIGEST_CHALLENGE} is the most")
    found: dict[bytes, bytes] = {}
    at, end = 0, len(challenge.rstrip(b", \t\r\n\0"))
    while at < end:
        match = _FIELD.match(challenge, at)
        if not match:
            raise MechanismError("a challenge that is malformed")
        name, quoted, plain = match.groups()
        found.setdefault(name.lower(), plain if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL))
        at = match.end()
    return found


def digest(user: str, password: str, said: dict[bytes, bytes], uri: bytes, cnonce: bytes) -> tuple[bytes, bytes]:
    """The response to a challenge, and what the server must answer to prove that it knows the password, too.

    Raises:
        MechanismError: it is no challenge that can be answered.
    """
    nonce, realm = said.get(b"nonce"), said.get(b"realm", b"")
    if not nonce or said.get(b"algorithm") != b"md5-sess":
        raise MechanismError("no challenge of DIGEST-MD5")
    if b"auth" not in re.split(rb"[\s,]+", said.get(b"qop", b"auth")):
        raise MechanismError("it wants all traffic signed or encrypted by SASL, which ZooKeeper itself cannot")
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
    """ISO 8859-1 where that can have it, else UTF-8: RFC 2831, 2.1.2.1."""
    return text.encode("latin-1") if all(char <= "\xff" for char in text) else text.encode()


def _md5(data: bytes) -> "hashlib._Hash":
    return hashlib.md5(data, usedforsecurity=False)  # DIGEST-MD5 is; so it works where policy forbids MD5 for security


def _hex(data: bytes) -> bytes:
    return _md5(data).hexdigest().encode()


def _quoted(data: bytes) -> bytes:
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _no_ticket(error: GssError, host: str) -> ZooKeeperError:
    if error.defective:
        return SaslMismatch(host, GSSAPI, str(error))
    return NoTicket(host, str(error), error.code)
