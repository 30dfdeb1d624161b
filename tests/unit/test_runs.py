from dataclasses import replace

from metadata_tool.limits import RUNS
from metadata_tool.runs import Run, Runs
from support.backups import report

SOUND = Run(1000, 1.5, report().backup)
SUSPECT = Run(2000, 1.5, replace(report().backup, name=report().backup.name.as_suspect))
FAILED = Run(3000, 0.5, error="no answer")


def test_failing_since_the_first_in_a_row() -> None:
    """Backups fail since the first one after the last that was saved, and only if the last one failed."""
    runs = Runs()
    assert runs.failing_since is None
    for run, expected in (
        (FAILED, 3000),
        (SOUND, None),
        (replace(FAILED, started=5000), 5000),
        (replace(FAILED, started=6000), 5000),
        (SUSPECT, None),
    ):
        runs.add(run)
        assert expected == runs.failing_since


def test_only_the_last_are_kept() -> None:
    """A process that runs for long keeps the last runs."""
    runs = Runs()
    for number in range(RUNS + 5):
        runs.add(replace(FAILED, started=number))
    assert list(range(5, RUNS + 5)) == [run.started for run in runs]
    assert runs.last == replace(FAILED, started=RUNS + 4)


def test_json() -> None:
    """A run tells its outcome, and either its backup or why it failed."""
    assert ["sound", "suspect", "failed"] == [run.outcome for run in (SOUND, SUSPECT, FAILED)]
    expected = {"outcome": "sound", "started": "1970-01-01T00:00:01.000Z", "seconds": 1.5}
    assert {**expected, "backup": report().backup.uri} == SOUND.to_json()
    assert "no answer" == FAILED.to_json()["error"]
