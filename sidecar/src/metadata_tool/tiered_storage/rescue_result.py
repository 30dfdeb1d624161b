"""The result of a rescue: the topics and ledgers that a bucket tells of, and what cannot be used of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from metadata_tool.pulsar.coverage import camel
from metadata_tool.tiered_storage.candidates import NotTaken
from metadata_tool.tiered_storage.limits import NAMED_LEDGERS
from metadata_tool.tiered_storage.reconcile_result import Unusable, namespace_of

UNKNOWN = (
    "Namespaces have Pulsar's default policies and infinite retention, so that brokers delete nothing",
    "There are no subscriptions, schemas, topic policies, permissions and admin roles",
    "Topics without an offloaded ledger are missing. A partitioned topic may have had more partitions",
)
"""What a bucket does not tell."""


@dataclass
class RescueCounts:
    """Counts of a namespace, or of all. A partition counts as a topic."""

    topics: int = 0
    partitioned_topics: int = 0
    ledgers: int = 0
    entries: int = 0
    bytes: int = 0

    def to_json(self) -> dict[str, int]:
        """The counts by their names in JSON."""
        return {camel(name): value for name, value in asdict(self).items()}


@dataclass
class RescueResult:
    """Counts by namespace. `unusable` names the first ledgers that cannot be read, all of them are counted."""

    bucket: str
    cluster: str = ""
    total: RescueCounts = field(default_factory=RescueCounts)
    namespaces: dict[str, RescueCounts] = field(default_factory=dict)
    unusable: list[Unusable] = field(default_factory=list)
    unusable_count: int = 0
    not_taken: Counter[NotTaken] = field(default_factory=Counter)
    highest_id: int = -1
    other_objects: int = 0

    def counts_of(self, topic: str) -> tuple[RescueCounts, RescueCounts]:
        """The counts of all, and of the namespace of this topic, which the caller may add to."""
        return self.total, self.namespaces.setdefault(namespace_of(topic), RescueCounts())

    def add_unusable(self, ledger: Unusable) -> None:
        """Note a ledger that cannot be read."""
        self.unusable_count += 1
        if len(self.unusable) < NAMED_LEDGERS:
            self.unusable.append(ledger)

    def by_size(self) -> list[tuple[str, RescueCounts]]:
        """All namespaces, the largest first."""
        return sorted(self.namespaces.items(), key=lambda item: (-item[1].bytes, item[0]))

    def origin(self, namespaces: int) -> dict[str, Any]:
        """What the manifest of the new backup has of it, with at most this many namespaces."""
        return {
            "buckets": [self.bucket],
            "cluster": self.cluster,
            "total": self.total.to_json(),
            "namespaceCount": len(self.namespaces),
            "namespaces": {name: counts.to_json() for name, counts in self.by_size()[:namespaces]},
        }

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            **self.origin(len(self.namespaces)),
            "ledgers": [each.to_json() for each in self.unusable],
            "notTaken": {str(reason): count for reason, count in sorted(self.not_taken.items())},
            "highestLedgerId": self.highest_id,
            "unknown": list(UNKNOWN),
        }

    def as_text(self) -> str:
        """The report as text for operators."""
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The lines of `as_text`."""
        yield f"What the bucket {self.bucket} tells of the cluster {self.cluster}"
        yield f"{'NAMESPACE':<40} {'TOPICS':>10} {'PARTITIONED':>12} {'LEDGERS':>10} {'BYTES':>16}"
        for name, each in [*self.by_size(), ("(all)", self.total)]:
            yield f"{name:<40} {each.topics:>10} {each.partitioned_topics:>12} {each.ledgers:>10} {each.bytes:>16}"
        for reason, count in sorted(self.not_taken.items()):
            yield f"not taken, {reason}: {count}"
        yield from map(str, self.unusable)
        if (more := self.unusable_count - len(self.unusable)) > 0:
            yield f"and {more} more"
        yield ""
        yield "What the bucket does not tell:"
        yield from (f"- {sentence}." for sentence in UNKNOWN)
