"""Sends a request after each good backup, so that a monitoring service notices when backups stop."""

import logging
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import responses
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from metadata_tool import limits
from metadata_tool.backup import BackupResult
from metadata_tool.errors import FAULT, Stopped
from metadata_tool.lifecycle import Heartbeat, interruptible
from metadata_tool.metrics import Metrics

log = logging.getLogger(__name__)

_PHASE = {"phase": "heartbeat"}


class BackupHeartbeat:
    """Called by the service after each backup. Nothing is raised, and the address is never shown, as it is a secret.

    The body of the answer is not read. While a request is still waiting for its answer, no other one is sent.
    """

    def __init__(self, url: str, metrics: Metrics, within: float = limits.HEARTBEAT_WITHIN) -> None:
        """Asks nothing yet. An answer must come `within` these seconds."""
        self._url = url
        self._metrics = metrics
        self._within = within
        self._asking = False

    def __call__(self, report: BackupResult, heartbeat: Heartbeat) -> None:
        """Ask, unless the backup is suspect."""
        if report.doubts:
            return
        try:
            why = "the last request has not ended yet" if self._asking else self._ask_in_time(heartbeat)
        except Stopped:
            return
        except Exception as fault:  # noqa: BLE001
            # Neither its text nor its traceback is logged, because both could show the address.
            log.error(
                "the heartbeat after a backup failed because of %s (%s)", FAULT, type(fault).__name__, extra=_PHASE
            )
            self._metrics.heartbeat(failed=True)
            return
        if why:
            log.warning("the heartbeat after a backup failed, because %s. Check HEARTBEAT_URL", why, extra=_PHASE)
        self._metrics.heartbeat(failed=bool(why))

    def _ask_in_time(self, heartbeat: Heartbeat) -> str:
        """Why it failed. Empty if it did not."""
        until = time.monotonic() + self._within

        def tick() -> None:
            heartbeat()
            if time.monotonic() > until:
                raise TimeoutError

        try:
            return interruptible(self._ask, tick)
        except TimeoutError:
            return f"no answer came within {self._within:g} s"

    def _ask(self) -> str:
        self._asking = True
        try:
            with _pool(self._url) as pool:
                answer = pool.request(
                    "GET",
                    self._url,
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    timeout=urllib3.Timeout(total=self._within),
                    headers={"User-Agent": "metadata-tool"},
                )
                answer.close()
                return _why_not(answer.status)
        except (HTTPError, OSError, ValueError) as error:
            return _reason(error)
        finally:
            self._asking = False


def _pool(url: str) -> urllib3.PoolManager:
    """Connections of one request, through a proxy if the environment has one, as for the object store."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy if "://" in proxy else f"http://{proxy}")
    return urllib3.PoolManager()


def _why_not(status: int) -> str:
    if 200 <= status < 300:
        return ""
    phrase = responses.get(status, "")
    moved = " and its redirects are not followed" if 300 <= status < 400 else ""
    return f"the answer was {status}{phrase and f' ({phrase})'}{moved}"


def _reason(error: BaseException) -> str:
    """What the system says, never the text of a library, which repeats the address."""
    for each in _causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return "its certificate is not trusted, has expired, or is of another host"
        if isinstance(each, ssl.SSLError):
            return "the server does not speak TLS as expected"
        if isinstance(each, OSError) and each.strerror:
            return f"the server cannot be reached ({each.strerror})"
    return "the server cannot be reached, or gave no valid answer"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those behind it, the outermost first."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None)]


def each_of(*steps: Callable[[BackupResult, Heartbeat], None] | None) -> Callable[[BackupResult, Heartbeat], None]:
    """All of these that are not None, one after the other."""

    def run(report: BackupResult, heartbeat: Heartbeat) -> None:
        for step in filter(None, steps):
            step(report, heartbeat)

    return run
