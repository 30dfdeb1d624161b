"""A connection without a socket: bytes in, replies and events out."""

import struct
from collections import deque
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.zookeeper.errors import ConnectionBroken, DecodeError
from metadata_tool.zookeeper.limits import THROTTLED_PAUSES, ConnectionLimits
from metadata_tool.zookeeper.net.connection import Connection, Item
from metadata_tool.zookeeper.net.messages import Event, Reply, Request, Throttled
from metadata_tool.zookeeper.protocol import GET_ACL, THROTTLED
from support.frames import event, frame, pong, reply, request
from support.trees import PATIENT


def connection(throttled_tries: int = 50) -> Connection:
    """A new connection."""
    return Connection(ConnectionLimits(throttled_tries=throttled_tries))


def sent(one: Connection) -> bytes:
    """What it has queued, which is taken."""
    content = bytes(one.unsent)
    one.unsent.clear()
    return content


def received(one: Connection, *pieces: bytes) -> list[Item]:
    """The items of these pieces."""
    return [item for piece in pieces for item in one.receive(piece)]


def test_requests() -> None:
    """Each body is a request of its own, and the xids count up."""
    one = connection()
    one.send(Request(GET_ACL, [b"one"]))
    one.send(Request(4, [b"two", b"three"]))
    assert request(1, GET_ACL, b"one") + request(2, 4, b"two") + request(3, 4, b"three") == sent(one)


def test_special_frames() -> None:
    """A ping has an xid of its own. The end of the session has the next one."""
    one = connection()
    one.send(Request(GET_ACL, [b"one"]))
    sent(one)
    one.ping()
    one.close()
    assert request(-2, 11) + request(2, -11) == sent(one)


@pytest.mark.parametrize("size", [1, 2, 3, 19, 20, 21, 1000])
def test_order(size: int) -> None:
    """Replies and events come in the order of their bytes, however they are cut. A reply comes with its last answer."""
    one = connection()
    first, second = Request(GET_ACL, [b"one"]), Request(GET_ACL, [b"two", b"three"])
    one.send(first)
    one.send(second)
    answers = reply(1, b"first", zxid=7) + event(3, b"/a", 8) + pong() + reply(2, b"", -101, 8)
    answers += event(1, b"/", 9) + reply(3, b"last", zxid=9)
    expected = [
        Reply(first, [(7, 0, b"first")]),
        Event(3, b"/a", 8),
        Event(1, b"", 9),
        Reply(second, [(8, -101, b""), (9, 0, b"last")]),
    ]
    assert expected == received(one, *(answers[at : at + size] for at in range(0, len(answers), size)))


def test_waits_for_replies() -> None:
    """A reply is awaited from the request to its last answer."""
    one = connection()
    seen = [one.awaits_reply]
    one.send(Request(GET_ACL, [b"one", b"two"]))
    for piece in (event(1, b"/"), reply(1), reply(2)):
        seen.append(one.awaits_reply)
        received(one, piece)
    assert [False, True, True, True, False] == [*seen, one.awaits_reply]


def test_one_at_a_time() -> None:
    """What follows an item is not looked at before the next item is asked for, and a request may be sent before."""
    one = connection()
    first, second = Request(GET_ACL, [b"one"]), Request(GET_ACL, [b"two"])
    one.send(first)
    items = one.receive(reply(1) + reply(2, b"of the second") + reply(9))
    assert Reply(first, [(5, 0, b"")]) == next(items)
    one.send(second)
    assert Reply(second, [(5, 0, b"of the second")]) == next(items)
    with pytest.raises(ConnectionBroken, match="reply 9 arrived without a request"):
        next(items)


def test_left_early() -> None:
    """If a consumer does not take all items, the others come with the next bytes, or without."""
    one = connection()
    items = one.receive(event(1, b"/a") + event(1, b"/b") + event(1, b"/c")[:-1])
    assert Event(1, b"/a", 5) == next(items)
    items.close()  # type: ignore[attr-defined]
    assert one.has_frames
    assert [Event(1, b"/b", 5)] == received(one, b"")
    assert not one.has_frames
    assert [Event(1, b"/c", 5)] == received(one, b"c")


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_received_is_kept(*, begun: bool) -> None:
    """Bytes are kept even if nobody asks for an item."""
    one = connection()
    whole = event(1, b"/a")
    one.receive(whole[: 21 if begun else 3])
    one.receive(whole[21 if begun else 3 :])
    assert [Event(1, b"/a", 5)] == received(one, b"")


