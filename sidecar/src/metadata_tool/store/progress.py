"""Logs the progress of a long download."""

import logging
import time

from metadata_tool.lifecycle import Every

log = logging.getLogger(__name__)

_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


class Progress:
    """Logs a line every few seconds. A download that ends before the first of them logs nothing."""

    def __init__(self, total: int, every: float) -> None:
        """`total` in bytes, `every` in seconds."""
        self._total = total
        self._begin = time.monotonic()
        self._time_to_log = Every(every)

    def __call__(self, done: int) -> None:
        """Note how many bytes have arrived."""
        if self._time_to_log():
            seconds = time.monotonic() - self._begin
            log.info(
                "%s",
                line(done, self._total, seconds),
                extra={"phase": "fetch", "bytes": done, "seconds": round(seconds, 3)},
            )


def line(done: int, total: int, seconds: float) -> str:
    """Bytes that arrived in these seconds, their rate, and the time left at this rate."""
    size, unit = _unit(total)
    digits = 0 if total >= 10 * size else 1
    rate = done / seconds
    rate_size, rate_unit = _unit(rate)
    text = (
        f"fetched {100 * done // max(total, 1)}% ({done / size:.{digits}f} of {total / size:.{digits}f} {unit}), "
        f"{rate / rate_size:.1f} {rate_unit}/s"
    )
    return f"{text}, {_duration((total - done) / rate)} left" if done else text


def _unit(amount: float) -> tuple[int, str]:
    return next((unit for unit in _UNITS if amount >= unit[0]), _UNITS[-1])


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"
