"""What a restore is to do here: nothing, because it was done or the cluster runs already; or restore; or refuse."""

import logging
import time
from enum import Enum, auto

from metadata_tool import marker
from metadata_tool.errors import ClusterRunning, DataDirNotEmpty
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.marker import Marker
from metadata_tool.restore import Plan
from metadata_tool.zookeeper import datadir, probe, session
from metadata_tool.zookeeper.probe import Found
from metadata_tool.zookeeper.session import DataReply, GetData

log = logging.getLogger(__name__)

_NEVER = "a running cluster is never restored; else switch the restore off. Nothing was touched"
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
    RESTORE = auto()
    """There is no data here."""
    REPLACE = auto()
    """There is, but it does not count: it is kept aside."""


def decide(plan: Plan, checkpoint: Checkpoint) -> Decision:
    """Look at the data directory, then at the ensemble. Nothing is changed.

    Raises:
        ClusterRunning: an ensemble serves, and is not of this restore.
        DataDirNotEmpty: the directory holds data that is not of this restore.
        DataDirUnusable: it cannot be read.
    """
    here = _marker(datadir.read_marker(plan.data_dir)) or _marker(datadir.find_znode(plan.data_dir, marker.ZNODE))
    if here and here.version == plan.version:
        _say_done(plan, here)
        return Decision.DONE
    holds_data = datadir.holds_data(plan.data_dir)
    found = _look(plan.ensemble, checkpoint, wait=not holds_data)
    if found.serving:
        _require_own(plan, found.serving, checkpoint)
    if holds_data:
        _require_replaceable(plan, here, found.running)
        return Decision.REPLACE
    if found.serving:
        log.info("the cluster of version %s runs: this member takes its tree from %s", plan.version, found.serving)
        return Decision.JOIN
    return Decision.RESTORE


def _look(ensemble: str, checkpoint: Checkpoint, *, wait: bool) -> Found:
    """Look for members. One that runs and does not serve may be in an election, or be new: that is told by waiting."""
    deadline = time.monotonic() + _ELECTION
    found = probe.look(ensemble)
    while wait and found.running and not found.serving and time.monotonic() < deadline:
        checkpoint()
        time.sleep(1)
        found = probe.look(ensemble)
    return found


def _require_own(plan: Plan, serving: str, checkpoint: Checkpoint) -> None:
    with session.connect(serving, None, _PATIENCE, checkpoint) as connected:
        (reply,) = connected.multi_read([GetData(marker.ZNODE)])
        found = _marker(reply.data if isinstance(reply, DataReply) else None)
    if found is None:
        what = "no restore has made its tree"
    elif found.version != plan.version:
        what = f"its tree is of restore version {found.version}"
    else:
        return
    raise ClusterRunning(f"an ensemble runs already, {serving} serves, and {what}", _NEVER)


def _require_replaceable(plan: Plan, here: Marker | None, running: str) -> None:
    """Data of an earlier restore may be replaced, as long as no member of its cluster runs; other data on demand."""
    if here is None and not plan.overwrite_existing:
        datadir.require_empty(plan.data_dir)
    earlier = f"restore version {here.version} from {here.point}" if here else "unknown origin"
    if running:
        raise ClusterRunning(
            f"ZOOKEEPER_DATA_DIR {plan.data_dir} holds data of {earlier}, and {running} runs: stop all members", _NEVER
        )
    if not plan.ensemble:
        raise DataDirNotEmpty(
            f"ZOOKEEPER_DATA_DIR {plan.data_dir} holds data of {earlier}",
            "to restore over it, ZOOKEEPER_SERVERS must name the members, and none may run. Nothing was touched",
        )
    log.warning("the data of %s in %s will be kept aside", earlier, plan.data_dir)


def _marker(content: bytes | None) -> Marker | None:
    return Marker.parse(content) if content else None


def _say_done(plan: Plan, here: Marker) -> None:
    log.info("version %s was restored here before, from %s: nothing to do", here.version, here.point)
    if here.point != str(plan.point):
        log.warning("%s is not restored: it needs a version of its own, and an empty volume", plan.point)
