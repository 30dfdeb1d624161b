"""Backups by name: `<prefix>-<epoch ms>.tar.gz`, newest first. Suspect ones have `-suspect` behind the prefix."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from metadata_tool.location import Location
from metadata_tool.store import parse_location

LATEST_TIMESTAMP = 99_999_999_999_999
"""The latest epoch milliseconds that a name can hold: fourteen digits, in the year 5138."""

LATEST = "latest"
"""In place of a backup's address: the newest backup."""

SUSPECT = "-suspect"
"""Behind the prefix of a backup that may not continue the one before it (continuity.py)."""

PREFIX = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,199}}(?<!{SUSPECT})")
"""A prefix as a setting. It does not end as those of suspect backups do."""
_NAME = re.compile(
    rf"(?P<prefix>[A-Za-z0-9][A-Za-z0-9._-]{{0,199}}(?:{SUSPECT})?)-(?P<timestamp>0|[1-9][0-9]{{0,13}})\.tar\.gz"
)


@dataclass(frozen=True, slots=True)
class BackupName:
    """The name of a backup file: its prefix, and the start of the backup in epoch milliseconds."""

    prefix: str
    timestamp: int

    @classmethod
    def parse(cls, text: str) -> "BackupName | None":
        """Read a file's name. None if it is not the name of a backup."""
        match = _NAME.fullmatch(text)
        return cls(match["prefix"], int(match["timestamp"])) if match else None

    @property
    def suspect(self) -> bool:
        """Whether it is that of a suspect backup."""
        return self.prefix.endswith(SUSPECT)

    @property
    def sound(self) -> "BackupName":
        """The name without the mark of suspect backups."""
        return BackupName(self.prefix.removesuffix(SUSPECT), self.timestamp)

    @property
    def as_suspect(self) -> "BackupName":
        """The name with the mark of suspect backups."""
        return BackupName(self.sound.prefix + SUSPECT, self.timestamp)

    def __str__(self) -> str:
        return f"{self.prefix}-{self.timestamp}.tar.gz"


@dataclass(frozen=True)
class RestorePoint:
    """One backup in one folder, as `RESTORE_POINT` names it."""

    location: Location
    name: BackupName

    @classmethod
    def parse(cls, text: str) -> "RestorePoint":
        """Read `s3a://<bucket>[/path]/<prefix>-<epoch ms>.tar.gz` (or `s3://`, `file:///`).

        Raises:
            ValueError: what is wrong with it.
        """
        folder, _, file = text.rpartition("/")
        if folder.endswith("/"):
            raise ValueError("the path has an empty part")
        location = parse_location(folder)
        name = BackupName.parse(file)
        if name is None:
            raise ValueError("the last part is not the name of a backup, <prefix>-<epoch milliseconds>.tar.gz")
        return cls(location, name)

    def __str__(self) -> str:
        return self.location.uri(str(self.name))


@dataclass(frozen=True)
class Series:
    """The backups of one prefix in one folder."""

    location: Location
    prefix: str

    @classmethod
    def parse(cls, text: str) -> "Series":
        """Read `s3a://<bucket>[/path]/<prefix>` (or `s3://`, `file:///`).

        Raises:
            ValueError: what is wrong with it.
        """
        folder, _, prefix = text.rpartition("/")
        location = parse_location(folder)
        if not PREFIX.fullmatch(prefix):
            raise ValueError("the last part is not a prefix of backups")
        return cls(location, prefix)

    def __str__(self) -> str:
        return self.location.uri(self.prefix)

    def __contains__(self, point: RestorePoint) -> bool:
        return (self.location, self.prefix) == (point.location, point.name.prefix)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup file in a bucket. `size` is in bytes."""

    name: BackupName
    uri: str
    size: int

    def as_json(self) -> dict[str, Any]:
        """The fields of the admin port's answers and of `list --json`."""
        return {
            "name": str(self.name),
            "uri": self.uri,
            "size": self.size,
            "time": rfc3339(self.name.timestamp),
            "timestamp": self.name.timestamp,
            **({"suspect": True} if self.name.suspect else {}),
        }


class Listing(Protocol):
    """What the catalog needs of a store."""

    @property
    def location(self) -> Location:
        """The folder."""

    def list(self, prefix: str) -> dict[str, int]:
        """Names and sizes."""


def sound(found: list[Backup]) -> list[Backup]:
    """The backups that are not suspect, in the same order."""
    return [backup for backup in found if not backup.name.suspect]


def backups(store: Listing, prefix: str) -> list[Backup]:
    """All backups of this prefix, newest first, suspect ones too. Empty files and files with other names are ignored.

    Raises:
        ToolError: the store cannot be listed.
    """
    named = ((BackupName.parse(file), size) for file, size in store.list(f"{prefix}-").items())
    found = [
        Backup(name, store.location.uri(str(name)), size)
        for name, size in named
        if name is not None and size and name.sound.prefix == prefix
    ]
    found.sort(key=lambda backup: _order(backup.name))
    return found


def _order(name: BackupName) -> tuple[int, bool]:
    """Newest first, and of two of one time the sound one."""
    return -name.timestamp, name.suspect


def page(found: list[Backup], limit: int, before: BackupName | None) -> list[Backup]:
    """At most `limit` backups that follow after this name, which need not be there any more. None: from the start.

    `found` has the backups newest first, so new ones do not move those that follow.
    """
    start = bisect_right(found, _order(before), key=lambda backup: _order(backup.name)) if before else 0
    return found[start : start + limit]


def rfc3339(timestamp: int) -> str:
    """Epoch milliseconds as `2026-01-31T23:59:59.123Z`."""
    moment = datetime.fromtimestamp(timestamp // 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{timestamp % 1000:03d}Z"
