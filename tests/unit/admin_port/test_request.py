from http import HTTPStatus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metadata_tool import limits
from metadata_tool.admin_port.request import Received, Refused, first_request

GET = b"GET /backup/list?a=b HTTP/1.1\r\nHost: h\r\n\r\n"

paths = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._~/", max_size=30).map("/".__add__)
names = st.from_regex(r"[A-Za-z][A-Za-z-]{0,20}", fullmatch=True).map(lambda name: f"X-{name}")
values = st.from_regex(r"[!-~]([ -~]{0,40}[!-~])?", fullmatch=True)


@st.composite
def heads(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path, and the head of a request for it."""
    path = draw(paths)
    headers = draw(st.lists(st.tuples(names, values), max_size=5))
    lines = [f"{draw(st.sampled_from(['GET', 'HEAD', 'POST']))} {path} HTTP/1.1", "Host: h"]
    lines += [f"{name}: {value}" for name, value in headers]
    return path, "".join(f"{line}\r\n" for line in (*lines, "")).encode()


pieces = st.sampled_from(
    [
        b"GET ",
        b"/",
        b"HTTP/1.1",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b":",
        b" ",
        b"\0",
        b"Content-Length: 1",
        b"x" * 5000,
    ]
)
anything = st.binary(max_size=200) | st.lists(pieces | st.binary(max_size=9), max_size=30).map(b"".join)


def received(data: bytes) -> Received:
    """The request in these bytes."""
    found = first_request(data)
    assert isinstance(found, Received)
    return found


def refused(data: bytes) -> int:
    """The status by which these bytes are refused."""
    found = first_request(data)
    assert isinstance(found, Refused)
    return found.status


@given(heads(), anything)
def test_request_is_found(head: tuple[str, bytes], after: bytes) -> None:
    """A complete head is a request, and what follows stays as it is."""
    path, data = head
    found = received(data + after)
    assert (path, after) == (found.path, found.rest)


@given(heads(), st.data())
def test_incomplete_head_needs_more(head: tuple[str, bytes], data: st.DataObject) -> None:
    """No part of a head is taken for a request, and none is refused."""
    _, whole = head
    assert first_request(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


@given(anything, st.data())
@example(b"\r\n" + GET, None)
@example(b"\r\n\r\n", None)
def test_parts_and_whole_agree(whole: bytes, data: st.DataObject | None) -> None:
    """Whatever has arrived, nothing is raised, and what was said of a part is still true when more has arrived."""
    part = whole[: data.draw(st.integers(0, len(whole)))] if data else whole[:-1]
    early, late = first_request(part), first_request(whole)
    if early is not None:
        assert type(early) is type(late)
    if isinstance(early, Received) and isinstance(late, Received):
        assert (early.path, early.request.headers) == (late.path, late.request.headers)
        assert early.rest + whole[len(part) :] == late.rest


@given(st.binary(min_size=1, max_size=64))
def test_a_head_is_bounded(part: bytes) -> None:
    """Whatever follows in a head, it is complete or refused before it takes much memory."""
    data = b"GET / HTTP/1.1\r\n" + part * ((limits.REQUEST_HEAD // len(part)) + 1)
    assert first_request(data) is not None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02", HTTPStatus.BAD_REQUEST),  # the first bytes of TLS
        (b"\x80", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\n\n", HTTPStatus.BAD_REQUEST),
        (b"hello\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nbroken\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET /" + b"x" * 9000, HTTPStatus.REQUEST_URI_TOO_LONG),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 101 + b"\r\n", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 6000, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (b"GET / HTTP/1.1\r\nExpect: wonders\r\n\r\n", HTTPStatus.EXPECTATION_FAILED),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: br\r\n\r\n", HTTPStatus.NOT_IMPLEMENTED),
        (b"GET / HTTP/2.0\r\n\r\n", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED),
    ],
)
def test_refusals(data: bytes, status: HTTPStatus) -> None:
    """What cannot be answered is refused as soon as that is certain, with the status that says why."""
    assert status == refused(data)


@given(heads(), st.integers(1, limits.REQUEST_BODY), anything)
def test_small_body_is_dropped(head: tuple[str, bytes], size: int, after: bytes) -> None:
    """A request with a small body is complete with it, and what follows is the next request."""
    path, data = head
    data = data[:-2] + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    assert first_request(data[:-1]) is None
    found = received(data + after)
    assert (path, after, False) == (found.path, found.rest, found.has_unread_body)


@pytest.mark.parametrize(
    ("header", "unread"),
    [
        (b"X: x", False),
        (b"Content-Length: 0", False),
        (b"Content-Length: %d" % (limits.REQUEST_BODY + 1), True),
        (b"Content-Length: 1\r\nExpect: 100-continue", True),
        (b"Transfer-Encoding: chunked", True),
    ],
)
def test_large_body_is_not_waited_for(header: bytes, unread: bool) -> None:
    """A request is complete without a body that is large, of unknown size, or not sent before it is asked for."""
    assert unread == received(b"POST / HTTP/1.1\r\n" + header + b"\r\n\r\n").has_unread_body


@pytest.mark.parametrize(
    "header", [b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off", b"SCRIPT_NAME: /backup", b"X-Forwarded-For: x"]
)
def test_no_header_changes_the_request(header: bytes) -> None:
    """Headers of proxies have no effect, even from this machine, as through `kubectl port-forward`."""
    found = first_request(b"GET /backup/list HTTP/1.1\r\n" + header + b"\r\n\r\n", ("127.0.0.1", 1))
    assert isinstance(found, Received)
    assert ("/backup/list", "http") == (found.path, found.request.scheme)
    assert "SCRIPT_NAME" not in dict(found.request.headers)
