"""A ZooKeeper session by kazoo, with the reads it does not offer: multi-read (3.6+), ACLs as the server sends them.

Replies are sliced, not parsed: a snapshot keeps the same bytes.
"""

import logging
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from kazoo import exceptions as kazoo_errors
from kazoo.client import KazooClient
from kazoo.hosts import collect_hosts

from metadata_tool.errors import (
    ZooKeeperLoginFailed,
    ZooKeeperSessionLost,
    ZooKeeperUnreachable,
    ZooKeeperUnsupported,
)
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.zookeeper.jute import INT, WIRE_STAT_SIZE, buffer, read_buffer, unpack_acls
from metadata_tool.zookeeper.tls import Tls
from metadata_tool.zookeeper.wire import AuthRefusedError, Wire, WireError

log = logging.getLogger(__name__)

OLDEST = (3, 6)
_SESSION_TIMEOUT = 15.0
"""Seconds; kazoo may take as long to let go of a server that hangs, and a stop has 20."""
_REPLY_TIMEOUT = 120.0
_WIRES = 2
"""So often is a batch tried by a session for ACLs. A server ends one that was idle for long, as behind large znodes."""
_POLL = 0.2
_SAY_EVERY = 10.0

_GET_DATA, _GET_ACL, _GET_CHILDREN, _MULTI_READ = 4, 6, 8, 22
_ERROR, _END = -1, b"\xff\xff\xff\xff\x01\xff\xff\xff\xff"
_OP = struct.Struct(">i?i")
_ZXID = struct.Struct(">4xq")


@dataclass(frozen=True)
class Login:
    """A scheme such as `digest`, and its credential, kept out of every message."""

    scheme: str
    credential: str = field(repr=False)


class Refusal(NamedTuple):
    """ZooKeeper's error code for one read, such as -101 (no such znode)."""

    code: int


class DataReply(NamedTuple):
    """getData: data (null or bytes) and the client's 68 bytes of stat."""

    data: bytes | None
    stat: bytes


class AclReply(NamedTuple):
    """getACL: the encoded ACL as a snapshot's cache keeps it, and the stat it belongs to."""

    acl: bytes
    stat: bytes


@dataclass(frozen=True, slots=True)
class GetData:
    """A read of data and stat."""

    path: bytes
    type: ClassVar[int] = _GET_DATA


@dataclass(frozen=True, slots=True)
class GetChildren:
    """A read of the children's names."""

    path: bytes
    type: ClassVar[int] = _GET_CHILDREN


Reply = DataReply | list[bytes] | Refusal

NO_NODE = -101
NO_AUTH = -102


@dataclass(frozen=True)
class _MultiReadRequest:
    """A kazoo request: several reads, answered at one instant (MultiOperationRecord, MultiResponse)."""

    reads: Sequence[GetData | GetChildren]
    type: ClassVar[int] = _MULTI_READ

    def serialize(self) -> bytes:
        reads = (_OP.pack(read.type, False, -1) + buffer(read.path) + b"\0" for read in self.reads)
        return b"".join(reads) + _END

    @staticmethod
    def deserialize(source: bytes, offset: int) -> tuple[int, list[Reply]]:
        replies: list[Reply] = []
        while True:
            kind, done, _ = _OP.unpack_from(source, offset)
            offset += _OP.size
            if done:
                return _ZXID.unpack_from(source)[0], replies
            if kind == _ERROR:
                replies.append(Refusal(INT.unpack_from(source, offset)[0]))
                offset += 4
            elif kind == _GET_DATA:
                data, offset = read_buffer(source, offset)
                replies.append(DataReply(data, source[offset : offset + WIRE_STAT_SIZE]))
                offset += WIRE_STAT_SIZE
            elif kind == _GET_CHILDREN:
                names, offset = _read_names(source, offset)
                replies.append(names)
            else:
                raise ValueError(f"a multi-read was answered with the unknown type {kind}")


@dataclass(frozen=True)
class _GetAclRequest:
    """A kazoo request: the ACL of one znode."""

    path: bytes
    type: ClassVar[int] = _GET_ACL

    def serialize(self) -> bytes:
        return buffer(self.path)

    @staticmethod
    def deserialize(source: bytes, offset: int) -> tuple[int, AclReply]:
        _, end = unpack_acls(source, offset)
        return _ZXID.unpack_from(source)[0], AclReply(source[offset:end], source[end : end + WIRE_STAT_SIZE])


