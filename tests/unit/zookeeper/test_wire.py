"""A connection to a fake server."""

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from metadata_tool.errors import Stopped
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper.errors import DecodeError
from metadata_tool.zookeeper.limits import ConnectionLimits
from metadata_tool.zookeeper.protocol import THROTTLED
from metadata_tool.zookeeper.wire import Requests, Wire, WireError, Wires

GET_ACL = 6


def frame(content: bytes) -> bytes:
    """As it goes over the wire."""
    return struct.pack(">i", len(content)) + content


def reply(xid: int, body: bytes, error: int = 0, zxid: int = 5) -> bytes:
    """A reply to a request."""
    return frame(struct.pack(">iqi", xid, zxid, error) + body)


def event(kind: int, path: bytes, zxid: int) -> bytes:
    """An event."""
    return reply(-1, struct.pack(">iii", kind, 3, len(path)) + path, zxid=zxid)


@pytest.fixture
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Wire, socket.socket]]:
    """The program's connection, and the server's socket. A test may pass limits."""
    ours, theirs = socket.socketpair()
    wire = Wire(ours, 15.0, getattr(request, "param", ConnectionLimits()))
    yield wire, theirs
    wire.close()
    theirs.close()


def test_order(ends: tuple[Wire, socket.socket]) -> None:
    """Replies and events come in the order in which they were sent, however they are cut into packets."""
    wire, theirs = ends
    seen: list[object] = []
    wire.on_event = lambda *event: seen.append(event)
    wire.ask(GET_ACL, [b"one"], seen.extend)
    wire.ask(GET_ACL, [b"two", b"three"], seen.extend)
    wires = Wires([wire], Heartbeat())
    sent = b"".join(frame(struct.pack(">ii", xid, 6) + body) for xid, body in enumerate((b"one", b"two", b"three"), 1))
    assert sent == pumped(wires, theirs)
    answers = reply(1, b"first", zxid=7) + event(3, b"/a", 8) + reply(-2, b"") + reply(2, b"", -101, 8)
    answers += event(1, b"/", 9) + reply(3, b"last", zxid=9)
    for at in range(len(answers)):
        theirs.sendall(answers[at : at + 1])
        wires.pump()
    assert [(7, 0, b"first"), (3, b"/a", 8), (1, b"", 9), (8, -101, b""), (9, 0, b"last")] == seen


def test_together() -> None:
    """Requests that are queued while answers are read are sent in one piece."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wire = Wire(ours, 15.0)
    wires = Wires([wire], Heartbeat())

    def ask(body: bytes) -> None:
        wire.ask(GET_ACL, [body], lambda _: ask(body + b" more"))

    ask(b"one")
    ask(b"two")
    first = pumped(wires, theirs)
    theirs.sendall(reply(1, b"") + reply(2, b""))
    wires.pump()
    second = pumped(wires, theirs)
    expected = [frame(struct.pack(">ii", xid, 6) + body) for xid, body in enumerate((b"one", b"two"), 1)]
    again = [frame(struct.pack(">ii", xid, 6) + body) for xid, body in enumerate((b"one more", b"two more"), 3)]
    assert [b"".join(expected), b"".join(again)] == [first, second]
    wire.close()
    theirs.close()


def pumped(wires: Wires, theirs: socket.socket) -> bytes:
    """The next bytes that the program sends."""
    while not select.select([theirs], [], [], 0)[0]:
        wires.pump()
    return theirs.recv(100)


def test_throttled(ends: tuple[Wire, socket.socket]) -> None:
    """Only throttled requests are sent again. The answers come in the order of the requests."""
    wire, theirs = ends
    seen: list[object] = []
    Requests(wire, GET_ACL, [b"one", b"two", b"three"], seen.extend)
    wires = Wires([wire], Heartbeat())
    pumped(wires, theirs)
    theirs.sendall(reply(1, b"", THROTTLED) + reply(2, b"second") + reply(3, b"", THROTTLED))
    asked = pumped(wires, theirs)
    assert frame(struct.pack(">ii", 4, 6) + b"one") + frame(struct.pack(">ii", 5, 6) + b"three") == asked
    theirs.sendall(reply(4, b"first") + reply(5, b"third"))
    wires.pump()
    assert [(5, 0, b"first"), (5, 0, b"second"), (5, 0, b"third")] == seen


@pytest.mark.parametrize("ends", [ConnectionLimits(throttled_tries=4)], indirect=True)
def test_throttled_for_ever(ends: tuple[Wire, socket.socket]) -> None:
    """A request that is always throttled is an error after several tries."""
    wire, theirs = ends
    wires = Wires([wire], Heartbeat())
    Requests(wire, GET_ACL, [b"one"], lambda _: None)
    for xid in (1, 2, 3):
        assert frame(struct.pack(">ii", xid, 6) + b"one") == pumped(wires, theirs)
        theirs.sendall(reply(xid, b"", THROTTLED))
    pumped(wires, theirs)
    theirs.sendall(reply(4, b"", THROTTLED))
    with pytest.raises(WireError, match="throttles"):
        wires.until(lambda: False)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(2, b""), "reply 2 arrived instead of reply 1"),
        (frame(b"short") + bytes(16), "claims 5 bytes"),
        (struct.pack(">i", 1 << 30) + bytes(16), "claims 1073741824 bytes"),
        (struct.pack(">i", -1) + bytes(16), "claims -1 bytes"),
        (event(-1, b"", 0), "ended the session"),
    ],
)
def test_what_is_no_protocol(ends: tuple[Wire, socket.socket], answer: bytes, said: str) -> None:
    """Anything else than the expected reply is an error that names it."""
    wire, theirs = ends
    wire.ask(GET_ACL, [b""], lambda *_: None)
    theirs.sendall(answer)
    with pytest.raises(WireError, match=said):
        Wires([wire], Heartbeat()).until(lambda: False)


def test_malformed_event(ends: tuple[Wire, socket.socket]) -> None:
    """An event that ends too early cannot be decoded."""
    wire, theirs = ends
    theirs.sendall(reply(-1, b"short"))
    with pytest.raises(DecodeError, match="an event ends too early"):
        Wires([wire], Heartbeat()).until(lambda: False)


def test_fault_in_a_callback(ends: tuple[Wire, socket.socket]) -> None:
    """An error that a consumer's callback raises surfaces unchanged, and at once."""
    wire, theirs = ends
    error = ValueError("a fault of ours")

    def fail(_: object) -> None:
        raise error

    wire.ask(GET_ACL, [b""], fail)
    wires = Wires([wire], Heartbeat())
    pumped(wires, theirs)
    theirs.sendall(reply(1, b""))
    with pytest.raises(ValueError, match="a fault of ours") as raised:
        wires.until(lambda: False)
    assert error is raised.value


