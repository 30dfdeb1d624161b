"""Ledger ids: which were given out, and where their counters go on, so that none is given out again.

Ids up to 2^31-2 are names of sequential children of `/ledgers/idgen`, so its cversion, as stored, is the next one.
After that `/ledgers/idgen-long` exists, an id is `<n> << 32 | <low>`, and the cversion of its largest child `HOB-<n>`
is the next low half, up to 2^31-2 again (PulsarLedgerIdGenerator, LongZkLedgerIdGenerator).
"""

import re
from dataclasses import dataclass

SHORT = "/ledgers/idgen"
LONG = "/ledgers/idgen-long"
LONG_CHILD = f"{LONG}/HOB-<digits>"
LEDGERS = ("/ledgers/<a>/<b>/L<digits>", "/ledgers/<a>/<b>/<c>/<d>/L<digits>")
"""A ledger's znode: the digits of its path are its id (LegacyHierarchicalLedgerManager, LongHierarchical…)."""

MARGIN = 1_000_000
"""Ids left out after the highest one known: those given out between the backup and the loss, which may be in the
bucket or on a bookie's disk. Less than a thousandth of all short ones."""

_PER_COUNTER = (1 << 31) - 1
"""A counter gives out 0 to one less than this."""


LAST = ((1 << 31) - 3) << 32
"""Ids beyond are no counter's: what claims one is odd, and room must be left for the next."""


@dataclass(frozen=True)
class Counter:
    """Where ids go on: `high` is the n of `HOB-<n>`, None for `/ledgers/idgen`; `next` is that counter's next."""

    high: int | None
    next: int

    @property
    def sentinel(self) -> int:
        """An id that was never given out, and never will be: the one before the next."""
        return ((self.high or 0) << 32) + self.next - 1

    @property
    def path(self) -> str:
        """The znode whose cversion it is."""
        return SHORT if self.high is None else f"{LONG}/HOB-{self.high:010d}"


def next_counter(highest: int, *, long: bool) -> Counter:
    """Where ids go on after the highest that was given out (-1 for none); `long` where `/ledgers/idgen-long` exists."""
    floor = highest + MARGIN
    if not long and floor + 2 <= _PER_COUNTER:
        return Counter(None, floor + 2)
    high, low = max(floor >> 32, 1), (floor & 0xFFFF_FFFF) if floor >> 32 else 0
    if low + 2 > _PER_COUNTER:
        high, low = high + 1, 0
    return Counter(high, low + 2)


def of_ledger(path: bytes) -> int:
    """The id in the path of a ledger's znode below `/ledgers/`: all of its digits."""
    try:
        return int(path.translate(None, b"/L"))
    except ValueError:
        return int(b"".join(re.findall(rb"[0-9]+", path))[-19:])


def of_counter(high: int | None, cversion: int) -> int:
    """The last id that a counter gave out; one less than its first where none was."""
    return ((high or 0) << 32) + cversion - 1
