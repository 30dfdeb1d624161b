"""Every metric of the admin port, in Prometheus' text format 0.0.4. docs/metrics.md explains each.

Nine names are promised to users. Two of them are counters without `_total`, which prometheus_client cannot write. So
this module writes the text itself, and appends the process metrics of prometheus_client.
"""

from dataclasses import dataclass
from threading import Lock

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from metadata_tool.backup import BackupResult
from metadata_tool.limits import METRIC_NAMESPACES
from metadata_tool.pulsar.coverage import OTHERS, Coverage, CoverageCounts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metric:
    """A metric's name, its Prometheus type and what it means."""

    name: str
    type: str
    meaning: str


COUNT = Metric("backup_count", "counter", "Backups run, failed ones included.")
FAILURE_COUNT = Metric("backup_failure_count", "counter", "Backups that failed.")
SIZE_NON_COMPRESSED = Metric("backup_size_non_compressed", "gauge", "Bytes of the last backup before compression.")
SIZE_COMPRESSED = Metric("backup_size_compressed", "gauge", "Bytes of the last backup's file.")
SIZE_TOTAL = Metric("backup_size_total", "gauge", "Bytes of all backup files in the bucket under this prefix.")
TIME_TOTAL = Metric("backup_execution_time_total", "gauge", "Seconds that the last backup took.")
TIME_PREPARE = Metric("backup_execution_time_prepare", "gauge", "Seconds of the last backup spent capturing.")
TIME_COMPRESSION = Metric(
    "backup_execution_time_compression", "gauge", "Seconds of the last backup spent compressing and verifying."
)
TIME_UPLOAD = Metric("backup_execution_time_upload", "gauge", "Seconds of the last backup spent uploading.")
LAST_SUCCESS = Metric(
    "backup_last_success_timestamp_seconds", "gauge", "Start of the newest backup in epoch seconds. 0 if there is none."
)
UNPROVEN_ACLS = Metric("backup_unproven_acls", "gauge", "Znodes of the last backup whose ACL could not be verified.")
FINDINGS = Metric(
    "backup_tree_findings",
    "gauge",
    "Reasons in the last backup's tree for a restore with lost bookies to refuse it, such as a missing chroot.",
)
UNKNOWN = Metric(
    "backup_unknown_znodes",
    "gauge",
    "Znodes with data below the managed ledgers that are neither topics nor subscriptions.",
)
ACLS_KEPT = Metric(
    "backup_acls_kept", "gauge", "1 if the ACLs of the last backup are kept, which makes the next one faster, else 0."
)
MOVED = Metric(
    "backup_metadata_moved",
    "gauge",
    "1 if Pulsar has moved its metadata from this ZooKeeper to another store (PIP-454), else 0.",
)
LAST_CHANGE = Metric(
    "backup_tree_last_change_timestamp_seconds",
    "gauge",
    "When a persistent znode of the last backup was last created or set, in epoch seconds. 0 before the first backup.",
)

RECOVERABLE_BYTES = Metric(
    "backup_recoverable_bytes", "gauge", "Bytes in tiered storage that a restore would bring back."
)
UNRECOVERABLE_BYTES = Metric(
    "backup_unrecoverable_bytes", "gauge", "Bytes in closed ledgers that a restore would lose."
)
NEVER_OFFLOADED = Metric("backup_topics_never_offloaded", "gauge", "Topics without any data in tiered storage.")
INEXACT_CURSORS = Metric(
    "backup_cursors_in_bookkeeper", "gauge", "Subscriptions whose exact position a restore would lose."
)
SCHEMAS = Metric("backup_unrecoverable_schemas", "gauge", "Topics whose schemas a restore would lose.")

COVERAGE = {
    RECOVERABLE_BYTES: "recoverable_bytes",
    UNRECOVERABLE_BYTES: "lost_bytes",
    NEVER_OFFLOADED: "topics_never_offloaded",
    INEXACT_CURSORS: "cursors_in_bookkeeper",
    SCHEMAS: "schemas",
}
"""Metrics by namespace, of the last backup, and the field of CoverageCounts that each shows."""

