"""Counts what a restore of scope `bookies-lost` would bring back, and what it would lose.

Only ledgers that were offloaded completely survive the loss of the bookies. The metadata of an open ledger does not
say how many entries it has, so open ledgers themselves are counted.
"""

import heapq
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from metadata_tool.broker_metadata.records import CURSOR, POLICIES, SCHEMAS
from metadata_tool.pulsar.limits import DEFAULT_LIMITS, ScanLimits
from metadata_tool.pulsar.managed_ledger_pb2 import LedgerInfo
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import COMPACTION, Cursor, Topic, Undecodable
from metadata_tool.pulsar.unknown import UnknownZnodes

OTHERS = "(others)"
"""The name under which namespaces beyond the limit are counted. They are the last ones in tree order."""
SCHEMA = "/schemas/<tenant>/<namespace>/<topic>"


@dataclass(slots=True)
class CoverageCounts:
    """Counts of a topic, a namespace or all namespaces. Entries and bytes are those of closed ledgers."""

    topics: int = 0
    recoverable_entries: int = 0
    recoverable_bytes: int = 0
    lost_entries: int = 0
    lost_bytes: int = 0
    open_ledgers: int = 0
    topics_never_offloaded: int = 0
    cursors: int = 0
    cursors_in_bookkeeper: int = 0
    schemas: int = 0
    schemas_saved: int = 0
    cursors_saved: int = 0
    topic_policies_saved: int = 0
    """The last three are what brokers gave out for the backup. The first two of them are among the counts above."""

    def add(self, other: "CoverageCounts") -> None:
        """Add the counts of another topic or namespace."""
        self.topics += other.topics
        self.recoverable_entries += other.recoverable_entries
        self.recoverable_bytes += other.recoverable_bytes
        self.lost_entries += other.lost_entries
        self.lost_bytes += other.lost_bytes
        self.open_ledgers += other.open_ledgers
        self.topics_never_offloaded += other.topics_never_offloaded
        self.cursors += other.cursors
        self.cursors_in_bookkeeper += other.cursors_in_bookkeeper
        self.schemas += other.schemas
        self.schemas_saved += other.schemas_saved
        self.cursors_saved += other.cursors_saved
        self.topic_policies_saved += other.topic_policies_saved

    @property
    def schemas_lost(self) -> int:
        """Topics whose schemas a restore would lose."""
        return max(0, self.schemas - self.schemas_saved)

    @property
    def cursors_lost(self) -> int:
        """Subscriptions whose exact position a restore would lose."""
        return max(0, self.cursors_in_bookkeeper - self.cursors_saved)

    def to_json(self) -> dict[str, int]:
        """The counts by their names in JSON (docs/recovery.md)."""
        return {camel(name): value for name, value in asdict(self).items()}


def camel(name: str) -> str:
    """A name such as `lost_bytes` as JSON has it, `lostBytes`."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def is_offloaded(ledger: LedgerInfo) -> bool:
    """Whether all of a ledger is in tiered storage."""
    return ledger.HasField("offloadContext") and ledger.offloadContext.complete  # the first check is the cheaper one


def topic_counts(topic: Topic) -> CoverageCounts:
    """The counts of one topic, without its cursors."""
    kept = lost = kept_bytes = lost_bytes = open_ledgers = 0
    never_offloaded = 1
    for ledger in topic.info.ledgerInfo:
        entries = ledger.entries
        if ledger.HasField("offloadContext") and ledger.offloadContext.complete:  # `is_offloaded`, inlined for speed
            never_offloaded = 0
            kept += entries
            kept_bytes += ledger.size
        elif entries:
            lost += entries
            lost_bytes += ledger.size
        elif ledger.HasField("timestamp"):  # brokers set it, a restore does not set it in the ledger that it adds
            open_ledgers += 1
    return CoverageCounts(1, kept, kept_bytes, lost, lost_bytes, open_ledgers, never_offloaded)


class TopicLoss(NamedTuple):
    """A topic that would lose data. Sorts by loss: bytes first, then open ledgers."""

    lost_bytes: int
    open_ledgers: int
    namespace: str
    name: str
    counts: CoverageCounts

    def to_json(self) -> dict[str, Any]:
        """The topic's name and its counts."""
        return {"topic": self.name, **self.counts.to_json()}


