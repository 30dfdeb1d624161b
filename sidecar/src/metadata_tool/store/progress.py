"""How far a long copy is, said from time to time."""

import logging
import time

from metadata_tool.lifecycle import Every

log = logging.getLogger(__name__)

_EVERY = 5.0
_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


class Progress:
    """Says a line every few seconds; of a copy that is done before, nothing."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._begin = time.monotonic()
        self._time_to_say = Every(_EVERY)

    def __call__(self, done: int) -> None:
        """So many bytes are there now."""
        if self._time_to_say():
            log.info("%s", line(done, self._total, time.monotonic() - self._begin))


def line(done: int, total: int, seconds: float) -> str:
    """What was copied in these seconds, how fast, and how long the rest takes if it goes on so."""
    size, unit = _unit(total)
    digits = 0 if total >= 10 * size else 1
    rate = done / seconds
    rate_size, rate_unit = _unit(rate)
    said = (
        f"fetched {100 * done // max(total, 1)}% ({done / size:.{digits}f} of {total / size:.{digits}f} {unit}), "
        f"{rate / rate_size:.1f} {rate_unit}/s"
    )
    return f"{said}, {_duration((total - done) / rate)} left" if done else said


def _unit(amount: float) -> tuple[int, str]:
    return next((unit for unit in _UNITS if amount >= unit[0]), _UNITS[-1])


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"
