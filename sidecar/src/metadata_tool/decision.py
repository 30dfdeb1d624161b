"""What a restore does here: nothing, join the ensemble that runs, restore a backup, or refuse.

It reads the ensemble's marker by a `Session`, because kazoo's client retries without saying why TLS or a login failed,
and has no SASL without a package that must be compiled.
"""

import logging
from dataclasses import dataclass
from enum import Enum, auto

from metadata_tool import restore_marker
from metadata_tool.catalog import Series
from metadata_tool.errors import ClusterRunning, DataDirNotEmpty
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.restore_job import RestoreJob
from metadata_tool.restore_marker import Marker
from metadata_tool.running_members import ELECTION, look
from metadata_tool.zookeeper.jute import INT
from metadata_tool.zookeeper.net import session
from metadata_tool.zookeeper.net.ensemble import Ensemble

log = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Seconds for a session with an ensemble that serves."""


class Action(Enum):
    """What to do."""

    NOTHING = auto()
    """A restart of the pod: this version was restored here before, or joined. Neither S3 nor ZooKeeper is asked."""
    JOIN = auto()
    """The ensemble of this restore runs. With an empty data directory, ZooKeeper takes the tree from its leader."""
    RESTORE = auto()
    """Place the tree of a backup. No member runs, or only members of this same restore."""


@dataclass(frozen=True)
class Decision:
    """What to do, and whether existing data is moved aside for it.

    `origin` is the restore that the data here or the running members are from. It is None if no member runs.
    """

    action: Action
    origin: Marker | None = None
    move_aside: bool = False


def decide(job: RestoreJob, heartbeat: Heartbeat, election: float = ELECTION) -> Decision:
    """Look at the data directory, then at the ensemble, which may need `election` seconds to elect a leader.

    Raises:
        ClusterRunning: members run that are not from this restore, or do not report it.
        DataDirNotEmpty: the directory holds data of an earlier restore, and the members are not known.
        ZooKeeperError: the directory holds other data, or cannot be read. Or a member may serve, but cannot be asked.
    """
    here = _restored_here(job)
    if here and here.version == job.version:
        _log_nothing_to_do(job, here)
        return Decision(Action.NOTHING, here)
    seen = look(job, heartbeat, election)
    if seen.unclear:
        raise seen.unclear
    _refuse_unrelated(job, seen.unrelated)
    origin = _require_own(job, seen.serving, heartbeat) if seen.serving else seen.origin
    if seen.has_newer_data:
        log.info(
            "a member of restore version %s has newer data. This member joins it, and takes its tree from there",
            job.version,
        )
    job.data.require_in_place()
    move_aside = job.data.holds_data()
    if move_aside:
        _require_replaceable(job, here)
    elif job.data.is_half_moved():
        log.info(
            "a restore was interrupted while it moved the data in %s aside. This one completes that", job.data.path
        )
    elif job.data.is_used():
        log.info("version-2 in %s holds no data, only what an empty server leaves. It is moved aside", job.data.path)
    joins = bool(seen.serving) or seen.has_newer_data
    return Decision(Action.JOIN if joins else Action.RESTORE, origin, move_aside)


def _restored_here(job: RestoreJob) -> Marker | None:
    """The restore that the data here is from. None if there is no data, or if the data is not from a restore."""
    here = _marker(job.data.marker())
    if not here and job.data.has_snapshot():
        here = _marker(job.data.joined()) or _marker(job.data.find_znode(restore_marker.ZNODE))
    return here


def _require_own(job: RestoreJob, serving: str, heartbeat: Heartbeat) -> Marker:
    """The marker of the ensemble that serves. Refuses an ensemble that is not from this restore."""
    ensemble = Ensemble(serving, job.login, _PATIENCE, job.tls, job.sasl)
    with session.connect(ensemble, heartbeat) as connected:
        reply = connected.read(restore_marker.ZNODE)
        found = _marker(reply.data[INT.size :] if reply else None)
    if found is None or found.version != job.version:
        what = f"of restore version {found.version}" if found else "that did not come from a restore"
        raise ClusterRunning(
            f"{serving} already serves an ensemble {what}",
            "Disable the restore, because a running ensemble is never restored. Nothing was touched",
        )
    log.info(
        "the ensemble of restore version %s is running. This member joins it, and takes its tree from %s",
        job.version,
        serving,
    )
    if not job.accepts(found.point) or found != job.marker_from(found.point):
        log.warning(
            "the running ensemble was restored from %s with %s. This member joins it, and your settings have no effect",
            found.point,
            dict(found.settings),
        )
    return found


def _refuse_unrelated(job: RestoreJob, unrelated: list[str]) -> None:
    """Refuse to start beside members that may belong to another cluster, because they could win the election."""
    if unrelated:
        point = "" if isinstance(job.wanted, Series) else f" from {job.wanted}"
        wanted = f"{job.version}{point} with the same settings"
        where = f"(port {job.admin_port})"
        raise ClusterRunning(
            f"{unrelated[0]} is running but not serving, and its AdminServer {where} "
            f"does not report restore version {wanted}"
            if len(unrelated) == 1
            else f"{', '.join(unrelated)} are running but not serving, and their AdminServers {where} "
            f"do not report restore version {wanted}",
            "Stop all members, then start them together. "
            "If some were restored from another point or with other settings, set a new RESTORE_VERSION for all. "
            "Nothing was touched",
        )


def _require_replaceable(job: RestoreJob, here: Marker | None) -> None:
    """Data of an earlier restore may be moved aside if no member can be using it. Other data only if allowed."""
    never_synced = not here and job.data.joined() is not None and not job.data.has_snapshot()
    if not (here or never_synced or job.overwrite_existing):
        job.data.require_no_data()
    earlier = f"data of restore version {here.version} from {here.point}" if here else "data of unknown origin"
    if not job.ensemble:
        raise DataDirNotEmpty(
            f"ZOOKEEPER_DATA_DIR {job.data.path} holds {earlier}",
            "Set ZOOKEEPER_SERVERS to the members, so that the restore can check that none is running. "
            "Nothing was touched",
        )
    log.warning("%s in %s will be moved aside", earlier, job.data.path)


def _marker(content: bytes | None) -> Marker | None:
    return Marker.parse(content) if content else None


def _log_nothing_to_do(job: RestoreJob, here: Marker) -> None:
    log.info("version %s was restored here before, from %s. There is nothing to do", here.version, here.point)
    if not job.accepts(here.point):
        log.warning("%s is not restored. To restore it, set a new RESTORE_VERSION", job.wanted)
    elif here != job.marker_from(here.point):
        log.warning(
            "the settings have changed since this restore (they were %s). To apply them, set a new RESTORE_VERSION",
            dict(here.settings),
        )
