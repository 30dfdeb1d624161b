"""Sessions with an ensemble: kazoo finds a server, does the handshake and logs in. Then `Wire` takes the connection.

kazoo passes events to other threads, which loses their order among replies, and needs ten times as long for a request.
"""

import logging
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from kazoo import exceptions as kazoo_errors
from kazoo.client import KazooClient
from kazoo.hosts import collect_hosts

from metadata_tool.lifecycle import Every, Heartbeat
from metadata_tool.zookeeper import limits, protocol
from metadata_tool.zookeeper.errors import (
    DecodeError,
    LoginDemanded,
    LoginRefused,
    OtherLoginDemanded,
    ReadRefused,
    SessionLost,
    TooOld,
    Unreachable,
    ZnodeUnreadable,
    ZooKeeperError,
)
from metadata_tool.zookeeper.limits import ConnectionLimits
from metadata_tool.zookeeper.net import four_letter
from metadata_tool.zookeeper.net.sasl import Sasl, log_in
from metadata_tool.zookeeper.net.tls import Tls, is_spoken
from metadata_tool.zookeeper.protocol import DataReply, Refusal, Reply
from metadata_tool.zookeeper.snapshot import printable
from metadata_tool.zookeeper.wire import Requests, Wire, WireError, Wires

log = logging.getLogger(__name__)

OLDEST = (3, 6)

Endpoint = tuple[str, str, int]
"""The name, address and port of a server."""


@dataclass(frozen=True)
class Login:
    """A scheme such as `digest`, and its credential, which no message shows."""

    scheme: str
    credential: str = field(repr=False)


@dataclass(frozen=True)
class Ensemble:
    """The servers (`host:port,…`), the login, TLS and SASL, if any, and how many seconds to wait for a session."""

    servers: str
    login: Login | None = None
    patience: float = limits.CONNECT_TIMEOUT
    tls: Tls | None = None
    sasl: Sasl | None = None
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)

    def client(self) -> KazooClient:
        """A kazoo client with these settings, not started."""
        return KazooClient(
            hosts=self.servers,
            timeout=limits.SESSION_TIMEOUT,
            auth_data=[(self.login.scheme, self.login.credential)] if self.login else None,
            sasl_options={} if self.sasl else None,  # then its handshake calls SASL, which `_open` replaces
            **_secured(self.tls),
        )


