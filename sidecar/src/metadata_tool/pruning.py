"""Prunes after the backups of the service, counts that, and tells what has changed."""

import logging
from typing import Protocol

from metadata_tool import root_cause
from metadata_tool.backup import BackupResult
from metadata_tool.catalog import Backup
from metadata_tool.errors import FAULT, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import PRUNED_AT_ONCE
from metadata_tool.logs import error_fields
from metadata_tool.manifest import Manifest
from metadata_tool.prune_plan import Planner
from metadata_tool.pruner import PHASE, Pruned, Pruner

log = logging.getLogger(__name__)

_DENIED = "denied"


class PruneCounts(Protocol):
    """Where it is counted."""

    def pruned(self, done: Pruned) -> None:
        """Count what was deleted and could not be deleted."""

    def prune_failed(self) -> None:
        """Count that it was not known what may be deleted."""


class Pruning:
    """Deletes old backups after a new one. Nothing that happens here makes a backup fail."""

    def __init__(self, planner: Planner, pruner: Pruner, metrics: PruneCounts, place: str = "") -> None:
        """`place` is named in the log, if it is not that of BUCKET."""
        self._planner = planner
        self._pruner = pruner
        self._metrics = metrics
        self._where = f" in {place}" if place else ""
        self._told: set[str] = set()
        """Why backups stay, as far as the log says so. It is told again once it has changed."""

    def after(self, report: BackupResult, heartbeat: Heartbeat) -> None:
        """Delete what no rule keeps, if this backup is sound. A suspect backup deletes nothing."""
        if not report.doubts:
            self.after_backup(report.backup, report.manifest, heartbeat)

    def after_backup(self, backup: Backup, manifest: Manifest, heartbeat: Heartbeat) -> None:
        """Delete what no rule keeps. This sound backup was just saved."""
        try:
            plan = self._planner.plan(heartbeat, (backup, manifest), PRUNED_AT_ONCE)
            done = self._pruner.prune(plan, heartbeat)
        except Stopped:
            log.info("the retention was stopped, and the remaining old backups%s stay", self._where, extra=PHASE)
        except ToolError as error:
            self._metrics.prune_failed()
            self._failed(error)
        except Exception as fault:
            self._metrics.prune_failed()
            extra = {**PHASE, **error_fields(fault)}
            log.exception("old backups%s are not deleted because of %s", self._where, FAULT, extra=extra)
        else:
            self._metrics.pruned(done)
            self._tell(done)

    def _failed(self, caught: ToolError) -> None:
        error = root_cause.explained(caught)
        why = str(error).removesuffix(".")
        extra = {**PHASE, **error_fields(error)}
        log.warning("old backups%s are not deleted: %s. The next backup tries again", self._where, why, extra=extra)

    def _tell(self, done: Pruned) -> None:
        if done.failure:
            self._failed(done.failure)
        told = {note.reason: note.message for note in done.plan.notes}
        if done.denied and not done.deleted:
            where = self._where
            told[_DENIED] = f"old backups{where} cannot be deleted, which does no harm to new ones: {done.denied}"
        for reason in told.keys() - self._told:
            log.warning("%s", told[reason].removesuffix("."), extra=PHASE)
        if done.deleted and self._told:
            log.info("old backups%s are deleted again", self._where, extra=PHASE)
        # a plan without deletions says nothing of whether the store allows them
        kept = self._told & {_DENIED} if not (done.deleted or done.refused) else set()
        self._told = told.keys() | kept
