import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import pytest

from metadata_tool.admin_port.answer import Answer, answer, refusal
from metadata_tool.admin_port.request import Received, first_request

PEER = ("192.0.2.1", 4711)


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer with what arrived, in two parts."""
    if environ["PATH_INFO"] == "/fault":
        raise RuntimeError("s3cr3t detail")
    parts = [environ["PATH_INFO"].encode(), environ["QUERY_STRING"].encode()]
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(b"".join(parts))))])
    return parts


def ask(head: bytes, *, last: bool = False) -> Answer:
    """The answer to this request."""
    found = first_request(head + b"\r\n\r\n", PEER)
    assert isinstance(found, Received)
    return answer(app, found, PEER, last=last)


def test_answer_is_complete() -> None:
    """Status, headers and body come as the app gave them."""
    head, _, body = ask(b"GET /a%20b?c=d HTTP/1.1\r\nHost: h").data.partition(b"\r\n\r\n")
    assert (b"HTTP/1.1 200 OK", b"/a bc=d") == (head.splitlines()[0], body)
    assert b"Content-Length: 7" in head.splitlines()


def test_head_has_no_body() -> None:
    """HEAD is answered by the headers alone."""
    assert ask(b"HEAD /a HTTP/1.1\r\nHost: h").data.endswith(b"Content-Length: 2\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"GET / HTTP/1.1", False),
        (b"GET / HTTP/1.1\r\nConnection: close", True),
        (b"GET / HTTP/1.0", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 5000", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 0", False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked", True),
    ],
)
def test_keep_alive(head: bytes, closes: bool) -> None:
    """A connection stays open as HTTP has it, but not after a body that nobody reads. The answer says so."""
    found = ask(head)
    assert closes == found.closes
    assert (b"Connection: close" if closes else b"Connection: keep-alive") in found.data.splitlines()


def test_last_answer_closes() -> None:
    """A server that stops closes the connection."""
    assert ask(b"GET / HTTP/1.1", last=True).closes


def test_body_is_not_asked_for() -> None:
    """A client that waits for permission to send a body gets the answer instead."""
    found = ask(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue")
    assert found.data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"100 Continue" not in found.data


def test_fault_has_no_details(caplog: pytest.LogCaptureFixture) -> None:
    """A fault in the app is a 500 without details, which are logged."""
    found = ask(b"GET /fault HTTP/1.1")
    assert found.data.startswith(b"HTTP/1.1 500 ")
    assert b"s3cr3t" not in found.data
    assert "s3cr3t" in caplog.text


def test_refusal_is_json() -> None:
    """A refusal is a JSON error, which ends the connection."""
    found = refusal(HTTPStatus.BAD_REQUEST)
    head, _, body = found.data.partition(b"\r\n\r\n")
    assert ("error", "bad request") == next(iter(json.loads(body).items()))
    assert {b"Connection: close", b"Content-Length: %d" % len(body)} <= set(head.splitlines())
    assert found.closes
