"""Which paths match a pattern: in one backup, or in those of a series, with where they were seen first and last."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from re import Pattern
from typing import Any

from metadata_tool.archive import Archive
from metadata_tool.catalog import Backup, rfc3339
from metadata_tool.zookeeper.snapshot import escaped

log = logging.getLogger(__name__)

MOST = 10_000
"""The most paths of a result."""


@dataclass
class Match:
    """A path, and the first and the last backup that has it."""

    path: str
    first: Backup
    last: Backup


@dataclass
class Found:
    """Matches in the order in which they were first seen in these backups."""

    backups: Sequence[Backup]
    matches: dict[str, Match]
    more: bool = False
    """Whether there are more than MOST."""

    def lines(self) -> Iterator[str]:
        """A line for each path, with where it was seen, if that is not in all backups."""
        for match in self.matches.values():
            yield escaped(match.path) + self._where(match)
        if self.more:
            yield f"only the first {MOST} paths are shown"

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "first": self.backups[0].uri,
            "last": self.backups[-1].uri,
            "paths": [
                {"path": match.path, "firstSeen": match.first.uri, "lastSeen": match.last.uri}
                for match in self.matches.values()
            ],
            "complete": not self.more,
        }

    def _where(self, match: Match) -> str:
        parts = []
        if match.first is not self.backups[0]:
            parts.append(f"first seen {_time(match.first)}")
        if match.last is not self.backups[-1]:
            gone = self.backups[self.backups.index(match.last) + 1]
            parts.append(f"last seen {_time(match.last)}, gone {_time(gone)}")
        return f"  ({', '.join(parts)})" if parts else ""


def find(
    pattern: Callable[[Archive], Pattern[str]],
    backups: Sequence[Backup],
    opened: Callable[[Backup], AbstractContextManager[Archive]],
) -> Found:
    """The paths that match in any of these backups, which are oldest first. `pattern` may depend on a backup's layout.

    Raises whatever `opened` raises, and ArchiveCorrupt if one is damaged.
    """
    found = Found(backups, {})
    for number, backup in enumerate(backups, 1):
        log.info("reading %s, %d of %d backups", backup.uri, number, len(backups))
        with opened(backup) as file:
            matches = pattern(file).fullmatch
            for node in file.tree().nodes:
                path = node[0].decode(errors="replace") or "/"
                if matches(path):
                    _add(found, path, backup)
    return found


def _add(found: Found, path: str, backup: Backup) -> None:
    if path in found.matches:
        found.matches[path].last = backup
    elif len(found.matches) < MOST:
        found.matches[path] = Match(path, backup, backup)
    else:
        found.more = True


def _time(backup: Backup) -> str:
    return rfc3339(backup.name.timestamp)
