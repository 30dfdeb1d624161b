import re
from collections import Counter
from dataclasses import dataclass, replace
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families

from metadata_tool.backup import Seconds
from metadata_tool.broker_metadata.broker_file import KINDS
from metadata_tool.broker_metadata.collection import BrokerMetadata
from metadata_tool.broker_metadata.not_saved import Reason
from metadata_tool.catalog import Backup, BackupName
from metadata_tool.drill.records import Record, Records
from metadata_tool.errors import BucketDenied, StoreFailed
from metadata_tool.limits import METRIC_NAMESPACES
from metadata_tool.metrics import BROKER, CONTENT_TYPE, COPIES, COVERAGE, SCRUB, Clock, Metrics
from metadata_tool.prune_plan import PrunePlan
from metadata_tool.pruner import Pruned
from metadata_tool.pulsar.coverage import OTHERS, Coverage, CoverageCounts
from metadata_tool.pulsar.limits import ScanLimits
from metadata_tool.pulsar.migration import Migration
from metadata_tool.tiered_storage.claims import Claim
from metadata_tool.tiered_storage.scrub_result import ScrubResult, State
from support.backups import TIMESTAMP, report
from support.contract import METRICS

OF_THE_LAST_BACKUP = {
    "backup_size_non_compressed": 2222.0,
    "backup_size_compressed": 1111.0,
    "backup_size_total": 3333.0,
    "backup_execution_time_total": 2.25,
    "backup_execution_time_prepare": 0.5,
    "backup_execution_time_compression": 0.25,
    "backup_execution_time_upload": 1.5,
    "backup_last_success_timestamp_seconds": TIMESTAMP / 1000,
    "backup_suspect": 0.0,
    "backup_suspect_total": 0.0,
    "backup_unproven_acls": 4.0,
    "backup_tree_findings": 1.0,
    "backup_unloadable_znodes": 2.0,
    "backup_unknown_znodes": 5.0,
    "backup_acls_kept": 1.0,
    "backup_metadata_moved": 1.0,
    "backup_tree_last_change_timestamp_seconds": 6.5,
    "backup_scrub_last_success_timestamp_seconds": 0.0,
    "backup_scrub_failures_total": 0.0,
    "backup_retention_deleted_total": 0.0,
    "backup_retention_failures_total": 0.0,
    "backup_retention_denied": 0.0,
    "backup_retention_expired": 0.0,
    "backup_heartbeat_last_success_timestamp_seconds": 0.0,
    "backup_heartbeat_failures_total": 0.0,
    "backup_drill_last_success_timestamp_seconds": 0.0,
    "backup_drill_serving_seconds": 0.0,
    "backup_drill_failed": 0.0,
    "backup_execution_time_broker": 0.0,
    "backup_broker_schemas_unchanged": 0.0,
}


def backup(timestamp: int, prefix: str = "pulsar", *, size: int) -> Backup:
    """A backup in a bucket."""
    name = BackupName(prefix, timestamp)
    return Backup(name, f"s3a://bucket/{name}", size)


def lines(metrics: Metrics) -> list[str]:
    """The lines that Prometheus scrapes."""
    return metrics.exposition().decode().splitlines()


def samples(metrics: Metrics) -> dict[str, float]:
    """Values of the program's own samples, as their lines have them."""
    return {line.split()[0]: float(line.split()[1]) for line in lines(metrics) if line.startswith("backup_")}


@pytest.fixture
def metrics() -> Metrics:
    """The metrics of a new service, a minute after the last backup."""
    return Metrics(Clock(lambda: TIMESTAMP / 1000 + 60, lambda: 7.0))


def test_counters_are_written_as_promised(metrics: Metrics) -> None:
    """Three backups, one of them failed, give exactly these lines."""
    metrics.succeeded(report())
    metrics.failed()
    metrics.succeeded(report())
    found = lines(metrics)
    assert ["backup_count 3", "backup_failure_count 1"] == [
        line for line in found if re.match(r"backup_.*count ", line)
    ]
    assert "backup_count 3" == found[found.index("# TYPE backup_count counter") + 1]
    assert "backup_failure_count 1" == found[found.index("# TYPE backup_failure_count counter") + 1]


