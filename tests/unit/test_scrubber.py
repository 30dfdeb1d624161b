"""Scrubs in a thread of their own: no backup waits for them, or fails by them."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from metadata_tool.errors import BucketDenied, Stopped
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.metrics import Metrics
from metadata_tool.scrub_schedule import ScrubSchedule
from metadata_tool.scrubber import Scrubber
from metadata_tool.tiered_storage.claims import Claim
from metadata_tool.tiered_storage.scrub_result import ScrubResult, State

PATIENCE = 60.0
NAME = "pulsar-1623721488825.tar.gz"
Turn = Callable[[Path, Heartbeat], ScrubResult]


def result(*states: State, confirmed: bool = False) -> ScrubResult:
    """The result of a scrub of ledgers with these states."""
    made = ScrubResult()
    for number, state in enumerate(states):
        claim = Claim("t/n", "t/n/persistent/a", number, UUID(int=number), 1, 1, "offloads")
        made.add(claim, state, "", confirmed=confirmed)
    return made


def good(packed: Path, _: Heartbeat) -> ScrubResult:
    """A scrub that reads its file, and finds a ledger proven."""
    assert b"backup" == packed.read_bytes()
    return result(State.PROVEN)


def failing(error: Exception) -> Turn:
    """A scrub that fails."""

    def turn(_: Path, __: Heartbeat) -> ScrubResult:
        raise error

    return turn


class Held:
    """A scrub that takes until it is released, or stopped."""

    def __init__(self) -> None:
        self.begun, self.released = threading.Event(), threading.Event()

    def __call__(self, packed: Path, heartbeat: Heartbeat) -> ScrubResult:
        """Run."""
        self.begun.set()
        while not self.released.wait(0.001):
            heartbeat()
        return good(packed, heartbeat)


class Backups:
    """Backups whose files are offered."""

    def __init__(self, directory: Path, scrubber: Scrubber) -> None:
        self.kept = directory / "kept"
        self._spool = directory / "spool"
        self._spool.mkdir()
        self._scrubber = scrubber

    def offer(self) -> bool:
        """Offer the file of a new backup. Whether it was taken."""
        path = self._spool / NAME
        path.write_bytes(b"backup")
        self._scrubber.offer(path)
        return not path.exists()


@contextmanager
def running(scrub: Turn, directory: Path, metrics: Metrics, interval: float = 0) -> Iterator[tuple[Scrubber, Backups]]:
    """A scrubber that runs, and is stopped at the end."""
    (directory / "kept").mkdir()
    scrubber = Scrubber(scrub, directory / "kept", ScrubSchedule(interval, 0), metrics)
    scrubber.start()
    try:
        yield scrubber, Backups(directory, scrubber)
    finally:
        scrubber.stop(PATIENCE)


def in_turn(*turns: Turn) -> Turn:
    """Scrubs that go one after the other like this."""
    left = list(turns)

    def turn(packed: Path, heartbeat: Heartbeat) -> ScrubResult:
        return left.pop(0)(packed, heartbeat)

    return turn


def eventually(condition: Callable[[], object]) -> bool:
    """Whether something comes true before patience ends."""
    wait = threading.Event()
    return any(condition() or wait.wait(0.01) for _ in range(int(PATIENCE * 100)))


@pytest.fixture
def metrics() -> Metrics:
    """The metrics of a new service."""
    return Metrics()


def value(metrics: Metrics, name: str) -> float:
    """A metric's value."""
    (line,) = [line for line in metrics.exposition().decode().splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def test_scrubs_a_backup(tmp_path: Path, metrics: Metrics) -> None:
    """A backup's file is taken and scrubbed, and then deleted. The report names the backup."""
    with running(good, tmp_path, metrics) as (scrubber, backups):
        assert backups.offer()
        assert eventually(lambda: scrubber.last_report)
        report = scrubber.last_report
        assert report
        assert (NAME, 1, "") == (report.backup, report.result.total.ledgers[State.PROVEN], scrubber.last_failure)
        assert report.ended / 1000 == value(metrics, "backup_scrub_last_success_timestamp_seconds")
        assert eventually(lambda: not list(backups.kept.iterdir()))


def test_before_the_interval_is_over(tmp_path: Path, metrics: Metrics) -> None:
    """Before a scrub is due, the files of backups are left where they are."""
    with running(good, tmp_path, metrics, interval=3600) as (scrubber, backups):
        assert backups.offer()
        assert eventually(lambda: scrubber.last_report and not list(backups.kept.iterdir()))
        assert not backups.offer()


def test_no_backup_waits(tmp_path: Path, metrics: Metrics) -> None:
    """While a scrub runs, other backups are offered without waiting, and left where they are."""
    held = Held()
    with running(held, tmp_path, metrics) as (scrubber, backups):
        assert backups.offer()
        assert held.begun.wait(PATIENCE)
        assert [False] * 3 == [backups.offer() for _ in range(3)]
        held.released.set()
        assert eventually(lambda: scrubber.last_report)
        assert eventually(backups.offer)


def test_failed_scrub(tmp_path: Path, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A failed scrub is one line with what to do, a metric and a reason. The next backup is scrubbed."""
    denied = failing(BucketDenied("the object store refused access", "Check the policy"))
    with running(in_turn(denied, good), tmp_path, metrics, interval=3600) as (scrubber, backups):
        assert backups.offer()
        assert eventually(lambda: scrubber.last_failure)
        assert "the object store refused access. Check the policy." == scrubber.last_failure
        assert 1 == value(metrics, "backup_scrub_failures_total")
        assert eventually(backups.offer)
        assert eventually(lambda: scrubber.last_report)
        assert "" == scrubber.last_failure
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    expected = "scrub failed: the object store refused access. Check the policy. The next backup is scrubbed again"
    assert (expected, None) == (record.getMessage(), record.exc_info)
    fields = {name: getattr(record, name) for name in ("phase", "error", "exitCode")}
    assert {"phase": "scrub", "error": "BucketDenied", "exitCode": BucketDenied.exit_code} == fields


def test_fault(tmp_path: Path, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A fault is logged with its traceback, without details elsewhere, and does not end the scrubs."""
    with running(in_turn(failing(RuntimeError("s3cr3t detail")), good), tmp_path, metrics) as (scrubber, backups):
        assert backups.offer()
        assert eventually(lambda: scrubber.last_failure)
        assert "a fault in the program. Report it together with the log" == scrubber.last_failure
        assert eventually(backups.offer)
        assert eventually(lambda: scrubber.last_report)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info


def test_lost_ledgers_are_a_warning(tmp_path: Path, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A scrub that finds ledgers missing or damaged warns. The next backup is scrubbed, to confirm them."""
    found = [result(State.MISSING, State.PROVEN), result(State.MISSING, confirmed=True)]
    with running(lambda *_: found.pop(0), tmp_path, metrics, interval=3600) as (scrubber, backups):
        assert backups.offer()
        assert eventually(lambda: len(found) == 1 and backups.offer())
        assert eventually(lambda: scrubber.last_report and scrubber.last_report.result.total.confirmed)
        assert eventually(lambda: not list(backups.kept.iterdir()))
        assert not backups.offer()
    assert "ledgers proven 1, missing 1, damaged 0, not checked 0" in caplog.text
    assert [logging.WARNING] * 2 == [record.levelno for record in caplog.records if record.levelno > logging.INFO]


def test_file_that_cannot_be_kept(tmp_path: Path, metrics: Metrics) -> None:
    """If the file cannot be moved, the backup does not notice, and the scrub has failed."""
    with running(good, tmp_path, metrics) as (scrubber, backups):
        backups.kept.rmdir()
        assert not backups.offer()
        assert "cannot be kept for a scrub" in scrubber.last_failure
        backups.kept.mkdir()
        assert backups.offer()


def test_stop_ends_a_running_scrub(tmp_path: Path, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A stop ends a running scrub at its next step, which is no failure, and takes its file away."""
    held = Held()
    with running(held, tmp_path, metrics) as (scrubber, backups):
        assert backups.offer()
        assert held.begun.wait(PATIENCE)
        assert scrubber.stop(PATIENCE)
        assert not backups.offer()
        assert [] == list(backups.kept.iterdir())
    assert (None, "", 0) == (
        scrubber.last_report,
        scrubber.last_failure,
        value(metrics, "backup_scrub_failures_total"),
    )
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_stop_ends_the_wait(tmp_path: Path, metrics: Metrics) -> None:
    """A stop does not wait for a backup."""
    with running(failing(Stopped("stopped")), tmp_path, metrics) as (scrubber, _):
        assert scrubber.stop(PATIENCE)
