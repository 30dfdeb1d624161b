"""Which backup a restore takes: the named one if none is newer, or the latest. It is the same for all members."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from metadata_tool.catalog import LATEST, Backup, RestorePoint, Series, backups, sound
from metadata_tool.decision import Action, Decision, decide
from metadata_tool.errors import BackupMissing, NewerBackups, ToolError
from metadata_tool.history import History
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.peers import Meeting
from metadata_tool.reconciled_point import TieredStorage, make_point
from metadata_tool.restore_job import RestoreJob
from metadata_tool.store import Store

log = logging.getLogger(__name__)

Open = Callable[[Location], Store]


@contextmanager
def settled(
    job: RestoreJob, open_store: Open, heartbeat: Heartbeat, tiered: TieredStorage | None = None, *, dry_run: bool
) -> Iterator[tuple[Decision, RestoreJob]]:
    """What to do here, and the job. If a backup is restored, the job names it.

    If the backup is to be compared with `tiered`, the job names what was made of both. While the block runs, members
    that wait can ask which backup it is. A dry run does not wait for other members, and makes nothing.

    Raises:
        NewerBackups: there are newer backups than the named one.
        ToolError: as `decide`, or the store cannot be listed.
    """
    with ExitStack() as kept:
        decision = decide(job, heartbeat)
        if _to_choose(decision):
            choose = partial(_choose, job, open_store, None if dry_run else tiered, heartbeat)
            if dry_run or len(job.members) < 2 or not job.waits:
                job = job.settled(choose())
            else:
                meeting = kept.enter_context(Meeting(job, choose))
                decision, job = _meet(meeting, decision, job, heartbeat)
        if decision.action is Action.RESTORE and decision.origin:
            job = job.settled(RestorePoint.parse(decision.origin.point))
        yield decision, job


def _choose(job: RestoreJob, open_store: Open, tiered: TieredStorage | None, heartbeat: Heartbeat) -> RestorePoint:
    """The backup that is wanted, or what is made of it and of tiered storage."""
    if isinstance(job.wanted, RestorePoint):
        point = job.wanted
        _require_newest(job, point, (Series(point.location, point.name.sound.prefix), *job.newer_in), open_store)
    else:
        point = _latest(job, job.wanted, open_store)
    return make_point(job, point, tiered, heartbeat) if tiered else point


def _to_choose(decision: Decision) -> bool:
    """Whether the backup is still to be chosen. If members run that were restored, they have chosen for all."""
    return decision.action is Action.RESTORE and decision.origin is None


def newest(series: Series, open_store: Open) -> RestorePoint:
    """The newest backup of a series that is not suspect.

    Raises:
        BackupMissing: there is none.
        ToolError: the store cannot be listed.
    """
    store = open_store(series.location)
    every = History().genuine(store, backups(store, series.prefix))
    found = sound(every)
    if every and not found:
        raise BackupMissing(
            f"all backups in {series.location} are suspect, such as {every[0].uri}",
            f"Look at them with `metadata-tool inspect`. To restore one, name it in place of {LATEST}",
        )
    if not found:
        raise BackupMissing(
            f"there is no backup named {series.prefix}-<epoch ms>.tar.gz in {series.location}",
            "Set BUCKET and BACKUP_PREFIX to where the backups are",
        )
    return RestorePoint(series.location, found[0].name)


def _meet(meeting: Meeting, decision: Decision, job: RestoreJob, heartbeat: Heartbeat) -> tuple[Decision, RestoreJob]:
    """Wait until the point is known. If a ZooKeeper runs by then, decide again."""
    while _to_choose(decision):
        if point := meeting.wait(heartbeat):
            return decision, job.settled(point)
        decision = decide(job, heartbeat)
    return decision, job


def _latest(job: RestoreJob, series: Series, open_store: Open) -> RestorePoint:
    point = newest(series, open_store)
    log.info("%s is %s", LATEST, point)
    _require_newest(job, point, (place for place in job.newer_in if place != series), open_store)
    return point


def _require_newest(job: RestoreJob, point: RestorePoint, places: Iterable[Series], open_store: Open) -> None:
    """Refuse to restore a backup if there are newer ones, unless older ones are allowed."""
    if job.allow_older:
        return
    newer = [backup for place in dict.fromkeys(places) for backup in _newer(point, place, open_store)]
    if newer:
        last = max(newer, key=lambda backup: backup.name.timestamp)
        names = {backup.name for backup in newer}  # copies in two places are one backup
        count = "1 backup is" if len(names) == 1 else f"{len(names)} backups are"
        raise NewerBackups(
            f"{count} newer than {point}, the newest is {last.uri}",
            f"Set RESTORE_POINT (in the chart restorePoint) to the newest, or to {LATEST}, if `metadata-tool inspect` "
            "shows your cluster in it. To restore the older one on purpose, set ALLOW_OLDER=true (restore.allowOlder). "
            "Nothing was touched",
        )


def _newer(point: RestorePoint, place: Series, open_store: Open) -> list[Backup]:
    try:
        found = backups(open_store(place.location), place.prefix)
    except ToolError as error:
        hint = "To restore without checking for newer backups, set ALLOW_OLDER=true (restore.allowOlder)"
        raise error.with_hint(hint) from error
    compared = found if point.name.suspect else sound(found)
    return [backup for backup in compared if backup.name.timestamp > point.name.timestamp]
