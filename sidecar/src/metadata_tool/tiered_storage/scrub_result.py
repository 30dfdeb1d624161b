"""The result of a scrub: counts by namespace, the ledgers that are not proven, and the orphans."""

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from metadata_tool.pulsar.coverage import OTHERS
from metadata_tool.tiered_storage.claims import Claim
from metadata_tool.tiered_storage.ledger_counts import Kinds, LedgerCounts
from metadata_tool.tiered_storage.ledger_table import Orphan
from metadata_tool.tiered_storage.limits import NAMED_LEDGERS, NAMED_TOPICS, NAMESPACES
from metadata_tool.zookeeper.snapshot import escaped


class State(Kinds):
    """What is known of an offloaded ledger."""

    PROVEN = "proven"
    MISSING = "missing"
    DAMAGED = "damaged"
    NOT_CHECKED = "not checked"


BAD = (State.MISSING, State.DAMAGED)


@dataclass
class StateCounts(LedgerCounts[State]):
    """Ledgers, entries and bytes by state. `confirmed` counts ledgers that an earlier scrub had found lost, too."""

    confirmed: int = 0

    def add(self, claim: Claim, state: State, *, confirmed: bool = False) -> None:
        """Count a ledger."""
        self.count(state, claim.entries, claim.size)
        self.confirmed += confirmed

    def add_all(self, other: "StateCounts") -> None:
        """Add the counts of another namespace."""
        self.ledgers.update(other.ledgers)
        self.entries.update(other.entries)
        self.bytes.update(other.bytes)
        self.confirmed += other.confirmed

    @property
    def lost_bytes(self) -> int:
        """Bytes of missing and damaged ledgers."""
        return sum(self.bytes[state] for state in BAD)

    def ledgers_to_json(self) -> dict[str, int]:
        """The ledgers, in the form of coverage: `provenLedgers`, `missingLedgers` and so on."""
        by_state = {f"{state.field}Ledgers": self.ledgers[state] for state in State}
        return {**by_state, "confirmedLostLedgers": self.confirmed}

    def to_json(self) -> dict[str, Any]:
        """By state: ledgers, entries and bytes."""
        return self.by_kind(State)


class Named(NamedTuple):
    """A ledger that is not there as the tree says."""

    topic: str
    ledger_id: int
    state: State
    why: str
    namespace: str = ""

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return {"topic": self.topic, "ledger": self.ledger_id, "state": self.state, "why": self.why}


