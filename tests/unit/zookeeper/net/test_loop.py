"""Connections to fake servers, over pairs of sockets."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from metadata_tool.errors import Stopped
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import ConnectionBroken, DecodeError
from metadata_tool.zookeeper.limits import ConnectionLimits
from metadata_tool.zookeeper.net.loop import Channel, Loop
from metadata_tool.zookeeper.net.messages import Event, Reply, Request
from metadata_tool.zookeeper.protocol import GET_ACL, THROTTLED
from support.certificates import Authority
from support.frames import event, pong, reply, request

Ends = tuple[Loop, socket.socket]
Item = Reply | Event


@pytest.fixture
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """A loop over one connection, and the server's socket. A test may pass limits."""
    ours, theirs = socket.socketpair()
    loop = Loop([Channel(ours, 15.0, getattr(request, "param", ConnectionLimits()))], Heartbeat())
    with closing(loop), theirs:
        yield loop, theirs


@dataclass
class Clock:
    """The time, as the program sees it."""

    now: float = 1000.0

    def __call__(self) -> float:
        """As `time.monotonic`."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time passes only if a test says so, and a pump does not wait for data."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(limits, "POLL_MS", 0)
    return clock


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pump waits without end for data, or for room."""
    monkeypatch.setattr(limits, "POLL_MS", 10**7)


def pumped(loop: Loop, theirs: socket.socket) -> bytes:
    """The next bytes that the program sends."""
    loop.write()
    while not select.select([theirs], [], [], 0)[0]:
        assert [] == list(loop.pump())
    return theirs.recv(100)


def until(loop: Loop, number: int) -> list[Item]:
    """So many items."""
    items: list[Item] = []
    while len(items) < number:
        items += loop.pump()
    return items


def test_order(ends: Ends) -> None:
    """Replies and events come in the order in which they were sent, however they are cut into packets."""
    loop, theirs = ends
    first, second = Request(GET_ACL, [b"one"]), Request(GET_ACL, [b"two", b"three"])
    loop.send([first, second])
    expected = request(1, GET_ACL, b"one") + request(2, GET_ACL, b"two") + request(3, GET_ACL, b"three")
    assert expected == pumped(loop, theirs)
    answers = reply(1, b"first", zxid=7) + event(3, b"/a", 8) + pong() + reply(2, b"", -101, 8)
    answers += event(1, b"/", 9) + reply(3, b"last", zxid=9)
    seen: list[Item] = []
    for at in range(len(answers)):
        theirs.sendall(answers[at : at + 1])
        seen += loop.pump()
    in_order = [
        Reply(first, [(7, 0, b"first")]),
        Event(3, b"/a", 8),
        Event(1, b"", 9),
        Reply(second, [(8, -101, b""), (9, 0, b"last")]),
    ]
    assert in_order == seen