def _secured(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    files = {"ca": tls.ca or None, "certfile": tls.cert or None, "keyfile": tls.key or None}
    return {"use_ssl": True, "check_hostname": tls.check_hostname, "keyfile_password": tls.key_password, **files}


class Answer(NamedTuple):
    """A reply: its zxid, its error (0: none), its body."""

    zxid: int
    error: int
    body: bytes


class Session:
    """A session with one server, and more sessions with the same server on demand."""

    def __init__(self, ensemble: Ensemble, endpoint: Endpoint, wire: Wire, heartbeat: Heartbeat) -> None:
        self.wire = wire
        self.server_version = four_letter.version(endpoint[1:], ensemble.tls.of_peer() if ensemble.tls else None)
        self._ensemble = ensemble
        self._endpoint = endpoint
        self._heartbeat = heartbeat
        self._more: list[Wire] = []

    @property
    def timeout(self) -> float:
        """Seconds after which the server ends the session if no request arrives."""
        return self.wire.session_timeout

    def ask(self, kind: int, body: bytes) -> Answer:
        """Send one request, and wait for its answer.

        Raises:
            WireError: the connection broke.
        """
        answers: list[Answer] = []
        Requests(self.wire, kind, [body], lambda replies: answers.append(Answer(*replies[0])))
        self.wires().until(lambda: bool(answers))
        return answers[0]

    def read(self, path: bytes) -> DataReply | None:
        """Data and stat of one znode, None if it does not exist. Raises as `read_each` does."""
        return self.read_each([path])[0]

    def read_each(self, paths: Sequence[bytes]) -> list[DataReply | None]:
        """Data and stat of znodes at one zxid, None for those that do not exist. One request reads all of them.

        Raises:
            DecodeError: the answer is malformed.
            ZnodeUnreadable: this login cannot read one.
            ReadRefused: the server does not read one for another reason.
            WireError: the connection broke.
        """
        answer = self.ask(protocol.MULTI_READ, protocol.multi_read(protocol.on_wire_each(paths)))
        if answer.error:
            raise WireError(f"ZooKeeper's error {answer.error}")
        replies = protocol.read_replies(answer.body)
        if len(replies) != len(paths):
            raise DecodeError(f"{len(replies)} answers to {len(paths)} reads")
        return [_data(path, reply) for path, reply in zip(paths, replies, strict=True)]

    def wires(self) -> Wires:
        """All connections of this session, to be read together."""
        return Wires([self.wire, *self._more], self._heartbeat)

    def more(self, number: int) -> list[Wire]:
        """Open this many more sessions, or as many as the server accepts. Fewer are logged."""
        try:
            for _ in range(number):
                self._more.append(_open(self._ensemble, self._endpoint))
        except (kazoo_errors.KazooException, OSError, WireError) as error:
            log.warning(
                "ZooKeeper accepted %d of %d sessions, so reading ACLs takes longer: %s",
                1 + len(self._more),
                1 + number,
                _reason(error),
            )
        return self._more

    def close(self) -> None:
        """End all of its sessions."""
        for wire in (self.wire, *self._more):
            wire.close()

    def too_old(self) -> TooOld:
        """The error for a server that lacks an operation."""
        return TooOld(self.server_version)


@contextmanager
def connect(ensemble: Ensemble, heartbeat: Heartbeat) -> Iterator[Session]:
    """Open a session with one of the servers, and close it after the block.

    Until one accepts it, servers are tried for `ensemble.patience` seconds, which is logged every few seconds.

    Raises:
        Unreachable: no server accepted a session in that time.
        TooOld: the server is older than 3.6.
        Untrusted: TLS failed.
        SessionLost: the connection broke while it was used.
        ZooKeeperError: the server refused the login or demands one, or a file or library for TLS or SASL is missing.
    """
    if ensemble.sasl:
        ensemble.sasl.require()
    if ensemble.tls:
        ensemble.tls.require_trust(collect_hosts(ensemble.servers)[0])
    endpoint, wire = _patiently(ensemble, heartbeat)
    session = Session(ensemble, endpoint, wire, heartbeat)
    try:
        parsed = _parse_version(session.server_version)
        if parsed is not None and parsed < OLDEST:
            raise session.too_old()
        _require_admission(session, ensemble)
        yield session
    except WireError as error:
        raise SessionLost(str(error)) from error
    except DecodeError as error:
        raise SessionLost(f"the server's answer cannot be decoded ({error})") from error
    finally:
        session.close()


def _data(path: bytes, reply: Reply) -> DataReply | None:
    """The answer to one read, None for a znode that does not exist."""
    if isinstance(reply, DataReply) or reply == Refusal(protocol.NO_NODE):
        return reply if isinstance(reply, DataReply) else None
    if reply == Refusal(protocol.NO_AUTH):
        raise ZnodeUnreadable(f"the login cannot read znode {printable(path)}", "READ on it")
    raise ReadRefused(printable(path), reply.code if isinstance(reply, Refusal) else 0)


def _require_admission(session: Session, ensemble: Ensemble) -> None:
    """Refuse a server that demands a login. It opens a session without one, and closes it after the first request."""
    answer = session.ask(protocol.GET_ACL, protocol.on_wire(b""))
    if answer.error == kazoo_errors.SessionClosedRequireSaslError.code:
        raise _login_demanded(ensemble)


def _patiently(ensemble: Ensemble, heartbeat: Heartbeat) -> tuple[Endpoint, Wire]:
    begin, time_to_say = time.monotonic(), Every(limits.LOG_INTERVAL)
    pauses, reasons = iter(limits.CONNECT_PAUSES), {}
    while True:
        for endpoint in ensemble.client()._connection._expand_client_hosts():  # noqa: SLF001  # resolved and shuffled
            heartbeat()
            try:
                return endpoint, _open(ensemble, endpoint)
            except (kazoo_errors.KazooException, OSError, WireError) as error:
                reasons[f"{endpoint[0]}:{endpoint[2]}"] = _why(error, endpoint, ensemble.tls)
        now = time.monotonic()
        if now - begin > ensemble.patience:
            raise Unreachable(ensemble.servers, ensemble.patience, reasons)
        if time_to_say():
            log.warning("ZooKeeper is not reachable at %s, still trying (%.0f s)", ensemble.servers, now - begin)
        if heartbeat.sleep(min(next(pauses, limits.CONNECT_PAUSES[-1]), max(begin + ensemble.patience - now, 0.01))):
            heartbeat()


def _open(ensemble: Ensemble, endpoint: Endpoint) -> Wire:
    """Open one session with this server.

    Raises:
        ZooKeeperError: the server refused the login or demands another, or the library for SASL is missing.
        KazooException, OSError, WireError: it did not succeed.
    """
    client = ensemble.client()
    connection = client._connection  # noqa: SLF001  # as its own thread does up to the first request
    if ensemble.sasl:
        connection._authenticate_with_sasl = partial(log_in, connection, ensemble.sasl)  # noqa: SLF001
    try:
        session_timeout = _shake_hands(client, ensemble, endpoint)
    except BaseException:
        if connection._socket is not None:  # noqa: SLF001
            connection._socket.close()  # noqa: SLF001
        raise
    return Wire(connection._socket, session_timeout, ensemble.limits)  # noqa: SLF001


def _shake_hands(client: KazooClient, ensemble: Ensemble, endpoint: Endpoint) -> float:
    """The session timeout that the server granted, in seconds."""
    try:
        read_timeout, _ = client._connection._connect(*endpoint)  # noqa: SLF001
    except kazoo_errors.AuthFailedError as error:
        raise LoginRefused from error
    except kazoo_errors.SessionClosedRequireSaslError as error:
        raise _login_demanded(ensemble) from error
    except (kazoo_errors.KazooException, OSError, client.handler.timeout_exception) as error:
        raise WireError(_reason(error)) from error
    except (RuntimeError, struct.error) as error:  # kazoo's errors for a malformed answer
        raise WireError(f"the answer cannot be decoded ({error})") from error
    return float(read_timeout) * 1.5 / 1000  # kazoo's is two thirds of the session's


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _why(error: BaseException, endpoint: Endpoint, tls: Tls | None) -> str:
    if not tls and is_spoken(endpoint[1:]):
        return "it speaks TLS, and this connection did not"
    if four_letter.is_read_only(endpoint[1:], tls.of_peer() if tls else None):  # it hangs up on clients that may write
        return "it lost its quorum and is read-only (readonlymode)"
    return _reason(error)


def _parse_version(version: str) -> tuple[int, ...] | None:
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if len(parts) == 2 and all(part.isdigit() for part in parts) else None


def _login_demanded(ensemble: Ensemble) -> ZooKeeperError:
    return OtherLoginDemanded() if ensemble.sasl else LoginDemanded()
