"""A server for HEARTBEAT_URL, which records the requests after backups."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "zq7secret"
PATIENCE = 60.0


class Watcher(ThreadingHTTPServer):
    """A server that gets a request after each backup. It answers with `status`, or not before `go` is set."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.status = 200
        self.go = threading.Event()
        self.go.set()
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        """Its address, with a secret in the path."""
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/{SECRET}?a=b"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust it."""


class _Handler(BaseHTTPRequestHandler):
    server: Watcher

    def do_GET(self) -> None:
        """Answer, with a body that never ends."""
        self.server.asked.append(self.path)
        self.server.go.wait(PATIENCE)
        with contextlib.suppress(OSError):
            self.send_response(self.server.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def watching(tls: ssl.SSLContext | None = None) -> Iterator[Watcher]:
    """A service that runs."""
    with Watcher(tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.go.set()
        server.shutdown()
        thread.join()
