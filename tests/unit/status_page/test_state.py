from dataclasses import dataclass, field

import pytest

from metadata_tool.backup import BackupResult
from metadata_tool.catalog import Backup
from metadata_tool.runs import Run, Runs
from metadata_tool.status_page.state import state_of
from support.scenes import a_backup


@dataclass
class Service:
    """A service that runs."""

    alive: bool = True
    last_suspect: BackupResult | None = None
    last_failure: str = ""
    runs: Runs = field(default_factory=Runs)


def listed(pattern: str) -> list[Backup]:
    """Backups at times 1, 2, …, newest first: `s` is a sound one, `?` a suspect one."""
    return [a_backup(time, suspect=kind == "?") for time, kind in reversed(list(enumerate(pattern, 1)))]


@pytest.mark.parametrize(
    ("pattern", "kind", "since"),
    [
        ("s", "sound", 1),
        ("sss", "sound", 1),
        ("s??s", "sound", 4),
        ("s?ss", "sound", 3),
        ("ss?", "suspect", 3),
        ("?s??", "suspect", 3),
        ("??", "suspect", 1),
    ],
)
def test_since_the_first_of_its_kind(pattern: str, kind: str, since: int) -> None:
    """The state began with the oldest of the newest backups in a row that are of one kind."""
    found = state_of(listed(pattern), "", Service())
    assert (kind, since) == (found.kind, found.since)


def test_sound_after_a_failure() -> None:
    """After a failure, backups are sound since the first one that followed."""
    service = Service()
    for run in (Run(1, 1, a_backup(1)), Run(2, 1, error="no"), Run(3, 1, a_backup(3)), Run(4, 1, a_backup(4))):
        service.runs.add(run)
    assert 3 == state_of(listed("ssss"), "", service).since


def test_failing_goes_first() -> None:
    """While backups fail, it does not matter what is in the bucket. One failure is told as one."""
    service = Service(last_failure="no answer. Check it.")
    service.runs.add(Run(7, 1, error=service.last_failure))
    found = state_of([], "no list", service)
    expected = ("failing", "The last backup failed", 7, ("No answer. Check it.",))
    assert expected == (found.kind, found.headline, found.since, found.reasons)
