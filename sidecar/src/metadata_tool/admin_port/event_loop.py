"""Serves all clients from one thread that never waits for any of them.

A connection has a deadline for each thing that it waits for. If there are too many, the one that has waited longest for
its client is closed, so there is always room for the next one. Requests that may wait for another server are answered
by a few other threads.
"""

import errno
import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from queue import Empty, SimpleQueue
from typing import Any
from wsgiref.types import WSGIApplication

from metadata_tool import limits
from metadata_tool.admin_port.answer import Answer, answer, refusal
from metadata_tool.admin_port.bounds import Bounds
from metadata_tool.admin_port.connection import Connection, State
from metadata_tool.admin_port.connections import Connections
from metadata_tool.admin_port.daemon_threads import DaemonThreads
from metadata_tool.admin_port.request import Received, Refused, first_request

log = logging.getLogger(__name__)

_TICK = 0.1
"""Seconds between two looks at the deadlines."""
_AT_ONCE = 16 << 10
"""Bytes that are received from one client in one turn."""
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class EventLoop:
    """Answers the clients of one or more listening sockets."""

    def __init__(
        self, listeners: Sequence[socket.socket], app: WSGIApplication, at_once: Container[str], bounds: Bounds
    ) -> None:
        """Nothing is accepted yet. This thread itself answers the paths in `at_once`, because they wait for nothing."""
        self._listeners = listeners
        self._app = app
        self._at_once = at_once
        self._bounds = bounds
        self._connections = Connections()
        self._pipelined: deque[Connection] = deque()
        """Connections whose next request may have arrived together with the last one."""
        self._answers: SimpleQueue[tuple[Connection, Answer]] = SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = socket.socketpair()
        self._threads = DaemonThreads(bounds.threads)
        self._stopping = False
        self._next_look = self._next_warning = 0.0

    def wake(self) -> None:
        """End a wait. Other threads and signal handlers may call this."""
        with suppress(OSError):  # full: it has been woken already. Closed: it has ended
            self._wake.send(b"\0")

    def run(self, serving: Callable[[], bool]) -> None:
        """Serve while `serving()` is true. Then answer the requests that have arrived, and close everything."""
        for waited_for in (self._woken, self._wake, *self._listeners):
            waited_for.setblocking(False)
        for waited_for in (self._woken, *self._listeners):
            self._selector.register(waited_for, selectors.EVENT_READ)
        while serving():
            self._turn()
        self._stop_accepting()
        until = time.monotonic() + self._bounds.stop_within
        while self._connections.unfinished and time.monotonic() < until:
            self._turn()
        self._close()

    def _stop_accepting(self) -> None:
        self._stopping = True
        for listener in self._listeners:
            self._selector.unregister(listener)
            listener.close()

    def _close(self) -> None:
        for connection in self._connections:
            self._drop(connection)
        self._threads.stop()
        self._selector.close()
        self._woken.close()
        self._wake.close()

    def _turn(self) -> None:
        """Do what can be done now. What has arrived is read before a connection is accepted, which may close others."""
        ready = [key for key, _ in self._selector.select(0 if self._pipelined else _TICK)]
        for key in ready:
            if isinstance(key.data, Connection):
                self._guarded(self._advance, key.data)
        for _ in range(len(self._pipelined)):
            self._guarded(self._next_request, self._pipelined.popleft())
        self._take_answers()
        for key in ready:
            if key.data is None and key.fileobj is not self._woken:
                self._accept(key.fileobj)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _TICK
            for connection in self._connections.overdue():
                self._guarded(self._out_of_time, connection)

    def _guarded(self, act: Callable[[Connection], None], connection: Connection) -> None:
        """Act on a connection, and close it if that fails, so that no client ends the loop."""
        try:
            if connection.state is not State.CLOSED:
                act(connection)
        except OSError:  # the client is gone
            self._drop(connection)
        except Exception:
            log.exception("a connection was closed because of a fault in the program. Report it together with the log")
            self._drop(connection)

    # Connections come and go

    def _accept(self, listener: Any) -> None:
        # Half of the bound, so that each connection can be read in this turn or the next before newer ones displace it.
        for _ in range(max(1, self._bounds.connections // 2)):
            try:
                client, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._make_room(f"of {error.strerror}")
                    return
                continue  # this client is gone
            connection = Connection(client, peer)
            if len(self._connections) >= self._bounds.connections:
                self._make_room(f"{len(self._connections)} are open")
            self._guarded(self._await_request, connection)
            self._guarded(self._advance, connection)

    def _make_room(self, why: str) -> None:
        connection = self._connections.longest_waiting()
        if connection is None:
            time.sleep(_TICK)  # other parts of the process use all files
            return
        self._drop(connection)
        if time.monotonic() >= self._next_warning:
            self._next_warning = time.monotonic() + limits.WARN_AGAIN
            log.warning("the admin port closes the connections that waited longest for their clients, because %s", why)

    def _out_of_time(self, connection: Connection) -> None:
        if connection.state is State.REQUEST and connection.received:
            self._reply(connection, refusal(HTTPStatus.REQUEST_TIMEOUT))
        else:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._watch(connection, 0)
        self._connections.remove(connection)
        connection.close()

    def _watch(self, connection: Connection, events: int) -> None:
        """Wait for these events of the client."""
        if events == connection.watched:
            return
        if not connection.watched:
            self._selector.register(connection.socket, events, connection)
        elif events:
            self._selector.modify(connection.socket, events, connection)
        else:
            self._selector.unregister(connection.socket)
        connection.watched = events

    # A request and its answer

    def _await_request(self, connection: Connection) -> None:
        self._connections.waits(connection, State.REQUEST, self._bounds.request_within)
        self._watch(connection, selectors.EVENT_READ)

    def _advance(self, connection: Connection) -> None:
        if connection.state is State.READER:
            self._send(connection)
            return
        data = connection.receive(_AT_ONCE)
        if data == b"":
            self._drop(connection)
        elif data and connection.state is State.REQUEST:
            connection.received += data
            self._next_request(connection)

    def _next_request(self, connection: Connection) -> None:
        found = first_request(connection.received, connection.peer)
        if isinstance(found, Refused):
            self._reply(connection, refusal(found.status))
        elif found:
            connection.received = found.rest
            self._ask(connection, found)
        else:
            self._watch(connection, selectors.EVENT_READ)

    def _ask(self, connection: Connection, request: Received) -> None:
        def ask() -> Answer:
            return answer(self._app, request, connection.peer, last=self._stopping)

        if request.path in self._at_once:
            self._reply(connection, ask())
            return

        def ask_and_hand_over() -> None:
            if connection.state is not State.CLOSED:
                self._answers.put((connection, ask()))
                self.wake()

        self._watch(connection, 0)
        self._connections.waits(connection, State.APP)
        self._threads.submit(ask_and_hand_over)

    def _take_answers(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(_AT_ONCE)
        with suppress(Empty):
            while True:
                connection, found = self._answers.get_nowait()
                self._guarded(partial(self._reply, answer=found), connection)

    def _reply(self, connection: Connection, answer: Answer) -> None:
        connection.begin(answer.data, closes=answer.closes)
        self._connections.waits(connection, State.READER, self._bounds.answer_within)
        self._send(connection)
        for reader in self._connections.too_much_unsent(self._bounds.unsent):
            self._drop(reader)

    def _send(self, connection: Connection) -> None:
        if not connection.send():
            self._watch(connection, selectors.EVENT_WRITE)
        elif connection.closes:
            connection.end()
            self._connections.waits(connection, State.END, self._bounds.close_within)
            self._watch(connection, selectors.EVENT_READ)
        elif connection.received:
            self._connections.waits(connection, State.REQUEST, self._bounds.request_within)
            self._watch(connection, 0)  # read no more before the requests that have arrived are answered
            self._pipelined.append(connection)
        else:
            self._await_request(connection)
