"""Decides which of a service's backups are scrubbed."""

from enum import Enum, auto


class _Next(Enum):
    REGULAR = auto()
    """When the interval is over."""
    RETRY = auto()
    """At once, because the last scrub failed."""
    CONFIRM = auto()
    """At once, because the last scrub found new losses, which may be ledgers that were trimmed since the backup."""


class ScrubSchedule:
    """Scrubs follow each other at an interval. A failed one, and one that found new losses, is followed at once.

    "At once" means with the next backup. Times are in seconds, of any clock that never goes back. A backup is due up to
    `early` seconds before the end of the interval, so that with equal intervals each backup is scrubbed.
    """

    def __init__(self, interval: float, early: float) -> None:
        self._interval = interval
        self._early = early
        self._due = float("-inf")
        self._next = _Next.REGULAR

    def is_due(self, now: float) -> bool:
        """Whether a backup that is ready now is to be scrubbed."""
        return self._next is not _Next.REGULAR or now >= self._due - self._early

    def begin(self, now: float) -> None:
        """A scrub begins. The interval counts from here, unless the scrub only confirms another."""
        if self._next is not _Next.CONFIRM:
            self._due = now + self._interval

    def failed(self) -> None:
        """The scrub failed."""
        self._next = _Next.RETRY

    def succeeded(self, *, new_losses: bool) -> None:
        """The scrub ended. `new_losses`: it found ledgers lost that the one before had not."""
        confirm = new_losses and self._next is not _Next.CONFIRM
        self._next = _Next.CONFIRM if confirm else _Next.REGULAR
