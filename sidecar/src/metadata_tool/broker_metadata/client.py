"""Asks the brokers' web service (admin REST API), and follows redirects to the owner of a topic, with the token.

The token is sent only to BROKER_SERVICE_URL, and to brokers that the cluster or its ZooKeeper names.
"""

import json
import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError, SSLError

from metadata_tool.broker_metadata.access import BrokerAccess
from metadata_tool.broker_metadata.limits import (
    ASK_FOR_BROKERS_EVERY,
    CHUNK,
    CONNECT_TIMEOUT,
    MAX_ANSWER,
    PAUSES,
    QUOTED_TEXT,
    REDIRECTS,
)
from metadata_tool.errors import BrokerDenied, BrokerFailed, BrokerUnreachable, ToolError

log = logging.getLogger(__name__)

BROKERS = "/admin/v2/brokers"
"""Gives the addresses of the brokers of this cluster."""
_DENIED = (401, 403)
_BUSY = 429
_REDIRECTS = (301, 302, 303, 307, 308)
_HINT = "Check BROKER_SERVICE_URL, and that brokers are running"
_FAILED_HINT = "Look at the log of this broker"
_TLS_HINT = "Check BROKER_TLS_CA, BROKER_TLS_CERT and BROKER_TLS_KEY, and the host name in BROKER_SERVICE_URL"


class Answer(NamedTuple):
    """What a broker answered. The status is never that of a redirect, of a refused login, or of a failed request.

    `reason` is why a request was not done, in the broker's words, as one short line without the token.
    """

    status: int
    body: bytes
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the request was done."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            BrokerFailed: it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise BrokerFailed("a broker's answer is not JSON", _FAILED_HINT) from error


class Asks(Protocol):
    """Asks brokers: `BrokerClient`."""

    def request(self, method: str, path: str, body: bytes | None = None, *, repeatable: bool | None = None) -> Answer:
        """The answer of a broker. `path` begins with `/admin/`."""


