"""What a restore is to do here: nothing, because it was done or the cluster runs already; or restore; or refuse."""

import logging
import time
from dataclasses import dataclass
from enum import Enum, auto

from metadata_tool import restore_marker
from metadata_tool.catalog import RestorePoint, Series
from metadata_tool.errors import ClusterRunning, DataDirNotEmpty
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.restore import RestoreJob
from metadata_tool.restore_marker import Marker
from metadata_tool.zookeeper import probe, session
from metadata_tool.zookeeper.jute import INT
from metadata_tool.zookeeper.probe import Member, Origin
from metadata_tool.zookeeper.session import Ensemble

log = logging.getLogger(__name__)

_NEVER = "A running cluster is never restored; else switch the restore off. Nothing was touched"
_TOGETHER = (
    "stop all members, then start them together, those that were restored otherwise with another RESTORE_VERSION"
)
_ELECTION = 10.0
"""Seconds that an ensemble may need to elect a leader."""

_PATIENCE = 30.0
"""Seconds for a session with an ensemble that serves."""


class Decision(Enum):
    """What to do."""

    DONE = auto()
    """This version was restored here before, or taken from the others: a pod's restart. Neither S3 nor ZooKeeper nor a
    name is asked.
    """
    JOIN = auto()
    """The cluster of this very restore runs: with an empty volume ZooKeeper takes the tree from its leader."""
    JOIN_ANEW = auto()
    """The same, but there is data of another time: it is kept aside."""
    RESTORE = auto()
    """There is no data here, and nobody runs but members that were restored alike."""
    REPLACE = auto()
    """The same, but there is data of another time: it is kept aside."""


@dataclass(frozen=True)
class Verdict:
    """What to do, and which restore the data here or the running members are from (None: no member runs)."""

    decision: Decision
    origin: Marker | None

    @property
    def places(self) -> bool:
        """Whether a backup is restored."""
        return self.decision in (Decision.RESTORE, Decision.REPLACE)

    @property
    def replaces(self) -> bool:
        """Whether existing data is moved aside."""
        return self.decision in (Decision.REPLACE, Decision.JOIN_ANEW)


@dataclass(frozen=True)
class _Seen:
    """What was seen of the members.

    `serving` is a member that serves, or empty. If it is empty, `alike` is the restore that running members are from,
    `has_run` whether one of those has data of its own since, and `strangers` are the running members that do not report
    that restore.
    """

    serving: str
    alike: Marker | None
    strangers: list[str]
    has_run: bool = False


def decide(job: RestoreJob, heartbeat: Heartbeat) -> Verdict:
    """Look at the data directory, then at the ensemble. Nothing is changed.

    Raises:
        ClusterRunning: members run that are not of this restore, or do not tell.
        DataDirNotEmpty: the directory holds data that is not of this restore.
        DataDirUnusable: it cannot be read.
    """
    here = _restored_here(job)
    if here and here.version == job.version:
        _say_done(job, here)
        return Verdict(Decision.DONE, here)
    seen = _look(job, heartbeat)
    if seen.serving:
        origin: Marker | None = _require_own(job, seen.serving, heartbeat)
    else:
        origin = seen.alike
        _require_alike(job, seen.strangers)
    if seen.has_run:
        log.info("a member of version %s runs that has data since its restore: this member takes its tree", job.version)
    joins = bool(seen.serving) or seen.has_run
    if not job.data.holds_data():
        return Verdict(Decision.JOIN if joins else Decision.RESTORE, origin)
    _require_replaceable(job, here)
    return Verdict(Decision.JOIN_ANEW if joins else Decision.REPLACE, origin)


def _restored_here(job: RestoreJob) -> Marker | None:
    """Which restore the data here is of; None where there is no data, or of none."""
    here = _marker(job.data.marker())
    if not here and job.data.has_snapshot():
        here = _marker(job.data.joined()) or _marker(job.data.find_znode(restore_marker.ZNODE))
    return here


