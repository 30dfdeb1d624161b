"""Every metric of the admin port, in Prometheus' text format 0.0.4. docs/metrics.md explains each.

Nine names are promised to users. Two of them are counters without `_total`, which prometheus_client cannot write. So
this module writes the text itself, and appends the process metrics of prometheus_client.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from metadata_tool.backup import BackupResult
from metadata_tool.broker_metadata.broker_file import KINDS
from metadata_tool.broker_metadata.collection import BrokerMetadata
from metadata_tool.broker_metadata.not_saved import Reason
from metadata_tool.catalog import Backup, sound
from metadata_tool.copies.copy_metrics import CopyMetrics
from metadata_tool.drill.records import Records
from metadata_tool.limits import METRIC_NAMESPACES
from metadata_tool.pruner import Pruned
from metadata_tool.pulsar.coverage import OTHERS, CoverageCounts
from metadata_tool.tiered_storage.scrub_result import ScrubResult, State, StateCounts

Counts = TypeVar("Counts")

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
    "backup_last_success_timestamp_seconds",
    "gauge",
    "Start of the newest backup that is not suspect, in epoch seconds. 0 if there is none.",
)
SUSPECT = Metric(
    "backup_suspect", "gauge", "1 if the newest backup is suspect, as it may not continue the one before it, else 0."
)
SUSPECT_TOTAL = Metric("backup_suspect_total", "counter", "Backups that were saved as suspect.")
UNPROVEN_ACLS = Metric("backup_unproven_acls", "gauge", "Znodes of the last backup whose ACL could not be verified.")
FINDINGS = Metric(
    "backup_tree_findings",
    "gauge",
    "Reasons in the last backup's tree for a restore with lost bookies to refuse it, such as a missing chroot.",
)
UNLOADABLE = Metric(
    "backup_unloadable_znodes", "gauge", "Znodes of the last backup that servers with JUTE_MAXBUFFER would not load."
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
SCRUB_LAST_SUCCESS = Metric(
    "backup_scrub_last_success_timestamp_seconds",
    "gauge",
    "End of the last successful scrub in epoch seconds. 0 until there is one.",
)
SCRUB_FAILURES = Metric("backup_scrub_failures_total", "counter", "Scrubs that failed.")
RETENTION_DELETED = Metric("backup_retention_deleted_total", "counter", "Old backups that the retention has deleted.")
RETENTION_FAILURES = Metric(
    "backup_retention_failures_total",
    "counter",
    "Old backups that could not be deleted, and times that it was not known which may be.",
)
RETENTION_DENIED = Metric(
    "backup_retention_denied",
    "gauge",
    "1 if the object store refused every deletion when the retention last tried, else 0.",
)
RETENTION_EXPIRED = Metric(
    "backup_retention_expired",
    "gauge",
    "Backups that no rule of the retention keeps and that are still in the bucket.",
)
HEARTBEAT_LAST_SUCCESS = Metric(
    "backup_heartbeat_last_success_timestamp_seconds",
    "gauge",
    "When HEARTBEAT_URL last answered after a backup, in epoch seconds. 0 until then.",
)
HEARTBEAT_FAILURES = Metric(
    "backup_heartbeat_failures_total", "counter", "Good backups after which the request to HEARTBEAT_URL failed."
)

DRILL_LAST_SUCCESS = Metric(
    "backup_drill_last_success_timestamp_seconds",
    "gauge",
    "Start of the last drill that passed and was recorded, in epoch seconds. 0 until there is one.",
)
DRILL_SECONDS = Metric(
    "backup_drill_serving_seconds", "gauge", "Seconds from the start of that drill to a serving tree."
)
DRILL_FAILED = Metric(
    "backup_drill_failed", "gauge", "1 if no drill has passed since the last one that failed, else 0."
)

BROKER_SECONDS = Metric(
    "backup_execution_time_broker", "gauge", "Seconds that the last backup spent asking brokers. 0 if it did not ask."
)
BROKER_UNCHANGED = Metric(
    "backup_broker_schemas_unchanged",
    "gauge",
    "Topics whose schemas the last backup took from the one before, because they had not changed.",
)
BROKER_SAVED = Metric("backup_broker_saved", "gauge", "What brokers gave out for the last backup, by kind.")
BROKER_NOT_SAVED = Metric(
    "backup_broker_not_saved", "gauge", "What brokers did not give out for the last backup, by kind and reason."
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
    INEXACT_CURSORS: "cursors_lost",
    SCHEMAS: "schemas_lost",
}
"""Metrics by namespace, of the last backup, and the attribute of CoverageCounts that each shows."""

PROVEN_LEDGERS = Metric("backup_proven_ledgers", "gauge", "Offloaded ledgers that are in tiered storage.")
MISSING_LEDGERS = Metric("backup_missing_ledgers", "gauge", "Offloaded ledgers without one of their two objects.")
DAMAGED_LEDGERS = Metric("backup_damaged_ledgers", "gauge", "Offloaded ledgers whose objects differ from the tree.")
NOT_CHECKED_LEDGERS = Metric("backup_not_checked_ledgers", "gauge", "Offloaded ledgers that a scrub cannot check.")
CONFIRMED_LOST_LEDGERS = Metric(
    "backup_confirmed_lost_ledgers",
    "gauge",
    "Ledgers that are missing or damaged, and were so in the scrub before, of an earlier backup.",
)

SCRUB: dict[Metric, Callable[[StateCounts], int]] = {
    PROVEN_LEDGERS: lambda counts: counts.ledgers[State.PROVEN],
    MISSING_LEDGERS: lambda counts: counts.ledgers[State.MISSING],
    DAMAGED_LEDGERS: lambda counts: counts.ledgers[State.DAMAGED],
    NOT_CHECKED_LEDGERS: lambda counts: counts.ledgers[State.NOT_CHECKED],
    CONFIRMED_LOST_LEDGERS: lambda counts: counts.confirmed,
}
"""Metrics by namespace, of the last scrub, and what each shows."""

BROKER = {BROKER_SAVED: ("kind",), BROKER_NOT_SAVED: ("kind", "reason")}
"""Metrics of what brokers gave out for the last backup, and the labels of each."""

COPY_LAST_SUCCESS = Metric(
    "backup_copy_last_success_timestamp_seconds",
    "gauge",
    "Start of the newest backup in this place that is not suspect, in epoch seconds. 0 if none is known.",
)
COPY_FAILURES = Metric("backup_copy_failures_total", "counter", "Tries to copy a backup to this place that failed.")
COPY_MISSING = Metric(
    "backup_copy_missing",
    "gauge",
    "Backups of this process that this place lacks, and that are copied there after the next backup.",
)
COPY_RETENTION_DELETED = Metric(
    "backup_copy_retention_deleted_total", "counter", "Old backups in this place that the retention has deleted."
)
COPY_RETENTION_FAILURES = Metric(
    "backup_copy_retention_failures_total",
    "counter",
    "Old backups in this place that could not be deleted, and times that it was not known which may be.",
)

COPIES: dict[Metric, Callable[[CopyMetrics], float]] = {
    COPY_LAST_SUCCESS: lambda counts: counts.last_success / 1000,
    COPY_FAILURES: lambda counts: counts.failures,
    COPY_MISSING: lambda counts: counts.missing,
    COPY_RETENTION_DELETED: lambda counts: counts.retention_deleted,
    COPY_RETENTION_FAILURES: lambda counts: counts.retention_failures,
}
"""Metrics by place of BACKUP_COPIES, and what each shows."""

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
    SUSPECT,
    SUSPECT_TOTAL,
    UNPROVEN_ACLS,
    FINDINGS,
    UNLOADABLE,
    UNKNOWN,
    ACLS_KEPT,
    MOVED,
    LAST_CHANGE,
    SCRUB_LAST_SUCCESS,
    SCRUB_FAILURES,
    RETENTION_DELETED,
    RETENTION_FAILURES,
    RETENTION_DENIED,
    RETENTION_EXPIRED,
    HEARTBEAT_LAST_SUCCESS,
    HEARTBEAT_FAILURES,
    DRILL_LAST_SUCCESS,
    DRILL_SECONDS,
    DRILL_FAILED,
    BROKER_SECONDS,
    BROKER_UNCHANGED,
)


def _elapsed() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Clock:
    """The time in epoch seconds, which may jump, and seconds from any start, which go on while a machine sleeps."""

    time: Callable[[], float] = time.time
    elapsed: Callable[[], float] = _elapsed


class _Moment(NamedTuple):
    """A moment by both clocks."""

    time: float
    elapsed: float


class Metrics:
    """The current value of every metric. Several threads may use it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._last_success = self._last_drill = _Moment(0, 0)
        self._values = dict.fromkeys(METRICS, 0.0)
        self._lock = Lock()
        self._coverage: list[tuple[str, CoverageCounts]] = []
        self._scrub: list[tuple[str, StateCounts]] = []
        self._broker: BrokerMetadata | None = None
        self._copies: dict[str, CopyMetrics] = {}
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)

    def existing(self, found: list[Backup]) -> None:
        """Set what the bucket held when the service started: all backups, newest first."""
        good = sound(found)
        with self._lock:
            self._values[SIZE_TOTAL] = sum(backup.size for backup in found)
            self._last_success = self._moment(good[0].name.timestamp / 1000 if good else 0, ago=0)
            self._values[SUSPECT] = bool(found and found[0].name.suspect)

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
                SUSPECT: bool(report.doubts),
                UNPROVEN_ACLS: report.manifest.unproven_acls or 0,
                FINDINGS: len(report.findings),
                UNLOADABLE: report.loading.unloadable,
                UNKNOWN: report.coverage.unknown.count,
                ACLS_KEPT: report.acls_kept,
                MOVED: report.migration is not None and report.migration.moved,
                LAST_CHANGE: report.last_change / 1000,
                BROKER_SECONDS: report.seconds.broker,
                BROKER_UNCHANGED: report.broker.unchanged if report.broker else 0,
            }
            self._broker = report.broker
            if report.doubts:
                self._values[SUSPECT_TOTAL] += 1
            else:
                self._last_success = self._moment(report.backup.name.timestamp / 1000, ago=report.seconds.total)
            self._coverage = _bounded(report.coverage.by_loss(), CoverageCounts(), CoverageCounts.add)

    def pruned(self, done: Pruned) -> None:
        """Count what the retention deleted and could not delete."""
        with self._lock:
            self._values[RETENTION_DELETED] += len(done.deleted)
            self._values[RETENTION_FAILURES] += done.failures
            self._values[RETENTION_EXPIRED] = done.expired
            self._values[SIZE_TOTAL] -= sum(backup.size for backup in done.deleted)
            if done.deleted or done.refused:
                self._values[RETENTION_DENIED] = not done.deleted

    def prune_failed(self) -> None:
        """Count that the retention could not decide what to delete."""
        with self._lock:
            self._values[RETENTION_FAILURES] += 1

    def heartbeat(self, *, failed: bool) -> None:
        """Count a request to HEARTBEAT_URL."""
        with self._lock:
            if failed:
                self._values[HEARTBEAT_FAILURES] += 1
            else:
                self._values[HEARTBEAT_LAST_SUCCESS] = round(self._clock.time(), 3)

    def scrub_failed(self) -> None:
        """Count a scrub that failed."""
        with self._lock:
            self._values[SCRUB_FAILURES] += 1

    def scrubbed(self, result: ScrubResult, ended: int) -> None:
        """Show a scrub that ended at this time, in epoch milliseconds."""
        with self._lock:
            self._values[SCRUB_LAST_SUCCESS] = ended / 1000
            self._scrub = _bounded(result.by_loss(), StateCounts(), StateCounts.add_all)

    def drilled(self, records: Records) -> None:
        """Show the newest records of drills."""
        passed = records.passed
        started = passed.started / 1000 if passed else 0
        with self._lock:
            if started != self._last_drill.time:
                self._last_drill = self._moment(started, ago=0)
            self._values[DRILL_SECONDS] = passed.seconds if passed else 0
            self._values[DRILL_FAILED] = records.last_failed

    def copies_to(self, place: str) -> CopyMetrics:
        """What is counted of a place of copies."""
        return self._copies.setdefault(place, CopyMetrics())

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        with self._lock:
            values = {
                **self._values,
                LAST_SUCCESS: self._shown(self._last_success),
                DRILL_LAST_SUCCESS: self._shown(self._last_drill),
            }
            coverage, scrub, broker = self._coverage, self._scrub, self._broker
        lines = []
        for metric, value in values.items():
            lines += [*_head(metric), f"{metric.name} {_number(value)}"]
        for metric, count in COVERAGE.items():
            lines += [*_head(metric), *(_sample(metric, name, getattr(counts, count)) for name, counts in coverage)]
        for metric, of in SCRUB.items():
            lines += [*_head(metric), *(_sample(metric, name, of(counts)) for name, counts in scrub)]
        lines += _of_brokers(broker)
        for metric, value_of in COPIES.items():
            lines += [*_head(metric), *(_copy_sample(metric, *each, value_of) for each in self._copies.items())]
        return "\n".join(lines).encode() + b"\n" + generate_latest(self._process)

    def _moment(self, time: float, ago: float) -> _Moment:
        """A time in epoch seconds, that was this many seconds ago if it is in the future."""
        return _Moment(time, self._clock.elapsed() - ago)

    def _shown(self, moment: _Moment) -> float:
        """When something was started, never in the future, or its age would be nothing for so long."""
        recorded, latest = moment.time, self._clock.time()
        return recorded if recorded <= latest else latest - (self._clock.elapsed() - moment.elapsed)


