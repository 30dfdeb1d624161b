"""The connection of a session: sends requests in order, and passes replies and events to their callbacks in order.

One thread reads, because an event must never be seen later than a reply that came after it. Only `Wires.pump` blocks,
so the server's queue of events stays short while the caller waits.
"""

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from metadata_tool.zookeeper import limits, protocol
from metadata_tool.zookeeper.errors import ConnectionBroken
from metadata_tool.zookeeper.jute import INT
from metadata_tool.zookeeper.limits import ConnectionLimits
from metadata_tool.zookeeper.protocol import EVENT_XID, PING_XID, REPLY

OnEvent = Callable[[int, bytes, int], None]
"""Called with the type, path and zxid (-1 before 3.9) of an event."""
Answers = list[tuple[int, int, bytes]]
"""For each request the zxid, error (0: none) and body of its reply."""


class _InFlight:
    """Requests that were sent together, and their replies so far."""

    __slots__ = ("answers", "number", "then")

    def __init__(self, number: int, then: Callable[[Answers], None]) -> None:
        self.number = number
        self.then = then
        self.answers: Answers = []


_DEFAULT_BOUNDS = ConnectionLimits()


WireError = ConnectionBroken


class Wire:
    """A connection on which a session was opened."""

    def __init__(
        self, connection: socket.socket, session_timeout: float, bounds: ConnectionLimits = _DEFAULT_BOUNDS
    ) -> None:
        """Take over a connected socket. `session_timeout` is in seconds."""
        connection.setblocking(False)
        self.bounds = bounds
        self.session_timeout = session_timeout
        self._socket = connection
        self._ping_after = session_timeout * limits.PING_SHARE
        self._waiting: deque[_InFlight] = deque()
        self._next, self._due = 1, 1
        self._unsent = bytearray()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._received: list[bytes] = []
        self._have, self._need = 0, REPLY.size
        self._wrote = self._heard = time.monotonic()
        self.on_event: OnEvent = lambda _kind, _path, _zxid: None

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether requests wait for room in the socket's buffer."""
        return bool(self._unsent)

    @property
    def has_later(self) -> bool:
        """Whether calls are scheduled."""
        return bool(self._later)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Schedule a call. `keep_alive` makes it when its time has come."""
        self._later.append((time.monotonic() + seconds, call))

    def ask(self, kind: int, bodies: Sequence[bytes], then: Callable[[Answers], None]) -> None:
        """Queue one request of this kind for each body, at least one. `then` gets all replies with the last one."""
        frames = protocol.requests(self._next, kind, bodies)
        self._next += len(bodies)
        if not self._waiting:
            self._heard = time.monotonic()
        self._waiting.append(_InFlight(len(bodies), then))
        self._queue(frames)

    def close(self) -> None:
        """End the session."""
        with suppress(WireError):
            self._queue(protocol.special(self._next, protocol.CLOSE))
            self.write()
        self._socket.close()

    def keep_alive(self, now: float) -> None:
        """Make scheduled calls, and send a ping if nothing was sent for a while.

        Raises:
            WireError: no reply came for too long.
        """
        if self._waiting and now - self._heard > self.bounds.reply_timeout:
            raise WireError(f"no reply came for {self.bounds.reply_timeout:.0f} s")
        if self._later:
            due = [call for when, call in self._later if when <= now]
            self._later = [(when, call) for when, call in self._later if when > now]
            for call in due:
                call()
        if now - self._wrote > self._ping_after:
            self._queue(protocol.special(PING_XID, protocol.PING))
            self.write()

    def write(self) -> None:
        """Send queued requests, as much as the socket takes."""
        if not self._unsent:
            return
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError as error:
            raise WireError(_reason(error)) from error
        del self._unsent[:sent]

    def read(self) -> None:
        """Read what has arrived, and pass it to the callbacks.

        Raises:
            WireError: the connection broke, or the server broke the protocol.
            DecodeError: an event is malformed.
            Exception: any error of the callbacks.
        """
        taken = 0
        while True:
            try:
                chunk = self._socket.recv(limits.RECEIVE_BUFFER)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                raise WireError(_reason(error)) from error
            if not chunk:
                raise WireError("the server closed the connection")
            self._received.append(chunk)
            self._have += len(chunk)
            if self._have >= self._need:
                self._deliver()
            taken += len(chunk)
            if not isinstance(self._socket, ssl.SSLSocket) or taken >= limits.RECEIVE_BUFFER:
                return  # TLS returns one record at a time, and more may be buffered

    def _queue(self, content: bytes) -> None:
        self._wrote = time.monotonic()
        self._unsent += content

    def _deliver(self) -> None:
        self._heard = time.monotonic()
        received = b"".join(self._received)
        at, end, need = 0, len(received), REPLY.size
        while end - at >= REPLY.size:
            size, xid, zxid, error = REPLY.unpack_from(received, at)
            if not REPLY.size - INT.size <= size <= limits.REPLY_FRAME:
                raise WireError(f"a reply claims {size} bytes, the limit is {limits.REPLY_FRAME}")
            need = INT.size + size
            if end - at < need:
                break
            self._frame(xid, zxid, error, received[at + REPLY.size : at + need])
            at, need = at + need, REPLY.size
        self._received = [received[at:]] if at < end else []
        self._have, self._need = end - at, need

    def _frame(self, xid: int, zxid: int, error: int, body: bytes) -> None:
        if xid == self._due and self._waiting:
            self._due = self._due + 1 & 0x7FFF_FFFF
            asked = self._waiting[0]
            asked.answers.append((zxid, error, body))
            if len(asked.answers) == asked.number:
                self._waiting.popleft()
                asked.then(asked.answers)
        elif xid == EVENT_XID:
            self._event(zxid, body)
        elif xid != PING_XID:
            raise WireError(f"reply {xid} arrived instead of reply {self._due}")

    def _event(self, zxid: int, body: bytes) -> None:
        kind, path = protocol.event(body)
        if kind < 0:
            raise WireError("the server ended the session")
        self.on_event(kind, path, zxid)


class Requests:
    """Requests of one kind. Those that the server throttles are sent again after a pause, a limited number of times.

    `then` is called when the last answer arrives, with all answers in the order of the requests.
    """

    def __init__(self, wire: Wire, kind: int, bodies: Sequence[bytes], then: Callable[[Answers], None]) -> None:
        self._wire = wire
        self._kind = kind
        self._bodies = bodies
        self._then = then
        self._tries = 0
        self._wire.ask(kind, bodies, self._on_answers)

    def _on_answers(self, answers: Answers) -> None:
        throttled = [number for number, answer in enumerate(answers) if answer[1] == protocol.THROTTLED]
        if throttled:
            self._later(answers, throttled)
        else:
            self._then(answers)

    def _later(self, answers: Answers, throttled: list[int]) -> None:
        """Send these again. Without progress the next pause is longer, and after several tries it is an error."""
        self._tries += 1
        if self._tries >= self._wire.bounds.throttled_tries:
            raise WireError("the server throttles a request every time that it is sent")

        def on_answers(again: Answers) -> None:
            if any(answer[1] != protocol.THROTTLED for answer in again):
                self._tries = 0
            for number, answer in zip(throttled, again, strict=True):
                answers[number] = answer
            self._on_answers(answers)

        pauses = limits.THROTTLED_PAUSES
        bodies = [self._bodies[number] for number in throttled]
        pause = pauses[min(self._tries, len(pauses)) - 1]
        self._wire.later(pause, lambda: self._wire.ask(self._kind, bodies, on_answers))


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


class Wires:
    """Several connections, read as soon as data arrives on any of them."""

    def __init__(self, wires: Iterable[Wire], heartbeat: Callable[[], None]) -> None:
        self._heartbeat = heartbeat
        self._poll = select.poll()
        self._wires = {wire.fileno(): wire for wire in wires}
        for number in self._wires:
            self._poll.register(number, select.POLLIN)

    def pump(self, rest: float = 0.0) -> None:
        """Send what is queued, sleep `rest` seconds, then wait a limited time for data and pass it to the callbacks.

        All that was queued since the last call goes out in one piece, which wakes a server's threads less often.

        Raises:
            WireError, DecodeError, Exception: as `Wire.read` does.
        """
        self._heartbeat()
        for wire in self._wires.values():
            wire.write()
        blocked = [number for number, wire in self._wires.items() if wire.has_unsent]
        if rest:
            time.sleep(rest)
        for number in blocked:
            self._poll.modify(number, select.POLLIN | select.POLLOUT)
        soon = any(wire.has_later for wire in self._wires.values())
        for number, what in self._poll.poll(limits.POLL_SOON_MS if soon else limits.POLL_MS):
            if what & select.POLLOUT:
                self._wires[number].write()
            if what & ~select.POLLOUT:
                self._wires[number].read()
        for number in blocked:
            self._poll.modify(number, select.POLLIN)
        now = time.monotonic()
        for wire in self._wires.values():
            wire.keep_alive(now)

    def until(self, done: Callable[[], bool]) -> None:
        """Pump until `done` returns true. Raises as `pump` does."""
        while not done():
            self.pump()
