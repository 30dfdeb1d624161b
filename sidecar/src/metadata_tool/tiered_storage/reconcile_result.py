"""The result of a reconciliation: what the backup promised, what was added, and what was left out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from metadata_tool.pulsar.topics import place_of
from metadata_tool.tiered_storage.ledger_counts import Kinds, LedgerCounts
from metadata_tool.tiered_storage.unused import Unused


class Kind(Kinds):
    """What became of a ledger. Those that are left out, replaced or not checked are among the promised ones."""

    PROMISED = "promised"
    ADDED = "added"
    LEFT_OUT = "left out"
    REPLACED = "replaced"
    NOT_CHECKED = "not checked"


_SHOWN = (Kind.PROMISED, Kind.LEFT_OUT, Kind.ADDED)


@dataclass
class KindCounts(LedgerCounts[Kind]):
    """Ledgers, entries and bytes by kind."""

    @property
    def difference(self) -> tuple[int, int]:
        """Bytes that are left out, and bytes that are added."""
        return self.bytes[Kind.LEFT_OUT], self.bytes[Kind.ADDED]

    def to_json(self) -> dict[str, Any]:
        """By kind: ledgers, entries and bytes."""
        return self.by_kind(Kind)


@dataclass
class ReconcileResult(Unused):
    """Counts by namespace, and what was not used."""

    buckets: list[str] = field(default_factory=list)
    total: KindCounts = field(default_factory=KindCounts)
    namespaces: dict[str, KindCounts] = field(default_factory=dict)
    not_checked: Counter[str] = field(default_factory=Counter)

    def add(self, kind: Kind, topic: str, entries: int, size: int) -> None:
        """Count a ledger of a topic, which is named as in its path."""
        self.total.count(kind, entries, size)
        self.namespaces.setdefault(namespace_of(topic), KindCounts()).count(kind, entries, size)

    def by_difference(self) -> list[tuple[str, KindCounts]]:
        """All namespaces, those with the most bytes left out or added first."""
        return sorted(self.namespaces.items(), key=lambda item: (*(-each for each in item[1].difference), item[0]))

    def origin(self, namespaces: int) -> dict[str, Any]:
        """What the manifest of the new backup has of it, with at most this many namespaces."""
        return {
            "buckets": self.buckets,
            "total": self.total.to_json(),
            "namespaceCount": len(self.namespaces),
            "namespaces": {name: counts.to_json() for name, counts in self.by_difference()[:namespaces]},
        }

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            **self.origin(len(self.namespaces)),
            **self.unused_to_json(),
            "notCheckedBecause": dict(sorted(self.not_checked.items())),
            "highestLedgerId": self.highest_id,
        }

    def as_text(self) -> str:
        """The report as text for operators."""
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The lines of `as_text`."""
        yield f"Ledgers by namespace, after a look into {', '.join(self.buckets) or 'no bucket'}"
        yield f"{'NAMESPACE':<40} {'PROMISED':>10} {'LEFT OUT':>10} {'ADDED':>10} {'ADDED BYTES':>16}"
        for name, counts in [*self.by_difference(), ("(all)", self.total)]:
            numbers = " ".join(f"{counts.ledgers[kind]:>10}" for kind in _SHOWN)
            yield f"{name:<40} {numbers} {counts.bytes[Kind.ADDED]:>16}"
        if replaced := self.total.ledgers[Kind.REPLACED]:
            yield f"another upload is used instead of a missing or damaged one: {replaced}"
        for why, count in sorted(self.not_checked.items()):
            yield f"kept and not checked, {why}: {count}"
        yield from self.unused_lines()


def namespace_of(topic: str) -> str:
    """The namespace in the name of a managed ledger, such as `tenant/namespace/persistent/topic`."""
    names = topic.split("/")
    place = place_of([name.encode() for name in names])
    return "/".join(names[: place.namespace if place else -2])
