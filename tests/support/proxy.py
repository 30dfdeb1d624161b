"""Stands between the program and the S3 server, and makes the faults that a good server does not."""

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

_CHUNK = 64 << 10
_RESET = struct.pack("ii", 1, 0)
"""Linger for no second: closing throws away what is not sent yet, and tells the other side so."""


@dataclass
class Faults:
    """What goes wrong at the moment, nothing at first; and what was seen."""

    hide_checksums: bool = False
    """The server tells no SHA-256 of what it keeps, as older ones do not."""
    damage: Callable[[str, bytes], bytes] | None = None
    """Changes the body of an answer, given the request's method."""
    cut: int | None = None
    """Send only so many bytes of an answer's body, and close the connection."""
    cut_by: Literal["close", "reset", "silence"] = "close"
    """How it is cut; with silence it stays open, and nothing more comes."""
    cuts: int = -1
    """Cut only so many answers; all, if negative."""
    overstate: int = 0
    """Say that an answer's body has so many bytes more."""
    upload_pause: float = 0
    """Seconds of pause after each 64 KiB sent to the server."""
    download_pause: float = 0
    """Seconds of pause before each 64 KiB sent to the program."""
    status: int = 0
    """Answer everything with this status."""
    statuses: list[int] = field(default_factory=list)
    """Answer the next requests with these first; 0 lets one pass."""
    replay: bool = False
    """Answer every request as the first one, as what knows no ranges does."""
    uploading: threading.Event = field(default_factory=threading.Event)
    """Set as soon as an upload's body arrives."""
    requests: int = 0
    """Seen so far."""
    sent: int = 0
    """Bytes of bodies that were sent to the program."""
    over: threading.Event = field(default_factory=threading.Event)
    """Ends the silence."""

    def next_status(self) -> int:
        """What to answer with; 0 for what the server says."""
        self.requests += 1
        return self.statuses.pop(0) if self.statuses else self.status

    def next_cut(self) -> int | None:
        """After how many bytes to cut the answer."""
        if self.cut is None or self.cuts == 0:
            return None
        self.cuts -= 1
        return self.cut


@contextlib.contextmanager
def proxy(target_port: int) -> Iterator[tuple[str, Faults]]:
    """The proxy's endpoint and its faults."""
    faults = Faults()

    class Handler(_Handler):
        pass

    Handler.target_port, Handler.faults = target_port, faults
    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        faults.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Close at once: the usual shutdown before it would make a good end of what is to be a reset."""
        self.close_request(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target_port: int
    faults: Faults
    first: tuple[int, list[tuple[str, str]], bytes] | None = None

    def _forward(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if status := self.faults.next_status():
            self.rfile.read(size)
            self._answer(status, [], b"")
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
            answer = reply.status, reply.getheaders(), body
            if self.faults.replay:
                type(self).first = answer = type(self).first or answer
            self._answer(*answer)
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
        length = str(len(body) + self.faults.overstate)
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
            self._answer_body(body)

    def _answer_body(self, body: bytes) -> None:
        cut = self.faults.next_cut()
        body = body[:cut]
        for begin in range(0, len(body), _CHUNK):
            time.sleep(self.faults.download_pause)
            chunk = body[begin : begin + _CHUNK]
            self.wfile.write(chunk)
            self.faults.sent += len(chunk)
        if cut is not None:
            if self.faults.cut_by == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            if self.faults.cut_by == "silence":
                self.faults.over.wait()
        self.close_connection = cut is not None or bool(self.faults.overstate)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815  # the server looks for these names

    def log_message(self, *_: object) -> None:
        """Say nothing."""