def throttled(number: int) -> bytes:
    """The reply to a request that was throttled."""
    return reply(number, error=THROTTLED)


def test_some_are_throttled() -> None:
    """Only throttled requests are sent again. The answers come once, in the order of the bodies."""
    one = connection()
    asked = Request(GET_ACL, [b"one", b"two", b"three"])
    one.send(asked)
    sent(one)
    items = received(one, throttled(1), reply(2, b"second"), throttled(3))
    assert [Throttled(asked, THROTTLED_PAUSES[0])] == items
    assert [False, b""] == [one.awaits_reply, sent(one)]
    one.send_again(asked)
    assert request(4, GET_ACL, b"one") + request(5, GET_ACL, b"three") == sent(one)
    assert [] == received(one, reply(4, b"first"))
    assert [Reply(asked, [(5, 0, b"first"), (5, 0, b"second"), (5, 0, b"third")])] == received(one, reply(5, b"third"))
    one.send(asked)
    again = [reply(6, b"4"), reply(7, b"5"), reply(8, b"6")]
    assert [Reply(asked, [(5, 0, b"4"), (5, 0, b"5"), (5, 0, b"6")])] == received(one, *again)


def test_others_pass_what_is_throttled() -> None:
    """A request that is throttled does not hold up others."""
    one = connection()
    asked, other = Request(GET_ACL, [b"one"]), Request(GET_ACL, [b"two"])
    one.send(asked)
    one.send(other)
    expected = [Throttled(asked, THROTTLED_PAUSES[0]), Reply(other, [(5, 0, b"other")])]
    assert expected == received(one, throttled(1) + reply(2, b"other"))
    one.send_again(asked)
    assert [Reply(asked, [(5, 0, b"late")])] == received(one, reply(3, b"late"))


def test_pauses_grow_without_progress() -> None:
    """Each pause is longer than the one before, up to the last one. An answer starts them again."""
    one = connection()
    asked = Request(GET_ACL, [b"one", b"two"])
    one.send(asked)
    pauses, number = [], 0

    def answered(*frames: bytes) -> None:
        (item,) = received(one, *frames)
        assert isinstance(item, Throttled)
        pauses.append(item.pause)
        one.send_again(asked)

    for _ in range(len(THROTTLED_PAUSES) + 1):
        answered(throttled(number + 1), throttled(number + 2))
        number += 2
    answered(throttled(number + 1), reply(number + 2))
    assert [*THROTTLED_PAUSES, THROTTLED_PAUSES[-1], THROTTLED_PAUSES[0]] == pauses


@pytest.mark.parametrize("tries", [1, 2, 4])
def test_throttled_for_ever(tries: int) -> None:
    """A request that is throttled every time breaks the connection after several tries."""
    one = connection(tries)
    asked = Request(GET_ACL, [b"one"])
    one.send(asked)
    for xid in range(1, tries):
        received(one, throttled(xid))
        one.send_again(asked)
    with pytest.raises(ConnectionBroken, match="throttles a request every time"):
        received(one, throttled(tries))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(2), "reply 2 arrived instead of reply 1"),
        (reply(1) + reply(1), "reply 1 arrived without a request"),
        (reply(1) + reply(2), "reply 2 arrived without a request"),
        (frame(b"short") + bytes(16), "claims 5 bytes"),
        (struct.pack(">i", 15) + bytes(16), "claims 15 bytes"),
        (struct.pack(">i", (128 << 20) + 1) + bytes(16), "claims 134217729 bytes"),
        (struct.pack(">i", -1) + bytes(16), "claims -1 bytes"),
        (event(-1, b""), "ended the session"),
    ],
)
def test_what_is_no_protocol(answer: bytes, said: str) -> None:
    """Anything else than the expected reply breaks the connection, and is named."""
    one = connection()
    one.send(Request(GET_ACL, [b""]))
    with pytest.raises(ConnectionBroken, match=said):
        received(one, answer)


