"""Sizes, durations and times as people read them."""

from metadata_tool.catalog import rfc3339

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def size(count: int) -> str:
    """Bytes, such as `28.7 kB`."""
    for unit, name in _UNITS:
        if count >= unit:
            value = count / unit
            return f"{value:.1f} {name}" if value < 100 else f"{value:.0f} {name}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """A duration, such as `1.5 s`, `12 min` or `3 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"


def moment(timestamp: int) -> str:
    """Epoch milliseconds as `2026-01-31 23:59 UTC`."""
    return f"{rfc3339(timestamp)[:16].replace('T', ' ')} UTC"
