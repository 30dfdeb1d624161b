"""A relay to a ZooKeeper server that meddles: it throttles requests, goes mute, and tells what is asked."""

import contextlib
import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

_HEAD = struct.Struct(">ii")
"""Of a request: its xid and its type."""
_REPLY = struct.Struct(">iqi")
_THROTTLED = -127


def _never(_kind: int) -> bool:
    return False


def _nothing(_kind: int) -> None:
    pass


@dataclass
class Meddling:
    """What a relay does. Each field is asked with the type of every request, in order. By default, nothing happens."""

    sees: Callable[[int], None] = _nothing
    """Called before the request is passed on."""
    throttles: Callable[[int], bool] = _never
    """Whether the request is answered that it is throttled."""
    mutes: Callable[[int], bool] = _never
    """Whether from here on nothing passes on its connection, either way, until the server hangs up."""
    throttled: Counter[int] = field(default_factory=Counter)
    """How many requests of each type were throttled."""


@contextlib.contextmanager
def relay(address: str) -> Iterator[tuple[str, Meddling]]:
    """The relay's address and what it does."""
    meddling = Meddling()

    class Handler(_Handler):
        pass

    host, _, port = address.rpartition(":")
    Handler.target, Handler.meddling = (host, int(port)), meddling
    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", meddling
        finally:
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(socketserver.BaseRequestHandler):
    target: tuple[str, int]
    meddling: Meddling

    def handle(self) -> None:
        self.mute = False
        self.throttled: set[int] = set()
        self.client: socket.socket = self.request
        with contextlib.suppress(OSError), socket.create_connection(self.target) as self.upstream:
            for end in (self.client, self.upstream):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._up, daemon=True).start()
            self._down()

    def _up(self) -> None:
        with contextlib.suppress(OSError), self.client.makefile("rb") as requests:
            if (word := requests.peek(4)[:4]).isalpha():
                self.upstream.sendall(word)
                return
            for number, frame in enumerate(_frames(requests)):
                if number:  # not the handshake
                    self._ask(*_HEAD.unpack_from(frame, 4))
                if not self.mute:
                    self.upstream.sendall(frame)
        with contextlib.suppress(OSError):
            if not self.mute:
                self.upstream.shutdown(socket.SHUT_WR)

    def _ask(self, xid: int, kind: int) -> None:
        if xid > 0:
            self.meddling.sees(kind)
            self.mute = self.mute or self.meddling.mutes(kind)
            if self.meddling.throttles(kind):
                self.throttled.add(xid)
                self.meddling.throttled[kind] += 1

    def _down(self) -> None:
        with self.upstream.makefile("rb") as replies:
            if replies.peek(4)[:4].isalpha():
                self.client.sendall(replies.read())
            for number, frame in enumerate(_frames(replies)):
                if not self.mute:
                    self.client.sendall(self._answer(frame) if number else frame)

    def _answer(self, frame: bytes) -> bytes:
        xid, zxid, _ = _REPLY.unpack_from(frame, 4)
        if xid not in self.throttled:
            return frame
        self.throttled.remove(xid)
        return struct.pack(">i", _REPLY.size) + _REPLY.pack(xid, zxid, _THROTTLED)


def _frames(stream: BinaryIO) -> Iterator[bytes]:
    """Each with the four bytes of its length."""
    while len(head := stream.read(4)) == 4:
        yield head + stream.read(int.from_bytes(head, "big"))
