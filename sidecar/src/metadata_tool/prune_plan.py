"""Which backups may be deleted now, and why each other one stays."""

import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

from metadata_tool.catalog import Backup, backups, rfc3339, sound
from metadata_tool.errors import StoreFailed
from metadata_tool.known_backups import KnownBackups, OutOfReads, Whose
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import ALWAYS_KEPT, MANIFESTS_READ
from metadata_tool.manifest import Manifest
from metadata_tool.retention import NEWEST, Retention
from metadata_tool.store import Store

SUSPECT, ACCEPTED, BEFORE_SUSPECT = "suspect", "accepted", "before-suspect"
RESTORE_POINT, CLOCK, UNVERIFIED, LATER = "restore-point", "clock", "unverified", "next-time"
"""Why a backup stays that no rule keeps, besides `Whose`."""

_COMPLETE = (Whose.OURS, Whose.OTHER_CLUSTER)
"""Files that may be read to their end."""


@dataclass(frozen=True)
class Note:
    """Why old backups stay, for the log: a reason of a plan, and a message."""

    reason: str
    message: str


@dataclass(frozen=True)
class PrunePlan:
    """All backups newest first, with the reasons why each stays, and those without any, oldest first.

    `waiting` is the number of backups that no rule keeps and that stay for now.
    """

    reasons: dict[Backup, list[str]]
    to_delete: list[Backup]
    waiting: int = 0
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class _Expired:
    """What no rule keeps, newest first, and the reasons of all other backups."""

    reasons: dict[Backup, list[str]]
    found: list[Backup]

    def all_stay(self, why: str, *notes: Note) -> PrunePlan:
        """Delete nothing."""
        return PrunePlan(self.reasons | {backup: [why] for backup in self.found}, [], len(self.found), notes)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Planner:
    """Plans for the backups of one prefix. What it has read, it remembers."""

    def __init__(
        self,
        retention: Retention,
        store: Store,
        prefix: str,
        spool_dir: Path,
        clock: Callable[[], int] = _milliseconds,
    ) -> None:
        """`clock` gives epoch milliseconds."""
        self._retention = retention
        self._store = store
        self._prefix = prefix
        self._clock = clock
        self._known = KnownBackups(store, spool_dir)

    def plan(
        self, heartbeat: Heartbeat, made: tuple[Backup, Manifest] | None = None, limit: int | None = None
    ) -> PrunePlan:
        """What may be deleted. Nothing may, unless the newest backups are known to be good.

        `made` was just made and verified, and must be there. `limit` is how many files are read, and how many may be
        deleted.

        Raises:
            ToolError: the store cannot be listed or read, or `made` is not there, so nothing is sure.
        """
        every = backups(self._store, self._prefix)
        found = sound(every)
        self._known.begin(every, limit)
        if made:
            self._known.add(*made)
            if made[0] not in found:
                raise _not_listed(made[0])
        by_name = self._expired(every)
        if not by_name.found:
            return PrunePlan(by_name.reasons, [])
        try:
            newest = self._newest(found, made and made[0], heartbeat)
            if len(newest) < ALWAYS_KEPT:
                return by_name.all_stay(UNVERIFIED, _unverified(by_name.found))
            if newest[0].name.timestamp > self._clock():
                return by_name.all_stay(CLOCK, _ahead(by_name.found, newest[0], self._clock()))
            expired = self._without_others(every, heartbeat)
        except OutOfReads:
            return by_name.all_stay(LATER)
        return self._settled(every, expired, newest, limit)

    def _newest(self, found: list[Backup], made: Backup | None, heartbeat: Heartbeat) -> list[Backup]:
        """The newest backups that are ours and known to be good, as many as always stay.

        Files are compared with the backup that was just made, or if there is none, with the newest good one.
        """
        good: list[Backup] = []
        compared = made
        for backup in found[:MANIFESTS_READ]:
            if compared is None and self._known.whose(backup) in _COMPLETE and self._known.good(backup, heartbeat):
                compared = backup
            if compared is None or len(good) == ALWAYS_KEPT:
                continue
            self._known.compare_with(self._known.identity(compared))
            if self._known.whose(backup) is Whose.OURS and self._known.good(backup, heartbeat):
                good.append(backup)
        return good

    def _expired(self, every: list[Backup], others: Container[Backup] = ()) -> _Expired:
        """What the rules do not keep. Suspect backups and `others` stay, and take no place of a rule."""
        taken = [backup for backup in sound(every) if backup not in others]
        kept = self._retention.kept(backup.name.timestamp for backup in taken)
        reasons = {backup: [Whose.NO_BACKUP.value] for backup in every}
        reasons |= {backup: [SUSPECT] for backup in every if backup.name.suspect}
        reasons |= {backup: kept.get(backup.name.timestamp, []) for backup in taken}
        return _Expired(reasons, [backup for backup in taken if not reasons[backup]])

    def _without_others(self, every: list[Backup], heartbeat: Heartbeat) -> _Expired:
        """What the rules do not keep, if files that are no backups take no place of a rule."""
        others: set[Backup] = set()
        while True:
            expired = self._expired(every, others)
            more = set()
            for backup, reasons in expired.reasons.items():
                heartbeat()
                if reasons and not backup.name.suspect and self._known.whose(backup) is Whose.NO_BACKUP:
                    more.add(backup)
            if more <= others:
                return expired
            others |= more

    def _settled(self, every: list[Backup], expired: _Expired, newest: list[Backup], limit: int | None) -> PrunePlan:
        """The plan: of what no rule keeps, all that nothing else holds and that is known to be ours."""
        suspect = _not_accepted(every)
        held = _held(every, expired.found, suspect) | {backup: [NEWEST] for backup in newest}
        held |= {backup: [RESTORE_POINT] for backup in expired.found if backup.uri == self._known.restored_from}
        reasons, to_delete, waiting = dict(expired.reasons), list[Backup](), 0
        for backup in reversed(expired.found):
            why = held.get(backup) or self._others(backup, may_delete=limit is None or len(to_delete) < limit)
            reasons[backup] = why
            if not why:
                to_delete.append(backup)
            waiting += why[:1] in ([LATER], [BEFORE_SUSPECT])
        before = [backup for backup, why in reasons.items() if why == [BEFORE_SUSPECT]]
        notes = (_before(before, suspect),) if before and suspect else ()
        return PrunePlan(reasons, to_delete, waiting, notes)

    def _others(self, backup: Backup, *, may_delete: bool) -> list[str]:
        """Why a backup stays that is not ours, or not to be deleted this time."""
        try:
            whose = self._known.whose(backup) if may_delete else None
        except OutOfReads:
            whose = None
        if whose is Whose.OURS:
            return []
        return [whose.value if whose else LATER]