@pytest.mark.parametrize("name", METRICS)
def test_promised_metric_has_its_type(name: str, metrics: Metrics) -> None:
    """Each promised metric is there once, with its exact name and type, from the start."""
    found = lines(metrics)
    assert [f"# TYPE {name} {METRICS[name]}"] == [line for line in found if line.startswith(f"# TYPE {name} ")]
    assert [f"{name} 0"] == [line for line in found if re.match(rf"{name}\b", line)]


def test_prometheus_reads_the_types(metrics: Metrics) -> None:
    """Prometheus' own parser finds the promised metrics with their types."""
    families = {family.name: family.type for family in text_string_to_metric_families("\n".join(lines(metrics)) + "\n")}
    assert METRICS == {name: families.get(name) for name in METRICS}


def test_every_metric_is_explained(metrics: Metrics) -> None:
    """Every metric has one HELP with a text, and no type is unknown."""
    metrics.succeeded(report())
    families = list(text_string_to_metric_families(metrics.exposition().decode()))
    assert [] == [family.name for family in families if not family.documentation or family.type == "unknown"]
    kinds = {
        kind: [line.split()[2] for line in lines(metrics) if line.startswith(f"# {kind} ")] for kind in ("HELP", "TYPE")
    }
    assert kinds["HELP"] == kinds["TYPE"]
    assert len(families) == len(set(kinds["TYPE"])) == len(kinds["TYPE"])


def test_no_sample_comes_twice(metrics: Metrics) -> None:
    """No sample name is used twice, and each has a TYPE. Metrics by namespace may have no sample."""
    names = Counter(line.split()[0] for line in lines(metrics) if not line.startswith("#"))
    assert [] == [name for name, count in names.items() if count > 1]
    by_namespace = {metric.name for metric in (*COVERAGE, *SCRUB, *BROKER, *COPIES)}
    assert set(names) == {line.split()[2] for line in lines(metrics) if line.startswith("# TYPE ")} - by_namespace


def test_process_is_measured_too(metrics: Metrics) -> None:
    """The program's memory and CPU are there."""
    names = {line.split()[0] for line in lines(metrics)}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total"} <= names


def test_nothing_has_happened_yet(metrics: Metrics) -> None:
    """Every value is 0 before the first backup."""
    assert {0.0} == set(samples(metrics).values())


def test_success_is_measured(metrics: Metrics) -> None:
    """A successful backup is counted, and its sizes and times are shown. The phases add up to the total."""
    metrics.succeeded(report())
    assert {"backup_count": 1, "backup_failure_count": 0, **OF_THE_LAST_BACKUP} == samples(metrics)


@pytest.mark.parametrize(("count", "expected"), [(None, 0), (0, 0), (1, 1)])
def test_unproven_acls(count: int | None, expected: int, metrics: Metrics) -> None:
    """The ACLs that could not be verified are those of the manifest, none if it does not mention any."""
    result = report()
    metrics.succeeded(replace(result, manifest=replace(result.manifest, unproven_acls=count)))
    assert expected == samples(metrics)["backup_unproven_acls"]


@pytest.mark.parametrize(
    ("migration", "expected"),
    [(None, 0), (Migration("FAILED"), 0), (Migration("COPYING"), 0), (Migration("COMPLETED"), 1)],
)
def test_metadata_moved(migration: Migration | None, expected: int, metrics: Metrics) -> None:
    """Only if the metadata is in another store now, the metric is 1."""
    metrics.succeeded(replace(report(), migration=migration))
    assert expected == samples(metrics)["backup_metadata_moved"]


def test_failure_is_counted_only(metrics: Metrics) -> None:
    """A failed backup is counted as run and as failed. The gauges of the last successful one stay."""
    metrics.succeeded(report())
    metrics.failed()
    metrics.failed()
    assert {"backup_count": 3, "backup_failure_count": 2, **OF_THE_LAST_BACKUP} == samples(metrics)


