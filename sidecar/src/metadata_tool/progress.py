"""The progress of the running backup. The backup writes it, and requests of other threads read it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PHASES = ("capture", "broker", "compress", "upload")
"""The phases of a backup, as the log names them."""
_ALMOST = 99
"""The most percent of a running phase. It is done when the next one begins."""


@dataclass(frozen=True)
class Status:
    """A phase that runs, how much of it is done, and the seconds until the end of the backup. None: not known.

    `done` is what was counted: znodes during the capture, and bytes afterwards.
    """

    phase: str
    done: int | None = None
    percent: int | None = None
    seconds_left: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields of `GET /backup/status`."""
        seconds = None if self.seconds_left is None else round(self.seconds_left, 1)
        counted = "znodes" if self.phase == PHASES[0] else "bytes"
        return {
            "phase": self.phase,
            "percent": self.percent,
            "secondsLeft": seconds,
            **({} if self.done is None else {counted: self.done}),
        }


@dataclass
class _Phase:
    name: str
    began: float
    total: int = 0
    """What is expected: znodes or bytes. 0 if that is not known."""
    done: int | None = None


class Progress:
    """The phase of the running backup. One thread writes, and any thread may read.

    How long a phase takes is known from the last backup of this process.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase: _Phase | None = None
        self._last: Mapping[str, float] = {}

    def begin(self, phase: str, total: int = 0) -> None:
        """Note that a phase begins. `total` is what it has to do: znodes or bytes, or 0 if that is not known."""
        self._phase = _Phase(phase, self._clock(), total)

    def expect(self, total: int) -> None:
        """Note what the running phase has to do."""
        if phase := self._phase:
            phase.total = total

    def at(self, done: int) -> None:
        """Note how much of the running phase is done."""
        if phase := self._phase:
            phase.done = done

    def end(self, seconds: Mapping[str, float] | None = None) -> None:
        """Note that no backup runs. `seconds`: how long each phase of a successful backup took."""
        self._phase = None
        if seconds:
            self._last = seconds

    def status(self) -> Status | None:
        """How far the backup is. None if none runs."""
        phase, last = self._phase, self._last
        if phase is None:
            return None
        fraction = _fraction(phase, self._clock() - phase.began, last.get(phase.name, 0.0))
        return Status(
            phase.name,
            phase.done,
            None if fraction is None else min(int(100 * fraction), _ALMOST),
            _left(phase.name, fraction or 0.0, last) if last else None,
        )


def _fraction(phase: _Phase, elapsed: float, expected: float) -> float | None:
    """The part of a phase that is done: by what was counted, else by time. None if neither is known."""
    if phase.total:
        return min((phase.done or 0) / phase.total, 1.0)
    return min(elapsed / expected, 1.0) if expected else None


def _left(phase: str, fraction: float, last: Mapping[str, float]) -> float:
    later = PHASES[PHASES.index(phase) + 1 :]
    return (1 - fraction) * last.get(phase, 0.0) + sum(last.get(each, 0.0) for each in later)
