"""The report of a recovery, as JSON and as lines of text: what was changed, and what each namespace kept and lost."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metadata_tool.broker_metadata.broker_file import BrokerFile, counted
from metadata_tool.broker_metadata.records import POLICIES, SCHEMAS
from metadata_tool.broker_metadata.restorable import Hold, Restorable
from metadata_tool.pulsar.coverage import Coverage, CoverageCounts
from metadata_tool.pulsar.holds import AUTO_UPDATE, OF_SCHEMAS, RETENTION
from metadata_tool.pulsar.limits import DEFAULT_LIMITS
from metadata_tool.pulsar.recovery import RecoveryChanges
from metadata_tool.pulsar.rules import RecoveryPlan, Scope
from metadata_tool.pulsar.tree_facts import TreeFacts

MAX_NAMESPACES = 200
"""Namespaces that have a line of their own in the text."""
_NAMED = 20
"""Namespaces that a warning names."""
HELD_COLLECTION = {"gcWaitTime": "315360000000", "minorCompactionInterval": "-1", "majorCompactionInterval": "-1"}
"""Settings with which bookies collect no garbage for ten years (in ms), and compact nothing.

A compaction interval must not be shorter than `gcWaitTime`. The first collection comes one to two times `gcWaitTime`
after a bookie's start. Twice that must fit into 63 bits, or it comes at once
(GarbageCollectorThread.getModInitialDelay).
"""


@dataclass(frozen=True)
class RestoredFromBrokers:
    """What a recovery took from the broker metadata of a backup, and what only a put-back can bring back."""

    saved: Mapping[str, int] = field(default_factory=dict)
    """Counts of the records in the backup, by kind. Empty if the backup has none."""
    not_saved: Mapping[str, int] = field(default_factory=dict)
    positions: int = 0
    """Subscriptions that got their exact position."""
    shortened: int = 0
    """Those of them whose holes did not all fit into their znode."""
    holes_left_out: int = 0
    impossible: int = 0
    """Subscriptions whose saved position is in a ledger that cannot have existed, so it was not used."""
    held_count: int = 0
    """Namespaces of which a setting is held until the put-back."""
    keeping_count: int = 0
    """Those of them in which brokers delete less than before, or nothing."""
    held_settings: Mapping[str, int] = field(default_factory=dict)
    """In how many of them each setting is held."""
    held: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the settings of the first of them were before, by their names. None stands for an absent setting."""
    retention: Mapping[str, Any] = field(default_factory=dict)
    """The retention of the first namespaces whose retention in the backup is that of an earlier hold."""

    @classmethod
    def of(cls, broker: BrokerFile | None, restorable: Restorable, holds: Iterable[Hold]) -> "RestoredFromBrokers":
        """What was taken from a backup with this `broker.json`."""
        count, keeping, settings = 0, 0, Counter[str]()
        held, retention = dict[str, Mapping[str, Any]](), dict[str, Any]()
        for hold in holds:
            count += bool(hold.before)
            keeping += bool(hold.before.keys() - OF_SCHEMAS)
            settings.update(hold.before.keys())
            if hold.before and len(held) < DEFAULT_LIMITS.namespaces:
                held[hold.namespace] = hold.before
            if RETENTION in hold.after and RETENTION not in hold.before and len(retention) < DEFAULT_LIMITS.namespaces:
                retention[hold.namespace] = hold.after[RETENTION]
        return cls(
            broker.saved if broker else {},
            broker.not_saved if broker else {},
            restorable.positions,
            restorable.shortened,
            restorable.holes_left_out,
            restorable.impossible,
            count,
            keeping,
            settings,
            held,
            retention,
        )

    @property
    def to_put_back(self) -> dict[str, int]:
        """What brokers must store again, by kind."""
        return {kind: count for kind in (SCHEMAS, POLICIES) if (count := self.saved.get(kind, 0))}

    def to_json(self) -> dict[str, Any]:
        """Everything, as restore-report.json has it."""
        return {
            "saved": dict(self.saved),
            "notSaved": dict(self.not_saved),
            "positions": self.positions,
            "shortened": self.shortened,
            "holesLeftOut": self.holes_left_out,
            "impossible": self.impossible,
            "putBack": self.to_put_back,
            "held": {
                "namespaces": self.held_count,
                "settings": dict(sorted(self.held_settings.items())),
                "before": {name: dict(before) for name, before in self.held.items()},
            },
        }

    def lines(self) -> list[str]:
        """What the backup has, and what was done, one line each."""
        lines = [f"brokers gave out {counted(self.saved)} for this backup"] if self.saved else []
        return lines + ([f"{_number(self.positions, 'subscription')} got the exact position"] if self.positions else [])

    def warnings(self, scope: Scope) -> list[str]:
        """What is left to do, one line each."""
        unregistered = _number(self.held_settings.get(AUTO_UPDATE, 0), "namespace")
        keeping = self._keeping()
        if scope is Scope.BOOKIES_KEPT:
            lines = []
            if self.held_settings.get(AUTO_UPDATE):
                lines.append(
                    f"clients cannot register schemas in {unregistered}, because nothing was put back after an earlier "
                    "restore. Allow it by `pulsar-admin namespaces set-is-allow-auto-update-schema --enable`"
                )
            if keeping:
                lines.append(
                    f"{keeping}, because nothing was put back after an earlier restore. Set these policies to what "
                    "restore-report.json has in brokerMetadata.held.before"
                )
            return lines
        lines = []
        if self.to_put_back:
            held = f". Until then, clients cannot register schemas in {unregistered}"
            lines.append(
                f"{counted(self.to_put_back)} of the backup are not in ZooKeeper. When the brokers run, put them back "
                f"by `metadata-tool put-back`{held if self.held_settings.get(AUTO_UPDATE) else ''}"
            )
        if keeping:
            lines.append(
                f"{keeping} until `metadata-tool put-back` has brought back the policies of topics that override them"
            )
        if self.shortened:
            lines.append(
                f"not all acknowledgements of {_number(self.shortened, 'subscription')} fit into a znode, so "
                f"{_number(self.holes_left_out, 'range')} of acknowledged messages come again"
            )
        if self.impossible:
            lines.append(
                f"the positions that brokers gave out for {_number(self.impossible, 'subscription')} are in ledgers "
                "that the cluster cannot have had, so those in ZooKeeper were kept"
            )
        if sum(self.not_saved.values()):
            lines.append(f"brokers did not give out {counted(self.not_saved, saved=False)} for this backup")
        return lines

    def _keeping(self) -> str:
        """Where brokers delete less because of a hold, and by which policies. Empty if that is nowhere."""
        if not self.keeping_count:
            return ""
        named = [name for name, before in self.held.items() if before.keys() - OF_SCHEMAS][:_NAMED]
        more = f" and {self.keeping_count - len(named)} more" if self.keeping_count > len(named) else ""
        settings = ", ".join(
            f"{name} in {count}" for name, count in sorted(self.held_settings.items()) if name not in OF_SCHEMAS
        )
        return (
            f"{_number(self.keeping_count, 'namespace')} ({', '.join(named)}{more}) "
            f"{'has' if self.keeping_count == 1 else 'have'} policies by which brokers delete nothing ({settings})"
        )


