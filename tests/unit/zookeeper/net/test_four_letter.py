"""Four-letter commands to fake servers. The integration tests ask real ones."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.net import four_letter

Address = tuple[str, int]


@contextmanager
def saying(*pieces: bytes) -> Iterator[Address]:
    """A server that answers one command with these pieces, one after the other, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                assert 4 == len(connection.recv(4, socket.MSG_WAITALL))
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(0.01)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[:2]
        thread.join()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (
            [b"Zookeeper version: 3.9.3-c26634f34490bb0ea7a09cc51e05ede3b4e320ee, built on 2024\nMode: leader\n"],
            "3.9.3",
        ),
        ([b"Zookeeper ver", b"sion: 3.6.4--d65253d, built on 2022\n"], "3.6.4"),
        ([b"Zookeeper version: 3.9.3\x1b[31m, built\n"], ""),
        ([b"srvr is not executed because it is not in the whitelist.\n"], ""),
        ([b"\xff\xfe"], ""),
        ([], ""),
    ],
)
def test_version(pieces: list[bytes], expected: str) -> None:
    """The version is read from an answer in any number of pieces. It is empty if the answer does not have it."""
    with saying(*pieces) as address:
        assert expected == four_letter.version(address)


def test_connection_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version does not wait for the end of the connection, which a proxy may keep open."""
    monkeypatch.setattr(limits, "COMMAND_TIMEOUT", 1000.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended: list[bytes] = []

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4, socket.MSG_WAITALL)
                connection.sendall(b"Zookeeper version: 3.9.3-c2, built on 2024\nMode: leader\n")
                ended.append(connection.recv(1))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert "3.9.3" == four_letter.version(listening.getsockname()[:2])
        thread.join()
        assert [b""] == ended


@pytest.mark.parametrize(
    ("said", "expected"), [(b"ro", True), (b"ro\n", True), (b"rw", False), (b"isro is not", False)]
)
def test_read_only(said: bytes, *, expected: bool) -> None:
    """Only a clear answer counts."""
    with saying(said) as address:
        assert expected == four_letter.is_read_only(address)


def test_nobody_there() -> None:
    """A server that does not run has no version, and is not read-only."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
    assert ("", False) == (four_letter.version(address), four_letter.is_read_only(address))


def test_silence() -> None:
    """An answer that does not end is not waited for without end. What has arrived counts."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.1)
        with pytest.raises(TimeoutError):
            four_letter.answer(ours, four_letter.STATUS, 0.1)
        theirs.sendall(b"begun")
        assert "begun" == four_letter.answer(ours, four_letter.STATUS, 0.1)


def test_endless_answer() -> None:
    """An answer is read up to a limit."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        sent = 0
        with suppress(BlockingIOError):
            while True:
                sent += theirs.send(b"x" * 1000)
        assert limits.COMMAND_ANSWER <= len(four_letter.answer(ours, four_letter.STATUS, 10)) < sent
