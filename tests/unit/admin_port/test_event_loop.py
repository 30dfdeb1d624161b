import contextlib
import errno
import itertools
import logging
import os
import select
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from metadata_tool.admin_port import event_loop
from metadata_tool.admin_port.bounds import Bounds
from metadata_tool.admin_port.event_loop import EventLoop

PATIENCE = 60.0
LARGE = 20 << 20
"""Bytes of an answer that no socket buffer holds."""
HEALTH = b"GET /health HTTP/1.1\r\n\r\n"

SENT = [
    HEALTH,
    HEALTH * 9,
    b"GET /a HTTP/1.1\r\n\r\n",
    b"GET /large HTTP/1.1\r\n\r\n",
    b"GET /slow HTTP/1.1\r\n\r\n",
    b"GET /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
    b"POST /a HTTP/1.1\r\nContent-Length: 5000\r\n\r\n",
    b"POST /a HT",
    b"Host: h\r\n",
    b"GET ",
    b"\r\n",
]


@dataclass
class App:
    """`/health` is answered at once, `/large` with much, `/slow` when `go` is set, any other path with itself."""

    go: threading.Event = field(default_factory=threading.Event)
    slow: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """See WSGI."""
        path = environ["PATH_INFO"]
        if path == "/slow":
            self.slow.release()
            self.go.wait(PATIENCE)
        body = b"x" * LARGE if path == "/large" else path.encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


