"""Which members of the ensemble run before a restore, and whether they are from this same restore."""

import time
from dataclasses import dataclass, field

from metadata_tool.catalog import RestorePoint, Series
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.restore_job import RestoreJob
from metadata_tool.restore_marker import Marker
from metadata_tool.zookeeper import probe
from metadata_tool.zookeeper.probe import Member, Origin

ELECTION = 10.0
"""Seconds that an ensemble may need to elect a leader."""


@dataclass(frozen=True)
class RunningMembers:
    """What was seen of the members.

    `serving` is a member that serves, or empty. The rest is known only if none serves: `origin` is the restore that
    running members are from, if it is the wanted one. `has_newer_data` says whether one of these has data of its own
    since. `unrelated` are running members that do not report that restore.
    """

    serving: str
    origin: Marker | None = None
    unrelated: list[str] = field(default_factory=list)
    has_newer_data: bool = False


def look(job: RestoreJob, heartbeat: Heartbeat, election: float = ELECTION) -> RunningMembers:
    """Look at the members until one serves, or it is clear that none will.

    Members that run without serving may be in an election, so they get some time. Fewer members than a majority cannot
    elect a leader, so members of this restore are waiting for this one.
    """
    deadline = time.monotonic() + election
    majority = len(job.members) // 2 + 1
    while True:
        members = probe.look(job.ensemble)
        serving = next((member.address for member in members if member.serves), "")
        seen = RunningMembers(serving) if serving else _without_leader(job, members)
        no_election = len(members) < majority and not seen.unrelated
        if serving or no_election or time.monotonic() > deadline:
            return seen
        heartbeat()
        time.sleep(1)


def _without_leader(job: RestoreJob, members: list[Member]) -> RunningMembers:
    """What members report that do not serve."""
    reported = {member.address: probe.origin(member.address, job.admin_port) for member in members}
    wanted = {address: _wanted(job, origin) for address, origin in reported.items()}
    found = next(filter(None, wanted.values()), None)
    unrelated = [address for address, marker in wanted.items() if marker is None or marker != found]
    has_newer_data = any(reported[address].has_run for address in reported.keys() - unrelated)
    return RunningMembers("", found, unrelated, has_newer_data)


def _wanted(job: RestoreJob, origin: Origin) -> Marker | None:
    """The restore that a member reports. None unless it is the wanted one."""
    point = origin.point if isinstance(job.wanted, Series) else str(job.wanted)
    found = job.marker_from(point)
    try:
        RestorePoint.parse(point)
    except ValueError:
        return None
    return found if found.digest == origin.digest else None
