"""What a recovery must know of the whole tree before it changes a znode of it: a first reading."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metadata_tool.pulsar import ids
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Cursor, Topic, Undecodable
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import Stat

CLUSTER = "/admin/clusters/<cluster>/**"
GLOBAL = "global"
"""Not a cluster: a mark that Pulsar makes."""
NAMESPACE = "/admin/policies/<tenant>/<namespace>"
OLD_NAMESPACE = "/admin/policies/<tenant>/<cluster>/<namespace>"
MAX_CLUSTER_ZNODES = 10_000
MAX_NAMESPACES = 10_000
MAX_NAMED = 100


@dataclass(frozen=True)
class TreeSummary:
    """The facts that decide what is written: of those a backup's manifest tells, to be proven by the tree."""

    highest_id: int
    has_ledgers: bool
    counters: tuple[str, ...]
    clusters: tuple[str, ...]
    renamable: bool

    def to_json(self) -> dict[str, Any]:
        """Names as in JSON."""
        return {
            "highestLedgerId": self.highest_id,
            "bookKeeper": self.has_ledgers,
            "idCounters": list(self.counters),
            "clusters": list(self.clusters),
            "renamable": self.renamable,
        }

    @classmethod
    def parse(cls, fields: Mapping[str, Any] | None) -> "TreeSummary | None":
        """What a manifest tells; None where it is none. Whether it is true is another matter."""
        told = fields or {}
        highest, counters, clusters = told.get("highestLedgerId"), told.get("idCounters"), told.get("clusters")
        has_ledgers, renamable = told.get("bookKeeper"), told.get("renamable")
        if not (type(highest) is int and -1 <= highest < 1 << 62 and _all_are(bool, [has_ledgers, renamable])):
            return None
        if not (isinstance(counters, list) and isinstance(clusters, list) and _all_are(str, [*counters, *clusters])):
            return None
        return cls(highest, bool(has_ledgers), tuple(counters), tuple(clusters), bool(renamable))

    @property
    def has_long_ids(self) -> bool:
        """Whether ids go beyond 31 bits."""
        return ids.LONG in self.counters


@dataclass
class TreeFacts:
    """The highest id that was given out, -1 for none; which id counters there are; the znodes of clusters by name."""

    highest_id: int = -1
    has_ledgers: bool = False
    counters: set[str] = field(default_factory=set)
    clusters: dict[str, list[Node]] = field(default_factory=dict)
    clusters_whole: bool = True
    """Whether all of their znodes are there, which are MAX_CLUSTER_ZNODES at most."""
    retention: dict[str, Any] = field(default_factory=dict)
    """The retention of namespaces, None for the broker's own; those of the first MAX_NAMESPACES."""
    terminated: list[str] = field(default_factory=list)
    """The first of the terminated topics, `tenant/namespace/topic`."""
    terminated_count: int = 0
    old_names: bool = False
    """Whether there are topics or namespaces of the first version of names, which have their cluster in them."""

    @property
    def own_clusters(self) -> list[str]:
        """The clusters' names; with geo-replication the others' are among them."""
        return sorted(name for name in self.clusters if name != GLOBAL)

    @property
    def summary(self) -> TreeSummary:
        """What decides."""
        return TreeSummary(
            self.highest_id,
            self.has_ledgers,
            tuple(sorted(self.counters)),
            tuple(self.own_clusters),
            self.clusters_whole and not self.old_names,
        )


class FactCollector:
    """Collects facts as the tree streams by."""

    def __init__(self, layout: Layout) -> None:
        self.facts = TreeFacts()
        self._chroot = layout.chroot
        self._ledgers = [layout.compile(pattern) for pattern in ids.LEDGERS]
        self._counter = layout.compile(ids.LONG_CHILD)
        self._cluster = layout.compile(CLUSTER)
        self._namespace, self._old_namespace = layout.compile(NAMESPACE), layout.compile(OLD_NAMESPACE)
        tops = ("ledgers", "admin/clusters", "admin/policies")
        self._tops = tuple(f"{layout.chroot}/{name}/".encode() for name in tops)

    def see_other(self, node: Node) -> None:
        """Learn from a znode that is no topic and no cursor."""
        path = node.path
        if path.startswith(self._tops[0]):
            self._see_ledger(node)
        elif path.startswith(self._tops[1]):
            self._see_cluster(node)
        elif path.startswith(self._tops[2]) and node.data:
            self._see_policies(path, node.data)
        elif path == self._tops[0][:-1]:
            self.facts.has_ledgers = True

    def _see_ledger(self, node: Node) -> None:
        facts = self.facts
        for pattern in self._ledgers:
            if pattern.fullmatch(node.path):
                self._given_out(ids.of_ledger(node.path[len(self._tops[0]) :]))
                return
        path, cversion = node.path.decode().removeprefix(self._chroot), Stat.unpack(node.stat).cversion
        if path == ids.SHORT:
            facts.counters.add(path)
            self._given_out(ids.of_counter(None, cversion))
        elif path == ids.LONG:
            facts.counters.add(path)
        elif match := self._counter.fullmatch(node.path):
            facts.counters.add(path)
            self._given_out(ids.of_counter(int(match["digits"]), cversion))

    def _see_cluster(self, node: Node) -> None:
        if match := self._cluster.fullmatch(node.path):
            known = self.facts.clusters.setdefault(match["cluster"].decode(), [])
            if sum(map(len, self.facts.clusters.values())) < MAX_CLUSTER_ZNODES:
                known.append(node)
            else:
                self.facts.clusters_whole = False

    def _see_policies(self, path: bytes, data: bytes) -> None:
        match = self._namespace.fullmatch(path)
        if self._old_namespace.fullmatch(path):
            self.facts.old_names = True
        elif match and len(self.facts.retention) < MAX_NAMESPACES:
            name = f"{match['tenant'].decode()}/{match['namespace'].decode()}"
            self.facts.retention[name] = _retention(data)

    def see(self, found: Topic | Cursor | Undecodable) -> None:
        """Learn from a topic or a cursor."""
        if isinstance(found, Cursor):
            self._given_out(found.info.cursorsLedgerId, found.info.markDeleteLedgerId)
        elif isinstance(found, Topic):
            self.facts.old_names |= found.namespace.count("/") > 1 and not found.is_health_check
            if found.info.HasField("terminatedPosition"):
                self._see_terminated(f"{found.namespace}/{found.name}")
            self._given_out(*[ledger.ledgerId for ledger in found.info.ledgerInfo])

    def _see_terminated(self, name: str) -> None:
        self.facts.terminated_count += 1
        if len(self.facts.terminated) < MAX_NAMED:
            self.facts.terminated.append(name)

    def _given_out(self, *found: int) -> None:
        """What no counter can have given out was given out by none."""
        highest = max(found, default=-1)
        if highest > ids.LAST:
            highest = max((each for each in found if each <= ids.LAST), default=-1)
        self.facts.highest_id = max(self.facts.highest_id, highest)


def _all_are(kind: type, values: list[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _retention(policies: bytes) -> Any:
    try:
        found = json.loads(policies)
    except (ValueError, RecursionError):
        return None
    return found.get("retention_policies") if isinstance(found, dict) else None
