"""Copies the backups of the service to one other place, in a thread of its own, so that no backup waits for it."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from metadata_tool import limits, root_cause
from metadata_tool.background_thread import BackgroundThread
from metadata_tool.catalog import Backup, BackupName, backups, sound
from metadata_tool.copies.catch_up import CatchUp
from metadata_tool.copies.copy import Finished, save_copy
from metadata_tool.copies.copy_metrics import CopyMetrics
from metadata_tool.errors import FAULT, SpoolFailed, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat, interruptible
from metadata_tool.logs import error_fields
from metadata_tool.manifest import Manifest
from metadata_tool.store import Store

log = logging.getLogger(__name__)

Prune = Callable[[Backup, Manifest, Heartbeat], None]
"""Deletes old backups of a place after this one. Must not raise."""


class Copier(BackgroundThread):
    """Keeps the newest backup in one place. If that fails, it tries again until it succeeds or a newer one is there.

    Then it copies what the place has missed.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        directory: Path,
        metrics: CopyMetrics,
        catch_up: CatchUp,
        *,
        prune: Prune | None = None,
        retry: float = limits.COPY_AGAIN,
    ) -> None:
        """Nothing runs yet. `directory` is on the file system of the offered files. `retry` is in seconds."""
        self.place = str(store.location)
        super().__init__(f"copy to {self.place}")
        self._store = store
        self._prefix = prefix
        self._directory = directory
        self._metrics = metrics
        self._catch_up = catch_up
        self._prune = prune
        self._retry = retry
        self._phase = {"phase": "copy", "place": self.place}
        self._offered: Finished | None = None
        self._lock = threading.Lock()
        self._wakes: SimpleQueue[None] = SimpleQueue()  # signal handlers may put into it
        self.newest: BackupName | None = None
        """The newest sound backup that is known to be there."""
        self.last_failure = ""
        """Why the newest backup is not there. Empty if it is, or if it was not tried yet."""

    def offer(self, finished: Finished) -> None:
        """Take a backup that is in BUCKET, in place of one that still waits. One thread offers.

        The file gets a second name, which needs no room, and the caller may remove the first one.
        """
        kept = self._directory / str(finished.name)
        try:
            os.link(finished.path, kept)
        except OSError as error:
            self._catch_up.add(finished, tried=False)
            self._failed(SpoolFailed(f"{finished.path} cannot be kept ({error.strerror})", "Check SPOOL_DIR"))
            return
        with self._lock:
            replaced, self._offered = self._offered, replace(finished, path=kept)
        self._miss(replaced, tried=False)
        self._wakes.put(None)

    def _run(self) -> None:
        self._look()
        pending: Finished | None = None
        again = False
        while self._woken(self._retry if pending else None):
            with self._lock:
                offered, self._offered = self._offered, None
            if offered:
                self._miss(pending, tried=True)
                pending, again = offered, False
            if pending and self._copied(pending, again=again):
                _discard(pending)
                pending = None
                self._catch_up.run(self._heartbeat, lambda: self._offered is not None)
            again = True
        _discard(pending)

    def _miss(self, replaced: Finished | None, *, tried: bool) -> None:
        """Leave a backup for later, as there is a newer one."""
        if replaced:
            self._catch_up.add(replaced, tried=tried)
            _discard(replaced)

    @property
    def missing(self) -> int:
        """How many backups are copied there later."""
        return len(self._catch_up)

    def _wake(self) -> None:
        self._wakes.put(None)

    def _woken(self, within: float | None) -> bool:
        """Wait for a backup, or for the next try. False if the work is to end."""
        with suppress(Empty):
            self._wakes.get(timeout=within)
        return not self.stopping

    def _look(self) -> None:
        """Find the newest backup of earlier processes. If the place cannot be listed, the first copy will say why."""
        with suppress(ToolError):
            if found := sound(interruptible(partial(backups, self._store, self._prefix), self._heartbeat)):
                self._note(found[0].name)

    def _copied(self, finished: Finished, *, again: bool) -> bool:
        """Try once. Returns whether the backup is there now."""
        try:
            save_copy(self._store, finished, self._directory, self._heartbeat, again=again)
        except Stopped:
            log.info(
                "the copy to %s was stopped, and the next start copies a new backup", self.place, extra=self._phase
            )
        except ToolError as error:
            self._failed(error)
        except Exception as fault:
            self._count(FAULT)
            log.exception(
                "%s has no copy because of %s", self.place, FAULT, extra={**self._phase, **error_fields(fault)}
            )
        else:
            self._succeeded(finished)
            return True
        return False

    def _succeeded(self, finished: Finished) -> None:
        copy = Backup(finished.name, self._store.location.uri(str(finished.name)), finished.path.stat().st_size)
        log.info("copied the backup to %s", copy.uri, extra={**self._phase, "backup": copy.uri, "bytes": copy.size})
        self.last_failure = ""
        if finished.name.suspect:
            return
        self._note(finished.name)
        if self._prune:
            self._prune(copy, finished.manifest, self._heartbeat)

    def _note(self, name: BackupName) -> None:
        self.newest = name
        self._metrics.last_success = name.timestamp

    def _failed(self, caught: ToolError) -> None:
        error = root_cause.explained(caught)
        told = self.last_failure
        self._count(str(error))
        if told != self.last_failure:
            why = self.last_failure.removesuffix(".")
            extra = {**self._phase, **error_fields(error)}
            log.warning("%s has no copy of the newest backup: %s. It is tried again", self.place, why, extra=extra)

    def _count(self, why: str) -> None:
        self.last_failure = why
        self._metrics.failures += 1


def _discard(finished: Finished | None) -> None:
    if finished:
        with suppress(OSError):
            finished.path.unlink()
