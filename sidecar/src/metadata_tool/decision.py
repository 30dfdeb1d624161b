"""What a restore is to do here: nothing, because it was done or the cluster runs already; or restore; or refuse."""

import logging
from enum import Enum, auto

from metadata_tool import marker
from metadata_tool.errors import ClusterRunning, DataDirNotEmpty
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.marker import Marker
from metadata_tool.restore import Plan
from metadata_tool.zookeeper import datadir, probe, session
from metadata_tool.zookeeper.session import DataReply, GetData

log = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Seconds for a session with an ensemble that serves."""


class Decision(Enum):
    """What to do."""

    DONE = auto()
    """This version was restored here before: a pod's restart. Neither S3 nor ZooKeeper nor a name is asked."""
    JOIN = auto()
    """The cluster of this very restore runs: with an empty volume ZooKeeper takes the tree from its leader."""
    RESTORE = auto()


def decide(plan: Plan, checkpoint: Checkpoint) -> Decision:
    """Look at the data directory, then at the ensemble. Nothing is changed.

    Raises:
        ClusterRunning: an ensemble serves, and is not of this restore.
        DataDirNotEmpty: the directory holds data that is not of this restore.
        DataDirUnusable: it cannot be read.
    """
    here = _marker(datadir.read_marker(plan.data_dir))
    if here and here.version == plan.version:
        _say_done(plan, here)
        return Decision.DONE
    serving = probe.serving(plan.ensemble) if plan.ensemble else None
    if serving:
        _require_own(plan, serving, checkpoint)
    if here:
        raise DataDirNotEmpty(
            f"ZOOKEEPER_DATA_DIR {plan.data_dir} was restored before, as version {here.version} from {here.point}",
            f"version {plan.version} needs an empty volume. Nothing was touched",
        )
    datadir.require_empty(plan.data_dir)
    if serving:
        log.info("the cluster of version %s runs, %s serves: this member takes its tree from it", plan.version, serving)
        return Decision.JOIN
    return Decision.RESTORE


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
    raise ClusterRunning(
        f"an ensemble runs already, {serving} serves, and {what}",
        "a running cluster is never restored: switch the restore off. Nothing was touched",
    )


def _marker(content: bytes | None) -> Marker | None:
    return Marker.parse(content) if content else None


def _say_done(plan: Plan, here: Marker) -> None:
    log.info("version %s was restored here before, from %s: nothing to do", here.version, here.point)
    if here.point != str(plan.point):
        log.warning("%s is not restored: it needs a version of its own, and an empty volume", plan.point)
