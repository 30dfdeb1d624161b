"""The backups of this process that one place lacks, because it was down or slower than the backups."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from metadata_tool import limits
from metadata_tool.catalog import BackupName
from metadata_tool.retention import Retention


@dataclass(frozen=True)
class MissedBackup:
    """A backup that a place lacks, and the SHA-256 of the file that was made.

    `tried`: whether a try to copy it has failed, which may have left a file in the place that is not verified.
    """

    name: BackupName
    sha256: bytes
    tried: bool


class MissedBackups:
    """The newest of them, in memory. Several threads may use it."""

    def __init__(self, changed: Callable[[int], None], limit: int = limits.MISSED_COPIES) -> None:
        """`changed` gets their number whenever that may have changed."""
        self._changed = changed
        self._limit = limit
        self._found: dict[BackupName, MissedBackup] = {}
        self._failures: dict[BackupName, int] = {}
        self._lock = threading.Lock()

    def add(self, missed: MissedBackup) -> None:
        """Note one more. If there are too many, the oldest is forgotten."""
        with self._lock:
            self._found[missed.name] = missed
            if len(self._found) > self._limit:
                self._forget(min(self._found, key=_time))
            self._changed(len(self._found))

    def remove(self, name: BackupName) -> None:
        """Forget one that is copied, or that cannot be copied."""
        with self._lock:
            self._forget(name)
            self._changed(len(self._found))

    def failed(self, name: BackupName) -> bool:
        """Count a failed try. Returns whether it was the last one. Then the backup is forgotten."""
        with self._lock:
            self._failures[name] = tries = self._failures.get(name, 0) + 1
            if name in self._found:
                self._found[name] = MissedBackup(name, self._found[name].sha256, tried=True)
            last = tries >= limits.CATCH_UP_TRIES
            if last:
                self._forget(name)
            self._changed(len(self._found))
            return last

    def keep_to(self, retention: Retention, there: Collection[BackupName]) -> None:
        """Forget what the retention would not keep beside the backups that are in the place. Suspect ones stay."""
        with self._lock:
            together = [name.timestamp for name in {*there, *self._found} if not name.suspect]
            kept = retention.kept(together)
            for name in [name for name in self._found if not name.suspect and name.timestamp not in kept]:
                self._forget(name)
            self._changed(len(self._found))

    @property
    def newest(self) -> MissedBackup | None:
        """The one to copy next."""
        with self._lock:
            return max(self._found.values(), key=lambda missed: missed.name.timestamp, default=None)

    def __len__(self) -> int:
        return len(self._found)

    def _forget(self, name: BackupName) -> None:
        self._found.pop(name, None)
        self._failures.pop(name, None)


def _time(name: BackupName) -> int:
    return name.timestamp
