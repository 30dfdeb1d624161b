"""Sessions with an ensemble: one, and more with the same server on demand."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.errors import (
    AuthoritiesUnusable,
    CertificateUnusable,
    ConnectionBroken,
    DecodeError,
    ReadRefused,
    SessionLost,
    TooOld,
    ZnodeUnreadable,
)
from metadata_tool.zookeeper.net import addresses, four_letter
from metadata_tool.zookeeper.net.addresses import Endpoint
from metadata_tool.zookeeper.net.ensemble import Ensemble
from metadata_tool.zookeeper.net.handshake import login_demanded
from metadata_tool.zookeeper.net.loop import Channel, Loop
from metadata_tool.zookeeper.net.messages import Reply, Request
from metadata_tool.zookeeper.net.opening import Opened, find, open_session
from metadata_tool.zookeeper.protocol import DataReply, Refusal
from metadata_tool.zookeeper.snapshot import printable

log = logging.getLogger(__name__)

OLDEST = (3, 6)


class SingleAnswer(NamedTuple):
    """The answer to one request: its zxid, its error (0: none), its body."""

    zxid: int
    error: int
    body: bytes


class Session:
    """A session with one server, and more sessions with the same server on demand.

    `loop` has all their connections, that of the session first. `server_version` is empty if the server does not tell.
    """

    def __init__(
        self, ensemble: Ensemble, endpoint: Endpoint, opened: Opened, server_version: str, heartbeat: Heartbeat
    ) -> None:
        self.timeout = opened.session_timeout
        """Seconds after which the server ends the session if no request arrives."""
        self.server_version = server_version
        self.loop = Loop([_channel(opened, ensemble)], heartbeat)
        self._ensemble = ensemble
        self._endpoint = endpoint

    def ask(self, kind: int, body: bytes) -> SingleAnswer:
        """Send one request, and wait for its answer.

        Events that come after the answer stay in `loop`. Before it there must be none, so watch nothing before.

        Raises:
            ConnectionBroken: the connection broke, or something else than the answer arrived.
        """
        request = Request(kind, [body])
        self.loop.send([request])
        while True:
            for item in self.loop.pump():
                if isinstance(item, Reply) and item.request is request:
                    return SingleAnswer(*item.answers[0])
                raise ConnectionBroken("something else arrived than the answer to a request")

    def read(self, path: bytes) -> DataReply | None:
        """Data and stat of one znode, None if it does not exist. Raises as `read_each` does."""
        return self.read_each([path])[0]

    def read_each(self, paths: Sequence[bytes]) -> list[DataReply | None]:
        """Data and stat of znodes at one zxid, None for those that do not exist. One request reads all of them.

        Raises:
            DecodeError: the answer is malformed.
            ZnodeUnreadable: this login cannot read one.
            ReadRefused: the server does not read one for another reason.
            ConnectionBroken: the connection broke.
        """
        answer = self.ask(protocol.MULTI_READ, protocol.multi_read(protocol.on_wire_each(paths)))
        if answer.error:
            raise ConnectionBroken(f"ZooKeeper's error {answer.error}")
        replies = protocol.read_replies(answer.body)
        if len(replies) != len(paths):
            raise DecodeError(f"{len(replies)} answers to {len(paths)} reads")
        return [_data_reply(path, reply) for path, reply in zip(paths, replies, strict=True)]

    def connections(self, number: int) -> int:
        """Open this many more sessions, or as many as the server accepts. Fewer are logged.

        Returns how many connections there are besides the first. They are number 1 and up in `loop`.
        """
        try:
            for _ in range(number):
                self.loop.add(_channel(open_session(self._ensemble, self._endpoint), self._ensemble))
        except (ConnectionBroken, AuthoritiesUnusable, CertificateUnusable) as error:  # files may just be replaced
            log.warning(
                "ZooKeeper accepted %d of %d sessions, so reading ACLs takes longer: %s",
                len(self.loop.channels),
                1 + number,
                error,
            )
        return len(self.loop.channels) - 1

    def close(self) -> None:
        """End all of its sessions."""
        self.loop.close()

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
        ensemble.tls.require_trust(addresses.servers(ensemble.servers))
    endpoint, opened = find(ensemble, heartbeat)
    version = four_letter.version(endpoint[1:], ensemble.tls.of_peer() if ensemble.tls else None)
    session = Session(ensemble, endpoint, opened, version, heartbeat)
    try:
        parsed = _parse_version(version)
        if parsed is not None and parsed < OLDEST:
            raise session.too_old()
        _require_admission(session, ensemble)
        yield session
    except ConnectionBroken as error:
        raise SessionLost(str(error)) from error
    except DecodeError as error:
        raise SessionLost(f"the server's answer cannot be decoded ({error})") from error
    finally:
        session.close()


def _channel(opened: Opened, ensemble: Ensemble) -> Channel:
    return Channel(opened.socket, opened.session_timeout, ensemble.limits)


def _data_reply(path: bytes, reply: protocol.Reply) -> DataReply | None:
    """The answer to one read, None for a znode that does not exist.

    Raises:
        ZnodeUnreadable: this login cannot read it.
        ReadRefused: the server does not read it for another reason.
    """
    if isinstance(reply, DataReply) or reply == Refusal(protocol.NO_NODE):
        return reply if isinstance(reply, DataReply) else None
    if reply == Refusal(protocol.NO_AUTH):
        raise ZnodeUnreadable(f"the login cannot read znode {printable(path)}", "READ on it")
    raise ReadRefused(printable(path), reply.code if isinstance(reply, Refusal) else 0)


def _require_admission(session: Session, ensemble: Ensemble) -> None:
    """Refuse a server that demands a login. It opens a session without one, and closes it after the first request."""
    answer = session.ask(protocol.GET_ACL, protocol.on_wire(b""))
    if answer.error == protocol.LOGIN_DEMANDED:
        raise login_demanded(ensemble.sasl)


def _parse_version(version: str) -> tuple[int, ...] | None:
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if len(parts) == 2 and all(part.isdigit() for part in parts) else None
