import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from metadata_tool.agenda import Requested
from metadata_tool.backup import BackupResult
from metadata_tool.catalog import Backup
from metadata_tool.errors import StoreUnreachable, ToolError, ZooKeeperUnreachable
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import EARLY_BACKUPS, STALLED_AFTER
from metadata_tool.metrics import Metrics
from metadata_tool.service import Service
from support.backups import TIMESTAMP, report

PATIENCE = 60.0
SOON = 0.02
NEVER = 3600.0
Turn = Callable[[Heartbeat], BackupResult]


class Backups:
    """Backups that do as they are told. The last turn is repeated."""

    def __init__(self, *turns: Turn) -> None:
        self._turns = list(turns)
        self._begun = threading.Semaphore(0)

    def __call__(self, heartbeat: Heartbeat) -> BackupResult:
        """Run one."""
        turn = self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
        self._begun.release()
        return turn(heartbeat)

    def wait_for(self, count: int) -> bool:
        """Whether this many more start within the patience."""
        return all(self._begun.acquire(timeout=PATIENCE) for _ in range(count))

    def begins_within(self, seconds: float) -> bool:
        """Whether one more starts."""
        return self._begun.acquire(timeout=seconds)


def succeed(_: Heartbeat) -> BackupResult:
    """A backup that is done at once."""
    return report()


def with_clusters(*names: str) -> Turn:
    """A backup of a tree with these Pulsar clusters."""
    made = report()
    done = replace(made, manifest=replace(made.manifest, summary={"clusters": list(names)}))
    return lambda _: done


def failing(error: Exception) -> Turn:
    """A backup that fails."""

    def turn(_: Heartbeat) -> BackupResult:
        raise error

    return turn


def go_on(heartbeat: Heartbeat) -> BackupResult:
    """A backup that keeps working and never ends."""
    while True:
        heartbeat()
        threading.Event().wait(0.001)


def nothing() -> list[Backup]:
    """An empty bucket."""
    return []


