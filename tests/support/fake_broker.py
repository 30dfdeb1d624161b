"""A broker's web service whose answers a test chooses, for faults that real brokers do not show when asked to."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

BROKERS = "/admin/v2/brokers"


class Asked(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    token: str
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer. `pause` seconds pass before each `drip` bytes of it; without `drip` before all. None: no answer."""

    status: int | None = 200
    body: bytes = b"[]"
    location: str = ""
    pause: float = 0
    drip: int = 0


Replies = Reply | Sequence[Reply] | Callable[[Asked], Reply]
NOT_FOUND = Reply(404, b'{"reason":"Not found"}')


@dataclass
class FakeBroker:
    """Answers by path. Of several replies of one path, each is given once, and the last from then on."""

    replies: dict[str, Replies] = field(default_factory=dict)
    default: Replies = NOT_FOUND
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)

    def answer(self, asked: Asked) -> Reply:
        """The reply to a request."""
        seen = sum(earlier.path == asked.path for earlier in self.asked)
        self.asked.append(asked)
        replies = self.replies.get(asked.path, self.default)
        if isinstance(replies, Reply):
            return replies
        return replies[min(seen, len(replies) - 1)] if isinstance(replies, Sequence) else replies(asked)

    def paths(self) -> list[str]:
        """The paths that were asked for, in their order."""
        return [asked.path for asked in self.asked]


@contextmanager
def fake_broker(replies: dict[str, Replies] | None = None, default: Replies = NOT_FOUND) -> Iterator[FakeBroker]:
    """Run a broker on loopback. It ends with the block."""
    broker = FakeBroker(replies or {}, default)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each body waits for the client to acknowledge the headers

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            with suppress(OSError):
                self._send(broker.answer(Asked(self.command, self.path, token, body)))

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  # http.server's names

        def _send(self, reply: Reply) -> None:
            if not reply.drip:
                broker.stopping.wait(reply.pause)
            if reply.status is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(reply.body)))
            if reply.location:
                self.send_header("Location", reply.location)
            self.end_headers()
            size = reply.drip or len(reply.body) or 1
            for start in range(0, len(reply.body), size):
                if reply.drip:
                    broker.stopping.wait(reply.pause)
                self.wfile.write(reply.body[start : start + size])

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing: clients of these tests break connections on purpose."""

    with Server(("127.0.0.1", 0), Handler) as server:
        broker.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield broker
        finally:
            broker.stopping.set()
            server.shutdown()
            thread.join()
