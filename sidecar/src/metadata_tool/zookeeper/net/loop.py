"""The sockets of the connections with one server: what waits for data, and knows the time.

The order of events and replies matters on each connection alone. Nothing is read while the caller works, so it must
call `Loop.pump` often: the server keeps the events that it cannot send.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import ConnectionBroken
from metadata_tool.zookeeper.limits import ConnectionLimits
from metadata_tool.zookeeper.net.connection import Connection
from metadata_tool.zookeeper.net.messages import Event, Reply, Request, Throttled
from metadata_tool.zookeeper.net.sockets import reason


class Channel:
    """A socket and its connection, and when something was last sent and received."""

    def __init__(self, opened: socket.socket, session_timeout: float, limits_: ConnectionLimits) -> None:
        """Take over a connected socket. `session_timeout` is in seconds."""
        opened.setblocking(False)
        self.connection = Connection(limits_)
        self.session_timeout = session_timeout
        self._socket = opened
        self._reply_timeout = limits_.reply_timeout
        self._ping_after = session_timeout * limits.PING_SHARE
        self._queued = self._heard = time.monotonic()

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def send(self, request: Request) -> None:
        """Queue a request."""
        self._note_request()
        self.connection.send(request)

    def send_again(self, request: Request) -> None:
        """Queue the throttled part of a request again."""
        self._note_request()
        self.connection.send_again(request)

    def write(self) -> None:
        """Send what is queued, as much as the socket takes.

        Raises:
            ConnectionBroken: the connection broke.
        """
        unsent = self.connection.unsent
        if not unsent:
            return
        try:
            sent = self._socket.send(unsent)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError as error:
            raise ConnectionBroken(reason(error)) from error
        del unsent[:sent]

    def read(self) -> Iterator[bytes]:
        """What has arrived. TLS returns one record at a time, and more may be buffered that poll does not see.

        Raises:
            ConnectionBroken: the connection broke.
        """
        taken = 0
        while True:
            try:
                chunk = self._socket.recv(limits.RECEIVE_BUFFER)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                raise ConnectionBroken(reason(error)) from error
            if not chunk:
                raise ConnectionBroken("the server closed the connection")
            yield chunk
            taken += len(chunk)
            if not isinstance(self._socket, ssl.SSLSocket) or taken >= limits.RECEIVE_BUFFER:
                return

    def heard(self) -> None:
        """Note that something came that is more than a part of a frame."""
        self._heard = time.monotonic()

    def keep_alive(self, now: float) -> None:
        """Send a ping if nothing was sent for a while.

        Raises:
            ConnectionBroken: no reply came for too long.
        """
        if self.connection.awaits_reply and now - self._heard > self._reply_timeout:
            raise ConnectionBroken(f"no reply came for {self._reply_timeout:.0f} s")
        if now - self._queued > self._ping_after:
            self._queued = now
            self.connection.ping()
            self.write()

    def close(self) -> None:
        """End the session."""
        with suppress(ConnectionBroken):
            self.connection.close()
            self.write()
        self._socket.close()

    def _note_request(self) -> None:
        self._queued = time.monotonic()
        if not self.connection.awaits_reply:
            self._heard = self._queued


class Loop:
    """Connections with one server, each with a session of its own, read as soon as data arrives on any of them."""

    def __init__(self, channels: Iterable[Channel], heartbeat: Callable[[], None]) -> None:
        """`heartbeat` is called before every wait. What it raises surfaces unchanged."""
        self._heartbeat = heartbeat
        self._poll = select.poll()
        self._channels: list[Channel] = []
        self._by_fileno: dict[int, Channel] = {}
        self._throttled: list[tuple[float, Channel, Request]] = []
        """Requests to be sent again, and when."""
        for channel in channels:
            self.add(channel)

    @property
    def channels(self) -> Sequence[Channel]:
        """The connections, at the places that `Request.connection` names."""
        return self._channels

    def add(self, channel: Channel) -> None:
        """One more connection. Its number is the next one."""
        self._channels.append(channel)
        self._by_fileno[channel.fileno()] = channel
        self._poll.register(channel.fileno(), select.POLLIN)

    def send(self, requests: Iterable[Request]) -> None:
        """Queue requests, each on its connection."""
        channels = self._channels
        for request in requests:
            channels[request.connection].send(request)

    def write(self) -> None:
        """Send what is queued, as much as the sockets take, now.

        Raises:
            ConnectionBroken: a connection broke.
        """
        for channel in self._channels:
            channel.write()

    def pump(self, rest: float = 0.0) -> Iterator[Reply | Event]:
        """Send what is queued, sleep `rest` seconds, wait a limited time for data, and pass on what came, in its order.

        All that was queued since the last call goes out in one piece, which wakes a server's threads less often.
        What a consumer sends while it iterates goes out with `write`, or with the next call. If it does not take all
        items, the next call passes on the others.

        Raises:
            ConnectionBroken: a connection broke, or a server broke the protocol.
            DecodeError: an event is malformed.
            Exception: what the heartbeat raises.
        """
        self._heartbeat()
        self.write()
        blocked = [channel for channel in self._channels if channel.connection.unsent]
        if rest:
            time.sleep(rest)
        left = [channel for channel in self._channels if channel.connection.has_frames]
        longest = limits.POLL_SOON_MS if self._throttled else limits.POLL_MS
        ready = self._wait(blocked, 0 if left else longest)
        for channel in left:
            yield from self._passed_on(channel, b"")
        for number, what in ready:
            channel = self._by_fileno[number]
            if what & select.POLLOUT:
                channel.write()
            if what & ~select.POLLOUT:
                for chunk in channel.read():
                    yield from self._passed_on(channel, chunk)
        self._keep_alive()

    def close(self) -> None:
        """End the sessions of all connections."""
        for channel in self._channels:
            channel.close()

    def _wait(self, blocked: Sequence[Channel], milliseconds: int) -> list[tuple[int, int]]:
        """What poll says. It also ends when one of the blocked channels can be written to."""
        for channel in blocked:
            self._poll.modify(channel.fileno(), select.POLLIN | select.POLLOUT)
        ready = self._poll.poll(milliseconds)
        for channel in blocked:
            self._poll.modify(channel.fileno(), select.POLLIN)
        return ready

    def _passed_on(self, channel: Channel, chunk: bytes) -> Iterator[Reply | Event]:
        connection = channel.connection
        items = connection.receive(chunk)
        if connection.has_frames:
            channel.heard()
        for item in items:
            if isinstance(item, Throttled):
                self._throttled.append((time.monotonic() + item.pause, channel, item.request))
            else:
                yield item

    def _keep_alive(self) -> None:
        """Send due throttled requests again, and pings."""
        now = time.monotonic()
        if self._throttled:
            due = [(channel, request) for when, channel, request in self._throttled if when <= now]
            self._throttled = [each for each in self._throttled if each[0] > now]
            for channel, request in due:
                channel.send_again(request)
        for channel in self._channels:
            channel.keep_alive(now)
