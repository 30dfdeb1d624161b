"""Counts of ledgers by kind, whatever the kinds are."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from metadata_tool.pulsar.coverage import camel


class Kinds(StrEnum):
    """Kinds of ledgers, in words."""

    @property
    def field(self) -> str:
        """The kind's name in JSON."""
        return camel(self.replace(" ", "_"))


Kind = TypeVar("Kind", bound=Kinds)


@dataclass
class LedgerCounts(Generic[Kind]):
    """Ledgers, entries and bytes by kind."""

    ledgers: Counter[Kind] = field(default_factory=Counter)
    entries: Counter[Kind] = field(default_factory=Counter)
    bytes: Counter[Kind] = field(default_factory=Counter)

    def count(self, kind: Kind, entries: int, size: int) -> None:
        """Count a ledger."""
        self.ledgers[kind] += 1
        self.entries[kind] += entries
        self.bytes[kind] += size

    def by_kind(self, kinds: type[Kind]) -> dict[str, Any]:
        """Ledgers, entries and bytes of each kind, by its name in JSON."""
        return {
            kind.field: {"ledgers": self.ledgers[kind], "entries": self.entries[kind], "bytes": self.bytes[kind]}
            for kind in kinds
        }
