"""The loop of the service: a backup at the start, then one at every interval, whatever became of the last."""

import logging
import threading
import time
from collections.abc import Callable

from metadata_tool.backup import BackupResult
from metadata_tool.catalog import Backup
from metadata_tool.errors import Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.metrics import Metrics

log = logging.getLogger(__name__)

STALLED_AFTER = 600.0
"""Seconds without a sign of life after which the loop counts as dead: longer than any one wait on a server."""

EARLY = 10
"""How many backups follow soon, as long as there was no Pulsar cluster in any."""

SOON_AGAIN = 60.0
"""Seconds from such a backup to the next: the metadata may just be initialised."""


class Service:
    """Backups in a thread of their own, one at a time."""

    def __init__(
        self,
        back_up: Callable[[Heartbeat], BackupResult],
        existing: Callable[[], list[Backup]],
        interval: float,
        metrics: Metrics,
        soon_again: float = SOON_AGAIN,
    ) -> None:
        """Nothing runs yet. `interval` in seconds, from one start to the next."""
        self._back_up = back_up
        self._existing = existing
        self._interval = interval
        self._metrics = metrics
        self._soon_again = soon_again
        self._heartbeat = Heartbeat()
        self.last_report: BackupResult | None = None
        """The last backup that this service has made."""
        self.last_failure = ""
        """Why the last attempt failed; empty until the first has ended, and after a good one."""
        self._thread = threading.Thread(target=self._run, name="backup")

    def start(self) -> None:
        """Begin with a backup now."""
        self._thread.start()

    def begin_stop(self) -> None:
        """Ask a running backup to end at its next step; this may be called by a signal handler."""
        self._heartbeat.stop()

    def stop(self, patience: float) -> bool:
        """The same, and wait; whether the loop ended within `patience` seconds."""
        self.begin_stop()
        self._thread.join(patience)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the loop runs and has shown it lately."""
        return self._thread.is_alive() and self._heartbeat.age < STALLED_AFTER

    @property
    def stopping(self) -> bool:
        """Whether the service was told to stop."""
        return self._heartbeat.stopping

    def _run(self) -> None:
        self._look()
        due = time.monotonic()
        early = EARLY
        while not self._heartbeat.stopping:
            self._once()
            pause = self._interval
            if early and self._uninitialised:
                early, pause = early - 1, min(self._interval, self._soon_again)
            elif self.last_report:
                early = 0
            due = max(due + pause, time.monotonic())
            if self._heartbeat.sleep(due - time.monotonic()):
                break
        log.info("the backup loop has ended")

    @property
    def _uninitialised(self) -> bool:
        return self.last_report is not None and not self.last_report.clusters

    def _look(self) -> None:
        """Show in the metrics what is there already; if that fails, so will the backup, which says why."""
        try:
            found = self._existing()
        except ToolError:
            return
        except Exception:
            log.exception("the bucket could not be listed by a fault in the program, please report it")
            return
        self._metrics.existing(sum(backup.size for backup in found), found[0].name.timestamp if found else 0)

    def _once(self) -> None:
        try:
            report = self._back_up(self._heartbeat)
        except Stopped:
            log.info("the running backup was abandoned, nothing of it is in the bucket")
        except ToolError as error:
            self._failed(str(error))
            log.error("backup failed, the next attempt is in %s s or less: %s", self._interval, error)
        except Exception:
            self._failed("a fault in the program, please report it with its log")
            log.exception("backup failed by a fault in the program, please report it")
        else:
            self.last_report, self.last_failure = report, ""
            self._metrics.succeeded(report)

    def _failed(self, why: str) -> None:
        self.last_failure = why
        self._metrics.failed()
