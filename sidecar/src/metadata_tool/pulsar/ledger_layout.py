"""The layout of BookKeeper's ledgers, as `/ledgers/LAYOUT` names it: it decides which counter gives out new ids."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from metadata_tool.zookeeper.snapshot import printable

LAYOUT = "/ledgers/LAYOUT"
_FORMAT = re.compile(rb"(?P<format>[12])\n(?P<manager>[^\n:]+):[+-]?[0-9]+(?:\n.*)?", re.DOTALL)
_MAX_NAME = 100
"""Characters of a name that messages repeat."""


class Ids(Enum):
    """Where a ledger manager takes new ids from."""

    SHORT_THEN_LONG = auto()
    """`/ledgers/idgen`, and from 31 bits on `/ledgers/idgen-long`."""
    SHORT = auto()
    """`/ledgers/idgen`. There are no ids above 31 bits."""
    FLAT = auto()
    """`/ledgers` itself. There are no ids above 31 bits."""
    UNKNOWN = auto()


_MANAGERS = {
    (2, b"HierarchicalLedgerManagerFactory"): Ids.SHORT_THEN_LONG,
    (2, b"LongHierarchicalLedgerManagerFactory"): Ids.SHORT_THEN_LONG,
    (2, b"PulsarLedgerManagerFactory"): Ids.SHORT_THEN_LONG,
    (2, b"LegacyHierarchicalLedgerManagerFactory"): Ids.SHORT,
    (2, b"FlatLedgerManagerFactory"): Ids.FLAT,
    (1, b"hierarchical"): Ids.SHORT_THEN_LONG,
    (1, b"flat"): Ids.FLAT,
}
"""Known managers, by the format of LAYOUT and the name without its package (AbstractZkLedgerManagerFactory)."""


@dataclass(frozen=True)
class LedgerLayout:
    """What LAYOUT says. `manager` is the name of the ledger manager without its package, empty if LAYOUT is damaged."""

    manager: str
    ids: Ids

    @classmethod
    def parse(cls, data: bytes | None) -> "LedgerLayout":
        """The layout in the data of the znode, read as LedgerLayout.parseLayout reads it."""
        match = _FORMAT.fullmatch(data or b"")
        if not match:
            return cls("", Ids.UNKNOWN)
        manager = match["manager"].rpartition(b".")[2]
        return cls(printable(manager)[:_MAX_NAME], _MANAGERS.get((int(match["format"]), manager), Ids.UNKNOWN))
