"""Copies the backups that one place has missed from BUCKET, once the place has a newer one."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from metadata_tool import root_cause
from metadata_tool.catalog import backups
from metadata_tool.copies.copy import Finished, fetch_again, save_copy
from metadata_tool.copies.copy_metrics import CopyMetrics
from metadata_tool.copies.missed import MissedBackup, MissedBackups
from metadata_tool.errors import FAULT, ArchiveCorrupt, BackupMissing, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat, interruptible
from metadata_tool.logs import error_fields
from metadata_tool.retention import Retention
from metadata_tool.store import Store

log = logging.getLogger(__name__)


class CatchUp:
    """What one place has missed, and how it gets that.

    Only backups of this process are copied, because only their SHA-256 is known. So nobody who writes to BUCKET can
    bring a file into another place.
    """

    def __init__(  # noqa: PLR0917  # what it works with
        self,
        source: Store,
        place: Store,
        prefix: str,
        directory: Path,
        metrics: CopyMetrics,
        retention: Retention | None = None,
    ) -> None:
        """`source` is that of BUCKET, `directory` for work in progress. None of `retention` keeps all backups."""
        self._source = source
        self._place = place
        self._prefix = prefix
        self._directory = directory
        self._metrics = metrics
        self._retention = retention
        self._missed = MissedBackups(metrics.lacks)
        self._extra = {"phase": "copy", "place": str(place.location)}

    def add(self, finished: Finished, *, tried: bool) -> None:
        """Note a backup that the place lacks. `tried`: see `MissedBackup`. Any thread may call this."""
        self._missed.add(MissedBackup(finished.name, finished.sha256, tried))

    def run(self, heartbeat: Heartbeat, waits: Callable[[], bool]) -> None:
        """Copy what is missing, newest first, until a failure, or until a newer backup waits. Does not raise."""
        try:
            if self._missed and self._keeps(heartbeat):
                while (missed := self._missed.newest) and not waits() and self._copied(missed, heartbeat):
                    pass
        except Stopped:
            pass
        except Exception as fault:
            self._metrics.failures += 1
            extra = {**self._extra, **error_fields(fault)}
            log.exception("missed backups are not copied to %s because of %s", self._place.location, FAULT, extra=extra)

    def __len__(self) -> int:
        return len(self._missed)

    def _keeps(self, heartbeat: Heartbeat) -> bool:
        """Forget what the retention would delete soon. False if the place cannot be listed."""
        if not self._retention:
            return True
        try:
            there = interruptible(partial(backups, self._place, self._prefix), heartbeat)
        except ToolError as error:
            self._warn(f"the backups that {self._place.location} has missed are not copied", error)
            return False
        self._missed.keep_to(self._retention, [backup.name for backup in there])
        return True

    def _copied(self, missed: MissedBackup, heartbeat: Heartbeat) -> bool:
        """Try once. Returns whether to go on with the next one."""
        uri = self._place.location.uri(str(missed.name))
        try:
            self._copy(missed, heartbeat)
        except Stopped:
            raise
        except BackupMissing:
            self._missed.remove(missed.name)
            log.info("%s is not copied, because it was deleted meanwhile", uri, extra=self._extra)
        except ArchiveCorrupt as error:
            self._missed.remove(missed.name)
            self._warn(f"{uri} is not copied", error)
        except ToolError as error:
            again = "" if self._missed.failed(missed.name) else " yet"
            self._warn(f"{uri} is not copied{again}", error)
            return False
        else:
            self._missed.remove(missed.name)
            log.info(
                "copied to %s, which had missed it. %d more are missing", uri, len(self._missed), extra=self._extra
            )
        return True

    def _copy(self, missed: MissedBackup, heartbeat: Heartbeat) -> None:
        fetched = self._directory / f"{missed.name}.missed"
        try:
            file = fetch_again(self._source, missed.name, missed.sha256, fetched, heartbeat)
            save_copy(self._place, file, self._directory, heartbeat, again=missed.tried)
        finally:
            fetched.unlink(missing_ok=True)

    def _warn(self, what: str, caught: ToolError) -> None:
        error = root_cause.explained(caught)
        self._metrics.failures += 1
        log.warning("%s: %s", what, str(error).removesuffix("."), extra={**self._extra, **error_fields(error)})
