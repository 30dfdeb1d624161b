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
    def as_json(self) -> str:
        """All of them as JSON, with a newline."""
        return json.dumps([backup.as_json() for backup in self.found], separators=(",", ":")) + "\n"


class SharedListing:
    """Lists for one request at a time, and shares the result with those that came before the listing began.

    After each listing it pauses, so that backups and health checks get the processor.
    """

    def __init__(self, existing: Callable[[], list[Backup]]) -> None:
        self._existing = existing
        self._waiting = threading.BoundedSemaphore(limits.LISTINGS)
        self._one_at_a_time = threading.Lock()
        self._last = Listed([])
        self._began = self._pause_until = float("-inf")

    def __call__(self) -> Listed:
        """The backups, from a listing that began after the call.

        Raises:
            ServiceUnavailable: too many requests wait already.
            ToolError: the bucket cannot be listed.
        """
        called = time.monotonic()
        if not self._waiting.acquire(blocking=False):
            raise ServiceUnavailable
        try:
            with self._one_at_a_time:
                if self._began <= called:
                    self._list()
                return self._last
        finally:
            self._waiting.release()

    def _list(self) -> None:
        time.sleep(max(0.0, self._pause_until - time.monotonic()))
        began = time.monotonic()
        try:
            self._last = Listed(self._existing())
            self._began = began
        finally:
            ended = time.monotonic()
            self._pause_until = ended + min(ended - began, limits.LISTING_PAUSE)
