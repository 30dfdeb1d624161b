"""Deletes old backups by a plan, and the report of that."""

import logging
from dataclasses import dataclass, field
from typing import Any

from metadata_tool.catalog import Backup
from metadata_tool.errors import BucketDenied, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import DENIED_AT_ONCE
from metadata_tool.prune_plan import PrunePlan
from metadata_tool.store import Store

log = logging.getLogger(__name__)

PHASE = {"phase": "retention"}
"""Of lines in the log."""


@dataclass
class Pruned:
    """What became of a plan. `denied` and `failure` are the first refusal, and the failure that ended the work."""

    plan: PrunePlan
    deleted: list[Backup] = field(default_factory=list)
    refused: list[Backup] = field(default_factory=list)
    denied: BucketDenied | None = None
    failure: ToolError | None = None

    @property
    def failures(self) -> int:
        """Backups that should have been deleted and could not be."""
        return len(self.refused) + (self.failure is not None)

    @property
    def expired(self) -> int:
        """Backups that no rule keeps and that are still there."""
        return self.plan.waiting + len(self.plan.to_delete) - len(self.deleted)


class Pruner:
    """Deletes backups of a store, oldest first, so that a stop at any moment leaves the newer ones."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refused: set[Backup] = set()
        """What could not be deleted the last time. Other backups are tried first, as only some may be locked."""

    def prune(self, plan: PrunePlan, heartbeat: Heartbeat) -> Pruned:
        """Delete what the plan says. A failure ends that, and is in the result.

        Raises:
            Stopped: the work was stopped.
        """
        done = Pruned(plan)
        for backup in sorted(plan.to_delete, key=self._refused.__contains__):
            heartbeat()
            try:
                self._store.delete(str(backup.name))
            except BucketDenied as error:
                done.denied = done.denied or error
                done.refused.append(backup)
                if len(done.refused) == DENIED_AT_ONCE and not done.deleted:
                    break
            except ToolError as error:
                done.failure = error
                break
            else:
                done.deleted.append(backup)
                log.info("deleted %s, which no rule keeps", backup.uri, extra={**PHASE, "backup": backup.uri})
        self._refused = {*done.refused, *self._refused & set(plan.to_delete)} - set(done.deleted)
        return done


def as_text(done: Pruned, *, deleting: bool) -> str:
    """A line for each backup, newest first, with what happens to it and why."""
    plan, actions = done.plan, _actions(done, deleting=deleting)
    width = max((len(action) for action in actions.values()), default=0)
    lines = [
        f"{actions[backup]:<{width}}  {backup.as_json()['time']}  {backup.uri}  {', '.join(reasons)}".rstrip()
        for backup, reasons in plan.reasons.items()
    ]
    return "\n".join([*lines, *([""] if lines else []), _summary(done, deleting=deleting)])


def as_json(done: Pruned, rules: str, *, deleting: bool) -> dict[str, Any]:
    """The same as JSON."""
    actions = _actions(done, deleting=deleting)
    return {
        "rules": rules,
        "dryRun": not deleting,
        "backups": [
            {**backup.as_json(), "action": actions[backup], "reasons": reasons}
            for backup, reasons in done.plan.reasons.items()
        ],
        "notes": [note.message for note in done.plan.notes],
    }


def _actions(done: Pruned, *, deleting: bool) -> dict[Backup, str]:
    """What happens to each backup: `keep`, `delete`, `deleted`, or `failed` if it could not be deleted."""
    actions = dict.fromkeys(done.plan.reasons, "keep")
    actions |= dict.fromkeys(done.plan.to_delete, "failed" if deleting else "delete")
    return actions | dict.fromkeys(done.deleted, "deleted")


def _summary(done: Pruned, *, deleting: bool) -> str:
    count = len(done.deleted) if deleting else len(done.plan.to_delete)
    left = len(done.plan.reasons) - count
    kept = "1 backup" if left == 1 else f"{left} backups"
    if deleting:
        return f"{kept} kept, {count} deleted"
    return f"{kept} would be kept, {count} deleted. Nothing was deleted. To delete, add --delete"