def value(metrics: Metrics, name: str) -> float:
    """A metric's value."""
    (line,) = [line for line in metrics.exposition().decode().splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def counts(metrics: Metrics) -> tuple[float, float]:
    """Backups run, and backups that failed."""
    return value(metrics, "backup_count"), value(metrics, "backup_failure_count")


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether something comes true before patience ends."""
    wait = threading.Event()
    return any(condition() or wait.wait(0.01) for _ in range(int(PATIENCE * 100)))


@contextmanager
def running(
    back_up: Turn,
    metrics: Metrics,
    interval: float = SOON,
    existing: Callable[[], list[Backup]] = nothing,
    *,
    soon_again: float = NEVER,
    stalled_after: float = STALLED_AFTER,
) -> Iterator[Service]:
    """A running service, stopped at the end."""
    service = Service(back_up, existing, interval, metrics, soon_again=soon_again, stalled_after=stalled_after)
    service.start()
    try:
        yield service
    finally:
        service.stop(PATIENCE)


@pytest.fixture
def metrics() -> Metrics:
    """The metrics of a new service."""
    return Metrics()


def test_a_backup_is_made_at_the_start(metrics: Metrics) -> None:
    """The first backup does not wait for an interval, and the second does."""
    backups = Backups(succeed)
    with running(backups, metrics, NEVER) as service:
        assert backups.wait_for(1)
        assert eventually(lambda: counts(metrics) == (1, 0))
        assert service.stop(PATIENCE)
    assert (1, 0) == counts(metrics)


def test_a_backup_is_made_at_every_interval(metrics: Metrics) -> None:
    """Backup follows backup, and each is shown."""
    backups = Backups(succeed)
    with running(backups, metrics):
        assert backups.wait_for(3)
    count, failures = counts(metrics)
    assert count >= 3
    assert 0 == failures
    assert 3333 == value(metrics, "backup_size_total")


def test_a_tree_without_a_cluster_is_saved_again_soon(metrics: Metrics) -> None:
    """While the metadata is being initialised, a few backups follow soon. Then the interval counts."""
    for turns, expected in (
        ([with_clusters()], 1 + EARLY_BACKUPS),
        ([with_clusters(), with_clusters(), with_clusters("demo")], 3),
        ([with_clusters("demo"), with_clusters()], 1),
    ):
        backups = Backups(*turns)
        with running(backups, metrics, NEVER, soon_again=SOON):
            assert backups.wait_for(expected)
            assert not backups.begins_within(4 * SOON)


@pytest.mark.parametrize("error", [ZooKeeperUnreachable("nobody answers"), RuntimeError("nobody answers")])
def test_a_failing_backup_does_not_end_the_loop(
    error: Exception, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure of either kind is counted and logged, and the next interval has the next backup."""
    backups = Backups(failing(error), failing(error), succeed)
    with caplog.at_level(logging.INFO), running(backups, metrics) as service:
        assert backups.wait_for(4)
        assert service.alive
    count, failures = counts(metrics)
    assert count >= 4
    assert 2 == failures
    assert 2 == len([record for record in caplog.records if record.levelno == logging.ERROR])
    assert 2 == caplog.text.count("backup failed")
    assert "nobody answers" in caplog.text


def test_an_error_is_one_line(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A failure with an exit code is one line with what to do, without a traceback."""
    backups = Backups(failing(StoreUnreachable("nobody answers", "Check the network")), succeed)
    with running(backups, metrics):
        assert backups.wait_for(2)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is None
    expected = "backup failed: nobody answers. Check the network. The next backup starts within 0.02 s"
    assert expected == record.getMessage()
    fields = {name: getattr(record, name) for name in ("phase", "error", "exitCode")}
    assert {"phase": "backup", "error": "StoreUnreachable", "exitCode": StoreUnreachable.exit_code} == fields


def test_a_fault_is_logged_with_its_traceback(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A fault in the program is logged with its traceback."""
    backups = Backups(failing(ZeroDivisionError("a fault")), succeed)
    with running(backups, metrics):
        assert backups.wait_for(2)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert ZeroDivisionError is record.exc_info[0]
    assert "backup failed because of a fault in the program. Report it together with the log" == record.getMessage()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StoreUnreachable("nobody answers", "Check the network"), "nobody answers. Check the network."),
        (RuntimeError("s3cr3t detail"), "a fault in the program. Report it together with the log"),
    ],
)
def test_last_failure(error: Exception, expected: str, metrics: Metrics) -> None:
    """The reason of the last failure is kept until a backup succeeds. Details of a fault are only in the log."""
    good = threading.Event()

    def turn(heartbeat: Heartbeat) -> BackupResult:
        return succeed(heartbeat) if good.is_set() else failing(error)(heartbeat)

    with running(turn, metrics) as service:
        assert eventually(lambda: counts(metrics)[1] >= 2)
        assert expected == service.last_failure
        good.set()
        assert eventually(lambda: not service.last_failure)


def test_no_failure_before_the_first_attempt_has_ended(metrics: Metrics) -> None:
    """While the first backup runs, and after it was stopped, there is no failure."""
    backups = Backups(go_on)
    with running(backups, metrics) as service:
        assert backups.wait_for(1)
        assert "" == service.last_failure
    assert "" == service.last_failure