def _read_names(source: bytes, offset: int) -> tuple[list[bytes], int]:
    (count,) = INT.unpack_from(source, offset)
    offset += 4
    names = []
    for _ in range(count):
        name, offset = read_buffer(source, offset)
        names.append(name or b"")
    return names, offset


class Session:
    """Reads of one ZooKeeper session. `zxid` is the newest that any reply showed."""

    def __init__(
        self,
        client: KazooClient,
        server_version: str,
        checkpoint: Checkpoint,
        open_wire: Callable[[], Wire | None],
    ) -> None:
        """A wire is opened for ACLs, and again if it is lost; where there is none they are read by kazoo, slowly."""
        self._client = client
        self._checkpoint = checkpoint
        self._open_wire: Callable[[], Wire | None] | None = open_wire
        self._wire: Wire | None = None
        self.server_version = server_version
        self.zxid = 0

    def sync(self) -> None:
        """Wait until this server has caught up with its leader."""
        self._result(self._client.sync_async("/"))
        self.zxid = max(self.zxid, self._client.last_zxid)

    def multi_read(self, reads: Sequence[GetData | GetChildren]) -> list[Reply]:
        """All these reads at one instant, in their order.

        Raises:
            ZooKeeperSessionLost: the connection broke.
            ZooKeeperUnsupported: the server knows no multi-read.
        """
        zxid, replies = self._result(self._send(_MultiReadRequest(reads)))
        self.zxid = max(self.zxid, zxid)
        return list(replies)

    def acls(self, paths: Sequence[bytes]) -> list[AclReply | Refusal]:
        """The ACLs of these znodes, pipelined: each at its own instant. Raises as `multi_read` does."""
        for _ in range(_WIRES):
            if self._wire is None and self._open_wire is not None:
                self._wire = self._open_wire()
            if self._wire is None:
                break
            try:
                return self._acls_by_wire(self._wire, paths)
            except (WireError, OSError) as error:
                log.warning("the session for ACLs was lost (%s)", error)
                self.close_wire()
        self._open_wire = None
        return self._acls_by_kazoo(paths)

    def close_wire(self) -> None:
        """End what was opened for ACLs."""
        if self._wire:
            self._wire.close()
            self._wire = None

    def _acls_by_wire(self, wire: Wire, paths: Sequence[bytes]) -> list[AclReply | Refusal]:
        replies = wire.acls(paths)
        self.zxid = max(self.zxid, wire.zxid)
        return [Refusal(error) if error else AclReply(acl, stat) for error, acl, stat in replies]

    def _acls_by_kazoo(self, paths: Sequence[bytes]) -> list[AclReply | Refusal]:
        pending = [self._send(_GetAclRequest(path)) for path in paths]
        replies: list[AclReply | Refusal] = []
        for result in pending:
            try:
                zxid, reply = self._result(result)
            except kazoo_errors.ZookeeperError as error:
                replies.append(Refusal(error.code))
            else:
                self.zxid = max(self.zxid, zxid)
                replies.append(reply)
        return replies

    def _send(self, request: _MultiReadRequest | _GetAclRequest) -> Any:
        result = self._client.handler.async_result()
        self._client._call(request, result)  # noqa: SLF001  # kazoo's own requests go this way
        return result

    def _result(self, result: Any) -> Any:
        deadline = time.monotonic() + _REPLY_TIMEOUT
        try:
            while not result.ready() and time.monotonic() < deadline:
                result.wait(_POLL)
                if not result.ready():
                    self._checkpoint()
            return result.get(block=False)
        except (kazoo_errors.NoNodeError, kazoo_errors.NoAuthError):
            raise
        except kazoo_errors.AuthFailedError as error:
            raise _login_failed() from error
        except kazoo_errors.UnimplementedError as error:
            raise _unsupported(self.server_version) from error
        except self._client.handler.timeout_exception as error:
            raise ZooKeeperSessionLost(f"ZooKeeper sent no reply for {_REPLY_TIMEOUT:.0f} s", _AGAIN) from error
        except (ValueError, struct.error) as error:
            raise ZooKeeperSessionLost(f"ZooKeeper sent a reply that cannot be read ({error})", _AGAIN) from error
        except (kazoo_errors.KazooException, OSError) as error:
            what = type(error).__name__
            raise ZooKeeperSessionLost(f"the ZooKeeper session was lost while reading ({what})", _AGAIN) from error


