"""Captures of a fake server: malformed answers, and programming errors of the capture itself."""

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.acl_table import ZnodeAcl
from metadata_tool.zookeeper.capture.captured import captured
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.errors import SessionLost
from metadata_tool.zookeeper.jute import OPEN_ACL, buffer
from metadata_tool.zookeeper.limits import ReadLimits, RetryLimits
from metadata_tool.zookeeper.net.ensemble import Ensemble
from metadata_tool.zookeeper.protocol import GET_ACL, MULTI_READ
from metadata_tool.zookeeper.stat import SHARED, Stat
from support.trees import client_stat

STAT = client_stat(Stat(0, 0, 0, 0, 0, 0, 0, 0, 0), 0)
ROOT = struct.pack(">i?i", 4, False, 0) + buffer(b"") + STAT + struct.pack(">i?i", -1, True, -1)
ACCEPTED = struct.pack(">iiqi", 0, 15000, 1, 16) + bytes(16) + b"\0"


class Server:
    """Answers every multi-read with the same body, and counts sessions."""

    def __init__(self, multi_read: bytes) -> None:
        self._answers = {GET_ACL: OPEN_ACL + STAT, MULTI_READ: multi_read}
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.sessions = 0

    def serve(self) -> None:
        """Accept connections until the server is closed."""
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as received:
            (size,) = struct.unpack(">i", received.read(4))
            if size > 1000:
                return  # a four-letter word
            received.read(size)
            self.sessions += 1
            self._send(connection, ACCEPTED)
            while head := received.read(12):
                size, xid, kind = struct.unpack(">iii", head)
                received.read(size - 8)
                self._send(connection, struct.pack(">iqi", xid, 7, 0) + self._answers.get(kind, b""))

    def _send(self, connection: socket.socket, frame: bytes) -> None:
        connection.sendall(struct.pack(">i", len(frame)) + frame)

    def close(self) -> None:
        """Accept no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextmanager
def serving(multi_read: bytes) -> Iterator[Server]:
    """A server in a thread."""
    server = Server(multi_read)
    threading.Thread(target=server.serve, daemon=True).start()
    yield server
    server.close()


class Faulty:
    """A cache with a programming error in what is called for a reply."""

    empty = False

    def begin_level(self, _depth: int) -> None:
        """Nothing to do."""

    def acls(self, paths: Sequence[bytes]) -> list[ZnodeAcl]:
        """Every ACL is known."""
        return [ZnodeAcl(OPEN_ACL, STAT[SHARED], 0, 0) for _ in paths]

    def judge(self, _mistakes: int, _growth: int) -> None:
        """Fail."""
        raise ValueError("a fault of ours")

    def forget(self) -> None:
        """Nothing to do."""


def capture(server: Server, directory: Path, known: Faulty | None = None) -> None:
    """Take a capture."""
    source = Source(Ensemble(server.address), limits=ReadLimits(connections=0), retries=RetryLimits(pause=0))
    with captured(source, directory, Heartbeat(), cast("AclCache | None", known)):
        pass


def test_fault_of_ours(tmp_path: Path) -> None:
    """A programming error in a phase surfaces at once, as what it is: the server is not asked again."""
    with serving(ROOT) as server, pytest.raises(ValueError, match="a fault of ours"):
        capture(server, tmp_path, Faulty())
    expected = 1
    assert expected == server.sessions


def test_malformed_answers(tmp_path: Path) -> None:
    """A server whose answers cannot be decoded counts as broken: the capture starts again, four times in all."""
    with serving(b"nonsense") as server, pytest.raises(SessionLost, match="cannot be decoded"):
        capture(server, tmp_path)
    expected = 4
    assert expected == server.sessions
