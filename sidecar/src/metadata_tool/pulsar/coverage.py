"""What a restore would bring back if the cluster were lost now, and what it would not.

Only ledgers that were offloaded completely survive the bookies. Entries that an open ledger has taken are not in its
metadata, so they are not counted here: `open_ledgers` says how many there are.
"""

import heapq
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from metadata_tool.pulsar.managed_ledger_pb2 import LedgerInfo
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import COMPACTION, Cursor, Topic, Undecodable

MAX_TOPICS = 10_000
"""So many topics are kept by name: those that would lose most."""
MAX_NAMESPACES = 10_000
OTHERS = "(others)"
"""Stands for all namespaces beyond that many, which come late in the order of the tree."""
SCHEMA = "/schemas/<tenant>/<namespace>/<topic>"


@dataclass(slots=True)
class Tally:
    """Counts of one topic, one namespace, or all. Entries and bytes are those of closed ledgers."""

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

    def add(self, other: "Tally") -> None:
        """Count another's, too."""
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

    def to_json(self) -> dict[str, int]:
        """Names as in JSON."""
        return {_camel(name): value for name, value in asdict(self).items()}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def offloaded(ledger: LedgerInfo) -> bool:
    """Whether a ledger is in tiered storage, all of it."""
    return ledger.HasField("offloadContext") and ledger.offloadContext.complete  # the first part is the cheap one


def of_topic(topic: Topic) -> Tally:
    """The ledgers of one topic."""
    kept = lost = kept_bytes = lost_bytes = opened = 0
    never = 1
    for ledger in topic.info.ledgerInfo:
        entries = ledger.entries
        if ledger.HasField("offloadContext") and ledger.offloadContext.complete:  # `offloaded`, without the call
            never = 0
            kept += entries
            kept_bytes += ledger.size
        elif entries:
            lost += entries
            lost_bytes += ledger.size
        elif ledger.HasField("timestamp"):  # as every broker gives it one; what a restore has added has none
            opened += 1
    return Tally(1, kept, kept_bytes, lost, lost_bytes, opened, never)


class TopicLoss(NamedTuple):
    """A topic and what it would lose, in the order of that."""

    lost_bytes: int
    open_ledgers: int
    namespace: str
    name: str
    tally: Tally

    def to_json(self) -> dict[str, Any]:
        """Name and counts."""
        return {"topic": self.name, **self.tally.to_json()}


@dataclass
class Coverage:
    """Counts by namespace, `tenant/namespace`; how many znodes should be topics or cursors and cannot be read.

    `worst` are the topics that would lose anything, at most MAX_TOPICS of them, in no order.
    """

    namespaces: dict[str, Tally] = field(default_factory=dict)
    undecodable: int = 0
    worst: list[TopicLoss] = field(default_factory=list)

    @property
    def total(self) -> Tally:
        """Of all namespaces."""
        total = Tally()
        for tally in self.namespaces.values():
            total.add(tally)
        return total

    @property
    def tenants(self) -> dict[str, Tally]:
        """Counts by tenant."""
        found: dict[str, Tally] = {}
        for name, tally in self.namespaces.items():
            found.setdefault(name.partition("/")[0], Tally()).add(tally)
        return found

    def add_topic(self, namespace: str, name: str, tally: Tally) -> None:
        """Count a topic."""
        self.of(namespace).add(tally)
        if not (tally.lost_bytes or tally.open_ledgers):
            return
        if len(self.worst) < MAX_TOPICS:
            heapq.heappush(self.worst, TopicLoss(tally.lost_bytes, tally.open_ledgers, namespace, name, tally))
        elif (tally.lost_bytes, tally.open_ledgers) >= self.worst[0][:2]:
            heapq.heappushpop(self.worst, TopicLoss(tally.lost_bytes, tally.open_ledgers, namespace, name, tally))

    def topics_of(self, namespace: str) -> list[TopicLoss]:
        """Those of a namespace that would lose anything, the worst first, as far as they are kept."""
        return sorted((loss for loss in self.worst if loss.namespace == namespace), reverse=True)

    def of(self, namespace: str) -> Tally:
        """The counts of a namespace, to add to."""
        if namespace not in self.namespaces and len(self.namespaces) >= MAX_NAMESPACES:
            namespace = OTHERS
        return self.namespaces.setdefault(namespace, Tally())

    def to_json(self, limit: int) -> dict[str, Any]:
        """The whole, and at most `limit` namespaces: those that would lose most."""
        return {
            "total": self.total.to_json(),
            "undecodable": self.undecodable,
            "namespaceCount": len(self.namespaces),
            "namespaces": {name: tally.to_json() for name, tally in self.by_loss()[:limit]},
        }

    def by_loss(self) -> list[tuple[str, Tally]]:
        """The namespaces, those that would lose most first."""
        return sorted(self.namespaces.items(), key=lambda item: (-item[1].lost_bytes, item[0]))


class CoverageCounter:
    """Counts as the tree streams by."""

    def __init__(self, layout: Layout) -> None:
        self.coverage = Coverage()
        self._schema = layout.compile(SCHEMA)
        self._schemas = f"{layout.chroot}/schemas/".encode()
        self._topic: tuple[str, str, Tally] | None = None

    def see_other(self, path: bytes) -> None:
        """Count one znode that is no topic and no cursor."""
        if path.startswith(self._schemas) and (match := self._schema.fullmatch(path)):
            self.coverage.of(f"{match['tenant'].decode()}/{match['namespace'].decode()}").schemas += 1

    def see(self, found: Topic | Cursor | Undecodable) -> None:
        """Count a topic or a cursor; they come in tree order."""
        if isinstance(found, Cursor):
            if self._topic and found.name != COMPACTION:
                self._topic[2].cursors += 1
                self._topic[2].cursors_in_bookkeeper += found.info.cursorsLedgerId >= 0
        else:
            self.finish()
            if isinstance(found, Topic):
                self._topic = found.namespace, found.name, of_topic(found)
            else:
                self.coverage.undecodable += 1  # cursors that follow may be of this one: they count for none

    def finish(self) -> None:
        """The topic that was seen last has ended, as when the tree has."""
        if self._topic:
            self.coverage.add_topic(*self._topic)
            self._topic = None