def test_together() -> None:
    """Requests that are queued while answers are read are sent in one piece."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(Loop([Channel(ours, 15.0, ConnectionLimits())], Heartbeat())) as loop, theirs:
        loop.send([Request(GET_ACL, [b"one"]), Request(GET_ACL, [b"two"])])
        first = pumped(loop, theirs)
        theirs.sendall(reply(1) + reply(2))
        for item in loop.pump():
            assert isinstance(item, Reply)
            loop.send([Request(GET_ACL, [item.request.bodies[0] + b" more"])])
        second = pumped(loop, theirs)
    expected = request(1, GET_ACL, b"one") + request(2, GET_ACL, b"two")
    again = request(3, GET_ACL, b"one more") + request(4, GET_ACL, b"two more")
    assert [expected, again] == [first, second]


def test_written_at_once(ends: Ends) -> None:
    """A consumer can send between two items, before it looks at the second."""
    loop, theirs = ends
    theirs.sendall(event(1, b"/a") + event(1, b"/b"))
    items = loop.pump()
    assert Event(1, b"/a", 5) == next(items)
    loop.send([Request(GET_ACL, [b"late"])])
    loop.write()
    assert request(1, GET_ACL, b"late") == theirs.recv(100)
    assert [Event(1, b"/b", 5)] == list(items)


@pytest.mark.usefixtures("_patient")
def test_left_early(ends: Ends) -> None:
    """If a consumer does not take all items, the others come with the next call, although nothing more arrives."""
    loop, theirs = ends
    theirs.sendall(event(1, b"/a") + event(1, b"/b"))
    assert Event(1, b"/a", 5) == next(loop.pump())
    assert [Event(1, b"/b", 5)] == list(loop.pump())


def test_several_connections() -> None:
    """Each request goes out on its connection, each item comes from any, also from one that was added later."""
    pairs = [socket.socketpair() for _ in range(3)]
    channels = [Channel(ours, 15.0, ConnectionLimits()) for ours, _ in pairs]
    with closing(Loop(channels[:2], Heartbeat())) as loop:
        loop.add(channels[2])
        requests = [Request(GET_ACL, [bytes([number])], number) for number in (2, 0, 1)]
        loop.send(requests)
        sent = [pumped(loop, theirs) for _, theirs in pairs]
        assert [request(1, GET_ACL, bytes([number])) for number in range(3)] == sent
        for number in (1, 2, 0):
            pairs[number][1].sendall(reply(1, bytes([number])))
        replies = until(loop, 3)
        expected = {number: [(5, 0, bytes([number]))] for number in range(3)}
        assert expected == {each.request.connection: each.answers for each in replies if isinstance(each, Reply)}
    for _, theirs in pairs:
        theirs.close()


def test_throttled(ends: Ends) -> None:
    """Only throttled requests are sent again. The answers come in the order of the requests."""
    loop, theirs = ends
    asked = Request(GET_ACL, [b"one", b"two", b"three"])
    loop.send([asked])
    pumped(loop, theirs)
    theirs.sendall(reply(1, b"", THROTTLED) + reply(2, b"second") + reply(3, b"", THROTTLED))
    assert request(4, GET_ACL, b"one") + request(5, GET_ACL, b"three") == pumped(loop, theirs)
    theirs.sendall(reply(4, b"first") + reply(5, b"third"))
    assert [Reply(asked, [(5, 0, b"first"), (5, 0, b"second"), (5, 0, b"third")])] == until(loop, 1)


@pytest.mark.parametrize("ends", [ConnectionLimits(throttled_tries=4)], indirect=True)
def test_throttled_for_ever(ends: Ends) -> None:
    """A request that is always throttled is an error after several tries."""
    loop, theirs = ends
    loop.send([Request(GET_ACL, [b"one"])])
    for xid in (1, 2, 3):
        assert request(xid, GET_ACL, b"one") == pumped(loop, theirs)
        theirs.sendall(reply(xid, b"", THROTTLED))
    pumped(loop, theirs)
    theirs.sendall(reply(4, b"", THROTTLED))
    with pytest.raises(ConnectionBroken, match="throttles"):
        until(loop, 1)


def test_malformed_event(ends: Ends) -> None:
    """An event that ends too early cannot be decoded. What came before it is passed on."""
    loop, theirs = ends
    theirs.sendall(event(1, b"/a") + reply(-1, b"short"))
    items = loop.pump()
    assert Event(1, b"/a", 5) == next(items)
    with pytest.raises(DecodeError, match="an event ends too early"):
        next(items)


def test_hung_up(ends: Ends) -> None:
    """A server that closes the connection is an error, even in the middle of a reply."""
    loop, theirs = ends
    loop.send([Request(GET_ACL, [b""])])
    theirs.sendall(reply(1, b"whole")[:-1])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionBroken, match="closed the connection"):
        until(loop, 1)


def test_reset(ends: Ends) -> None:
    """A connection that breaks while requests are sent is an error."""
    loop, theirs = ends
    theirs.close()
    loop.send([Request(GET_ACL, [b""])])
    with pytest.raises(ConnectionBroken, match="Broken pipe"):
        loop.write()


def test_silence(clock: Clock, ends: Ends) -> None:
    """A reply that does not come in time breaks the connection. A part of one is no reply."""
    loop, theirs = ends
    loop.send([Request(GET_ACL, [b"one"])])
    theirs.sendall(reply(1)[:10])
    for _ in range(2):
        clock.now += 60
        assert [] == list(loop.pump())
    clock.now += 1
    with pytest.raises(ConnectionBroken, match="no reply came for 120 s"):
        list(loop.pump())


def test_slow_server(clock: Clock, ends: Ends) -> None:
    """A server may take its time for each reply. Idle time does not count."""
    loop, theirs = ends
    for first in (1, 4):
        clock.now += 1000
        loop.send([Request(GET_ACL, [b"one"]) for _ in range(3)])
        assert [] == list(loop.pump())
        for xid in range(first, first + 3):
            clock.now += 119
            theirs.sendall(reply(xid))
            assert 1 == len(list(loop.pump()))


def test_ping(clock: Clock, ends: Ends) -> None:
    """A session without requests sends pings, so that the server keeps it."""
    loop, theirs = ends
    loop.send([Request(GET_ACL, [b"one"])])
    sent = []
    for _ in range(4):
        list(loop.pump())
        theirs.sendall(pong())
        sent.append(theirs.recv(100) if select.select([theirs], [], [], 0)[0] else b"")
        clock.now += 4
    assert [request(1, GET_ACL, b"one"), b"", request(-2, 11), b""] == sent


def test_close(ends: Ends) -> None:
    """Closing sends the queued requests and then the end of the session."""
    loop, theirs = ends
    loop.send([Request(GET_ACL, [b"one"])])
    loop.close()
    assert request(1, GET_ACL, b"one") + request(2, -11) == theirs.recv(100)


def test_sent_before_the_rest(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queued requests are sent before the pause, so that the server works meanwhile."""
    loop, theirs = ends
    loop.send([Request(GET_ACL, [b"one"])])
    seen: list[bytes] = []
    monkeypatch.setattr(time, "sleep", lambda _: seen.append(theirs.recv(100)))
    list(loop.pump(rest=0.1))
    assert [request(1, GET_ACL, b"one")] == seen


