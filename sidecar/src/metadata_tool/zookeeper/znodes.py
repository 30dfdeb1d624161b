"""Reads single znodes as they are now, and writes them. A capture and a restore write nothing to a server."""

from collections.abc import Sequence
from typing import NamedTuple

from metadata_tool.zookeeper import protocol, stat
from metadata_tool.zookeeper.errors import ConnectionBroken, DecodeError, WriteRefused, ZnodeUnreadable
from metadata_tool.zookeeper.jute import INT
from metadata_tool.zookeeper.net.session import Session
from metadata_tool.zookeeper.protocol import Refusal
from metadata_tool.zookeeper.snapshot import printable


class Znode(NamedTuple):
    """A znode's data, and how often it was set."""

    data: bytes
    version: int


class Write(NamedTuple):
    """New data of a znode, if it still has this version."""

    path: bytes
    data: bytes
    version: int


def synchronise(session: Session) -> None:
    """Let the server catch up with its leader, so that reads after this see everything that was written before it.

    Raises:
        ConnectionBroken: it does not.
    """
    answer = session.ask(protocol.SYNC, protocol.on_wire(b""))
    if answer.error:
        raise ConnectionBroken(f"ZooKeeper's error {answer.error}")


def read(session: Session, path: bytes) -> Znode | None:
    """A znode, None if it does not exist. Raises as `Session.read_each` does."""
    reply = session.read(path)
    return Znode(reply.data[INT.size :], stat.data_version(reply.stat)) if reply else None


def children(session: Session, path: bytes) -> list[bytes]:
    """The names of a znode's children, none if it does not exist.

    Raises:
        DecodeError: the answer is malformed.
        ZnodeUnreadable: this login cannot read it.
        ConnectionBroken: the connection broke.
    """
    answer = session.ask(protocol.MULTI_READ, protocol.multi_read([], [protocol.on_wire(path)]))
    if answer.error:
        raise ConnectionBroken(f"ZooKeeper's error {answer.error}")
    match protocol.read_replies(answer.body):
        case [list() as names]:
            return names
        case [Refusal(protocol.NO_NODE)]:
            return []
        case [Refusal(protocol.NO_AUTH)]:
            raise ZnodeUnreadable(f"the login cannot read znode {printable(path)}", "READ on it")
    raise DecodeError("the answer to a read of children is malformed")


def create_ephemeral(session: Session, path: bytes, data: bytes) -> bool:
    """Create a znode that ends with the session. False if there is one already.

    Raises:
        WriteRefused: the server does not allow it.
        ConnectionBroken: the connection broke.
    """
    answer = session.ask(protocol.CREATE, protocol.create_ephemeral(path, data))
    if answer.error == protocol.NODE_EXISTS:
        return False
    _require_written(path, answer.error)
    return True


def set_data(session: Session, path: bytes, data: bytes, version: int) -> bool:
    """Set a znode's data. False if it no longer has this version, or is gone. Raises as `create_ephemeral` does."""
    answer = session.ask(protocol.SET_DATA, protocol.set_data(path, data, version))
    if answer.error in (protocol.BAD_VERSION, protocol.NO_NODE):
        return False
    _require_written(path, answer.error)
    return True


def set_all(session: Session, writes: Sequence[Write]) -> bool:
    """Set the data of several znodes at once, if all still have their versions. Else none is set. Raises as `set_data`.

    Raises:
        DecodeError: the answer is malformed.
    """
    requests = [protocol.set_data(write.path, write.data, write.version) for write in writes]
    answer = session.ask(protocol.MULTI, protocol.multi(requests))
    if answer.error:
        _require_written(writes[0].path, answer.error)
    errors = protocol.multi_errors(answer.body)
    if protocol.NO_AUTH in errors:
        _require_written(writes[errors.index(protocol.NO_AUTH)].path, protocol.NO_AUTH)
    return not any(errors)


def _require_written(path: bytes, error: int) -> None:
    if error:
        denied = error == protocol.NO_AUTH
        raise WriteRefused(
            printable(path), "because this login lacks the permission" if denied else f"ZooKeeper error {error}"
        )