_AGAIN = "nothing was uploaded; check the ensemble's health, the next backup starts afresh"


@contextmanager
def connect(
    servers: str, login: Login | None, patience: float, checkpoint: Checkpoint, tls: Tls | None = None
) -> Iterator[Session]:
    """A session with one of these servers (`host:port,…`), closed at the end.

    Says every few seconds that it is still trying, for `patience` seconds at most.

    Raises:
        ZooKeeperUnreachable: no server took the session in that time.
        ZooKeeperUnsupported: the server is older than 3.6.
        ZooKeeperLoginFailed: the server refused the login.
        ZooKeeperUntrusted: TLS failed.
    """
    if tls:
        tls.require_trust(collect_hosts(servers)[0])
    client = KazooClient(
        hosts=servers,
        timeout=_SESSION_TIMEOUT,
        auth_data=[(login.scheme, login.credential)] if login else None,
        connection_retry={"max_tries": -1, "delay": 0.2, "backoff": 2, "max_delay": 2},
        **_secure(tls),
    )
    connected = client.start_async()
    try:
        _wait(connected, servers, patience, checkpoint)
        version = _server_version(client, tls)
        parsed = _parse_version(version)
        if parsed is not None and parsed < OLDEST:
            raise _unsupported(version)
        opened = Session(client, version, checkpoint, lambda: _open_wire(client, login, tls, checkpoint))
        try:
            yield opened
        finally:
            opened.close_wire()
    finally:
        with suppress(kazoo_errors.KazooException):  # a server that hangs; only reads were asked of it
            client.stop()
            client.close()


def _open_wire(client: KazooClient, login: Login | None, tls: Tls | None, checkpoint: Checkpoint) -> Wire | None:
    """A second session with the same server, for ACLs; None where it gives none."""
    try:
        connection = client._connection._socket  # noqa: SLF001
        host, port, *_ = connection.getpeername()
        credential = (login.scheme, login.credential) if login else None
        secured = (tls.of_peer(), connection.getpeercert(binary_form=True)) if tls else None
        return Wire((host, port), credential, secured, client.last_zxid, checkpoint)
    except AuthRefusedError as error:
        raise _login_failed() from error
    except (WireError, OSError, AttributeError) as error:
        log.warning("ZooKeeper gives no second session (%s): ACLs are read by the first, which is slow", error)
        return None


def _secure(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    files = {"ca": tls.ca or None, "certfile": tls.cert or None, "keyfile": tls.key or None}
    return {"use_ssl": True, "check_hostname": tls.check_hostname, "keyfile_password": tls.key_password, **files}


def _wait(connected: threading.Event, servers: str, patience: float, checkpoint: Checkpoint) -> None:
    begin = said = time.monotonic()
    while not connected.wait(_POLL):
        checkpoint()
        now = time.monotonic()
        if now - begin > patience:
            raise ZooKeeperUnreachable(
                f"no ZooKeeper server answered at {servers} within {patience:.0f} s",
                "check ZOOKEEPER_SERVERS, name resolution, and that the ensemble has a quorum",
            )
        if now - said > _SAY_EVERY:
            log.warning("ZooKeeper is not reachable at %s, still trying (%.0f s)", servers, now - begin)
            said = now


def _server_version(client: KazooClient, tls: Tls | None) -> str:
    """What `srvr` says, or nothing where four-letter words are not allowed."""
    try:
        if tls:  # kazoo's own takes the port for the host's name
            host, port, *_ = client._connection._socket.getpeername()  # noqa: SLF001
            answer = tls.command(host, port, b"srvr")
        else:
            answer = str(client.command(b"srvr"))
    except (kazoo_errors.KazooException, OSError, client.handler.timeout_exception):
        return ""
    _, found, rest = answer.partition("Zookeeper version: ")
    version = rest.partition(",")[0].partition("-")[0].strip()
    return version if found and version.isprintable() else ""


def _parse_version(version: str) -> tuple[int, ...] | None:
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if len(parts) == 2 and all(part.isdigit() for part in parts) else None


def _unsupported(version: str) -> ZooKeeperUnsupported:
    return ZooKeeperUnsupported(
        f"ZooKeeper {version or 'of an unknown version'} cannot read many znodes at once",
        "3.6 and later are supported, upgrade the ensemble",
    )


def _login_failed() -> ZooKeeperLoginFailed:
    return ZooKeeperLoginFailed("ZooKeeper refused the login", "check ZOOKEEPER_AUTH")