def _bounded(
    by_loss: list[tuple[str, Counts]], others: Counts, add: Callable[[Counts, Counts], None]
) -> list[tuple[str, Counts]]:
    """The first namespaces, and one entry for all others. Those that were counted together before are among them."""
    shown = dict([each for each in by_loss if each[0] != OTHERS][:METRIC_NAMESPACES])
    rest = [counts for name, counts in by_loss if name not in shown]
    for counts in rest:
        add(others, counts)
    return [*shown.items(), (OTHERS, others)] if rest else [*shown.items()]


def _of_brokers(broker: BrokerMetadata | None) -> list[str]:
    """What was saved and not saved. No samples if brokers are not asked."""
    saved = [(f'kind="{kind}"', broker.saved_of(kind)) for kind in KINDS] if broker else []
    not_saved = [
        (f'kind="{kind}",reason="{reason}"', broker.not_saved.get((kind, reason), 0))
        for kind in KINDS
        for reason in Reason
        if broker
    ]
    return [
        *_head(BROKER_SAVED),
        *(f"{BROKER_SAVED.name}{{{labels}}} {count}" for labels, count in saved),
        *_head(BROKER_NOT_SAVED),
        *(f"{BROKER_NOT_SAVED.name}{{{labels}}} {count}" for labels, count in not_saved),
    ]


def _head(metric: Metric) -> list[str]:
    return [f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.type}"]


def _sample(metric: Metric, namespace: str, value: int) -> str:
    return f'{metric.name}{{pulsar_namespace="{_label(namespace)}"}} {value}'


def _copy_sample(metric: Metric, place: str, counts: CopyMetrics, of: Callable[[CopyMetrics], float]) -> str:
    return f'{metric.name}{{place="{_label(place)}"}} {_number(of(counts))}'


def _label(text: str) -> str:
    """Text as a label's value."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """A number as text, whole numbers without a point: `backup_count 3`."""
    return str(int(value)) if value == int(value) else repr(value)