class Client:
    """A client that a test controls."""

    def __init__(self, port: int, *sent: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._read = self.socket.makefile("rb")
        for data in sent:
            self.socket.sendall(data)

    def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        status = int(self._read.readline().split()[1])
        headers = dict(line.lower().split(b": ") for line in iter(self._read.readline, b"\r\n"))
        return status, self._read.read(int(headers[b"content-length"]))

    def rest(self) -> bytes:
        """All bytes until the connection is closed."""
        found = []
        with contextlib.suppress(ConnectionResetError):
            while data := self._read.read1(1 << 16):
                found.append(data)
        return b"".join(found)

    def reset(self) -> None:
        """Reset the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close it."""
        self._read.close()
        self.socket.close()


class Server:
    """An event loop that runs in a thread."""

    def __init__(self, bounds: Bounds, listener: socket.socket | None = None) -> None:
        self.app = App()
        listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._clients: list[Client] = []
        self._faults: SimpleQueue[Any] = SimpleQueue()
        self._log = QueueHandler(self._faults)
        self._log.setLevel(logging.ERROR)
        logging.getLogger(event_loop.__name__).addHandler(self._log)
        self._serving = True
        self._loop = EventLoop([listener], self.app, {"/health"}, bounds)
        self._thread = threading.Thread(target=self._loop.run, args=(lambda: self._serving,))
        self._thread.start()

    def client(self, *sent: bytes) -> Client:
        """A client that has connected, and sent this."""
        self._clients.append(Client(self.port, *sent))
        return self._clients[-1]

    def ask(self, path: str = "/health") -> tuple[int, bytes]:
        """The answer to one more client."""
        client = Client(self.port, b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
        try:
            return client.answer()
        finally:
            client.close()

    def begin_stop(self) -> None:
        """Ask it to end."""
        self._serving = False
        self._loop.wake()

    def stop(self) -> None:
        """End it, and what it serves."""
        self.begin_stop()
        self.app.go.set()
        self._thread.join(PATIENCE)
        logging.getLogger(event_loop.__name__).removeHandler(self._log)
        assert (False, True) == (self._thread.is_alive(), self._faults.empty())
        for client in self._clients:
            client.close()


@contextlib.contextmanager
def running(listener: socket.socket | None = None, **bounds: Any) -> Iterator[Server]:
    """A server with these limits. All other limits are out of reach."""
    generous = {"request_within": PATIENCE, "answer_within": PATIENCE, "close_within": PATIENCE, "connections": 50}
    server = Server(Bounds(**{**generous, **bounds}), listener)
    try:
        yield server
    finally:
        server.stop()


def test_requests_are_answered() -> None:
    """Requests are answered, one after the other, and several that come together in their order."""
    with running() as server:
        client = server.client(b"GET /a HTTP/1.1\r\n\r\n")
        assert (200, b"/a") == client.answer()
        client.socket.sendall(b"GET /b HTTP/1.1\r\n\r\n" + HEALTH + b"GET /c HTTP/1.1\r\n\r\nGET /d HT")
        assert [b"/b", b"/health", b"/c"] == [client.answer()[1] for _ in range(3)]
        client.socket.sendall(b"TP/1.1\r\n\r\n")
        assert (200, b"/d") == client.answer()


def test_request_may_come_byte_by_byte() -> None:
    """However a request is cut into packets, it is answered."""
    with running() as server:
        client = server.client()
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in HEALTH:
            client.socket.sendall(bytes([byte]))
        assert (200, b"/health") == client.answer()


def test_client_may_send_no_more() -> None:
    """A client that has closed its side still gets all answers."""
    with running() as server:
        client = server.client(b"GET /large HTTP/1.1\r\n\r\n" + HEALTH)
        client.socket.shutdown(socket.SHUT_WR)
        assert [LARGE, len(b"/health")] == [len(client.answer()[1]) for _ in range(2)]
        assert b"" == client.rest()


def test_body_does_not_destroy_the_answer() -> None:
    """A request with a body is answered before the body has come, and the answer arrives while the body is sent."""
    with running() as server:
        client = server.client(b"POST /a HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n")
        assert (200, b"/a") == client.answer()
        client.socket.sendall(b"x" * 9_000_000)
        assert b"" == client.rest()


def test_small_body_keeps_the_connection() -> None:
    """A request with a small body is answered once that is complete, and the next request follows."""
    with running() as server:
        client = server.client(b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel")
        assert (200, b"/health") == server.ask()
        client.socket.sendall(b"lo" + HEALTH)
        assert [b"/a", b"/health"] == [client.answer()[1] for _ in range(2)]


def test_slow_body() -> None:
    """A client whose small body does not come in time gets an error, and the app does not see the request."""
    with running(request_within=0.2) as server:
        client = server.client(b"POST /slow HTTP/1.1\r\nContent-Length: 4000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not select.select([client.socket], [], [], 0.01)[0]:
                client.socket.sendall(b"x")
        assert 408 == client.answer()[0]
        assert not server.app.slow.acquire(blocking=False)


def test_bad_request_is_refused() -> None:
    """Bytes that cannot become a request get a JSON error, and the connection is closed."""
    with running() as server:
        client = server.client(b"\x16\x03\x01")
        assert (400, b'{"error": "bad request"}\n') == client.answer()
        assert b"" == client.rest()


def test_request_that_does_not_come() -> None:
    """A client that does not complete a request in time gets an error. One that sends nothing is closed."""
    with running(request_within=0.1) as server:
        half, silent = server.client(b"GET /a"), server.client()
        assert 408 == half.answer()[0]
        assert (b"", b"") == (half.rest(), silent.rest())


def test_slow_bytes_gain_no_time() -> None:
    """A client that sends a byte now and then has no more time than others."""
    with running(request_within=0.2, close_within=0.1) as server:
        client = server.client(b"GET /a HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            for _ in itertools.count():
                client.socket.sendall(b"X")
                threading.Event().wait(0.01)
        assert (200, b"/health") == server.ask()


def test_answer_that_is_not_taken() -> None:
    """A client that does not take its answer in time loses it."""
    with running(answer_within=0.1) as server:
        client = server.client(b"GET /large HTTP/1.1\r\n\r\n")
        server.client(b"GET /slow HTTP/1.1\r\n\r\n")  # no client's fault
        threading.Event().wait(1)
        assert len(client.rest()) < LARGE


def test_idle_connection_ends() -> None:
    """A connection that is kept alive ends if no other request comes."""
    with running(request_within=0.1) as server:
        client = server.client(HEALTH)
        assert (200, b"/health") == client.answer()
        assert b"" == client.rest()


def test_oldest_makes_room() -> None:
    """If there are too many connections, the one that has waited longest for its client is closed, and no other."""
    with running(connections=3) as server:
        asking = server.client(b"GET /slow HTTP/1.1\r\n\r\n")
        assert server.app.slow.acquire(timeout=PATIENCE)
        first, second = server.client(b"GET /a"), server.client(b"GET /b")
        assert (200, b"/health") == server.client(HEALTH).answer()
        assert b"" == first.rest()
        second.socket.sendall(b" HTTP/1.1\r\n\r\n")
        assert (200, b"/b") == second.answer()
        server.app.go.set()
        assert (200, b"/slow") == asking.answer()


def test_there_is_always_room() -> None:
    """Even if every connection waits for the app, one more is answered."""
    with running(connections=2, threads=2) as server:
        for _ in range(2):
            server.client(b"GET /slow HTTP/1.1\r\n\r\n")
            assert server.app.slow.acquire(timeout=PATIENCE)
        assert [(200, b"/health")] * 5 == [server.ask() for _ in range(5)]


def test_health_waits_for_no_thread() -> None:
    """While all threads wait, health is answered. Other requests wait for a thread."""
    with running(threads=1) as server:
        slow = server.client(b"GET /slow HTTP/1.1\r\n\r\n")
        assert server.app.slow.acquire(timeout=PATIENCE)
        other = server.client(b"GET /a HTTP/1.1\r\n\r\n")
        assert (200, b"/health") == server.ask()
        server.app.go.set()
        assert [b"/slow", b"/a"] == [slow.answer()[1], other.answer()[1]]


def test_untaken_answers_are_bounded() -> None:
    """The answers that clients do not read are limited in size, and the newest is always kept."""
    with running(unsent=LARGE + LARGE // 2) as server:
        clients = []
        for _ in range(4):
            clients.append(server.client(b"GET /large HTTP/1.1\r\n\r\n"))
            clients[-1].socket.recv(1, socket.MSG_PEEK)  # the answer has begun
        assert LARGE == len(clients.pop().answer()[1])
        assert [True] * 3 == [len(client.rest()) < LARGE for client in clients]


def test_stop_finishes_what_has_arrived() -> None:
    """A server that stops answers what it was asked, closes other connections, and accepts no more."""
    with running() as server:
        idle, slow = server.client(b"GET /a"), server.client(b"GET /slow HTTP/1.1\r\n\r\n" + HEALTH)
        assert server.app.slow.acquire(timeout=PATIENCE)
        server.begin_stop()
        server.app.go.set()
        assert (200, b"/slow") == slow.answer()
        assert (b"", b"") == (slow.rest(), idle.rest())
        with pytest.raises(ConnectionRefusedError):
            server.client()


def test_stop_waits_for_nobody_forever() -> None:
    """A server that stops drops requests that are not answered in time."""
    with running(stop_within=0.1) as server:
        slow, reader = server.client(b"GET /slow HTTP/1.1\r\n\r\n"), server.client(b"GET /large HTTP/1.1\r\n\r\n")
        assert server.app.slow.acquire(timeout=PATIENCE)
        server.begin_stop()
        assert b"" == slow.rest()
        assert len(reader.rest()) < LARGE


class PoorListener(socket.socket):
    """A listening socket of a process that may have three connections open. Every other client has gone already."""

    def __init__(self, failure: int) -> None:
        super().__init__()
        self._failure = failure
        self._accepted: list[socket.socket] = []
        self._gone = itertools.cycle([True, False])
        self.bind(("127.0.0.1", 0))
        self.listen()

    def accept(self) -> Any:
        """A connection, or the error."""
        if next(self._gone):
            raise ConnectionAbortedError
        if 3 <= len([client for client in self._accepted if client.fileno() >= 0]):
            raise OSError(self._failure, os.strerror(self._failure))
        client, peer = super().accept()
        self._accepted.append(client)
        return client, peer


@pytest.mark.parametrize("failure", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_no_file_is_left(failure: int) -> None:
    """If a connection cannot be accepted, an older one makes room, and it is accepted then."""
    with running(PoorListener(failure)) as server:
        for _ in range(5):
            server.client(b"GET /a")
        assert [(200, b"/health")] * 3 == [server.ask() for _ in range(3)]


class Crowd(RuleBasedStateMachine):
    """Clients that do anything in any order. Any other client is answered at all times."""

    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.server = Server(
            Bounds(connections=4, request_within=0.05, answer_within=0.05, close_within=0.05, threads=2)
        )

    @rule(target=clients)
    def connect(self) -> Client:
        """One more."""
        return self.server.client()

    @rule(
        client=clients,
        data=st.sampled_from(SENT) | st.binary(max_size=50),
    )
    def send(self, client: Client, data: bytes) -> None:
        """Send something."""
        with contextlib.suppress(OSError, ValueError):
            client.socket.sendall(data)

    @rule(client=clients)
    def read(self, client: Client) -> None:
        """Take something."""
        with contextlib.suppress(OSError, ValueError):
            client.socket.setblocking(False)
            client.socket.recv(1 << 20)

    @rule(client=clients)
    def half_close(self, client: Client) -> None:
        """Close one side."""
        with contextlib.suppress(OSError):
            client.socket.shutdown(socket.SHUT_WR)

    @rule(client=consumes(clients))
    def close(self, client: Client) -> None:
        """Close it."""
        client.close()

    @rule(client=consumes(clients))
    def reset(self, client: Client) -> None:
        """Reset it."""
        client.reset()

    @rule()
    def let_go(self) -> None:
        """Let slow requests end."""
        self.server.app.go.set()

    @invariant()
    def health_is_answered(self) -> None:
        """Health is answered."""
        assert (200, b"/health") == self.server.ask()

    def teardown(self) -> None:
        """End it, without a fault."""
        self.server.stop()


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
