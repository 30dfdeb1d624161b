"""A new restore point, made of a backup and of what was offloaded to tiered storage since."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metadata_tool import archive, derived_backup
from metadata_tool.broker_metadata.broker_file import BROKER_JSON
from metadata_tool.catalog import BackupName, RestorePoint
from metadata_tool.derived_backup import RECONCILED, DerivedBackup, DerivedTree
from metadata_tool.fetch import require_match
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import COVERED_NAMESPACES
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.tiered_storage.candidate_table import candidate_table
from metadata_tool.tiered_storage.contract import DescribedBucket
from metadata_tool.tiered_storage.reconcile import Reconciliation, TopicNotes
from metadata_tool.tiered_storage.reconcile_result import ReconcileResult
from metadata_tool.tiered_storage.reconciled_tree import ReconciledTree
from metadata_tool.tiered_storage.scrub import ScrubJob

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReconcileJob:
    """A fetched backup, and how to read tiered storage. `requests` is how many requests may be in flight.

    `layout` is where Pulsar's tree is. None: as the backup says.
    """

    point: RestorePoint
    path: Path
    directory: Path
    requests: int
    open_bucket: Callable[[str], DescribedBucket]
    layout: Layout | None = None


def reconcile(
    job: ReconcileJob, name: BackupName | None, heartbeat: Heartbeat
) -> tuple[ReconcileResult, DerivedBackup | None]:
    """Compare a backup with tiered storage, and write the new backup of this name. Without a name, write nothing.

    The same backup and the same buckets give the same tree, byte for byte.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: the backup cannot be used.
        ToolError: a bucket cannot be listed or read.
        OSError: the directory cannot be written.
    """
    with candidate_table(job.directory) as table:
        with archive.opened(job.path, heartbeat) as backup:
            manifest = backup.manifest
            require_match(job.point, manifest)
            layout = job.layout or manifest.layout
            scan, topics = TreeScan(layout), TopicNotes(layout, table)
            for node in backup.tree().nodes:
                scan.add(node)
                topics.add(node)
        facts = scan.result().facts
        table.end_topics(facts.highest_id)
        scrubbing = ScrubJob(job.directory, requests=job.requests)
        result = Reconciliation(scrubbing, table, topics.drivers, facts.own_clusters, heartbeat).run(job.open_bucket)
        if not result.buckets:
            log.warning("%s names no bucket of tiered storage, so there was nothing to compare it with", job.point)
        if name is None:
            return result, None
        tree = ReconciledTree(layout, table, topics.drivers, manifest.zxid, manifest.timestamp)
        origin = {"kind": RECONCILED, "source": str(job.point), **result.origin(COVERED_NAMESPACES)}
        broker = job.directory / BROKER_JSON
        has_broker = archive.extract_broker(job.path, broker, heartbeat)
        with archive.opened(job.path, heartbeat) as backup:
            saved = backup.tree(verified=True)
            nodes = tree.nodes(saved.nodes, facts.summary, result.highest_id)
            derived = DerivedTree(name, manifest, saved.acls, nodes, origin, broker if has_broker else None)
            return result, derived_backup.write(derived, job.directory, heartbeat)
