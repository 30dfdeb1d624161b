"""The facts about a tree that a recovery needs before it changes the first znode."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metadata_tool.pulsar import ids, ledger_layout
from metadata_tool.pulsar.ledger_layout import Ids, LedgerLayout
from metadata_tool.pulsar.limits import DEFAULT_LIMITS, ScanLimits
from metadata_tool.pulsar.migration import FLAG, Migration
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Cursor, Topic, Undecodable
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import Stat

CLUSTER = "/admin/clusters/<cluster>/**"
GLOBAL = "global"
"""Not a real cluster: Pulsar creates this entry for global namespaces."""
NAMESPACE = "/admin/policies/<tenant>/<namespace>"
V1_NAMESPACE = "/admin/policies/<tenant>/<cluster>/<namespace>"


@dataclass(frozen=True)
class TreeSummary:
    """The facts that decide what a recovery writes.

    A backup's manifest has them in `outline`, so that a restore can begin before it has read the tree. The restore
    verifies them.
    """

    highest_id: int
    has_ledgers: bool
    counters: tuple[str, ...]
    clusters: tuple[str, ...]
    renamable: bool
    flat: bool = False
    """Whether ledgers have, or may have, the flat layout. Then `/ledgers` is an id counter, too."""

    def to_json(self) -> dict[str, Any]:
        """The fields of `outline` in manifest.json (docs/format.md)."""
        return {
            "highestLedgerId": self.highest_id,
            "bookKeeper": self.has_ledgers,
            "idCounters": list(self.counters),
            "clusters": list(self.clusters),
            "renamable": self.renamable,
            "flatLedgers": self.flat,
        }

    @classmethod
    def parse(cls, fields: Mapping[str, Any] | None) -> "TreeSummary | None":
        """The summary in the `outline` of a manifest, None if it is missing or invalid. It may not match the tree."""
        fields = fields or {}
        highest, counters, clusters = fields.get("highestLedgerId"), fields.get("idCounters"), fields.get("clusters")
        switches = fields.get("bookKeeper"), fields.get("renamable"), fields.get("flatLedgers", False)
        if not (type(highest) is int and -1 <= highest < 1 << 62 and _all_are(bool, switches)):
            return None
        if not (isinstance(counters, list) and isinstance(clusters, list) and _all_are(str, [*counters, *clusters])):
            return None
        has_ledgers, renamable, flat = map(bool, switches)
        return cls(highest, has_ledgers, tuple(counters), tuple(clusters), renamable, flat)

    @property
    def has_long_ids(self) -> bool:
        """Whether ids have more than 31 bits."""
        return ids.LONG_ROOT in self.counters


@dataclass
class TreeFacts:
    """What a scan has found."""

    highest_id: int = -1
    """The highest ledger id in use, -1 if there is none."""
    has_ledgers: bool = False
    """Whether BookKeeper keeps its metadata in this tree, below `/ledgers`."""
    counters: set[str] = field(default_factory=set)
    """The paths of the id counters, without the chroot."""
    layout: LedgerLayout | None = None
    """The layout of the ledgers as LAYOUT says it. None if there is no LAYOUT, as in many versions of Pulsar."""
    flat: bool = False
    """Whether ledgers have the flat layout, by LAYOUT or by the path of a ledger."""
    clusters: dict[str, list[Node]] = field(default_factory=dict)
    """The znodes of each cluster in `/admin/clusters`, by the cluster's name."""
    clusters_complete: bool = True
    """Whether `clusters` has all of their znodes, which is so up to a limit."""
    retention: dict[str, Any] = field(default_factory=dict)
    """The retention of each namespace up to a limit, None for the broker's default."""
    terminated: list[str] = field(default_factory=list)
    """The first terminated topics up to a limit, as `tenant/namespace/topic`."""
    terminated_count: int = 0
    has_v1_names: bool = False
    """Whether there are topics or namespaces with V1 names, which include the cluster."""
    migration: Migration | None = None
    """The move of the metadata to another store. None if there was none."""
    last_change: int = 0
    """When a znode was last created or set, in epoch ms by ZooKeeper's clock. 0 if the tree is empty.

    Ephemeral znodes are not in the tree, so they do not count, and neither do changes to the children of a znode.
    """

    @property
    def own_clusters(self) -> list[str]:
        """The names of the clusters. With geo-replication, these include the remote ones."""
        return sorted(name for name in self.clusters if name != GLOBAL)

    @property
    def summary(self) -> TreeSummary:
        """The facts that decide what a recovery writes."""
        return TreeSummary(
            self.highest_id,
            self.has_ledgers,
            tuple(sorted(self.counters)),
            tuple(self.own_clusters),
            self.clusters_complete and not self.has_v1_names,
            self.flat,
        )