def test_hung_up(ends: tuple[Wire, socket.socket]) -> None:
    """A server that closes the connection is an error, even in the middle of a reply."""
    wire, theirs = ends
    wire.ask(GET_ACL, [b""], lambda *_: None)
    theirs.sendall(reply(1, b"whole")[:-1])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(WireError, match="closed the connection"):
        Wires([wire], Heartbeat()).until(lambda: False)


@pytest.mark.parametrize("ends", [ConnectionLimits(reply_timeout=0.3)], indirect=True)
def test_silence(ends: tuple[Wire, socket.socket]) -> None:
    """A reply that never comes is not waited for without end."""
    wire, _ = ends
    wire.ask(GET_ACL, [b""], lambda *_: None)
    with pytest.raises(WireError, match="no reply came"):
        Wires([wire], Heartbeat()).until(lambda: False)


def test_ping() -> None:
    """An idle session sends a ping when it is due."""
    ours, theirs = socket.socketpair()
    wire = Wire(ours, 0.3)
    Wires([wire], Heartbeat()).pump()
    assert frame(struct.pack(">ii", -2, 11)) == theirs.recv(12)
    wire.close()
    theirs.close()


def test_close(ends: tuple[Wire, socket.socket]) -> None:
    """Closing sends the queued requests and then the end of the session."""
    wire, theirs = ends
    wire.ask(GET_ACL, [b"one"], lambda _: None)
    wire.close()
    assert frame(struct.pack(">ii", 1, 6) + b"one") + frame(struct.pack(">ii", 2, -11)) == theirs.recv(100)


def test_asked_before_the_rest(ends: tuple[Wire, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """Queued requests are sent before the pause, so that the server works meanwhile."""
    wire, theirs = ends
    wire.ask(GET_ACL, [b"one"], lambda _: None)
    seen: list[bytes] = []
    monkeypatch.setattr(time, "sleep", lambda _: seen.append(theirs.recv(100)))
    Wires([wire], Heartbeat()).pump(rest=0.1)
    assert [frame(struct.pack(">ii", 1, 6) + b"one")] == seen


def test_large_requests(ends: tuple[Wire, socket.socket]) -> None:
    """A request that is larger than the socket's buffer is sent in pieces, while replies are read."""
    wire, theirs = ends
    body, received = bytes(4 << 20), bytearray()

    def take() -> None:
        while len(received) < len(body) + 12:
            received.extend(theirs.recv(1 << 16))
        theirs.sendall(reply(1, b"thanks"))

    thread = threading.Thread(target=take)
    thread.start()
    seen: list[object] = []
    wire.ask(GET_ACL, [body], seen.extend)
    Wires([wire], Heartbeat()).until(lambda: bool(seen))
    thread.join()
    assert ([(5, 0, b"thanks")], frame(struct.pack(">ii", 1, 6) + body)) == (seen, bytes(received))


def test_stop(ends: tuple[Wire, socket.socket]) -> None:
    """A stop takes effect while a reply is waited for."""
    wire, _ = ends
    heartbeat = Heartbeat()
    threading.Timer(0.3, heartbeat.stop).start()
    with pytest.raises(Stopped):
        Wires([wire], heartbeat).until(lambda: False)