@pytest.mark.usefixtures("_patient")
def test_large_requests(ends: Ends) -> None:
    """A request that is larger than the socket's buffer is sent in pieces, while replies are read."""
    loop, theirs = ends
    body, received = bytes(4 << 20), bytearray()

    def take() -> None:
        theirs.sendall(event(1, b"/a"))
        while len(received) < len(body) + 12:
            received.extend(theirs.recv(1 << 16))
        theirs.sendall(reply(1, b"thanks"))

    thread = threading.Thread(target=take)
    thread.start()
    asked = Request(GET_ACL, [body])
    loop.send([asked])
    seen = until(loop, 2)
    thread.join()
    expected = [Event(1, b"/a", 5), Reply(asked, [(5, 0, b"thanks")])]
    assert (expected, request(1, GET_ACL, body)) == (seen, bytes(received))


def test_stop(ends: Ends) -> None:
    """A stop takes effect while a reply is waited for."""
    loop, theirs = ends
    heartbeat = Heartbeat()
    threading.Timer(0.3, heartbeat.stop).start()
    waiting = Loop(loop.channels, heartbeat)
    with pytest.raises(Stopped):
        until(waiting, 1)
    assert theirs.fileno() > 0


def test_tls(tmp_path: Path) -> None:
    """By TLS, all that has arrived is passed on, although a read returns only one record."""
    own = Authority(tmp_path / "authority").issue("server")
    plain, theirs = socket.socketpair()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(own.cert, own.key)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def serve() -> None:
        with served.wrap_socket(theirs, server_side=True) as secure:
            for piece in (event(1, b"/a"), event(1, b"/b"), event(1, b"/c")):
                secure.sendall(piece)
            secure.recv(100)

    thread = threading.Thread(target=serve)
    thread.start()
    ours = trusting.wrap_socket(plain)
    with closing(Loop([Channel(ours, 15.0, ConnectionLimits())], Heartbeat())) as loop:
        select.select([ours], [], [], 10)
        time.sleep(0.1)  # all three are there
        assert [Event(1, b"/a", 5), Event(1, b"/b", 5), Event(1, b"/c", 5)] == list(loop.pump())
    thread.join()
