"""Whether the backups are sound, suspect or failing, and since when."""

from dataclasses import dataclass
from typing import Protocol

from metadata_tool.backup import BackupResult
from metadata_tool.catalog import Backup
from metadata_tool.runs import Run, Runs


class Observed(Protocol):
    """What the state needs from the service."""

    @property
    def alive(self) -> bool:
        """Whether the loop runs."""

    @property
    def last_suspect(self) -> BackupResult | None:
        """The last backup, if it is suspect."""

    @property
    def last_failure(self) -> str:
        """Why the last backup failed. Empty if it succeeded."""

    @property
    def runs(self) -> Runs:
        """The backups of this process."""


@dataclass(frozen=True)
class State:
    """`kind` is a word, `since` in epoch milliseconds or None if it is unknown, and `reasons` are sentences."""

    kind: str
    headline: str
    since: int | None = None
    reasons: tuple[str, ...] = ()


def state_of(found: list[Backup], unlisted: str, service: Observed) -> State:
    """The state now. `found` has the backups, newest first, and `unlisted` says why they could not be listed."""
    runs = list(service.runs)
    if not service.alive:
        return State("failing", "The backup loop is not running", None, ("Look at the log of the pod.",))
    if service.last_failure:
        return State("failing", _failures(runs), service.runs.failing_since, (_sentence(service.last_failure),))
    if unlisted:
        return State("failing", "The backups cannot be listed", None, (_sentence(unlisted),))
    if not found:
        return State("empty", "There is no backup yet")
    if found[0].name.suspect:
        return State("suspect", "The newest backup is suspect", _since(found), _doubts(found[0], service.last_suspect))
    return State("sound", "Backups are sound", max(_since(found), _after_the_last_failure(runs)))


def _failures(runs: list[Run]) -> str:
    """How many of the last backups failed in a row."""
    count = next((number for number, run in enumerate(reversed(runs)) if run.backup), len(runs))
    return f"The last {count} backups failed" if count > 1 else "The last backup failed"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _since(found: list[Backup]) -> int:
    """When the first of the newest backups in a row was made that are all suspect, or all sound."""
    since = found[0].name
    for backup in found:
        if backup.name.suspect != since.suspect:
            break
        since = backup.name
    return since.timestamp


def _after_the_last_failure(runs: list[Run]) -> int:
    """The start of the first backup after the last failed one. 0 if none failed."""
    after = 0
    for run in reversed(runs):
        if run.backup is None:
            return after
        after = run.started
    return 0


def _doubts(newest: Backup, report: BackupResult | None) -> tuple[str, ...]:
    told = report.doubts if report and report.backup.name == newest.name else ()
    return (
        *(_sentence(f"{doubt}.") for doubt in told),
        f"If this is your cluster as it should be, run: metadata-tool accept {newest.uri}",
    )