def _look(job: RestoreJob, heartbeat: Heartbeat) -> _Seen:
    """Which member serves; if none does, which members run, and whether they report the same restore as this one.

    Members that run and do not serve may be in an election: that is told by waiting.

    Members of this restore that are no majority wait for this one, and nobody waits for them.
    """
    deadline = time.monotonic() + _ELECTION
    majority = len(job.members) // 2 + 1
    while True:
        members = probe.look(job.ensemble)
        serving = next((member.address for member in members if member.serves), "")
        seen = _Seen(serving, None, []) if serving else _tell_apart(job, members)
        alone = len(members) < majority and not seen.strangers
        if serving or alone or time.monotonic() > deadline:
            return seen
        heartbeat()
        time.sleep(1)


def _tell_apart(job: RestoreJob, members: list[Member]) -> _Seen:
    """What members that do not serve report: the wanted restore, or something else."""
    told = {member.address: probe.origin(member.address, job.admin_port) for member in members}
    wanted = {address: _wanted(job, origin) for address, origin in told.items()}
    alike = next(filter(None, wanted.values()), None)
    strangers = [address for address, marker in wanted.items() if marker is None or marker != alike]
    has_run = any(told[address].has_run for address in told.keys() - strangers)
    return _Seen("", alike, strangers, has_run)


def _wanted(job: RestoreJob, origin: Origin) -> Marker | None:
    """The restore that a member reports; None unless it is the wanted one."""
    point = origin.point if isinstance(job.wanted, Series) else str(job.wanted)
    found = job.marker_from(point)
    try:
        RestorePoint.parse(point)
    except ValueError:
        return None
    return found if found.digest == origin.digest else None


def _require_own(job: RestoreJob, serving: str, heartbeat: Heartbeat) -> Marker:
    """The marker of the ensemble that serves. Refuses an ensemble that is not of this restore."""
    with session.connect(Ensemble(serving, patience=_PATIENCE), heartbeat) as connected:
        reply = connected.read(restore_marker.ZNODE)
        found = _marker(reply.data[INT.size :] if reply else None)
    if found is None:
        what = "no restore has made its tree"
    elif found.version != job.version:
        what = f"its tree is of restore version {found.version}"
    else:
        log.info("the cluster of version %s runs: this member takes its tree from %s", job.version, serving)
        if not job.accepts(found.point) or found != job.marker_from(found.point):
            log.warning("that was restored from %s with %s, and stays so", found.point, dict(found.settings))
        return found
    raise ClusterRunning(f"an ensemble runs already, {serving} serves, and {what}", _NEVER)


def _require_alike(job: RestoreJob, strangers: list[str]) -> None:
    """Refuse to start a cluster beside members that may be of another, and could win the election."""
    if strangers:
        point = "" if isinstance(job.wanted, Series) else f" from {job.wanted}"
        raise ClusterRunning(
            f"{', '.join(strangers)} runs, serves nobody, and does not say at its admin port {job.admin_port} that "
            f"it was restored as version {job.version}{point} with the same settings",
            f"Nothing was touched; {_TOGETHER}",
        )


def _require_replaceable(job: RestoreJob, here: Marker | None) -> None:
    """Data of an earlier restore may be kept aside, where it is known that nobody uses it; other data on demand."""
    never_synced = not here and job.data.joined() is not None and not job.data.has_snapshot()
    if not (here or never_synced or job.overwrite_existing):
        job.data.require_empty()
    earlier = f"restore version {here.version} from {here.point}" if here else "unknown origin"
    if not job.ensemble:
        raise DataDirNotEmpty(
            f"ZOOKEEPER_DATA_DIR {job.data.path} holds data of {earlier}",
            "To restore over it, ZOOKEEPER_SERVERS must name the members, and none may run. Nothing was touched",
        )
    log.warning("the data of %s in %s will be kept aside", earlier, job.data.path)


def _marker(content: bytes | None) -> Marker | None:
    return Marker.parse(content) if content else None


def _say_done(job: RestoreJob, here: Marker) -> None:
    log.info("version %s was restored here before, from %s: nothing to do", here.version, here.point)
    if not job.accepts(here.point):
        log.warning("%s is not restored. To restore it, set a new RESTORE_VERSION", job.wanted)
    elif here != job.marker_from(here.point):
        log.warning("the settings are others now (%s then): that needs another RESTORE_VERSION", dict(here.settings))