@dataclass
class Coverage:
    """Counts by namespace (`tenant/namespace`, or `tenant/cluster/namespace` with V1 names), and the topics' losses.

    `undecodable` counts topics and cursors whose znodes cannot be decoded, `unknown` other znodes below the managed
    ledgers. `losses` is a heap of the topics with the largest losses.
    """

    namespaces: dict[str, CoverageCounts] = field(default_factory=dict)
    undecodable: int = 0
    unknown: UnknownZnodes = field(default_factory=UnknownZnodes)
    losses: list[TopicLoss] = field(default_factory=list)
    limits: ScanLimits = DEFAULT_LIMITS

    @property
    def total(self) -> CoverageCounts:
        """The counts of all namespaces together."""
        total = CoverageCounts()
        for counts in self.namespaces.values():
            total.add(counts)
        return total

    @property
    def tenants(self) -> dict[str, CoverageCounts]:
        """The counts by tenant."""
        tenants: dict[str, CoverageCounts] = {}
        for name, counts in self.namespaces.items():
            tenants.setdefault(name.partition("/")[0], CoverageCounts()).add(counts)
        return tenants

    def add_topic(self, namespace: str, name: str, counts: CoverageCounts) -> None:
        """Count a topic. Keep its name if its loss is among the largest."""
        self.counts_of(namespace).add(counts)
        lost_bytes, open_ledgers = counts.lost_bytes, counts.open_ledgers
        if not (lost_bytes or open_ledgers):
            return
        if len(self.losses) < self.limits.topics:
            heapq.heappush(self.losses, TopicLoss(lost_bytes, open_ledgers, namespace, name, counts))
        elif (lost_bytes, open_ledgers) >= self.losses[0][:2]:
            heapq.heappushpop(self.losses, TopicLoss(lost_bytes, open_ledgers, namespace, name, counts))

    def topics_of(self, namespace: str) -> list[TopicLoss]:
        """The topics of a namespace that would lose data, the largest loss first. Only topics kept by name."""
        return sorted((loss for loss in self.losses if loss.namespace == namespace), reverse=True)

    def counts_of(self, namespace: str) -> CoverageCounts:
        """The counts of a namespace, which the caller may add to. Beyond the limit, the counts of OTHERS."""
        if namespace not in self.namespaces and len(self.namespaces) >= self.limits.namespaces:
            namespace = OTHERS
        return self.namespaces.setdefault(namespace, CoverageCounts())

    def add_saved(self, saved: Mapping[str, Mapping[str, int]]) -> None:
        """Add what brokers gave out: counts by namespace and kind of record."""
        for namespace, counts in saved.items():
            covered = self.counts_of(namespace)
            covered.schemas_saved += counts.get(SCHEMAS, 0)
            covered.cursors_saved += counts.get(CURSOR, 0)
            covered.topic_policies_saved += counts.get(POLICIES, 0)

    def to_json(self, limit: int) -> dict[str, Any]:
        """The total, and the counts of at most `limit` namespaces, those with the largest losses."""
        return {
            "total": self.total.to_json(),
            "undecodable": self.undecodable,
            "unknown": self.unknown.to_json(),
            "namespaceCount": len(self.namespaces),
            "namespaces": {name: counts.to_json() for name, counts in self.by_loss()[:limit]},
        }

    def by_loss(self) -> list[tuple[str, CoverageCounts]]:
        """All namespaces with their counts, the largest loss in bytes first."""
        return sorted(self.namespaces.items(), key=lambda item: (-item[1].lost_bytes, item[0]))


class CoverageCounter:
    """Counts the coverage of a tree whose znodes come one by one, in tree order."""

    def __init__(self, layout: Layout, limits: ScanLimits = DEFAULT_LIMITS) -> None:
        self.coverage = Coverage(limits=limits)
        self._schema = layout.compile(SCHEMA)
        self._schemas = f"{layout.chroot}/schemas/".encode()
        self._topic: tuple[str, str, CoverageCounts] | None = None

    def add_other(self, path: bytes) -> None:
        """Count a znode that is neither a topic nor a cursor."""
        if path.startswith(self._schemas) and (match := self._schema.fullmatch(path)):
            self.coverage.counts_of(f"{match['tenant'].decode()}/{match['namespace'].decode()}").schemas += 1

    def add(self, found: Topic | Cursor | Undecodable) -> None:
        """Count a topic or a cursor. A cursor belongs to the topic that was added last."""
        if isinstance(found, Cursor):
            if self._topic and found.name != COMPACTION:
                self._topic[2].cursors += 1
                self._topic[2].cursors_in_bookkeeper += found.info.cursorsLedgerId >= 0
        else:
            self.finish()
            if isinstance(found, Topic):
                self._topic = found.namespace, found.name, topic_counts(found)
            else:
                self.coverage.undecodable += 1  # cursors that follow may belong to this topic, so they are not counted

    def finish(self) -> None:
        """Count the last topic, which has no more cursors. Call it at the end of the tree."""
        if self._topic:
            self.coverage.add_topic(*self._topic)
            self._topic = None
