"""The backups that this process made or failed to make. The bucket does not have their durations and errors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from metadata_tool.catalog import Backup, rfc3339
from metadata_tool.limits import RUNS


@dataclass(frozen=True)
class Run:
    """One backup: its start in epoch milliseconds, and the seconds that it took. `error`: why it failed."""

    started: int
    seconds: float
    backup: Backup | None = None
    error: str = ""

    @property
    def outcome(self) -> str:
        """`sound`, `suspect` or `failed`."""
        if self.backup is None:
            return "failed"
        return "suspect" if self.backup.name.suspect else "sound"

    def to_json(self) -> dict[str, Any]:
        """Its fields in `GET /backup/status`."""
        found = {"outcome": self.outcome, "started": rfc3339(self.started), "seconds": round(self.seconds, 3)}
        return found | ({"error": self.error} if self.backup is None else {"backup": self.backup.uri})


class Runs:
    """The last runs, oldest first. One thread adds, and any thread may read."""

    def __init__(self) -> None:
        self._runs: tuple[Run, ...] = ()

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def add(self, run: Run) -> None:
        """Add a run that has ended."""
        self._runs = (*self._runs, run)[-RUNS:]

    @property
    def last(self) -> Run | None:
        """The last run that has ended."""
        runs = self._runs
        return runs[-1] if runs else None

    @property
    def failing_since(self) -> int | None:
        """When the first of the last runs in a row that failed was started. None if the last run did not fail."""
        since = None
        for run in reversed(self._runs):
            if run.backup is not None:
                break
            since = run.started
        return since