def test_stop_ends_a_running_backup(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A stop ends a running backup at its next step. It counts in neither counter, and no error is logged."""
    backups = Backups(go_on)
    with running(backups, metrics) as service:
        assert backups.wait_for(1)
        assert service.stop(PATIENCE)
    assert (0, 0) == counts(metrics)
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_stop_ends_the_wait_for_the_next_backup(metrics: Metrics) -> None:
    """A stop does not wait for the interval to end."""
    with running(succeed, metrics, NEVER) as service:
        assert eventually(lambda: counts(metrics) == (1, 0))
        assert service.stop(PATIENCE)
        assert not service.alive


def test_no_backup_follows_a_stop(metrics: Metrics) -> None:
    """A backup that finishes in spite of a stop counts, and none follows it."""
    stopped = threading.Event()

    def finish(_: Heartbeat) -> BackupResult:
        stopped.wait(PATIENCE)
        return report()

    backups = Backups(finish)
    with running(backups, metrics, 0) as service:
        assert backups.wait_for(1)
        assert not service.stop(0.01)
        stopped.set()
        assert service.stop(PATIENCE)
    assert (1, 0) == counts(metrics)


def test_one_backup_at_a_time(metrics: Metrics) -> None:
    """Backups that take longer than the interval never overlap."""
    turn, overlaps = threading.Lock(), 0

    def slow(_: Heartbeat) -> BackupResult:
        nonlocal overlaps
        if not turn.acquire(blocking=False):
            overlaps += 1
            return report()
        threading.Event().wait(0.03)
        turn.release()
        return report()

    backups = Backups(slow)
    with running(backups, metrics, 0.01):
        assert backups.wait_for(4)
    assert 0 == overlaps


def test_backup_on_demand(metrics: Metrics) -> None:
    """A requested backup starts at once, and the next one is due an interval after it."""
    backups = Backups(succeed)
    with running(backups, metrics, NEVER) as service:
        assert backups.wait_for(1)
        assert eventually(lambda: not service.running)
        due = service.next_due or 0
        assert Requested.ACCEPTED == service.request_backup()
        assert backups.wait_for(1)
        assert eventually(lambda: not service.running)
        assert ["sound", "sound"] == [run.outcome for run in service.runs]
        assert eventually(lambda: (service.next_due or 0) > due)
        assert not backups.begins_within(10 * SOON)


def test_requests_that_come_together(metrics: Metrics) -> None:
    """Of many requests at once one is accepted, none while a backup runs, and none after a stop."""
    go = threading.Semaphore(1)

    def wait_for_go(_: Heartbeat) -> BackupResult:
        go.acquire(timeout=PATIENCE)
        return report()

    backups = Backups(wait_for_go)
    with running(backups, metrics, NEVER) as service:
        assert backups.wait_for(1)
        assert eventually(lambda: not service.running)
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: service.request_backup(), range(8)))
        assert [1, 7] == [found.count(outcome) for outcome in (Requested.ACCEPTED, Requested.ALREADY)]
        assert backups.wait_for(1)
        assert Requested.ALREADY == service.request_backup()
        go.release()
        assert eventually(lambda: service.request_backup() is Requested.ACCEPTED)
        assert backups.wait_for(1)
        go.release()
        service.begin_stop()
        assert Requested.STOPPING == service.request_backup()
        assert service.stop(PATIENCE)
    assert (3, 0) == counts(metrics)


def test_request_after_a_failure(metrics: Metrics) -> None:
    """After a failed backup one can be requested, and until then the failure is the last run."""
    backups = Backups(failing(StoreUnreachable("no answer", "Check it")), succeed)
    with running(backups, metrics, NEVER) as service:
        assert eventually(lambda: service.runs.last is not None and not service.running)
        assert ["no answer. Check it."] == [run.error for run in service.runs]
        assert Requested.ACCEPTED == service.request_backup()
        assert eventually(lambda: [run.outcome for run in service.runs] == ["failed", "sound"])


def test_request_while_old_backups_are_deleted(metrics: Metrics) -> None:
    """While what follows a backup still runs, the next one is due later, and a requested one starts after that."""
    done, backups = threading.Event(), Backups(succeed)

    def wait(*_: object) -> None:
        done.wait(PATIENCE)

    service = Service(backups, nothing, NEVER, metrics, afterwards=wait)
    service.start()
    try:
        assert backups.wait_for(1)
        assert eventually(lambda: not service.running)
        assert (service.next_due or 0) > time.time()
        assert Requested.ACCEPTED == service.request_backup()
        assert not backups.begins_within(SOON)
        done.set()
        assert backups.wait_for(1)
    finally:
        done.set()
        assert service.stop(PATIENCE)


def test_service_is_alive_while_it_runs(metrics: Metrics) -> None:
    """A service is alive from its start to its end, and stopping from the stop on."""
    backups = Backups(go_on)
    service = Service(backups, nothing, SOON, metrics)
    assert (False, False) == (service.alive, service.stopping)
    service.start()
    assert backups.wait_for(1)
    assert (True, False) == (service.alive, service.stopping)
    assert service.stop(PATIENCE)
    assert (False, True) == (service.alive, service.stopping)


def test_a_stalled_backup_is_not_alive(metrics: Metrics) -> None:
    """A backup without a heartbeat counts as dead, and as alive again after its next heartbeat."""
    release = threading.Event()

    def stall(heartbeat: Heartbeat) -> BackupResult:
        release.wait(PATIENCE)
        return go_on(heartbeat)

    with running(stall, metrics, stalled_after=0.2) as service:
        assert eventually(lambda: not service.alive)
        release.set()
        assert eventually(lambda: service.alive)


def test_what_is_there_is_shown_before_the_first_backup(metrics: Metrics) -> None:
    """The metrics show existing backups as soon as the service runs."""
    found = [report().backup, report(TIMESTAMP - 1000).backup]
    backups = Backups(go_on)
    with running(backups, metrics, existing=lambda: found):
        assert backups.wait_for(1)
        assert 2222 == value(metrics, "backup_size_total")
        assert TIMESTAMP / 1000 == value(metrics, "backup_last_success_timestamp_seconds")


def test_what_follows_a_backup(metrics: Metrics) -> None:
    """What follows a backup comes after it was counted, and not after a failed one."""
    seen: list[tuple[float, float]] = []
    backups = Backups(failing(StoreUnreachable("no answer")), succeed)
    service = Service(backups, nothing, SOON, metrics, afterwards=lambda *_: seen.append(counts(metrics)))
    service.start()
    try:
        assert backups.wait_for(3)
    finally:
        service.stop(PATIENCE)
    assert (2, 1) == seen[0]


def test_suspect_backup(metrics: Metrics) -> None:
    """The last report stays with the sound backup while suspect ones follow, until there is another sound one."""
    sound, doubtful = report(), replace(report(), doubts=("it is smaller",))
    turns = [sound, doubtful, doubtful, replace(sound, size_total=1)]
    backups = Backups(*(lambda _, done=turn: done for turn in turns))
    seen = []

    def turn(heartbeat: Heartbeat) -> BackupResult:
        seen.append((service.last_report, service.last_suspect))
        return backups(heartbeat)

    service = Service(turn, nothing, SOON, metrics)
    service.start()
    try:
        assert backups.wait_for(5)
    finally:
        service.stop(PATIENCE)
    assert [(None, None), (sound, None), (sound, doubtful), (sound, doubtful), (turns[3], None)] == seen[:5]
    assert 2 == value(metrics, "backup_suspect_total")
    assert 0 == counts(metrics)[1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the counts tell it better
@pytest.mark.parametrize("error", [ToolError("no list"), RuntimeError("no list")])
def test_a_bucket_that_cannot_be_listed_does_not_end_the_loop(error: Exception, metrics: Metrics) -> None:
    """If the bucket cannot be listed at the start, the backups run anyway."""

    def unlisted() -> list[Backup]:
        raise error

    with running(succeed, metrics, NEVER, unlisted) as service:
        assert eventually(lambda: counts(metrics) == (1, 0) or not service.alive)
        assert service.alive
    assert (1, 0) == counts(metrics)


def test_looks_around_at_the_start_and_after_each_backup(metrics: Metrics) -> None:
    """The service looks around before the first backup, and once after each, also after one that failed."""
    seen: list[float] = []

    def look(_: Heartbeat) -> None:
        seen.append(counts(metrics)[0])

    service = Service(failing(ToolError("no")), nothing, SOON, metrics, look_around=look)
    service.start()
    try:
        assert eventually(lambda: len(seen) > 3)
    finally:
        service.stop(PATIENCE)
    assert [0, 1, 2, 3] == seen[:4]