METRICS = (
    COUNT,
    FAILURE_COUNT,
    SIZE_NON_COMPRESSED,
    SIZE_COMPRESSED,
    SIZE_TOTAL,
    TIME_TOTAL,
    TIME_PREPARE,
    TIME_COMPRESSION,
    TIME_UPLOAD,
    LAST_SUCCESS,
    UNPROVEN_ACLS,
    FINDINGS,
    UNKNOWN,
    ACLS_KEPT,
    MOVED,
    LAST_CHANGE,
)


class Metrics:
    """The current value of every metric. Several threads may use it."""

    def __init__(self) -> None:
        self._values = dict.fromkeys(METRICS, 0.0)
        self._lock = Lock()
        self._coverage: list[tuple[str, CoverageCounts]] = []
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)

    def existing(self, size_total: int, newest_timestamp: int) -> None:
        """Set what the bucket held when the service started: bytes, and epoch ms of the newest backup (0 for none)."""
        with self._lock:
            self._values[SIZE_TOTAL] = size_total
            self._values[LAST_SUCCESS] = newest_timestamp / 1000

    def failed(self) -> None:
        """Count a backup that failed."""
        with self._lock:
            self._values[COUNT] += 1
            self._values[FAILURE_COUNT] += 1

    def succeeded(self, report: BackupResult) -> None:
        """Count a backup that is in the bucket, and show it."""
        with self._lock:
            self._values[COUNT] += 1
            self._values |= {
                SIZE_NON_COMPRESSED: report.size_non_compressed,
                SIZE_COMPRESSED: report.backup.size,
                SIZE_TOTAL: report.size_total,
                TIME_TOTAL: report.seconds.total,
                TIME_PREPARE: report.seconds.prepare,
                TIME_COMPRESSION: report.seconds.compression,
                TIME_UPLOAD: report.seconds.upload,
                LAST_SUCCESS: report.backup.name.timestamp / 1000,
                UNPROVEN_ACLS: report.manifest.unproven_acls or 0,
                FINDINGS: len(report.findings),
                UNKNOWN: report.coverage.unknown.count,
                ACLS_KEPT: report.acls_kept,
                MOVED: report.migration is not None and report.migration.moved,
                LAST_CHANGE: report.last_change / 1000,
            }
            self._coverage = _bounded(report.coverage)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        with self._lock:
            values, coverage = dict(self._values), self._coverage
        lines = []
        for metric, value in values.items():
            lines.append(f"# HELP {metric.name} {metric.meaning}")
            lines.append(f"# TYPE {metric.name} {metric.type}")
            lines.append(f"{metric.name} {_number(value)}")
        for metric, count in COVERAGE.items():
            lines.append(f"# HELP {metric.name} {metric.meaning}")
            lines.append(f"# TYPE {metric.name} {metric.type}")
            lines += [
                f'{metric.name}{{pulsar_namespace="{_label(n)}"}} {getattr(counts, count)}' for n, counts in coverage
            ]
        return "\n".join(lines).encode() + b"\n" + generate_latest(self._process)


def _bounded(coverage: Coverage) -> list[tuple[str, CoverageCounts]]:
    """The namespaces that would lose most, and one entry for all others."""
    by_loss = coverage.by_loss()
    shown, others = by_loss[:METRIC_NAMESPACES], CoverageCounts()
    for _, counts in by_loss[METRIC_NAMESPACES:]:
        others.add(counts)
    return [*shown, (OTHERS, others)] if len(by_loss) > METRIC_NAMESPACES else shown


def _label(text: str) -> str:
    """Text as a label's value."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """A number as text, whole numbers without a point: `backup_count 3`."""
    return str(int(value)) if value == int(value) else repr(value)
