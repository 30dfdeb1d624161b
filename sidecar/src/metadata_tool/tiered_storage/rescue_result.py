"""The result of a rescue: the topics and ledgers that a bucket tells of, and what cannot be used of it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from metadata_tool.pulsar.coverage import camel
from metadata_tool.tiered_storage.reconcile_result import namespace_of
from metadata_tool.tiered_storage.unused import Unused

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
class RescueResult(Unused):
    """Counts by namespace, and what was not used."""

    bucket: str
    cluster: str = ""
    total: RescueCounts = field(default_factory=RescueCounts)
    namespaces: dict[str, RescueCounts] = field(default_factory=dict)

    def counts_of(self, topic: str) -> tuple[RescueCounts, RescueCounts]:
        """The counts of all, and of the namespace of this topic, which the caller may add to."""
        return self.total, self.namespaces.setdefault(namespace_of(topic), RescueCounts())

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
            **self.unused_to_json(),
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
        yield from self.unused_lines()
        yield ""
        yield "What the bucket does not tell:"
        yield from (f"- {sentence}." for sentence in UNKNOWN)
