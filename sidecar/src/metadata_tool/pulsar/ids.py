"""Ledger ids: the highest one in use, and the counters that BookKeeper allocates new ones from.

BookKeeper allocates ids up to 2^31-2 with sequential children of `/ledgers/idgen`: the cversion of that znode, as a
snapshot stores it, is the next id (ZkLedgerIdGenerator). After that, `/ledgers/idgen-long` exists. An id is then
`<n> << 32 | <low>`, and the cversion of its largest child `HOB-<n>` is the next low half, again up to 2^31-2
(PulsarLedgerIdGenerator, LongZkLedgerIdGenerator).

In the flat layout of old versions, `/ledgers` itself has the sequential children (FlatLedgerManagerFactory), so its
cversion is the next id or a lower one. All other children of `/ledgers` make it higher.
"""

import re
from dataclasses import dataclass

FLAT_COUNTER = "/ledgers"
SHORT_COUNTER = "/ledgers/idgen"
LONG_ROOT = "/ledgers/idgen-long"
LONG_COUNTER = f"{LONG_ROOT}/HOB-<digits>"
FLAT_LEDGERS = "/ledgers/L<digits>"
LEDGERS = ("/ledgers/<a>/<b>/L<digits>", "/ledgers/<a>/<b>/<c>/<d>/L<digits>", FLAT_LEDGERS)
"""A ledger's znode. The digits are its id (LegacyHierarchicalLedgerManager, LongHierarchicalLedgerManager,
FlatLedgerManager)."""

MARGIN = 1_000_000
"""How many ids a restore skips after the highest known one. They may have been allocated after the backup, and such
ledgers may be in the bucket or on a bookie's disk. The margin is less than a thousandth of all short ids."""

MAX_SKIP = (1 << 24) - 1
"""The most ids that a restore skips in addition, if the bookies were kept: less than a hundredth of all short ids.

Such bookies still have the ledgers that brokers created after an earlier restore of the same backup, or of a slightly
older one. If a new ledger got the id of one of these and its broker crashed, the next broker would take the old entries
for entries of the new ledger (LedgerRecoveryOp.doRecoveryRead). So each restore skips a different, pseudo-random number
of ids. If brokers create 10,000 ledgers after each of two restores, ids overlap with a probability of about 0.001."""

MAX_ID = ((1 << 31) - 3) << 32
"""Higher ids are ignored: no counter has allocated them, and the next id must be possible."""

_IDS_PER_COUNTER = (1 << 31) - 1
"""A counter allocates 0 to one less than this."""


@dataclass(frozen=True)
class Counter:
    """Where BookKeeper continues: `high` is the n of `HOB-<n>` (None: `/ledgers/idgen`), `next` the stored cversion."""

    high: int | None
    next: int

    @property
    def next_id(self) -> int:
        """The id that BookKeeper allocates next."""
        return ((self.high or 0) << 32) + self.next

    @property
    def placeholder_id(self) -> int:
        """An id that was never allocated and never will be: the one before the next."""
        return self.next_id - 1

    @property
    def path(self) -> str:
        """The znode whose cversion is the counter."""
        return SHORT_COUNTER if self.high is None else f"{LONG_ROOT}/HOB-{self.high:010d}"


def next_counter(highest: int, *, long: bool, skip: int = 0) -> Counter:
    """The counter after a restore. `highest` is the highest id in use (-1: none), `long` if LONG_ROOT exists.

    After the margin, `skip` more ids are left out (up to MAX_SKIP).
    """
    floor = highest + MARGIN + skip
    if not long and floor + 2 <= _IDS_PER_COUNTER:
        return Counter(None, floor + 2)
    high, low = max(floor >> 32, 1), (floor & 0xFFFF_FFFF) if floor >> 32 else skip
    if low + 2 > _IDS_PER_COUNTER:
        high, low = high + 1, skip
    return Counter(high, low + 2)


def counter_at(highest: int) -> Counter:
    """The counter whose last allocated id is this one, or the next higher one that a counter allocates."""
    if highest + 1 <= _IDS_PER_COUNTER:
        return Counter(None, highest + 1)
    high, low = highest >> 32, highest & 0xFFFF_FFFF
    if not high or low + 1 > _IDS_PER_COUNTER:
        return Counter(high + 1, 0)
    return Counter(high, low + 1)


def ledger_id(path: bytes) -> int:
    """The id in the path of a ledger's znode, which is relative to `/ledgers/`. Matches LEDGERS."""
    try:
        return int(path.translate(None, b"/L"))
    except ValueError:
        return int(b"".join(re.findall(rb"[0-9]+", path))[-19:])


def last_allocated(high: int | None, cversion: int) -> int:
    """The last id that a counter allocated. If there is none, one less than its first id."""
    return ((high or 0) << 32) + cversion - 1
