"""Finds the first request in the bytes of a client, with gunicorn's parser, and never waits for more."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gunicorn.config import Config
from gunicorn.http import RequestParser, errors

from metadata_tool import limits


def _configuration() -> Any:
    made = Config()
    trust_nobody = {"forwarded_allow_ips": "", "forwarder_headers": "", "secure_scheme_headers": {}}
    for name, value in trust_nobody.items():
        made.set(name, value)
    return made


CONFIGURATION = _configuration()
"""gunicorn's limits for a request. No header changes how a request is understood, whoever sends it."""

_STATUS = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.InvalidHTTPVersion: HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
}


@dataclass(frozen=True)
class Refused:
    """The bytes do not start with a request that can be answered."""

    status: HTTPStatus


@dataclass(frozen=True)
class Received:
    """A request whose head has arrived, and its body if that is small. No request needs a body, so it is dropped."""

    request: Any
    """gunicorn's Request."""
    rest: bytes
    """What has arrived after it."""
    has_unread_body: bool = False
    """Whether a body may follow that is not read, so that it is unknown where the next request starts."""

    @property
    def path(self) -> str:
        """The path that is asked for, without the query."""
        return str(self.request.path)


def first_request(received: bytes, peer: Any = ("", 0)) -> Received | Refused | None:
    """The first request in the bytes. Refused if they cannot become one, None if it is not complete yet."""
    if not received:
        return None
    if not (received[:1] == b"\r" or "!" <= chr(received[0]) <= "~"):  # TLS, for example: its head would never end
        return Refused(HTTPStatus.BAD_REQUEST)
    parser = RequestParser(CONFIGURATION, [received], peer)
    try:
        request = next(parser)
    except (errors.NoMoreData, StopIteration):
        too_long = len(received) > limits.REQUEST_HEAD
        return Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) if too_long else None
    except (errors.ParseException, ValueError) as error:
        return Refused(_STATUS.get(type(error), HTTPStatus.BAD_REQUEST))
    return _with_body(request, parser.unreader.read())


def _with_body(request: Any, rest: bytes) -> Received | None:
    """The request without its body. None if a small body is not complete yet.

    A client that asks for permission to send its body gets the answer instead.
    """
    headers = dict(request.headers)
    length = int(headers.get("CONTENT-LENGTH", 0))
    if "TRANSFER-ENCODING" in headers or length > limits.REQUEST_BODY or (length and "EXPECT" in headers):
        return Received(request, rest, has_unread_body=True)
    return Received(request, rest[length:]) if len(rest) >= length else None
