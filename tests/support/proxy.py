"""Stands between the program and the S3 server, and makes the faults that a good server does not."""

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_CHUNK = 64 << 10


@dataclass
class Faults:
    """What goes wrong at the moment; nothing at first."""

    hide_checksums: bool = False
    """The server tells no SHA-256 of what it keeps, as older ones do not."""
    damage: Callable[[str, bytes], bytes] | None = None
    """Changes the body of an answer, given the request's method."""
    cut: int = 0
    """Send only so many bytes of an answer's body, and close the connection."""
    upload_pause: float = 0
    """Seconds of pause after each 64 KiB sent to the server."""
    status: int = 0
    """Answer everything with this status."""
    uploading: threading.Event = None  # type: ignore[assignment]  # made for each proxy
    """Set as soon as an upload's body arrives."""


@contextlib.contextmanager
def proxy(target_port: int) -> Iterator[tuple[str, Faults]]:
    """The proxy's endpoint and its faults."""
    faults = Faults(uploading=threading.Event())

    class Handler(_Handler):
        pass

    Handler.target_port, Handler.faults = target_port, faults
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target_port: int
    faults: Faults

    def _forward(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if self.faults.status:
            self.rfile.read(size)
            self._answer(self.faults.status, [], b"")
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for key, value in self.headers.items():
                if key.lower() != "expect":
                    connection.putheader(key, value)
            connection.endheaders()
            self._send_body(connection, size)
            reply = connection.getresponse()
            body = reply.read()
            if self.faults.damage:
                body = self.faults.damage(self.command, body)
            self._answer(reply.status, reply.getheaders(), body)
        except OSError:
            self.close_connection = True
        finally:
            connection.close()

    def _send_body(self, connection: http.client.HTTPConnection, size: int) -> None:
        while size:
            chunk = self.rfile.read(min(size, _CHUNK))
            if not chunk:
                raise ConnectionError("the client went away")
            if self.command == "PUT":
                self.faults.uploading.set()
                time.sleep(self.faults.upload_pause)
            connection.send(chunk)
            size -= len(chunk)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        length = str(len(body))
        for key, value in headers:
            hidden = (
                self.faults.hide_checksums
                and self.command in ("HEAD", "GET")
                and key.lower().startswith("x-amz-checksum")
            )
            if key.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif not hidden and key.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(key, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: self.faults.cut or None])
            self.close_connection = bool(self.faults.cut)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815  # the server looks for these names

    def log_message(self, *_: object) -> None:
        """Say nothing."""