def test_last_backup_replaces_the_one_before(metrics: Metrics) -> None:
    """Gauges are of the last backup, not of all."""
    metrics.existing([backup(1, size=99)])
    metrics.succeeded(report(TIMESTAMP - 1000))
    metrics.succeeded(report())
    assert {"backup_count": 2, "backup_failure_count": 0, **OF_THE_LAST_BACKUP} == samples(metrics)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], (0, 0.0, 0)),
        ([backup(TIMESTAMP, size=5), backup(7000, size=6)], (11, TIMESTAMP / 1000, 0)),
        ([backup(9000, "pulsar-suspect", size=5), backup(7000, size=6)], (11, 7.0, 1)),
        ([backup(9000, size=5), backup(7000, "pulsar-suspect", size=6)], (11, 9.0, 0)),
        ([backup(9000, "pulsar-suspect", size=5)], (5, 0.0, 1)),
    ],
)
def test_existing_backups_are_shown(found: list[Backup], expected: tuple[int, float, int], metrics: Metrics) -> None:
    """Existing backups are shown at the start, but not counted as run. The age is that of a sound one."""
    metrics.existing(found)
    names = ("backup_size_total", "backup_last_success_timestamp_seconds", "backup_suspect")
    assert expected == tuple(samples(metrics)[name] for name in names)
    assert 0 == samples(metrics)["backup_count"]


YEAR = 365 * 86_400


@dataclass
class Times:
    """Two clocks that a test sets."""

    time: float = TIMESTAMP / 1000
    elapsed: float = 1000.0

    def pass_by(self, seconds: float) -> None:
        """Let time go on."""
        self.time += seconds
        self.elapsed += seconds

    def age(self, metrics: Metrics) -> float:
        """The age of the newest backup, as an alert computes it."""
        return self.time - samples(metrics)["backup_last_success_timestamp_seconds"]


@pytest.fixture
def times() -> Times:
    """Clocks that are right."""
    return Times()


@pytest.fixture
def timed(times: Times) -> Metrics:
    """Metrics with these clocks."""
    return Metrics(Clock(lambda: times.time, lambda: times.elapsed))


@pytest.mark.parametrize("jump", [0, -YEAR, -5])
def test_age_goes_on_after_a_clock_was_set_back(jump: float, times: Times, timed: Metrics) -> None:
    """However far the clock is set back, the age of the newest backup counts the seconds that pass."""
    times.pass_by(2.25)
    timed.succeeded(report())
    times.time += jump
    times.pass_by(100)
    assert 102.25 == pytest.approx(times.age(timed), abs=5.1)
    times.pass_by(1000)
    assert 1102.25 == pytest.approx(times.age(timed), abs=5.1)


def test_backup_of_a_clock_that_was_ahead(times: Times, timed: Metrics) -> None:
    """A backup that was made while the clock was a year ahead, and one named after it, have the right age."""
    for timestamp in (TIMESTAMP + 1000 * YEAR, TIMESTAMP + 1000 * YEAR + 1):
        times.pass_by(600)
        timed.succeeded(report(timestamp))
        times.pass_by(300)
        assert 302.25 == pytest.approx(times.age(timed))


def test_existing_backup_of_the_future(times: Times, timed: Metrics) -> None:
    """After a restart, the age of a backup with a time in the future counts from the restart."""
    timed.existing([backup(TIMESTAMP + 1000 * YEAR, size=7)])
    for expected in (0, 500):
        assert expected == pytest.approx(times.age(timed))
        times.pass_by(500)


def test_suspect_backup(metrics: Metrics) -> None:
    """A suspect backup is told and counted, and the newest backup is still the sound one before it."""
    metrics.succeeded(report())
    metrics.succeeded(replace(report(TIMESTAMP + 9000), doubts=("it is smaller",)))
    changed = {"backup_suspect": 1, "backup_suspect_total": 1}
    assert {"backup_count": 2, "backup_failure_count": 0, **OF_THE_LAST_BACKUP, **changed} == samples(metrics)
    metrics.succeeded(report())
    assert (0, 1) == (samples(metrics)["backup_suspect"], samples(metrics)["backup_suspect_total"])


