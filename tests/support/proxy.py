"""Stands between the program and the S3 server, and makes the faults that a good server does not."""

import contextlib
import http.client
import re
import socket
import ssl
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from support.certificates import Certificate

_CHUNK = 64 << 10
_RESET = struct.pack("ii", 1, 0)
"""Linger for no second: closing throws away what is not sent yet, and tells the other side so."""


@dataclass
class Faults:
    """What goes wrong at the moment, nothing at first. Also what was seen."""

    hide_checksums: bool = False
    """The server tells no SHA-256 of what it keeps, as older ones do not."""
    hide: tuple[str, ...] = ()
    """Headers, in lower case, that are missing in answers to HEAD and GET. Only a HEAD can lack its length."""
    damage: Callable[[str, bytes], bytes] | None = None
    """Changes the body of an answer, given the request's method."""
    cut: int | None = None
    """How many bytes of an answer's body are sent before the connection is closed."""
    cut_by: Literal["close", "reset", "silence"] = "close"
    """How the answer is cut. With silence, the connection stays open, and nothing more comes."""
    cuts: int = -1
    """How many answers are cut. Negative: all."""
    overstate: int = 0
    """How many bytes more than it has an answer claims for its body."""
    upload_pause: float = 0
    """Seconds of pause after each 64 KiB sent to the server."""
    download_pause: float = 0
    """Seconds of pause before each 64 KiB sent to the program."""
    status: int = 0
    """Answer everything with this status."""
    statuses: list[int] = field(default_factory=list)
    """Statuses of the answers to the next requests. 0 lets a request pass."""
    lost: list[int] = field(default_factory=list)
    """Statuses that replace the next answers to PUT and POST, after the server has done what it was asked."""
    replay: bool = False
    """Answer every request as the first one, as what knows no ranges does."""
    uploading: threading.Event = field(default_factory=threading.Event)
    """Set as soon as an upload's body arrives."""
    refuse: Callable[[str, Mapping[str, str]], tuple[int, str, str] | None] | None = None
    """Given a request's method and headers, in lower case, returns the status, code and message of a refusal."""
    checksum: Callable[[str], str] | None = None
    """Changes the SHA-256 that the server reports for an object."""
    only_v1_listings: bool = False
    """Answer listings as a server that knows only the first version: without a token to continue with."""
    forgets_after: float = 0
    """Seconds of idleness after which a connection is forgotten, as by a NAT: nothing is answered on it any more."""
    forgotten: int = 0
    """Requests that came on such connections."""
    redirect: str = ""
    """Redirect all requests to this address."""
    requests: int = 0
    """Seen so far."""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers of each, in lower case."""
    sent: int = 0
    """Bytes of bodies that were sent to the program."""
    over: threading.Event = field(default_factory=threading.Event)
    """Ends the silence."""

    def next_status(self) -> int:
        """The status of the next answer. 0: that of the server."""
        self.requests += 1
        return self.statuses.pop(0) if self.statuses else self.status

    def next_cut(self) -> int | None:
        """After how many bytes to cut the answer."""
        if self.cut is None or self.cuts == 0:
            return None
        self.cuts -= 1
        return self.cut


@contextlib.contextmanager
def proxy(
    target_port: int, certificate: Certificate | None = None, *, to_tls: bool = False
) -> Iterator[tuple[str, Faults]]:
    """The proxy's endpoint and its faults. With a certificate it speaks TLS, and with `to_tls` the server does."""
    faults = Faults()

    class Handler(_Handler):
        pass

    Handler.target_port, Handler.faults, Handler.to_tls = target_port, faults, to_tls
    server = _Server(("127.0.0.1", 0), Handler)
    if certificate:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(certificate.cert, certificate.key)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}", faults
    finally:
        faults.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        """Speak TLS with a certificate. The handshake comes with the first read, in the thread of the connection."""
        request, address = super().get_request()
        if self.context:
            request = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        return request, address

    def handle_error(self, _request: Any, _address: Any) -> None:
        """A client may go away, or not trust the certificate."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Close at once: the usual shutdown before it would make a good end of what is to be a reset."""
        self.close_request(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits for the client to acknowledge the headers
    target_port: int
    faults: Faults
    to_tls: bool
    last_answer: float = 0
    first: tuple[int, list[tuple[str, str]], bytes] | None = None

    def _forward(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.faults.seen.append((self.command, self.path, headers))
        if self._refused(headers, body):
            return
        connection = self._connection()
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for key, value in self.headers.items():
                if key.lower() != "expect":
                    connection.putheader(key, value)
            connection.endheaders()
            for chunk in body:
                with contextlib.suppress(OSError):  # a server may answer before it has read the end of the body
                    connection.send(chunk)
            reply = connection.getresponse()
            content = reply.read()
            if self.faults.only_v1_listings:
                content = re.sub(
                    rb"<NextContinuationToken>.*?</NextContinuationToken>|<KeyCount>.*?</KeyCount>", b"", content
                )
            if self.faults.damage:
                content = self.faults.damage(self.command, content)
            answer = reply.status, reply.getheaders(), content
            if self.faults.lost and self.command in ("PUT", "POST"):
                answer = self.faults.lost.pop(0), [], b""
            if self.faults.replay:
                type(self).first = answer = type(self).first or answer
            self._answer(*answer)
        except OSError:
            self.close_connection = True
        finally:
            connection.close()

    def _is_forgotten(self) -> bool:
        idle, self.last_answer = time.monotonic() - (self.last_answer or time.monotonic()), time.monotonic()
        return 0 < self.faults.forgets_after < idle

    def _connection(self) -> http.client.HTTPConnection:
        if self.to_tls:
            context = ssl._create_unverified_context()  # both are the test's
            return http.client.HTTPSConnection("127.0.0.1", self.target_port, timeout=60, context=context)
        return http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=60)

    def _refused(self, headers: dict[str, str], body: Iterator[bytes]) -> bool:
        """Whether the request has been answered here, or never will be."""
        if self._is_forgotten():
            self.faults.forgotten += 1
            return self.faults.over.wait()
        status = self.faults.next_status()
        refusal = self.faults.refuse(self.command, headers) if self.faults.refuse else None
        if not (status or refusal or self.faults.redirect):
            return False
        for _ in body:
            pass
        if refusal:
            status, code, message = refusal
            told = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            self._answer(status, [("Content-Type", "application/xml")], told.encode())
        else:
            place = [("Location", self.faults.redirect)] if self.faults.redirect else []
            self._answer(status or 307, place, b"")
        return True

    def _body(self) -> Iterator[bytes]:
        """The request's body as it came, in pieces."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return self._chunked_body()
        return self._sized_body(int(self.headers.get("Content-Length") or 0))

    def _sized_body(self, size: int) -> Iterator[bytes]:
        while size:
            chunk = self.rfile.read(min(size, _CHUNK))
            if not chunk:
                raise ConnectionError("the client went away")
            self._uploading()
            yield chunk
            size -= len(chunk)

    def _chunked_body(self) -> Iterator[bytes]:
        while head := self.rfile.readline():
            size = int(head.split(b";")[0], 16)
            if size:
                self._uploading()
            yield head + self.rfile.read(size) + self.rfile.readline()
            if not size:
                return
        raise ConnectionError("the client went away")

    def _uploading(self) -> None:
        if self.command == "PUT":
            self.faults.uploading.set()
            time.sleep(self.faults.upload_pause)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        length = str(len(body) + self.faults.overstate)
        for key, value in headers:
            hidden = self.command in ("HEAD", "GET") and (
                key.lower() in self.faults.hide
                or (self.faults.hide_checksums and key.lower().startswith("x-amz-checksum"))
            )
            if key.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif not hidden and key.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(key, self._changed(key, value))
        if self.command != "HEAD" or "content-length" not in self.faults.hide:
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self._answer_body(body)

    def _changed(self, key: str, value: str) -> str:
        """The value of a header of the answer."""
        of_object = self.command in ("HEAD", "GET") and key.lower() == "x-amz-checksum-sha256"
        return self.faults.checksum(value) if of_object and self.faults.checksum else value

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
