"""The connection of a session, without I/O: requests become bytes, and bytes become replies and events in their order.

There is no socket, clock, timer or callback here. `Loop` has those.

    send(request)   ->  unsent: bytes for the socket
    receive(bytes)  ->  Reply, Event, Throttled, ...

Every frame begins with its length, without these four bytes (ConnectRecord, RequestHeader, ReplyHeader, WatcherEvent):

    byte     0       4    8            16     20    24     28
    request  length  xid  kind   body
    reply    length  xid  zxid         error  body
    event    length  -1   zxid         0      type  state  length of path, path
    pong     length  -2   zxid         0

Theory of operation

1. A server answers the requests of a session in their order. So the requests in flight are a queue, the xids count up,
   and each reply must have the xid that is due. Only events and answers to pings come in between.
2. A capture is exact because an event is never seen later than a reply that came after it. So replies and events are
   passed on in exactly the order of their bytes.
3. A consumer may react to an item by a request, before it looks at what followed. So a frame is parsed only when the
   next item is asked for.
4. A `Request` is several requests on the wire, and is passed on with the last of their replies. If the server throttled
   some, `Throttled` says so instead, and the other answers are kept. After `send_again` has brought the missing
   answers, the complete `Reply` is passed on, once. It is a broken connection if the server throttles
   all that is sent again, several times in a row.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from metadata_tool.zookeeper import limits, protocol
from metadata_tool.zookeeper.errors import ConnectionBroken
from metadata_tool.zookeeper.jute import INT
from metadata_tool.zookeeper.limits import ConnectionLimits
from metadata_tool.zookeeper.net.messages import Answer, Event, Reply, Request, Throttled
from metadata_tool.zookeeper.protocol import EVENT_XID, PING_XID, THROTTLED

Item = Reply | Event | Throttled
_HEAD = protocol.REPLY.size
_LAST_XID = 0x7FFF_FFFF


class _Sent:
    """Bodies of a request that were sent, and their answers so far. All bodies, or those that were throttled."""

    __slots__ = ("answers", "number", "request", "throttled")

    def __init__(self, request: Request, number: int) -> None:
        self.request = request
        self.number = number
        self.answers: list[Answer] = []
        self.throttled = False


class _Incomplete:
    """The answers to a request of which some are THROTTLED, the places of those, and tries without progress."""

    __slots__ = ("answers", "places", "tries")

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.places = list(range(len(answers)))
        self.tries = 0


class Connection:
    """One connection on which a session was opened."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.unsent = bytearray()
        """What is to be sent. Its user removes what it has sent."""
        self._limits = limits
        self._next, self._due = 1, 1
        self._waiting: deque[_Sent] = deque()
        self._incomplete: dict[Request, _Incomplete] = {}
        self._received: list[bytes] = []
        self._have, self._need = 0, _HEAD

    @property
    def awaits_reply(self) -> bool:
        """Whether requests are in flight. One that was throttled is not, until it is sent again."""
        return bool(self._waiting)

    @property
    def has_frames(self) -> bool:
        """Whether `receive` has something to parse: a frame, or at least the length of one."""
        return self._have >= self._need

    def send(self, request: Request) -> None:
        """Queue a request for each body."""
        self._send(request, request.bodies)

    def send_again(self, request: Request) -> None:
        """Queue the throttled requests of a `Throttled`."""
        places = self._incomplete[request].places
        self._send(request, [request.bodies[place] for place in places])

    def ping(self) -> None:
        """Queue a ping, which keeps an idle session alive. Its answer is no item."""
        self.unsent += protocol.special(PING_XID, protocol.PING)

    def close(self) -> None:
        """Queue the end of the session."""
        self.unsent += protocol.special(self._next & _LAST_XID, protocol.CLOSE)

    def receive(self, data: bytes) -> Iterator[Item]:
        """Replies and events from the bytes received so far, in their order.

        A frame is parsed when the iterator is asked for its item. If the iterator is closed early, the next call
        continues behind that item.

        Raises:
            ConnectionBroken: the server broke the protocol, ended the session or throttles without end.
            DecodeError: an event is malformed.
        """
        self._received.append(data)
        self._have += len(data)
        return self._items() if self._have >= self._need else iter(())

    def _send(self, request: Request, bodies: Sequence[bytes]) -> None:
        self.unsent += protocol.requests(self._next, request.kind, bodies)
        self._next += len(bodies)
        self._waiting.append(_Sent(request, len(bodies)))

    def _items(self) -> Iterator[Item]:
        """One loop with few calls: a million replies of a capture go through it."""
        received = b"".join(self._received)
        at, end, need = 0, len(received), _HEAD
        waiting, unpack, new = self._waiting, protocol.REPLY.unpack_from, tuple.__new__
        try:
            while end - at >= _HEAD:
                size, xid, zxid, error = unpack(received, at)
                if not _HEAD - INT.size <= size <= limits.REPLY_FRAME:
                    raise ConnectionBroken(f"a reply claims {size} bytes, the limit is {limits.REPLY_FRAME}")
                need = INT.size + size
                if end - at < need:
                    break
                body = received[at + _HEAD : at + need]
                at, need = at + need, _HEAD
                if xid == self._due and waiting:
                    self._due = xid + 1 & _LAST_XID
                    sent = waiting[0]
                    answers = sent.answers
                    answers.append((zxid, error, body))
                    if error == THROTTLED:
                        sent.throttled = True
                    if len(answers) == sent.number:
                        waiting.popleft()
                        if sent.throttled or self._incomplete:
                            yield self._merged(sent)
                        else:
                            yield new(Reply, (sent.request, answers))
                elif xid == EVENT_XID:
                    yield _event(zxid, body)
                elif xid != PING_XID:
                    instead = f"instead of reply {self._due}" if waiting else "without a request"
                    raise ConnectionBroken(f"reply {xid} arrived {instead}")
        finally:
            self._received = [received[at:]] if at < end else []
            self._have, self._need = end - at, need

    def _merged(self, sent: _Sent) -> Reply | Throttled:
        """The reply to a request, if no answer is missing any more.

        Raises:
            ConnectionBroken: the server throttles it every time.
        """
        request, answers = sent.request, sent.answers
        incomplete = self._incomplete.get(request)
        if not incomplete:
            if not sent.throttled:
                return Reply(request, answers)
            self._incomplete[request] = incomplete = _Incomplete(answers)
        else:
            if any(error != THROTTLED for _, error, _ in answers):
                incomplete.tries = 0
            for place, answer in zip(incomplete.places, answers, strict=True):
                incomplete.answers[place] = answer
        incomplete.places = [place for place, (_, error, _) in enumerate(incomplete.answers) if error == THROTTLED]
        if not incomplete.places:
            del self._incomplete[request]
            return Reply(request, incomplete.answers)
        incomplete.tries += 1
        if incomplete.tries >= self._limits.throttled_tries:
            raise ConnectionBroken("the server throttles a request every time that it is sent")
        pauses = limits.THROTTLED_PAUSES
        return Throttled(request, pauses[min(incomplete.tries, len(pauses)) - 1])


def _event(zxid: int, body: bytes) -> Event:
    kind, path = protocol.event(body)
    if kind < 0:
        raise ConnectionBroken("the server ended the session")
    return Event(kind, path, zxid)
