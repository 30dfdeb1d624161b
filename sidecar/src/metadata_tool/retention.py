"""Which backups are kept: the last ones, all of the newest hours, and then one an hour, a day, a week, a month (UTC).

Each rule counts backups, or periods that have one, and none asks for the time. So nothing expires by its age: the
good ones stay if backups have stopped, and a clock that jumps takes one place of each rule, and no more.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from metadata_tool.limits import ALWAYS_KEPT

EXAMPLE = "hours=48,daily=14,weekly=8,monthly=12"
"""Rules that suit most clusters."""

NEWEST = "newest"
"""Why the newest backups are kept, whatever the rules are."""

_RULE = re.compile(r"(?P<name>[a-z]+)=(?P<number>[0-9]{1,6})")


@dataclass(frozen=True)
class Retention:
    """How many each rule keeps: `last` backups, all backups of `hours`, and the last backup of the other periods.

    Periods are the newest hours, days, ISO weeks, months and years in UTC that have a backup.
    """

    last: int = 0
    hours: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0

    @classmethod
    def parse(cls, text: str) -> "Retention":
        """Read `hours=48,daily=14,…`.

        Raises:
            ValueError: what is wrong with it.
        """
        known = [field.name for field in fields(cls)]
        found: dict[str, int] = {}
        for part in text.split(","):
            match = _RULE.fullmatch(part.strip())
            if not match or match["name"] not in known:
                raise ValueError(f"a rule is one of {', '.join(known)}, with a number, such as daily=14")
            if match["name"] in found:
                raise ValueError(f"{match['name']} comes twice")
            found[match["name"]] = int(match["number"])
        if not any(found.values()):
            raise ValueError("every rule is 0")
        return cls(**found)

    def __str__(self) -> str:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ",".join(f"{name}={value}" for name, value in values if value)

    def kept(self, timestamps: Iterable[int]) -> dict[int, list[str]]:
        """The backups that are kept, newest first, and the rules that keep each.

        Backups are named by their times in epoch milliseconds.
        """
        newest_first = sorted(set(timestamps), reverse=True)
        reasons: dict[int, list[str]] = {}
        for rule, kept in self._by_rule(newest_first):
            for timestamp in kept:
                reasons.setdefault(timestamp, []).append(rule)
        return dict(sorted(reasons.items(), reverse=True))

    def _by_rule(self, newest_first: list[int]) -> Iterable[tuple[str, list[int]]]:
        yield NEWEST, newest_first[:ALWAYS_KEPT]
        yield "last", newest_first[: self.last]
        yield "hours", [each for found in _newest(newest_first, _PERIODS["hourly"], self.hours) for each in found]
        for rule, period in _PERIODS.items():
            yield rule, [found[0] for found in _newest(newest_first, period, getattr(self, rule))]


_Period = Callable[[datetime], tuple[int, ...]]

_PERIODS: dict[str, _Period] = {
    "hourly": lambda time: (time.year, time.month, time.day, time.hour),
    "daily": lambda time: (time.year, time.month, time.day),
    "weekly": lambda time: time.isocalendar()[:2],
    "monthly": lambda time: (time.year, time.month),
    "yearly": lambda time: (time.year,),
}


def _newest(newest_first: list[int], period: _Period, count: int) -> list[list[int]]:
    """The backups of each of the newest `count` periods that have one, newest first."""
    found: list[list[int]] = []
    current = None
    for timestamp in newest_first:
        key = period(datetime.fromtimestamp(timestamp // 1000, tz=UTC))
        if key != current:
            if len(found) == count:
                break
            current = key
            found.append([])
        found[-1].append(timestamp)
    return found
