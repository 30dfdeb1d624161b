"""The loop of the service: a backup at the start, then one at every interval, even after a failed one."""

import logging
import time
from collections.abc import Callable

from metadata_tool import limits, root_cause
from metadata_tool.agenda import Agenda, Requested
from metadata_tool.background_thread import BackgroundThread
from metadata_tool.backup import BackupResult
from metadata_tool.catalog import Backup
from metadata_tool.errors import FAULT, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat, interruptible
from metadata_tool.logs import error_fields
from metadata_tool.metrics import Metrics
from metadata_tool.progress import Progress
from metadata_tool.runs import Run, Runs

log = logging.getLogger(__name__)

_PHASE = {"phase": "backup"}


class Service(BackgroundThread):
    """Backups in a thread of their own, one at a time, the first one at the start."""

    def __init__(
        self,
        back_up: Callable[[Heartbeat], BackupResult],
        existing: Callable[[], list[Backup]],
        interval: float,
        metrics: Metrics,
        *,
        look_around: Callable[[Heartbeat], None] = lambda _: None,
        soon_again: float = limits.EARLY_INTERVAL,
        stalled_after: float = limits.STALLED_AFTER,
        afterwards: Callable[[BackupResult, Heartbeat], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Nothing runs yet. `interval` is in seconds, from the start of a backup to the start of the next.

        `look_around` is called at the start and after each backup. It must not raise. Backups note in `progress` how
        far they are.
        """
        super().__init__("backup")
        self._back_up = back_up
        self._existing = existing
        self._interval = interval
        self._metrics = metrics
        self._look_around = look_around
        self._soon_again = soon_again
        self._stalled_after = stalled_after
        self._afterwards = afterwards
        self._agenda = Agenda(self._heartbeat)
        self.progress = progress or Progress()
        """How far the running backup is."""
        self.runs = Runs()
        """The backups of this process."""
        self.last_report: BackupResult | None = None
        """The last sound backup since the service started."""
        self.last_suspect: BackupResult | None = None
        """The last backup, if it is suspect."""
        self.bucket_changes = 0
        """Increases with the end of each backup, and after old ones were deleted. A listing from before is outdated."""
        self.last_failure = ""
        """Why the last backup failed. Empty until the first backup has ended, and after a successful one."""

    def request_backup(self) -> Requested:
        """Ask for a backup now. Any thread may call this."""
        return self._agenda.request()

    @property
    def running(self) -> bool:
        """Whether a backup runs, or was requested."""
        return self._agenda.taken

    @property
    def next_due(self) -> float | None:
        """When the next backup is due, in epoch seconds. None before the first one has begun."""
        return self._agenda.next_due(self._interval)

    @property
    def alive(self) -> bool:
        """Whether the loop runs, with a recent heartbeat."""
        return self._thread.is_alive() and self._heartbeat.age < self._stalled_after

    def _run(self) -> None:
        self._look()
        self._look_around(self._heartbeat)
        early = limits.EARLY_BACKUPS
        while not self.stopping:
            self._once()
            self._look_around(self._heartbeat)
            pause = self._interval
            if early and self._uninitialised:
                early, pause = early - 1, min(self._interval, self._soon_again)
            elif self.last_report:
                early = 0
            if not self._agenda.wait(pause):
                break
        log.info("the backup loop has ended")

    def _wake(self) -> None:
        self._agenda.wake()

    @property
    def _uninitialised(self) -> bool:
        return self.last_report is not None and not self.last_report.clusters

    def _look(self) -> None:
        """Set the metrics of existing backups. If the bucket cannot be listed, the backup will fail and say why."""
        try:
            found = interruptible(self._existing, self._heartbeat)
        except ToolError:
            return
        except Exception:
            log.exception("the bucket could not be listed, because of %s", FAULT)
            return
        self._metrics.existing(found)

    def _once(self) -> None:
        self._agenda.begin()
        try:
            report = self._attempt()
        finally:
            self.bucket_changes += 1  # what follows may take long
            self._agenda.end()
        if report and self._afterwards:
            try:
                self._afterwards(report, self._heartbeat)
            finally:
                self.bucket_changes += 1

    def _attempt(self) -> BackupResult | None:
        """A backup, or None if it failed or was stopped."""
        began, seconds = time.monotonic(), None
        try:
            report = self._back_up(self._heartbeat)
            seconds = report.seconds.by_phase
        except Stopped:
            log.info("the running backup was stopped, and nothing of it is in the bucket", extra=_PHASE)
        except ToolError as caught:
            error = root_cause.explained(caught)
            self._failed(str(error), time.monotonic() - began)
            log.error("backup failed: %s", self._with_next(error), extra={**_PHASE, **error_fields(error)})
        except Exception as fault:
            self._failed(FAULT, time.monotonic() - began)
            log.exception("backup failed because of %s", FAULT, extra={**_PHASE, **error_fields(fault)})
        else:
            self._succeeded(report)
            return report
        finally:
            self.progress.end(seconds)
        return None

    def _succeeded(self, report: BackupResult) -> None:
        if report.doubts:
            self.last_suspect = report
        else:
            self.last_report, self.last_suspect = report, None
        self.last_failure = ""
        self.runs.add(Run(report.backup.name.timestamp, report.seconds.total, report.backup))
        self._metrics.succeeded(report)

    def _with_next(self, error: ToolError) -> str:
        return f"{str(error).removesuffix('.')}. The next backup starts within {self._interval:g} s"

    def _failed(self, why: str, seconds: float) -> None:
        self.last_failure = why
        self.runs.add(Run(int((time.time() - seconds) * 1000), seconds, error=why))
        self._metrics.failed()
