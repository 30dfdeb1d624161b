"""Lists the bucket for requests, so that many requests cost little more than one."""

import json
import threading
import time
from collections.abc import Callable
from functools import cached_property

from werkzeug.exceptions import ServiceUnavailable

from metadata_tool import limits
from metadata_tool.catalog import Backup


class Listed:
    """The backups at one moment, newest first."""

    def __init__(self, found: list[Backup]) -> None:
        self.found = found

    @cached_property
    def as_json(self) -> bytes:
        """All of them as JSON, with a newline."""
        return to_json(self.found)


def to_json(found: list[Backup]) -> bytes:
    """Backups as a JSON list, with a newline. They are encoded one by one, so that 60,000 need little memory."""
    text = bytearray(b"[")
    for backup in found:
        text += json.dumps(backup.as_json(), separators=(",", ":")).encode() + b","
    return bytes(text.removesuffix(b",")) + b"]\n"


class SharedListing:
    """Lists for one request at a time, and shares the result with those that came before the listing began.

    A long listing serves later requests, too, until `bucket_changes` gives another number, or it is old. After each
    listing there is a pause, so that backups and health checks get the processor.
    """

    def __init__(self, existing: Callable[[], list[Backup]], bucket_changes: Callable[[], int] = lambda: 0) -> None:
        self._existing = existing
        self._bucket_changes = bucket_changes
        self._waiting = threading.BoundedSemaphore(limits.LISTINGS)
        self._one_at_a_time = threading.Lock()
        self._last = Listed([])
        self._seen = 0
        self._began = self._pause_until = float("-inf")

    def __call__(self) -> Listed:
        """The backups, from a listing that began after the call, or from a long one that still holds.

        Raises:
            ServiceUnavailable: too many requests wait already.
            ToolError: the bucket cannot be listed.
        """
        called, last = time.monotonic(), self._last
        if self._holds(last):
            return last
        if not self._waiting.acquire(blocking=False):
            raise ServiceUnavailable
        try:
            with self._one_at_a_time:
                if self._began <= called and not self._holds(self._last):
                    self._list()
                return self._last
        finally:
            self._waiting.release()

    def _holds(self, last: Listed) -> bool:
        """Whether a listing is too long to be repeated for each request, and still true of this service's backups."""
        recent = self._seen == self._bucket_changes() and time.monotonic() - self._began < limits.LISTING_KEPT
        return len(last.found) > limits.LISTED_EACH_TIME and recent

    def _list(self) -> None:
        time.sleep(max(0.0, self._pause_until - time.monotonic()))
        began, seen = time.monotonic(), self._bucket_changes()
        try:
            self._last = Listed(self._existing())
            self._began, self._seen = began, seen
        finally:
            ended = time.monotonic()
            self._pause_until = ended + min(ended - began, limits.LISTING_PAUSE)