def test_large_numbers_are_exact() -> None:
    """Bytes and timestamps are whole numbers to the last digit, never 1e+16."""
    metrics = Metrics(Clock(lambda: 3e9))
    metrics.existing([backup(2_000_000_000_000, size=12_345_678_901_234_567)])
    assert "backup_size_total 12345678901234567" in lines(metrics)
    assert "backup_last_success_timestamp_seconds 2000000000" in lines(metrics)


def test_exposition_ends_its_last_line(metrics: Metrics) -> None:
    """The text ends with a line feed and has no empty line, as format 0.0.4 demands."""
    text = metrics.exposition().decode()
    assert text.endswith("\n")
    assert "" not in text.splitlines()


def test_content_type_is_of_the_text_format() -> None:
    """The content type has the format and its version."""
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


ODD = 't/"odd"\\n\n\\'
"""A name with every character that has a meaning in a label."""


def test_coverage_by_namespace(metrics: Metrics) -> None:
    """The coverage of the last backup is shown by namespace, with any name. The next backup replaces it."""
    coverage = Coverage()
    coverage.add_topic(ODD, "a", CoverageCounts(topics=1, lost_bytes=7))
    coverage.add_topic("t/n", "b", CoverageCounts(topics=1, recoverable_bytes=70))
    metrics.succeeded(report(coverage=coverage))
    families = {f.name: f for f in text_string_to_metric_families(metrics.exposition().decode())}
    found = {s.labels["pulsar_namespace"]: s.value for s in families["backup_unrecoverable_bytes"].samples}
    assert {ODD: 7, "t/n": 0} == found
    metrics.succeeded(report())
    assert not [line for line in lines(metrics) if line.startswith("backup_unrecoverable_bytes{")]


def namespaces(metrics: Metrics, count: int) -> list[str]:
    """The lines of one metric, for a backup of some namespaces of which each would lose a byte more."""
    coverage = Coverage()
    for number in range(count):
        coverage.add_topic(f"t/{number}", "a", CoverageCounts(topics=1, lost_bytes=number))
    metrics.succeeded(report(coverage=coverage))
    return [line for line in lines(metrics) if line.startswith("backup_unrecoverable_bytes{")]


def test_all_namespaces(metrics: Metrics) -> None:
    """Up to the limit every namespace is shown, and there are no others."""
    found = namespaces(metrics, METRIC_NAMESPACES)
    assert METRIC_NAMESPACES == len(found)
    assert not [line for line in found if "(others)" in line]


def test_namespaces_are_bounded(metrics: Metrics) -> None:
    """Of many namespaces, those that would lose most are shown, and all others as one."""
    found = namespaces(metrics, METRIC_NAMESPACES + 7)
    assert METRIC_NAMESPACES + 1 == len(found)
    assert f'backup_unrecoverable_bytes{{pulsar_namespace="(others)"}} {sum(range(7))}' == found[-1]


def test_namespaces_beyond_the_limit_of_the_scan(metrics: Metrics) -> None:
    """Namespaces that the scan has counted together are among the others, so no label comes twice."""
    coverage = Coverage(limits=ScanLimits(namespaces=METRIC_NAMESPACES + 1))
    for number in range(METRIC_NAMESPACES + 7):
        coverage.add_topic(f"t/{number}", "a", CoverageCounts(topics=1, lost_bytes=1))
    metrics.succeeded(report(coverage=coverage))
    found = [line for line in lines(metrics) if line.startswith("backup_unrecoverable_bytes{")]
    assert METRIC_NAMESPACES + 1 == len({line.split()[0] for line in found}) == len(found)
    assert 'backup_unrecoverable_bytes{pulsar_namespace="(others)"} 7' == found[-1]


def scrub(*ledgers: tuple[str, State], confirmed: bool = False) -> ScrubResult:
    """The result of a scrub of ledgers in these namespaces, with these states."""
    result = ScrubResult()
    for number, (namespace, state) in enumerate(ledgers):
        claim = Claim(namespace, f"{namespace}/persistent/a", number, UUID(int=number), 1, 10, "offloads")
        result.add(claim, state, "", confirmed=confirmed)
    return result