class FactCollector:
    """Collects the facts of a tree whose znodes come one by one, in tree order."""

    def __init__(self, layout: Layout, limits: ScanLimits = DEFAULT_LIMITS) -> None:
        self.facts = TreeFacts()
        self._limits = limits
        self._chroot = layout.chroot
        self._root_cversion = 0
        self._ledgers = [layout.compile(pattern) for pattern in ids.LEDGERS]
        self._counter = layout.compile(ids.LONG_COUNTER)
        self._cluster = layout.compile(CLUSTER)
        self._namespace, self._v1_namespace = layout.compile(NAMESPACE), layout.compile(V1_NAMESPACE)
        self._in_ledgers = f"{layout.chroot}/ledgers/".encode()
        self._layout = layout.absolute(ledger_layout.LAYOUT).encode()
        self._in_clusters = f"{layout.chroot}/admin/clusters/".encode()
        self._migration = layout.absolute(FLAG).encode()
        self._in_policies = f"{layout.chroot}/admin/policies/".encode()

    def add_other(self, node: Node) -> None:
        """Take a znode that is neither a topic nor a cursor."""
        path = node.path
        if path.startswith(self._in_ledgers):
            self._add_ledger(node)
        elif path.startswith(self._in_clusters):
            self._add_cluster(node)
        elif path.startswith(self._in_policies) and node.data:
            self._add_policies(path, node.data)
        elif path == self._in_ledgers[:-1]:
            self.facts.has_ledgers = True
            self._root_cversion = Stat.unpack(node.stat).cversion
        elif path == self._migration:
            self.facts.migration = Migration.parse(node.data)

    def _add_ledger(self, node: Node) -> None:
        facts = self.facts
        for pattern in self._ledgers:
            if pattern.fullmatch(node.path):
                self._add_ids(ids.ledger_id(node.path[len(self._in_ledgers) :]))
                if pattern is self._ledgers[-1]:
                    self._note_flat()
                return
        if node.path == self._layout:
            facts.layout = LedgerLayout.parse(node.data)
            if facts.layout.ids is Ids.FLAT:
                self._note_flat()
            return
        path, cversion = node.path.decode().removeprefix(self._chroot), Stat.unpack(node.stat).cversion
        if path == ids.SHORT_COUNTER:
            facts.counters.add(path)
            self._add_ids(ids.last_allocated(None, cversion))
        elif path == ids.LONG_ROOT:
            facts.counters.add(path)
        elif match := self._counter.fullmatch(node.path):
            facts.counters.add(path)
            self._add_ids(ids.last_allocated(int(match["digits"]), cversion))

    def _note_flat(self) -> None:
        """The root of the ledgers, which comes before them in tree order, is a counter."""
        self.facts.flat = True
        self._add_ids(ids.last_allocated(None, self._root_cversion))

    def _add_cluster(self, node: Node) -> None:
        if match := self._cluster.fullmatch(node.path):
            znodes = self.facts.clusters.setdefault(match["cluster"].decode(), [])
            if sum(map(len, self.facts.clusters.values())) < self._limits.cluster_znodes:
                znodes.append(node)
            else:
                self.facts.clusters_complete = False

    def _add_policies(self, path: bytes, data: bytes) -> None:
        match = self._namespace.fullmatch(path)
        if self._v1_namespace.fullmatch(path):
            self.facts.has_v1_names = True
        elif match and len(self.facts.retention) < self._limits.namespaces:
            name = f"{match['tenant'].decode()}/{match['namespace'].decode()}"
            self.facts.retention[name] = _retention(data)

    def add(self, found: Topic | Cursor | Undecodable) -> None:
        """Take a topic or a cursor."""
        if isinstance(found, Cursor):
            self._add_ids(found.info.cursorsLedgerId, found.info.markDeleteLedgerId)
        elif isinstance(found, Topic):
            self.facts.has_v1_names |= found.namespace.count("/") > 1 and not found.is_health_check
            if found.info.HasField("terminatedPosition"):
                self._add_terminated(f"{found.namespace}/{found.name}")
            self._add_ids(*[ledger.ledgerId for ledger in found.info.ledgerInfo])

    def _add_terminated(self, name: str) -> None:
        self.facts.terminated_count += 1
        if len(self.facts.terminated) < self._limits.terminated:
            self.facts.terminated.append(name)

    def _add_ids(self, *found: int) -> None:
        """Ids in use. Those that no counter can have allocated do not count."""
        highest = max(found, default=-1)
        if highest > ids.MAX_ID:
            highest = max((ledger_id for ledger_id in found if ledger_id <= ids.MAX_ID), default=-1)
        self.facts.highest_id = max(self.facts.highest_id, highest)


def _all_are(kind: type, values: Iterable[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _retention(policies: bytes) -> Any:
    try:
        found = json.loads(policies)
    except (ValueError, RecursionError):
        return None
    return found.get("retention_policies") if isinstance(found, dict) else None
