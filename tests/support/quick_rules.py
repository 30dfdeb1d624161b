"""Prometheus' rules with all of their times divided, so that days pass in minutes.

Divided are `for`, the durations in an expression, and its numbers of seconds. A number in an expression is one of
seconds if the expression reads a time: `time()`, or a metric that counts seconds. All else stays as users get it.
"""

import re
from collections.abc import Callable
from typing import Any

Rule = dict[str, Any]

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_QUOTED = re.compile(r'("[^"]*")')
_DURATION = re.compile(r"(?<![\w.])(?:\d+(?:ms|[smhdw]))+(?![\w.])")
_PART = re.compile(r"(\d+)(ms|[smhdw])")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e\+?\d+)?(?![\w.(])")
_READS_TIMES = re.compile(r"\btime\(\)|_seconds\b|_execution_time_")


def quickened(rule: Rule, factor: int) -> Rule:
    """A rule that does in a second what the given one does in `factor` seconds."""

    def duration(text: str) -> str:
        return f"{milliseconds(text) // factor}ms"

    def seconds(text: str) -> str:
        return f"{float(text) / factor:g}"

    return {**rule, "for": duration(rule["for"]), "expr": _with_times(rule["expr"], duration, seconds)}


def milliseconds(duration: str) -> int:
    """The length of a duration as Prometheus writes it: `1h30m`."""
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in _PART.findall(duration))


def _with_times(expression: str, duration: Callable[[str], str], seconds: Callable[[str], str]) -> str:
    """An expression with other times. What it has in quotes stays."""
    reads_times = bool(_READS_TIMES.search(expression))

    def changed(part: str) -> str:
        pieces = re.split(rf"({_DURATION.pattern})", part)
        for number, piece in enumerate(pieces):
            if number % 2:
                pieces[number] = duration(piece)
            elif reads_times:
                pieces[number] = _NUMBER.sub(lambda found: seconds(found[0]), piece)
        return "".join(pieces)

    return "".join(part if part.startswith('"') else changed(part) for part in _QUOTED.split(expression))