def by_namespace(metrics: Metrics, name: str) -> dict[str, float]:
    """The samples of a metric."""
    families = {f.name: f for f in text_string_to_metric_families(metrics.exposition().decode())}
    return {s.labels["pulsar_namespace"]: s.value for s in families[name].samples}


def test_scrub_by_namespace(metrics: Metrics) -> None:
    """The last good scrub is shown by namespace, until the next one. A failed one is only counted."""
    metrics.scrubbed(scrub((ODD, State.MISSING), ("t/n", State.PROVEN), ("t/n", State.DAMAGED)), TIMESTAMP)
    metrics.scrub_failed()
    expected: dict[str, dict[str, float]] = {
        "backup_proven_ledgers": {ODD: 0, "t/n": 1},
        "backup_missing_ledgers": {ODD: 1, "t/n": 0},
        "backup_damaged_ledgers": {ODD: 0, "t/n": 1},
        "backup_not_checked_ledgers": {ODD: 0, "t/n": 0},
        "backup_confirmed_lost_ledgers": {ODD: 0, "t/n": 0},
    }
    assert expected == {name: by_namespace(metrics, name) for name in expected}
    found = samples(metrics)
    assert TIMESTAMP / 1000 == found["backup_scrub_last_success_timestamp_seconds"]
    assert 1 == found["backup_scrub_failures_total"]
    metrics.scrubbed(scrub((ODD, State.MISSING), confirmed=True), TIMESTAMP)
    assert {ODD: 1} == by_namespace(metrics, "backup_confirmed_lost_ledgers")


def test_no_scrub_yet(metrics: Metrics) -> None:
    """Before the first scrub there is nothing by namespace."""
    metrics.succeeded(report())
    assert [{}] * len(SCRUB) == [by_namespace(metrics, metric.name) for metric in SCRUB]


@pytest.mark.parametrize("more", [0, 7])
def test_scrubbed_namespaces_are_bounded(more: int, metrics: Metrics) -> None:
    """Of many namespaces, those that have lost most are shown, and all others as one."""
    proven = [(f"t/{number}", State.PROVEN) for number in range(METRIC_NAMESPACES + more - 1)]
    metrics.scrubbed(scrub(*proven, ("z/z", State.MISSING)), TIMESTAMP)
    found = by_namespace(metrics, "backup_proven_ledgers")
    assert (METRIC_NAMESPACES + bool(more), more, 1) == (
        len(found),
        found.get(OTHERS, 0),
        by_namespace(metrics, "backup_missing_ledgers")["z/z"],
    )


def retention(metrics: Metrics) -> list[float]:
    """Deleted, failures, denied, expired."""
    found = samples(metrics)
    names = ("deleted_total", "failures_total", "denied", "expired")
    return [found[f"backup_retention_{name}"] for name in names]


def test_pruned(metrics: Metrics) -> None:
    """Deletions are counted, and taken off the total size. Refusals are shown until a deletion succeeds."""
    metrics.succeeded(report())
    old = [backup(number, size=100) for number in range(3)]
    plan = PrunePlan({each: [] for each in old}, old, waiting=4)
    metrics.pruned(Pruned(plan, refused=old, denied=BucketDenied("no")))
    assert ([0, 3, 1, 7], 3333) == (retention(metrics), samples(metrics)["backup_size_total"])
    metrics.pruned(Pruned(PrunePlan({}, []), failure=None))
    assert [0, 3, 1, 0] == retention(metrics)
    metrics.pruned(Pruned(plan, deleted=old[:2], failure=StoreFailed("503")))
    assert ([2, 4, 0, 5], 3133) == (retention(metrics), samples(metrics)["backup_size_total"])
    metrics.prune_failed()
    assert [2, 5, 0, 5] == retention(metrics)


def drills(metrics: Metrics) -> tuple[float, float, float]:
    """What is shown of drills: when the last one passed, how long it took, whether the last one failed."""
    names = ("last_success_timestamp_seconds", "serving_seconds", "failed")
    found = samples(metrics)
    return found[f"backup_drill_{names[0]}"], found[f"backup_drill_{names[1]}"], found[f"backup_drill_{names[2]}"]


