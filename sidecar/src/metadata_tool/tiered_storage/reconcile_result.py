"""The result of a reconciliation: what the backup promised, what was added, and what was left out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from metadata_tool.pulsar.coverage import camel
from metadata_tool.pulsar.topics import place_of
from metadata_tool.tiered_storage.candidates import NotTaken
from metadata_tool.tiered_storage.limits import NAMED_LEDGERS
from metadata_tool.zookeeper.snapshot import escaped


class Kind(StrEnum):
    """What became of a ledger. Those that are left out, replaced or not checked are among the promised ones."""

    PROMISED = "promised"
    ADDED = "added"
    LEFT_OUT = "left out"
    REPLACED = "replaced"
    NOT_CHECKED = "not checked"


_SHOWN = (Kind.PROMISED, Kind.LEFT_OUT, Kind.ADDED)


@dataclass
class KindCounts:
    """Ledgers, entries and bytes by kind."""

    ledgers: Counter[Kind] = field(default_factory=Counter)
    entries: Counter[Kind] = field(default_factory=Counter)
    bytes: Counter[Kind] = field(default_factory=Counter)

    def add(self, kind: Kind, entries: int, size: int) -> None:
        """Count a ledger."""
        self.ledgers[kind] += 1
        self.entries[kind] += entries
        self.bytes[kind] += size

    @property
    def difference(self) -> tuple[int, int]:
        """Bytes that are left out, and bytes that are added."""
        return self.bytes[Kind.LEFT_OUT], self.bytes[Kind.ADDED]

    def to_json(self) -> dict[str, Any]:
        """By kind: ledgers, entries and bytes."""
        return {
            camel(kind.replace(" ", "_")): {
                "ledgers": self.ledgers[kind],
                "entries": self.entries[kind],
                "bytes": self.bytes[kind],
            }
            for kind in Kind
        }


class Unusable(NamedTuple):
    """A ledger that the new list does not have, because its objects are missing or damaged. `why` says what differs."""

    topic: str
    ledger_id: int
    promised: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return {"topic": self.topic, "ledger": self.ledger_id, "promised": self.promised, "why": self.why}

    def __str__(self) -> str:
        state = "left out" if self.promised else "not added"
        return f"{escaped(self.topic)} ledger {self.ledger_id} {state}: {self.why}"


@dataclass
class ReconcileResult:
    """Counts by namespace. `unusable` names the first ledgers that cannot be read, all of them are counted."""

    buckets: list[str] = field(default_factory=list)
    total: KindCounts = field(default_factory=KindCounts)
    namespaces: dict[str, KindCounts] = field(default_factory=dict)
    unusable: list[Unusable] = field(default_factory=list)
    unusable_count: int = 0
    not_taken: Counter[NotTaken] = field(default_factory=Counter)
    not_checked: Counter[str] = field(default_factory=Counter)
    highest_id: int = -1
    other_objects: int = 0

    def add(self, kind: Kind, topic: str, entries: int, size: int) -> None:
        """Count a ledger of a topic, which is named as in its path."""
        self.total.add(kind, entries, size)
        self.namespaces.setdefault(namespace_of(topic), KindCounts()).add(kind, entries, size)

    def add_unusable(self, ledger: Unusable) -> None:
        """Note a ledger that cannot be read."""
        self.unusable_count += 1
        if len(self.unusable) < NAMED_LEDGERS:
            self.unusable.append(ledger)

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
            "ledgers": [each.to_json() for each in self.unusable],
            "notTaken": {str(reason): count for reason, count in sorted(self.not_taken.items())},
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
        for reason, count in sorted(self.not_taken.items()):
            yield f"not taken, {reason}: {count}"
        yield from map(str, self.unusable)
        if (more := self.unusable_count - len(self.unusable)) > 0:
            yield f"and {more} more"


def namespace_of(topic: str) -> str:
    """The namespace in the name of a managed ledger, such as `tenant/namespace/persistent/topic`."""
    names = topic.split("/")
    place = place_of([name.encode() for name in names])
    return "/".join(names[: place.namespace if place else -2])
