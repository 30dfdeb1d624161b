"""What a WSGI app answers to a request, as the bytes that are sent."""

import io
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIApplication

from gunicorn.http.wsgi import Response, default_environ
from gunicorn.util import http_date, unquote_to_wsgi_str

from metadata_tool.admin_port.request import CONFIGURATION, Received

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """A complete answer, as bytes."""

    data: bytes
    closes: bool
    """Whether the connection is closed after it."""


def answer(app: WSGIApplication, received: Received, peer: tuple[Any, ...], *, last: bool = False) -> Answer:
    """The app's answer to a request.

    It closes the connection if it is the `last` one, if the client asks for that, or if the request has a body that
    nobody reads.
    """
    started = time.monotonic()
    request, sent = received.request, _Collected()
    response = Response(request, sent, CONFIGURATION)
    if last or received.has_unread_body:
        response.force_close()
    try:
        _write(app(_environ(request, peer), response.start_response), response)
    except Exception:
        log.exception("a request failed because of a fault in the program. Report it together with the log")
        return refusal(HTTPStatus.INTERNAL_SERVER_ERROR)
    seconds = time.monotonic() - started
    log.debug("%s %s %s", request.method, request.uri, response.status_code, extra={"seconds": seconds})
    return Answer(sent.getvalue(), response.should_close())


def refusal(status: HTTPStatus) -> Answer:
    """An error answer with this status, as JSON. It closes the connection."""
    log.debug("a request was refused: %d %s", status, status.phrase)
    body = json.dumps({"error": status.phrase.lower()}).encode() + b"\n"
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Date: {http_date()}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return Answer("".join(f"{line}\r\n" for line in (*lines, "")).encode() + body, closes=True)


class _Collected(io.BytesIO):
    """Takes the place of the client's socket."""

    def sendall(self, data: bytes) -> None:
        """Keep it."""
        self.write(data)


def _write(parts: Iterable[bytes], response: Any) -> None:
    try:
        for part in parts:
            response.write(part)
        response.close()
    finally:
        if close := getattr(parts, "close", None):
            close()


def _environ(request: Any, peer: tuple[Any, ...]) -> dict[str, Any]:
    environ: dict[str, Any] = default_environ(request, None, CONFIGURATION)
    environ |= {
        "PATH_INFO": unquote_to_wsgi_str(request.path),
        "REMOTE_ADDR": str(peer[0]),
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.multithread": True,
        "wsgi.url_scheme": "http",
    }
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name.replace("-", "_"), []).append(value)
    without_prefix = ("CONTENT_TYPE", "CONTENT_LENGTH")
    return environ | {
        name if name in without_prefix else f"HTTP_{name}": ",".join(values) for name, values in headers.items()
    }
