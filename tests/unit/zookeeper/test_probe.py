"""Which members run, and where their data is from, with malformed answers, too."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from metadata_tool.zookeeper.probe import Member, Origin, look, origin
from support.processes import free_port

NOTHING = Origin("", "")


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of a server that sends one answer to everybody and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(30)


@pytest.mark.parametrize(
    ("answer", "serves"),
    [
        (b"Zookeeper version: 3.9.5\nMode: leader\nNode count: 5\n", True),
        (b"srvr is not executed because it is not in the whitelist.\n", True),
        (b"This ZooKeeper instance is not currently serving requests\n", False),
        (b"", False),
        (b"\xff\0 whatever", False),
    ],
)
def test_look(answer: bytes, *, serves: bool) -> None:
    """A server that answers runs. It serves if it is part of a quorum, or refuses to answer."""
    with answering(answer) as port:
        assert [Member(f"127.0.0.1:{port}", serves)] == look(f"127.0.0.1:{port}")


def test_nobody_runs() -> None:
    """A server that refuses connections or has no name does not run."""
    assert [] == look(f"127.0.0.1:{free_port()},no-such-host.invalid:2181")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"metadata-backup.restored": "abc", "java.version": "21"}', Origin("abc", "")),
        (
            b'{"metadata-backup.restored": "abc", "metadata-backup.restore-point": "s3a://b/p-1.tar.gz"}',
            Origin("abc", "s3a://b/p-1.tar.gz"),
        ),
        (b'{"metadata-backup.restored": "abc", "metadata-backup.has-run": "true"}', Origin("abc", "", has_run=True)),
        (b'{"java.version": "21"}', NOTHING),
        (b"[1]", NOTHING),
        (b"no JSON", NOTHING),
        (b"\xff", NOTHING),
        (b"[" * 100_000, NOTHING),
    ],
)
def test_origin(body: bytes, expected: Origin) -> None:
    """The properties are read if the answer has them. Any other answer counts as none."""
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as port:
        assert expected == origin("127.0.0.1:2181", port)


def test_no_admin_server() -> None:
    """Without an answer there are no properties."""
    assert NOTHING == origin("127.0.0.1:2181", free_port())
