"""What a restore tells of a recovery: per namespace what came back and what did not, as JSON and as text."""

import json
from dataclasses import dataclass
from typing import Any

from metadata_tool.pulsar.coverage import Coverage, Tally
from metadata_tool.pulsar.recovery import Transform
from metadata_tool.pulsar.rules import RecoveryPlan, Scope
from metadata_tool.pulsar.tree_facts import TreeFacts

_NAMESPACES_IN_TEXT = 200


@dataclass(frozen=True)
class RecoveryReport:
    """One recovery."""

    plan: RecoveryPlan
    facts: TreeFacts
    changes: Transform
    coverage: Coverage

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "scope": self.plan.scope.value,
            "clusters": self.facts.own_clusters,
            "renamed": self.plan.rename,
            "infiniteRetention": self.plan.infinite_retention,
            "retentionBefore": self.facts.retention if self.plan.infinite_retention else {},
            "highestLedgerId": self.facts.highest_id,
            "nextLedgerId": self.plan.counter.sentinel + 1,
            "terminated": {"count": self.facts.terminated_count, "first": self.facts.terminated},
            "changed": dict(sorted(self.changes.changed.items())),
            "removed": dict(sorted(self.changes.removed.items())),
            "undecodable": {"count": self.changes.undecodable_count, "first": self.changes.undecodable},
            "large": self.changes.large,
            "coverage": self.coverage.to_json(len(self.coverage.namespaces)),
        }

    def encode(self) -> bytes:
        """The bytes of a JSON file: the same recovery gives the same."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False).encode() + b"\n"

    def lines(self) -> list[str]:
        """For people."""
        plan, changes = self.plan, self.changes
        lines = [f"scope {plan.scope}: ledger ids go on at {plan.counter.sentinel + 1}"]
        if plan.rename:
            lines.append(f"cluster {plan.rename[0]} is now called {plan.rename[1]}")
        for verb, counts in (("changed", changes.changed), ("removed", changes.removed)):
            lines += [f"{verb}: {count} znodes ({name})" for name, count in sorted(counts.items())]
        if changes.undecodable_count:
            lines.append(f"left as they are, because they cannot be decoded: {changes.undecodable_count} znodes")
            lines += [f"  {line}" for line in changes.undecodable]
        if changes.large:
            lines.append(f"jute.maxbuffer of ZooKeeper and brokers must have room for {', '.join(changes.large)}")
        if self.facts.terminated_count and plan.scope is Scope.BOOKIES_LOST:
            names = ", ".join(self.facts.terminated)
            lines.append(f"terminated topics that are open again: {self.facts.terminated_count} ({names})")
        if not self.facts.has_ledgers:
            lines.append("there is no /ledgers in this tree: raise the id counter where BookKeeper keeps it")
        return lines + self._namespaces()

    def _namespaces(self) -> list[str]:
        lost = "in BookKeeper" if self.plan.scope is Scope.BOOKIES_KEPT else "lost"
        tallies = sorted(self.coverage.namespaces.items())
        lines = [_line(name, tally, lost) for name, tally in tallies[:_NAMESPACES_IN_TEXT]]
        if len(tallies) > _NAMESPACES_IN_TEXT:
            lines.append(f"and {len(tallies) - _NAMESPACES_IN_TEXT} namespaces more")
        return [*lines, _line("all", self.coverage.total, lost)]


def _line(name: str, tally: Tally, lost: str) -> str:
    return (
        f"{name}: {tally.topics} topics, {tally.recoverable_entries} entries ({tally.recoverable_bytes} bytes) in "
        f"tiered storage; {lost}: {tally.lost_entries} entries ({tally.lost_bytes} bytes) and what "
        f"{tally.open_ledgers} open ledgers hold, {tally.topics_never_offloaded} topics never offloaded, "
        f"{tally.schemas} schemas, exact positions of {tally.cursors_in_bookkeeper} of {tally.cursors} subscriptions"
    )
