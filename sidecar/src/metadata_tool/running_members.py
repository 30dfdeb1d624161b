"""Which members of the ensemble run before a restore, and whether they are from this same restore."""

import time
from dataclasses import dataclass, field

from metadata_tool.catalog import RestorePoint
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.restore_job import RestoreJob
from metadata_tool.restore_marker import Marker
from metadata_tool.zookeeper import probe
from metadata_tool.zookeeper.errors import SpeaksNoTls, SpeaksTls, Untrusted, ZooKeeperError
from metadata_tool.zookeeper.probe import Member, Origin

ELECTION = 10.0
"""Seconds that an ensemble may need to elect a leader."""
_LASTING = (SpeaksTls, SpeaksNoTls, Untrusted)
"""Errors that only other settings can remove, so waiting for an answer is useless."""


@dataclass(frozen=True)
class RunningMembers:
    """What was seen of the members.

    `serving` is a member that serves, or empty. The rest is known only if none serves: `origin` is the restore that
    running members are from, if it is the wanted one. `has_newer_data` says whether one of these has data of its own
    since. `unrelated` are running members that do not report that restore. `unclear` is the error of a member that does
    not show whether it serves.
    """

    serving: str
    origin: Marker | None = None
    unrelated: list[str] = field(default_factory=list)
    has_newer_data: bool = False
    unclear: ZooKeeperError | None = None


def look(job: RestoreJob, heartbeat: Heartbeat, election: float = ELECTION) -> RunningMembers:
    """Look at the members until one serves, or it is clear that none will.

    Members that run without serving may be in an election, so they get some time. Fewer members than a majority cannot
    elect a leader, so members of this restore are waiting for this one.
    """
    deadline = time.monotonic() + election
    majority = len(job.members) // 2 + 1
    while True:
        members = probe.look(job.ensemble, job.tls)
        serving = next((member.address for member in members if member.serves), "")
        seen = RunningMembers(serving) if serving else _without_leader(job, members)
        no_election = len(members) < majority and not seen.unrelated and not seen.unclear
        if serving or no_election or isinstance(seen.unclear, _LASTING) or time.monotonic() > deadline:
            return seen
        heartbeat()
        time.sleep(min(1.0, election))


def _without_leader(job: RestoreJob, members: list[Member]) -> RunningMembers:
    """What members report that do not serve, each at all its addresses."""
    unclear = next((member.unclear for member in members if member.unclear), None)
    if unclear:
        return RunningMembers("", unclear=unclear)
    reported = {
        (member.address, reached): probe.origin(reached, job.admin_port, job.tls)
        for member in members
        for reached in member.reached
    }
    wanted = {key: _wanted(job, origin) for key, origin in reported.items()}
    found = next(filter(None, wanted.values()), None)
    others = [key for key, marker in wanted.items() if marker is None or marker != found]
    has_newer_data = any(reported[key].has_run for key in reported.keys() - others)
    return RunningMembers("", found, list(dict.fromkeys(address for address, _ in others)), has_newer_data)


def _wanted(job: RestoreJob, origin: Origin) -> Marker | None:
    """The restore that a member reports. None unless it is the wanted one."""
    point = str(job.shared_point or origin.point)
    found = job.marker_from(point)
    try:
        RestorePoint.parse(point)
    except ValueError:
        return None
    return found if found.digest == origin.digest else None