@dataclass(frozen=True)
class RecoveryReport:
    """The report of one recovery."""

    plan: RecoveryPlan
    facts: TreeFacts
    changes: RecoveryChanges
    coverage: Coverage
    findings: tuple[str, ...] = ()
    """What the recovery could not adapt, because it is missing or elsewhere, as sentences (completeness.py)."""
    origin: Mapping[str, Any] | None = None
    """How the backup was made, if it was not captured from a ZooKeeper (Manifest.origin)."""
    large: tuple[str, ...] = ()
    """The first znodes that are larger than the new servers' jute.maxbuffer, as `path (n bytes)`."""
    from_brokers: RestoredFromBrokers = field(default_factory=RestoredFromBrokers)

    def to_json(self) -> dict[str, Any]:
        """Everything, as restore-report.json has it."""
        return {
            "scope": self.plan.scope.value,
            "clusters": self.facts.own_clusters,
            "renamed": self.plan.rename,
            "infiniteRetention": self.plan.infinite_retention,
            "retentionBefore": self._retention_before() if self.plan.infinite_retention else {},
            "buckets": dict(self.plan.buckets.names),
            "highestLedgerId": self.facts.highest_id,
            "nextLedgerId": self.plan.counter.next_id,
            "terminated": {"count": self.facts.terminated_count, "first": self.facts.terminated},
            "changed": dict(sorted(self.changes.changed.items())),
            "removed": dict(sorted(self.changes.removed.items())),
            "undecodable": {"count": self.changes.undecodable_count, "first": self.changes.undecodable},
            "large": list(self.large),
            "migration": self.facts.migration.to_json() if self.facts.migration else None,
            "findings": list(self.findings),
            "origin": self.origin,
            "brokerMetadata": self.from_brokers.to_json(),
            "coverage": self.coverage.to_json(len(self.coverage.namespaces)),
        }

    def encode(self) -> bytes:
        """The bytes of restore-report.json. Equal recoveries have equal reports."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False).encode() + b"\n"

    def lines(self, max_namespaces: int = MAX_NAMESPACES) -> list[str]:
        """The report for people, one line each, with lines of their own for at most `max_namespaces` namespaces."""
        return [
            *self._plan_lines(),
            *self._origin_lines(max_namespaces),
            *self._change_lines(),
            *self.from_brokers.lines(),
            *self._coverage_lines(max_namespaces),
        ]

    def _plan_lines(self) -> list[str]:
        lines = [f"RESTORE_SCOPE is {self.plan.scope}. New ledgers get ids from {self.plan.counter.next_id}"]
        if self.plan.rename:
            old, new = self.plan.rename
            lines.append(f"cluster {old} was renamed to {new}")
        return [*lines, *(f"bucket {old} is now {new}" for old, new in self.plan.buckets.names)]

    def _origin_lines(self, max_namespaces: int) -> list[str]:
        """What the comparison of the backup with tiered storage has changed, in all and by namespace."""
        origin = self.origin or {}
        counted = {"all namespaces": origin.get("total"), **_object(origin.get("namespaces"))}
        lines = [_compared(name, _object(kinds)) for name, kinds in counted.items()]
        return [line for line in lines if line][: max_namespaces + 1]

    def _change_lines(self) -> list[str]:
        done = (("changed", self.changes.changed), ("removed", self.changes.removed))
        return [
            f"{_number(count, 'znode')} {verb} by the rule `{rule}`"
            for verb, counts in done
            for rule, count in sorted(counts.items())
        ]

    def warnings(self) -> list[str]:
        """What the operator has to know or to do before the brokers start, one line each."""
        changes, facts, lines = self.changes, self.facts, list(self.findings)
        if self.plan.scope is Scope.BOOKIES_KEPT:
            held = ", ".join(f"{name}={value}" for name, value in HELD_COLLECTION.items())
            lines.append(
                f"bookies delete the ledgers that were created after this backup, unless they are started with {held}"
            )
        if changes.undecodable_count:
            lines.append(f"{_number(changes.undecodable_count, 'znode')} could not be decoded and stayed unchanged")
            lines += [f"not decoded: {line}" for line in changes.undecodable]
        if self.large:
            lines.append(
                f"some znodes are larger than jute.maxbuffer of the new servers: {', '.join(self.large)}. "
                "Set jute.maxbuffer of ZooKeeper, brokers and bookies to more than these sizes"
            )
        lines += self.from_brokers.warnings(self.plan.scope)
        lines += self._retention_warnings()
        if facts.terminated_count and self.plan.scope is Scope.BOOKIES_LOST:
            more = facts.terminated_count - len(facts.terminated)
            names = ", ".join(facts.terminated) + (f" and {more} more" if more else "")
            lines.append(f"reopened {_number(facts.terminated_count, 'terminated topic')}: {names}")
        if facts.migration and facts.migration.warning:
            lines.append(
                "at the backup, Pulsar's metadata was moving or had moved to "
                f"{facts.migration.target or 'another store'} (phase {facts.migration.phase}). "
                "Brokers now use the restored ZooKeeper, and later changes in the other store are not in it"
            )
        if not facts.has_ledgers:
            lines.append(
                "the backup has no /ledgers, so BookKeeper keeps its ledger ids elsewhere. "
                f"Raise the id counter there to {self.plan.counter.next_id} before the brokers start"
            )
        return lines

    def _retention_before(self) -> dict[str, Any]:
        """The retention of each namespace before this restore, and before any earlier one that still holds it."""
        return {name: self.from_brokers.retention.get(name, value) for name, value in self.facts.retention.items()}

    def _retention_warnings(self) -> list[str]:
        """Whether brokers may delete data that only the policies of its topic keep, which the backup does not have."""
        namespaces = self.from_brokers.not_saved.get(POLICIES, 0)
        if not namespaces or self.plan.infinite_retention or self.plan.scope is Scope.BOOKIES_KEPT:
            return []
        warning = (
            f"the backup lacks the topic policies of {_number(namespaces, 'namespace')}. If a topic there had a "
            "retention of its own, brokers delete what it kept, from tiered storage, too. If you need that data, "
            "restore with INFINITE_RETENTION=true (in the chart restore.infiniteRetention) before you start the brokers"
        )
        return [warning]

    def _coverage_lines(self, max_namespaces: int) -> list[str]:
        namespaces = sorted(self.coverage.namespaces.items())
        lines = [self._coverage_line(f"namespace {name} has", counts) for name, counts in namespaces[:max_namespaces]]
        if len(namespaces) > max_namespaces:
            lines.append(f"{_number(len(namespaces) - max_namespaces, 'more namespace')} not listed here")
        return [*lines, self._coverage_line("all namespaces together have", self.coverage.total)]

    def _coverage_line(self, subject: str, counts: CoverageCounts) -> str:
        kept, open_ledgers = self.plan.scope is Scope.BOOKIES_KEPT, counts.open_ledgers
        return (
            f"{subject} {_number(counts.topics, 'topic')}, {counts.topics_never_offloaded} never offloaded. "
            f"Tiered storage has {_size(counts.recoverable_entries, counts.recoverable_bytes)}. "
            f"{'Only BookKeeper has' if kept else 'Lost are'} {_size(counts.lost_entries, counts.lost_bytes)} and "
            f"the entries of {_number(open_ledgers, 'open ledger')}. "
            f"ZooKeeper does not have {_number(counts.schemas, 'schema')} and "
            f"the exact positions of {counts.cursors_in_bookkeeper} of {_number(counts.cursors, 'subscription')}"
        )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _size(entries: int, size: int) -> str:
    return f"{entries} {'entry' if entries == 1 else 'entries'} ({_number(size, 'byte')})"


def _compared(name: str, kinds: Mapping[str, Any]) -> str:
    """A line about the ledgers of a namespace, empty if its backup was not compared with tiered storage."""
    promised, added, left_out = (_object(kinds.get(kind)).get("ledgers") for kind in ("promised", "added", "leftOut"))
    if promised is None:
        return ""
    return f"{name}: the backup promised {promised} ledgers, {added} were added, {left_out} left out"


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object of a manifest, empty if a later version writes something else there."""
    return value if isinstance(value, dict) else {}