class BrokerClient:
    """Asks brokers, from any number of threads.

    Names in paths must be encoded for URLs, as they are in Pulsar's znodes. `known` are further hosts of brokers that
    may get the token, from a source that is trusted, such as ZooKeeper.
    """

    def __init__(
        self,
        access: BrokerAccess,
        known: Iterable[str] = (),
        *,
        connections: int = 4,
        pauses: tuple[float, ...] = PAUSES,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Raises BrokerUnreachable if a PEM file cannot be used."""
        self._access, self._pauses, self._sleep = access, pauses, sleep
        self._own = host_of(access.url)
        self._brokers = _KnownBrokers(frozenset(host.strip("[]").lower() for host in known) | {self._own})
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            block=False,
            retries=False,
            ssl_context=access.context(),
            timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, access.request_timeout), read=access.request_timeout),
        )

    def request(self, method: str, path: str, body: bytes | None = None, *, repeatable: bool | None = None) -> Answer:
        """The answer of a broker. `path` begins with `/admin/`, and `body` is JSON.

        A request that failed is sent again if it is `repeatable`, by default GET and PUT. Others are sent again only
        if no broker has done them: the connection was refused, or the broker had too many requests (429).

        Raises:
            BrokerUnreachable: no connection, or no answer in time.
            BrokerDenied: 401 or 403.
            BrokerFailed: any 5xx, 429 at the last try, a redirect that is not followed, or an answer that is too large.
        """
        again = method in {"GET", "PUT"} if repeatable is None else repeatable
        pauses = list(self._pauses)
        while True:
            try:
                return self._following(method, path, body)
            except _TryAgainError as error:
                if not pauses or not (again or error.untouched):
                    raise error.cause from error
                log.debug("%s %s is sent again, because %s", method, path, error.cause.message)
                self._sleep(pauses.pop(0))

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _following(self, method: str, path: str, body: bytes | None) -> Answer:
        """The answer of the broker that redirects lead to."""
        url = self._access.url + path
        for _ in range(REDIRECTS + 1):
            answer, location = self._once(method, url, body)
            if location is None:
                return answer
            url = self._redirected(url, location)
        raise BrokerFailed(f"{_place(url)} redirected {method} {path} more than {REDIRECTS} times", _FAILED_HINT)

    def _redirected(self, url: str, location: str) -> str:
        """The address to follow.

        Raises:
            BrokerFailed: it is not that of a broker, or it is plain after TLS.
        """
        try:
            to = urljoin(url, location)
        except ValueError:
            to = ""
        host = host_of(to)
        if not host or not to.startswith(("http://", "https://")):
            raise BrokerFailed(f"{_place(url)} redirected to something that is not an address", _FAILED_HINT)
        if to.startswith("http:") and url.startswith("https:"):
            raise BrokerFailed(
                f"{_place(url)} redirected from TLS to a plain address",
                "Enable TLS on the web service of every broker (webServicePortTls)",
            )
        if not self._brokers.knows(host, self._list):
            raise BrokerFailed(
                f"{_place(url)} redirected to {host[:QUOTED_TEXT]!a}, which is a broker that has just stopped, or not "
                "a broker of this cluster, so the request was not sent there",
                "If that broker has just stopped, try again in a minute. Otherwise check which host answers at "
                "BROKER_SERVICE_URL",
            )
        return to

    def _list(self) -> frozenset[str]:
        """The hosts of the brokers that the cluster names. Empty if the login may not ask for them."""
        try:
            answer, location = self._once("GET", self._access.url + BROKERS, None)
            names = answer.json() if answer.ok and location is None else []
        except _TryAgainError as error:
            raise BrokerFailed(f"the brokers cannot be listed, {error.cause.message}", error.cause.hint) from error
        except BrokerDenied:
            return frozenset()
        texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        return frozenset(filter(None, (host_of(f"//{text}") for text in texts)))

    def _once(self, method: str, url: str, body: bytes | None) -> tuple[Answer, str | None]:
        """The answer to one request, and where it redirects to, if it does."""
        try:
            token = self._access.current_token()
            headers = {"Accept": "application/json"}
            headers |= {"Authorization": f"Bearer {token}"} if token else {}
            headers |= {"Content-Type": "application/json"} if body is not None else {}
            answer, location = self._exchange(method, url, body, headers)
        except LocationParseError as error:
            raise BrokerFailed(f"{_place(url)} is not an address", _HINT) from error
        except (HTTPError, OSError) as error:
            raise _unanswered(url, error) from error
        reason = "" if answer.ok else _reason(answer.body, token)
        said = f"{answer.status}, {reason}" if reason else str(answer.status)
        if answer.status in _DENIED:
            raise BrokerDenied(
                f"{_place(url)} refused the login ({said})",
                "Check BROKER_TOKEN or BROKER_TOKEN_FILE, and the permissions of its role",
            )
        if answer.status == _BUSY or answer.status >= 500:
            failed = BrokerFailed(f"{_place(url)} failed ({said})", _FAILED_HINT)
            raise _TryAgainError(failed, untouched=answer.status == _BUSY)
        if answer.status in _REDIRECTS:
            return answer, location or ""
        return answer._replace(reason=reason), None

    def _exchange(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[Answer, str | None]:
        deadline = time.monotonic() + self._access.request_timeout
        response = self._pool.urlopen(
            method, url, body=body, headers=headers, redirect=False, preload_content=False, decode_content=False
        )
        whole, read = False, bytearray()
        try:
            while chunk := response.read1(CHUNK):  # not read(), which waits until the chunk is full
                read += chunk
                if len(read) > MAX_ANSWER:
                    raise BrokerFailed(f"the answer of {_place(url)} has more than {MAX_ANSWER} bytes", _FAILED_HINT)
                if time.monotonic() > deadline:
                    raise TimeoutError("no complete answer in time")
            whole = True
        finally:
            response.release_conn() if whole else response.close()
        return Answer(response.status, bytes(read)), response.headers.get("Location")


class _TryAgainError(Exception):
    """A request failed, and a further try may succeed. `untouched`: no broker has done it."""

    def __init__(self, cause: ToolError, *, untouched: bool) -> None:
        super().__init__(cause.message)
        self.cause, self.untouched = cause, untouched


class _KnownBrokers:
    """The hosts that may get the token. The cluster is asked for its brokers when a redirect leads to another host."""

    def __init__(self, always: frozenset[str]) -> None:
        self._always, self._named = always, frozenset[str]()
        self._asked: float | None = None
        self._lock = threading.Lock()

    def knows(self, host: str, ask: Callable[[], frozenset[str]]) -> bool:
        if host in self._always:
            return True
        with self._lock:
            known = self._asked is not None and time.monotonic() - self._asked < ASK_FOR_BROKERS_EVERY
            if host not in self._named and not known:
                self._named, self._asked = ask(), time.monotonic()
            return host in self._named


def api_of(namespace: str) -> str:
    """The start of addresses for a namespace, and for the topics in it. A V1 name includes the cluster."""
    return "/admin" if namespace.count("/") > 1 else "/admin/v2"


def host_of(url: str) -> str:
    """The host of an address. Empty if there is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _place(url: str) -> str:
    """The broker of an address, for messages: no path, and nothing that may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"[:QUOTED_TEXT]


def _reason(body: bytes, token: str) -> str:
    """The reason in a broker's answer: that in a JSON object, or the text as long as it is not HTML."""
    body = body.replace(token.encode(), b"***") if token else body
    text = body[: 8 * QUOTED_TEXT].decode(errors="replace").strip()
    try:
        found = json.loads(body)
        text = str(found.get("reason") or "") if isinstance(found, dict) else text
    except (ValueError, RecursionError):
        text = "" if text.startswith("<") else text
    return re.sub(r"[^ -~]+|\s+", " ", text).strip()[:QUOTED_TEXT]


def _unanswered(url: str, error: HTTPError | OSError) -> ToolError | _TryAgainError:
    """The error for a request without an answer. One that timed out or failed in TLS is not worth another try."""
    cause: BaseException = error
    while (below := cause.__cause__ or cause.__context__) and not isinstance(cause, OSError):
        cause = below
    if isinstance(error, SSLError) or isinstance(cause, ssl.SSLError):
        why = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "the handshake failed"
        return BrokerUnreachable(f"TLS with {_place(url)} failed, {str(why).replace('_', ' ').lower()}", _TLS_HINT)
    unopened = isinstance(error, NewConnectionError)  # which counts as a timeout, too
    if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError) and not unopened:
        return BrokerUnreachable(f"{_place(url)} did not answer in time", _HINT)
    why = cause.strerror if isinstance(cause, OSError) and cause.strerror else "the connection broke, or is not HTTP"
    found = BrokerUnreachable(f"{_place(url)} does not answer, {why[0].lower()}{why[1:]}", _HINT)
    return _TryAgainError(found, untouched=unopened)
