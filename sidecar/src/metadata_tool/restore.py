"""One restore: decide what to do here, then place the tree, or join the ensemble that runs, or do nothing."""

import io
import logging
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from metadata_tool.bucket_check import check_buckets
from metadata_tool.decision import Action, Decision
from metadata_tool.fetch import fetched
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.reconciled_point import TieredStorage, rehearsed_point
from metadata_tool.restore_job import RestoreJob
from metadata_tool.restore_point import Open, settled
from metadata_tool.restored_tree import REPORT, RestoredTree
from metadata_tool.zookeeper_faults import FOR_RESTORE, explained

log = logging.getLogger(__name__)


def restore(
    wanted: RestoreJob,
    open_store: Open,
    heartbeat: Heartbeat,
    tiered: TieredStorage | None = None,
    *,
    dry_run: bool = False,
) -> Path | None:
    """The path of the snapshot that was placed. None if none was. With `dry_run`, nothing is written.

    The backup is compared with `tiered`, if that is given. Every member gets the same bytes under the same name. The
    data directory is locked meanwhile.

    Raises:
        ToolError: the restore is refused or failed, and the directory is as it was.
    """
    log.info("restoring %s into %s (restore version %s)", wanted.described, wanted.data.path, wanted.version)
    with (
        explained(FOR_RESTORE),
        wanted.data.locked(),
        settled(wanted, open_store, heartbeat, tiered, dry_run=dry_run) as (decision, job),
    ):
        if decision.action is Action.NOTHING:
            return None
        if dry_run:
            if decision.action is Action.RESTORE:
                _rehearse(job, open_store, heartbeat, None if decision.origin else tiered)
            log.info("the dry run is done. Nothing was written to %s", job.data.path)
            return None
        if decision.action is Action.JOIN:
            _join(job, decision)
            return None
        return _place(job, open_store, heartbeat, move_aside=decision.move_aside)


def _place(job: RestoreJob, open_store: Open, heartbeat: Heartbeat, *, move_aside: bool) -> Path:
    """Put the tree where ZooKeeper looks for it."""
    begin = time.monotonic()
    with fetched(job.point, open_store(job.point.location), job.spool_dir, heartbeat) as path:
        tree = _checked_tree(job, path, heartbeat)
        job.data.require_space(tree.size)
        placed = job.data.place(tree.zxid, tree.write, job.aside, replacing=move_aside)
    seconds = round(time.monotonic() - begin, 3)
    fields = {"phase": "restore", "backup": str(job.point), "zxid": f"{tree.zxid:#x}", "seconds": seconds}
    log.info("restored %s into %s. The report is %s in the same directory", job.point, placed, REPORT, extra=fields)
    return placed


def _rehearse(job: RestoreJob, open_store: Open, heartbeat: Heartbeat, tiered: TieredStorage | None) -> None:
    """Do everything but placing the tree, and log the report."""
    with ExitStack() as kept:
        if tiered:
            point, path = kept.enter_context(rehearsed_point(job, job.point, tiered, heartbeat))
            job = job.settled(point)
        else:
            store = open_store(job.point.location)
            path = kept.enter_context(fetched(job.point, store, job.spool_dir, heartbeat))
        tree = _checked_tree(job, path, heartbeat)
        job.data.require_space(tree.size)
        tree.write(_Nowhere())


def _checked_tree(job: RestoreJob, path: Path, heartbeat: Heartbeat) -> RestoredTree:
    """The tree to write, whose buckets of tiered storage are there as far as was asked."""
    tree = RestoredTree.of(job, path, heartbeat)
    check_buckets(job, path, tree.layout, heartbeat)
    return tree


def _join(job: RestoreJob, decision: Decision) -> None:
    """Let this member start empty, so that it takes its tree from the others."""
    assert decision.origin  # an ensemble is joined only if its restore is known
    job.data.move_aside(job.aside)
    job.data.note_joined(decision.origin.to_json())


class _Nowhere(io.BytesIO):
    """A file that discards what a dry run writes."""

    def write(self, content: Any) -> int:
        return len(content)