def _not_listed(made: Backup) -> StoreFailed:
    return StoreFailed(
        f"{made.uri} was just made, but the object store does not list it, so no old backup is deleted",
        "Check whether another program removes backups",
    )


def _not_accepted(every: list[Backup]) -> Backup | None:
    """The newest suspect backup that was not accepted."""
    names = {backup.name for backup in every}
    return next((backup for backup in every if backup.name.suspect and backup.name.sound not in names), None)


def _held(every: list[Backup], expired: list[Backup], suspect: Backup | None) -> dict[Backup, list[str]]:
    """What stays because of suspect backups: the copies of those that were accepted, and all before this one."""
    names = {backup.name for backup in every}
    before = suspect.name.timestamp if suspect else 0
    return {backup: [BEFORE_SUSPECT] for backup in expired if backup.name.timestamp < before} | {
        backup: [ACCEPTED] for backup in expired if backup.name.as_suspect in names
    }


def _before(expired: list[Backup], suspect: Backup) -> Note:
    return Note(
        BEFORE_SUSPECT,
        f"{_old(expired)}, because {suspect.uri} is suspect. If its tree is as it should be, run `metadata-tool "
        f"accept {suspect.uri}`. If not, remove that file once you need the older backups no more",
    )


def _unverified(expired: list[Backup]) -> Note:
    return Note(
        UNVERIFIED,
        f"{_old(expired)}, because fewer than {ALWAYS_KEPT} of the newest backups are of this cluster and could be "
        "verified. Check them with `metadata-tool verify`, or wait for more backups",
    )


def _ahead(expired: list[Backup], latest: Backup, now: int) -> Note:
    return Note(
        CLOCK,
        f"{_old(expired)}, because the clock says {rfc3339(now)}, but {latest.uri} has a later time. Check the clock. "
        "If it was ahead when that backup was made, remove the backups of the future",
    )


def _old(expired: list[Backup]) -> str:
    return "1 old backup stays" if len(expired) == 1 else f"{len(expired)} old backups stay"
