import pytest

from metadata_tool.progress import Progress, Status

LAST = {"capture": 10.0, "compress": 20.0, "upload": 30.0}


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    """The progress of the second backup of a process."""
    made = Progress(clock)
    made.begin("capture")
    made.end(LAST)
    return made


def test_nothing_runs(progress: Progress) -> None:
    """Without a running backup there is no status, whatever a late thread notes."""
    progress.at(5)
    progress.expect(5)
    assert progress.status() is None


def test_first_backup() -> None:
    """The first backup of a process says what it has counted, and gives no time."""
    progress = Progress()
    progress.begin("capture")
    assert Status("capture") == progress.status()
    progress.at(5)
    assert Status("capture", 5) == progress.status()
    progress.expect(50)
    assert Status("capture", 5, 10) == progress.status()


def test_by_counting(progress: Progress) -> None:
    """What is counted gives the percent of a phase, and with the last durations the time to the end of the backup."""
    progress.begin("capture", 200)
    progress.at(50)
    assert Status("capture", 50, 25, 7.5 + 20 + 30) == progress.status()
    progress.begin("upload", 200)
    progress.at(100)
    assert Status("upload", 100, 50, 15) == progress.status()


def test_by_time(progress: Progress, clock: Clock) -> None:
    """A phase that counts nothing is as far as the last one was after the same time."""
    progress.begin("compress")
    clock.now = 5
    assert Status("compress", None, 25, 15 + 30) == progress.status()


def test_brokers_are_asked(progress: Progress) -> None:
    """If brokers are asked between the capture and the compression, that counts, too."""
    progress.end({**LAST, "broker": 5.0})
    progress.begin("capture", 100)
    assert Status("capture", None, 0, 10 + 5 + 20 + 30) == progress.status()
    progress.begin("broker")
    assert Status("broker", None, 0, 5 + 20 + 30) == progress.status()


def test_a_phase_that_runs_is_not_done(progress: Progress, clock: Clock) -> None:
    """A phase that does more, or takes longer than the last time, is never at 100 percent, and no time is negative."""
    progress.begin("capture", 200)
    progress.at(999)
    assert Status("capture", 999, 99, 50) == progress.status()
    progress.begin("compress")
    clock.now = 999
    assert Status("compress", None, 99, 30) == progress.status()


def test_failed_backup_keeps_the_durations(progress: Progress) -> None:
    """After a failed backup, the durations are those of the last good one."""
    progress.begin("upload", 10)
    progress.end(None)
    assert progress.status() is None
    progress.begin("upload", 10)
    assert Status("upload", None, 0, 30) == progress.status()


def test_json() -> None:
    """The status names what it counts: znodes while the tree is captured, and bytes afterwards."""
    assert {"phase": "capture", "percent": 25, "secondsLeft": 1.2, "znodes": 5} == Status(
        "capture", 5, 25, 1.23
    ).to_json()
    assert {"phase": "upload", "percent": None, "secondsLeft": None, "bytes": 7} == Status("upload", 7).to_json()
    assert {"phase": "compress", "percent": None, "secondsLeft": None} == Status("compress").to_json()