def test_drills(metrics: Metrics) -> None:
    """The last drill that passed is shown, and whether one has failed since."""
    passed, failed = Record("a", TIMESTAMP, 2.5), Record("b", TIMESTAMP + 1, 1.0)
    for records, expected in (
        (Records(passed), (TIMESTAMP / 1000, 2.5, 0)),
        (Records(passed, failed), (TIMESTAMP / 1000, 2.5, 1)),
        (Records(None, failed), (0, 0, 1)),
        (Records(), (0, 0, 0)),
    ):
        metrics.drilled(records)
        assert expected == drills(metrics)


def test_drill_of_the_future() -> None:
    """A drill that was recorded with a time in the future grows old from when it was read, also if it is read again."""
    now, elapsed = [1000.0], [0.0]
    metrics = Metrics(Clock(lambda: now[0], lambda: elapsed[0]))
    for _ in range(3):
        metrics.drilled(Records(Record("a", 9_000_000, 1.0)))
        assert (1000.0, 1.0, 0) == drills(metrics)
        now[0] += 60
        elapsed[0] += 60


def test_what_brokers_gave_out(metrics: Metrics) -> None:
    """What was saved is shown by kind, what was not by reason, too, and zeros from the first backup that asks on."""
    metrics.succeeded(report())
    assert not [line for line in lines(metrics) if line.startswith(("backup_broker_saved", "backup_broker_not_saved"))]
    broker = BrokerMetadata(
        saved={"t/a": {"schemas": 2}, "t/b": {"schemas": 3, "cursor": 1}},
        not_saved={("cursor", Reason.LATE): 4},
        unchanged=5,
    )
    took = Seconds(prepare=0.5, compression=0.25, upload=1.5, broker=0.75)
    metrics.succeeded(replace(report(), broker=broker, seconds=took))
    found = samples(metrics)
    assert (5, 1, 0) == tuple(found[f'backup_broker_saved{{kind="{kind}"}}'] for kind in KINDS)
    assert 4 == found['backup_broker_not_saved{kind="cursor",reason="late"}']
    assert 0 == found['backup_broker_not_saved{kind="schemas",reason="denied"}']
    assert (5, 0.75) == (found["backup_broker_schemas_unchanged"], found["backup_execution_time_broker"])
    assert 3.0 == found["backup_execution_time_total"]


def test_what_was_saved_is_not_lost(metrics: Metrics) -> None:
    """Schemas and positions that brokers gave out do not count as lost."""
    counts = CoverageCounts(cursors_in_bookkeeper=5, schemas=4, cursors_saved=2, schemas_saved=3)
    metrics.succeeded(report(coverage=Coverage({"t/a": counts})))
    found = samples(metrics)
    assert 3 == found['backup_cursors_in_bookkeeper{pulsar_namespace="t/a"}']
    assert 1 == found['backup_unrecoverable_schemas{pulsar_namespace="t/a"}']


def test_copies_are_shown_by_place(metrics: Metrics) -> None:
    """Each place of copies has samples of its own, with its address as a label."""
    for place, counts in (("s3a://b/x", (5500, 2, 4, 3, 1)), ('file:///a"', (0, 0, 0, 0, 0))):
        of = metrics.copies_to(place)
        of.last_success, of.failures, of.missing, of.retention_deleted, of.retention_failures = counts
    assert [
        'backup_copy_last_success_timestamp_seconds{place="s3a://b/x"} 5.5',
        'backup_copy_last_success_timestamp_seconds{place="file:///a\\""} 0',
        'backup_copy_failures_total{place="s3a://b/x"} 2',
        'backup_copy_failures_total{place="file:///a\\""} 0',
        'backup_copy_missing{place="s3a://b/x"} 4',
        'backup_copy_missing{place="file:///a\\""} 0',
        'backup_copy_retention_deleted_total{place="s3a://b/x"} 3',
        'backup_copy_retention_deleted_total{place="file:///a\\""} 0',
        'backup_copy_retention_failures_total{place="s3a://b/x"} 1',
        'backup_copy_retention_failures_total{place="file:///a\\""} 0',
    ] == [line for line in lines(metrics) if line.startswith("backup_copy_")]