@pytest.mark.parametrize("body", [b"short", struct.pack(">iii", 1, 3, 100) + b"/a"])
def test_malformed_event(body: bytes) -> None:
    """An event that ends too early cannot be decoded."""
    with pytest.raises(DecodeError):
        received(connection(), reply(-1, body))


class Server:
    """Answers what a connection has sent, in order. Knows which items the connection must pass on."""

    def __init__(self, requests: list[Request]) -> None:
        self.expected: list[Item] = []
        self._open = {number: len(asked.bodies) for number, asked in enumerate(requests)}
        self._requests = requests
        self._answered = 0
        self._waiting: deque[tuple[int, bytes]] = deque()
        """The xids and bodies that were received. A body is the number of its request and its place."""

    def receive(self, content: bytes) -> None:
        """Take whole frames."""
        while content:
            size, xid, kind = struct.unpack_from(">iii", content)
            assert GET_ACL == kind
            self._waiting.append((xid, content[12 : 4 + size]))
            content = content[4 + size :]

    def act(self, what: str) -> bytes:
        """Send something."""
        if what == "event":
            self._answered += 1
            self.expected.append(Event(1, b"/a", self._answered))
            return event(1, b"/a", self._answered)
        if what == "pong" or not self._waiting:
            return pong()
        xid, body = self._waiting.popleft()
        if what == "throttle":
            return reply(xid, error=THROTTLED)
        number = body[0]
        self._open[number] -= 1
        if not self._open[number]:
            asked = self._requests[number]
            self.expected.append(Reply(asked, [(5, 0, answer) for answer in asked.bodies]))
        return reply(xid, body)

    def is_idle(self) -> bool:
        """Whether everything is answered."""
        return not self._waiting


@settings(PATIENT)
@given(
    st.lists(st.integers(1, 4), max_size=5),
    st.lists(st.sampled_from(["answer", "throttle", "event", "pong"]), max_size=40),
    st.lists(st.integers(1, 60), min_size=1, max_size=10),
)
def test_any_server(sizes: list[int], acts: list[str], cuts: list[int]) -> None:
    """However replies, events and throttling follow each other, and are cut: each reply is complete, all in order."""
    requests = [
        Request(GET_ACL, [bytes((number, place)) for place in range(size)]) for number, size in enumerate(sizes)
    ]
    one, server, seen, way = connection(), Server(requests), list[Item](), b""
    for asked in requests:
        one.send(asked)
    lengths = cycle(cuts)

    def take(piece: bytes) -> None:
        for item in one.receive(piece):
            if isinstance(item, Throttled):
                one.send_again(item.request)
            else:
                seen.append(item)

    server.receive(sent(one))
    for what in acts:
        way += server.act(what)
        length = next(lengths)
        take(way[:length])
        way = way[length:]
        server.receive(sent(one))
    take(way)
    server.receive(sent(one))
    while not server.is_idle():
        take(server.act("answer"))
        server.receive(sent(one))
    assert (server.expected, False) == (seen, one.awaits_reply)


@settings(PATIENT)
@given(st.binary(max_size=80), st.integers(1, 30))
def test_any_bytes(content: bytes, size: int) -> None:
    """Whatever a server sends, nothing but these two errors is raised."""
    one = connection()
    one.send(Request(GET_ACL, [b"one"]))
    try:
        received(one, *(content[at : at + size] for at in range(0, len(content), size)))
    except (ConnectionBroken, DecodeError):
        return


@settings(PATIENT)
@given(st.data())
def test_any_flipped_bit(data: st.DataObject) -> None:
    """A flipped bit in frames ends in one of these two errors, or in other items."""
    stream = reply(1, b"first") + event(1, b"/a") + pong() + reply(2, b"second")
    bit = data.draw(st.integers(0, 8 * len(stream) - 1))
    flipped = bytearray(stream)
    flipped[bit // 8] ^= 1 << bit % 8
    one = connection()
    one.send(Request(GET_ACL, [b"one", b"two"]))
    try:
        received(one, bytes(flipped))
    except (ConnectionBroken, DecodeError):
        return
