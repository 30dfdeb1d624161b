"""Prunes after the backups of the service, counts that, and tells what has changed."""

import logging

from metadata_tool import root_cause
from metadata_tool.backup import BackupResult
from metadata_tool.errors import FAULT, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import PRUNED_AT_ONCE
from metadata_tool.logs import error_fields
from metadata_tool.metrics import Metrics
from metadata_tool.prune_plan import Planner
from metadata_tool.pruner import PHASE, Pruned, Pruner

log = logging.getLogger(__name__)

_DENIED = "denied"


class Pruning:
    """Deletes old backups after a new one. Nothing that happens here makes a backup fail."""

    def __init__(self, planner: Planner, pruner: Pruner, metrics: Metrics) -> None:
        self._planner = planner
        self._pruner = pruner
        self._metrics = metrics
        self._told: set[str] = set()
        """Why backups stay, as far as the log says so. It is told again once it has changed."""

    def after(self, report: BackupResult, heartbeat: Heartbeat) -> None:
        """Delete what no rule keeps, if this backup is sound. A suspect backup deletes nothing."""
        if report.doubts:
            return
        try:
            plan = self._planner.plan(heartbeat, (report.backup, report.manifest), PRUNED_AT_ONCE)
            done = self._pruner.prune(plan, heartbeat)
        except Stopped:
            log.info("the retention was stopped, and the remaining old backups stay", extra=PHASE)
        except ToolError as error:
            self._metrics.prune_failed()
            self._failed(error)
        except Exception as fault:
            self._metrics.prune_failed()
            log.exception("old backups are not deleted because of %s", FAULT, extra={**PHASE, **error_fields(fault)})
        else:
            self._metrics.pruned(done)
            self._tell(done)

    def _failed(self, caught: ToolError) -> None:
        error = root_cause.explained(caught)
        why = str(error).removesuffix(".")
        extra = {**PHASE, **error_fields(error)}
        log.warning("old backups are not deleted: %s. The next backup tries again", why, extra=extra)

    def _tell(self, done: Pruned) -> None:
        if done.failure:
            self._failed(done.failure)
        told = {note.reason: note.message for note in done.plan.notes}
        if done.denied and not done.deleted:
            told[_DENIED] = f"old backups cannot be deleted, which does no harm to new ones: {done.denied}"
        for reason in told.keys() - self._told:
            log.warning("%s", told[reason].removesuffix("."), extra=PHASE)
        if done.deleted and self._told:
            log.info("old backups are deleted again", extra=PHASE)
        # a plan without deletions says nothing of whether the store allows them
        kept = self._told & {_DENIED} if not (done.deleted or done.refused) else set()
        self._told = told.keys() | kept
