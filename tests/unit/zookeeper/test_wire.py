"""A session of its own for ACLs, against servers that no ZooKeeper is."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from metadata_tool.errors import Stopped
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.zookeeper import wire as module
from metadata_tool.zookeeper.wire import AuthRefusedError, Wire, WireError

ACL = struct.pack(">ii5s", 1, 31, b"") + b"world"
STAT = bytes(68)
SESSION = struct.pack(">iiqi16s?", 0, 40_000, 7, 16, bytes(16), False)


def frame(content: bytes) -> bytes:
    """As it goes over the wire."""
    return struct.pack(">i", len(content)) + content


def reply(xid: int, body: bytes, error: int = 0, zxid: int = 5) -> bytes:
    """A reply to a request."""
    return frame(struct.pack(">iqi", xid, zxid, error) + body)


@contextmanager
def server(*answers: bytes, pause: threading.Event | None = None) -> Iterator[tuple[str, int]]:
    """Answers each request in turn, whatever it is, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                for answer in answers:
                    connection.recv(65536)
                    connection.sendall(answer)
                if pause:
                    pause.wait(30)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()
        if pause:
            pause.set()
        thread.join(30)


def wire(address: tuple[str, int], login: tuple[str, str] | None = None, checkpoint: Checkpoint | None = None) -> Wire:
    """A session with it."""
    return Wire(address, login, None, 0, checkpoint or Checkpoint())


def test_acls() -> None:
    """Replies come in order, however they are cut into packets; the newest zxid is known, errors are told apart."""
    answer = reply(1, ACL + STAT, zxid=9) + reply(2, b"", error=-101) + reply(3, ACL + STAT, zxid=4)
    with server(frame(SESSION), answer) as address:
        opened = wire(address)
        expected = [(0, ACL, STAT), (-101, b"", b""), (0, ACL, STAT)]
        assert expected == opened.acls([b"/a", b"/b", b"/c"])
        assert 9 == opened.zxid
        opened.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(2, ACL + STAT), "reply 2 came where 1 was due"),
        (reply(1, b"short"), "an ACL is cut off"),
        (frame(b"short"), "a reply is cut off"),
        (struct.pack(">i", 1 << 30), "claims 1073741824 bytes"),
        (struct.pack(">i", -1), "claims -1 bytes"),
        (reply(1, ACL + STAT)[:-1], "closed the connection"),
        (b"", "closed the connection"),
    ],
)
def test_what_is_no_protocol(answer: bytes, said: str) -> None:
    """Anything else than the reply that is due ends it, with what it was."""
    with server(frame(SESSION), answer) as address:
        opened = wire(address)
        with pytest.raises(WireError, match=said):
            opened.acls([b"/a"])
        opened.close()


@pytest.mark.parametrize("answer", [frame(struct.pack(">iiqi16s?", 0, 0, 0, 16, bytes(16), False)), frame(b""), b""])
def test_no_session(answer: bytes) -> None:
    """A server that gives no session is an error at once."""
    with server(answer) as address, pytest.raises(WireError):
        wire(address)


def test_login() -> None:
    """A login that is refused is told apart."""
    with server(frame(SESSION), reply(-4, b"", error=-115)) as address, pytest.raises(AuthRefusedError):
        wire(address, ("digest", "user:secret"))


def test_trickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that never gets whole is not waited for without end."""
    monkeypatch.setattr(module, "_REPLY_TIMEOUT", 0.5)
    with server(frame(SESSION), b"\0", pause=threading.Event()) as address:
        opened = wire(address)
        with pytest.raises(WireError, match="no whole reply came"):
            opened.acls([b"/a"])
        opened.close()


def test_stop() -> None:
    """A stop takes effect while a reply is waited for."""
    checkpoint, pause = Checkpoint(), threading.Event()
    with server(frame(SESSION), pause=pause) as address:
        opened = wire(address, checkpoint=checkpoint)
        threading.Timer(0.3, checkpoint.stop).start()
        with pytest.raises(Stopped):
            opened.acls([b"/a"])
        opened.close()