@dataclass
class ScrubResult:
    """Counts. `ledgers` names the first missing and damaged ones, in the order of the tree.

    Beyond the limit of NAMESPACES, namespaces are counted together as OTHERS.
    """

    list_only: bool = False
    total: StateCounts = field(default_factory=StateCounts)
    namespaces: dict[str, StateCounts] = field(default_factory=dict)
    ledgers: list[Named] = field(default_factory=list)
    not_checked: Counter[str] = field(default_factory=Counter)
    orphans: int = 0
    orphan_bytes: int = 0
    other_objects: int = 0
    _worst: list[tuple[int, int, str]] = field(default_factory=list)
    _topic: tuple[str, int, int] = ("", 0, 0)

    def add(self, claim: Claim, state: State, why: str, *, confirmed: bool = False) -> None:
        """Count a ledger. Those of a topic come one after another. `confirmed`: also lost in the scrub before."""
        self.total.add(claim, state, confirmed=confirmed)
        self._of_namespace(claim.namespace).add(claim, state, confirmed=confirmed)
        if state is State.NOT_CHECKED:
            self.not_checked[why] += 1
        if state in BAD:
            self._add_bad(claim)
            if len(self.ledgers) < NAMED_LEDGERS:
                self.ledgers.append(Named(claim.topic, claim.ledger_id, state, why, claim.namespace))

    def _of_namespace(self, namespace: str) -> StateCounts:
        if namespace not in self.namespaces and len(self.namespaces) >= NAMESPACES:
            namespace = OTHERS
        return self.namespaces.setdefault(namespace, StateCounts())

    def _add_bad(self, claim: Claim) -> None:
        topic, size, count = self._topic
        if topic != claim.topic:
            self._finish_topic()
            size = count = 0
        self._topic = claim.topic, size + claim.size, count + 1

    def _finish_topic(self) -> None:
        topic, size, count = self._topic
        if count:
            heapq.heappush(self._worst, (size, count, topic))
            if len(self._worst) > NAMED_TOPICS:
                heapq.heappop(self._worst)

    def add_orphan(self, orphan: Orphan) -> None:
        """Count an object that no ledger names."""
        self.orphans += 1
        self.orphan_bytes += orphan.size

    @property
    def bad(self) -> int:
        """The number of ledgers that are missing or damaged."""
        return sum(self.total.ledgers[state] for state in BAD)

    @property
    def summary(self) -> str:
        """The number of ledgers by state, for a log."""
        return "ledgers " + ", ".join(f"{state} {self.total.ledgers[state]}" for state in State)

    def worst_topics(self) -> list[tuple[str, int, int]]:
        """Topics with missing or damaged ledgers: name, number of these ledgers, their bytes. The worst come first."""
        self._finish_topic()
        self._topic = "", 0, 0
        return [
            (topic, count, size) for size, count, topic in sorted(self._worst, key=lambda item: (-item[0], item[2]))
        ]

    def by_loss(self) -> list[tuple[str, StateCounts]]:
        """All namespaces, the one that lost most bytes first."""
        return sorted(self.namespaces.items(), key=lambda item: (-item[1].lost_bytes, item[0]))

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "method": "list" if self.list_only else "index",
            "total": self.total.to_json(),
            "notCheckedBecause": dict(self.not_checked),
            "orphans": {"objects": self.orphans, "bytes": self.orphan_bytes},
            "otherObjects": self.other_objects,
            "namespaces": {name: counts.to_json() for name, counts in self.by_loss()},
            "worstTopics": [
                {"topic": topic, "ledgers": count, "bytes": size} for topic, count, size in self.worst_topics()
            ],
            "ledgers": [named.to_json() for named in self.ledgers],
        }

    def lines(self, orphans: Iterable[Orphan] = ()) -> Iterator[str]:
        """The report as lines of text for operators, with a line for each of these orphans."""
        yield from map(escaped, self._lines())
        yield from (f"{escaped(each.bucket)}/{each.name} {each.size}" for each in orphans)

    def json_lines(self, orphans: Iterable[Orphan] | None = None) -> Iterator[str]:
        """The report as lines of one JSON object, with a list of these orphans if there is one, which may be long."""
        begin, *rest = json.dumps(self.to_json(), indent=2).splitlines()
        yield begin
        if orphans is not None:
            yield '  "orphanObjects": ['
            yield from _separated(orphans)
            yield "  ],"
        yield from rest

    def _lines(self) -> Iterator[str]:
        how = "by listing alone" if self.list_only else "by listing, and by the index of each ledger"
        yield f"Ledgers that the tree calls offloaded, checked {how}"
        yield f"{'NAMESPACE':<40} {'PROVEN':>10} {'MISSING':>10} {'DAMAGED':>10} {'NOT CHECKED':>12}"
        for name, counts in [*self.by_loss(), ("(all)", self.total)]:
            yield f"{name:<40} " + " ".join(
                f"{counts.ledgers[state]:>{width}}" for state, width in zip(State, (10, 10, 10, 12), strict=True)
            )
        for why, count in sorted(self.not_checked.items()):
            yield f"not checked, {why}: {count}"
        if worst := self.worst_topics():
            yield ""
            yield f"{'TOPIC':<60} {'LEDGERS':>8} {'BYTES':>16}"
            yield from (f"{topic:<60} {count:>8} {size:>16}" for topic, count, size in worst)
        if self.ledgers:
            yield ""
            yield from (f"{named.topic} ledger {named.ledger_id} {named.state}: {named.why}" for named in self.ledgers)
            if (more := self.bad - len(self.ledgers)) > 0:
                yield f"and {more} more"
        yield ""
        yield f"Objects that no ledger of the tree names: {self.orphans}, {self.orphan_bytes} bytes"


def _separated(orphans: Iterable[Orphan]) -> Iterator[str]:
    """The elements of a list in JSON."""
    line = ""
    for each in orphans:
        if line:
            yield f"{line},"
        line = f"    {json.dumps({'bucket': each.bucket, 'key': str(each.name), 'bytes': each.size})}"
    if line:
        yield line
