"""A restore point made of a bucket of tiered storage alone, for a cluster without any backup."""

from dataclasses import dataclass
from pathlib import Path

from metadata_tool import __version__, derived_backup
from metadata_tool.catalog import BackupName
from metadata_tool.derived_backup import RESCUED, DerivedBackup, DerivedTree
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import COVERED_NAMESPACES
from metadata_tool.manifest import FORMAT_VERSION, Manifest, SnapshotFile, snapshot_name
from metadata_tool.pulsar.id_counters import KnownIds, with_ids
from metadata_tool.pulsar.ids import SHORT_COUNTER
from metadata_tool.pulsar.managed_ledger_pb2 import OffloadDriverMetadata
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.tiered_storage.contract import DescribedBucket
from metadata_tool.tiered_storage.rescue import NewCluster, Rescue, RescueScope
from metadata_tool.tiered_storage.rescue_result import RescueResult
from metadata_tool.tiered_storage.rescue_table import rescue_table

_ZXID = 1 << 32
"""The zxid of the tree. A restore takes it to a later epoch."""


@dataclass(frozen=True)
class RescueJob:
    """What to rescue, and for which cluster.

    `cluster` is its name, empty if the objects say it. `driver` and its `properties` are what each ledger's metadata
    says of the offload. `requests` is how many requests may be in flight.
    """

    bucket: str
    scope: RescueScope
    cluster: str
    layout: Layout
    driver: str
    properties: dict[str, str]
    requests: int


def rescue(
    job: RescueJob,
    bucket: DescribedBucket,
    directory: Path,
    name: BackupName,
    heartbeat: Heartbeat,
    *,
    dry_run: bool = False,
) -> tuple[RescueResult, DerivedBackup | None]:
    """Write the backup of this name, if it is no dry run. The same bucket gives the same tree for the same name.

    Raises:
        ToolError: the bucket cannot be listed or read.
        SettingError: the cluster is not known, or there are several.
        OSError: the directory cannot be written.
    """
    with rescue_table(directory) as table:
        work = Rescue(job.bucket, table, job.scope, heartbeat)
        work.find(bucket, job.requests)
        work.build(NewCluster(job.cluster, job.layout, _driver(job)), name.timestamp)
        if dry_run:
            return work.result, None
        known = KnownIds(work.result.highest_id, _ZXID, name.timestamp)
        summary = TreeSummary(known.highest, True, (SHORT_COUNTER,), (work.result.cluster,), True)
        nodes = with_ids(table.znodes(_ZXID, name.timestamp), known, summary, job.layout.chroot)
        origin = {"kind": RESCUED, **work.result.origin(COVERED_NAMESPACES)}
        return work.result, derived_backup.write(
            DerivedTree(name, _manifest(job, name), {}, nodes, origin), directory, heartbeat
        )


def _driver(job: RescueJob) -> OffloadDriverMetadata:
    """What a broker writes of an offload (TieredStorageConfiguration.getOffloadDriverMetadata)."""
    driver = OffloadDriverMetadata(name=job.driver)
    properties = {"bucket": job.bucket, "managedLedgerOffloadDriver": job.driver, **job.properties}
    for key, value in properties.items():
        driver.properties.add(key=key, value=value)
    return driver


def _manifest(job: RescueJob, name: BackupName) -> Manifest:
    """The fields that are not counted."""
    return Manifest(
        format_version=FORMAT_VERSION,
        tool_version=__version__,
        prefix=name.prefix,
        timestamp=name.timestamp,
        zookeeper_version="",
        zxid=_ZXID,
        first_zxid=_ZXID,
        nodes=0,
        data_bytes=0,
        ephemerals=0,
        chroot=job.layout.chroot,
        managed_ledger_path=job.layout.managed_ledger_path,
        snapshot=SnapshotFile(snapshot_name(_ZXID), 0, ""),
        unproven_acls=0,
    )
