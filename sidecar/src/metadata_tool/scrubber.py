"""Scrubs backups of the service, in a thread of its own, so that no backup waits for a scrub or fails by one."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from metadata_tool import root_cause
from metadata_tool.background_thread import BackgroundThread
from metadata_tool.errors import FAULT, SpoolFailed, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.logs import error_fields
from metadata_tool.metrics import Metrics
from metadata_tool.scrub_schedule import ScrubSchedule
from metadata_tool.tiered_storage.scrub_result import ScrubResult

log = logging.getLogger(__name__)

_PHASE = {"phase": "scrub"}


@dataclass(frozen=True)
class ScrubReport:
    """A scrub that is done: the name of the backup, when the scrub ended in epoch milliseconds, and what it found."""

    backup: str
    ended: int
    result: ScrubResult


class Scrubber(BackgroundThread):
    """One scrub at a time, of backups that are offered when a scrub is due."""

    def __init__(
        self,
        scrub: Callable[[Path, Heartbeat], ScrubResult],
        directory: Path,
        schedule: ScrubSchedule,
        metrics: Metrics,
    ) -> None:
        """Nothing runs yet. `scrub` reads a backup's file. `directory` is on the file system of the offered files."""
        super().__init__("scrub")
        self._scrub = scrub
        self._directory = directory
        self._schedule = schedule
        self._metrics = metrics
        self._offered: SimpleQueue[Path | None] = SimpleQueue()  # signal handlers may put into it
        self._busy = False
        self.last_report: ScrubReport | None = None
        """The last successful scrub since the service started."""
        self.last_failure = ""
        """Why the last scrub failed. Empty until the first scrub has ended, and after a successful one."""

    def offer(self, packed: Path) -> None:
        """Take the file of a backup that is in the bucket now, if a scrub is due and none runs. Otherwise leave it.

        One thread offers. The file is moved, because a copy or a download would need as much room, and more time.
        """
        if self._busy or self.stopping or not self._schedule.is_due(time.monotonic()):
            return
        kept = self._directory / packed.name
        try:
            packed.rename(kept)
        except OSError as error:
            self._failed(SpoolFailed(f"{packed} cannot be kept for a scrub ({error.strerror})", "Check SPOOL_DIR"))
            return
        self._busy = True
        self._offered.put(kept)

    def _run(self) -> None:
        while (packed := self._offered.get()) and not self.stopping:
            self._schedule.begin(time.monotonic())
            try:
                self._once(packed)
            finally:
                with suppress(OSError):
                    packed.unlink()
                self._busy = False

    def _wake(self) -> None:
        self._offered.put(None)

    def _once(self, packed: Path) -> None:
        begin = time.monotonic()
        try:
            result = self._scrub(packed, self._heartbeat)
        except Stopped:
            log.info("the running scrub was stopped", extra=_PHASE)
        except ToolError as error:
            self._failed(error)
        except Exception as error:
            self._note_failure(FAULT)
            log.exception("scrub failed because of %s", FAULT, extra={**_PHASE, **error_fields(error)})
        else:
            self._succeeded(ScrubReport(packed.name, time.time_ns() // 1_000_000, result), time.monotonic() - begin)

    def _succeeded(self, report: ScrubReport, seconds: float) -> None:
        result = report.result
        self._schedule.succeeded(new_losses=result.bad > result.total.confirmed)
        self.last_report, self.last_failure = report, ""
        self._metrics.scrubbed(result, report.ended)
        log.log(
            logging.WARNING if result.bad else logging.INFO,
            "scrub of %s done in %.2f s, %s",
            report.backup,
            seconds,
            result.summary,
            extra={**_PHASE, "seconds": round(seconds, 3)},
        )

    def _failed(self, caught: ToolError) -> None:
        error = root_cause.explained(caught)
        self._note_failure(str(error))
        why = str(error).removesuffix(".")
        log.error("scrub failed: %s. The next backup is scrubbed again", why, extra={**_PHASE, **error_fields(error)})

    def _note_failure(self, why: str) -> None:
        self._schedule.failed()
        self.last_failure = why
        self._metrics.scrub_failed()
