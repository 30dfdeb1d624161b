"""A saved tree becomes that of a new cluster: each znode as the rules want it, in the order of the tree."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from re import Match, Pattern

from metadata_tool.pulsar import ids
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.facts import Facts
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import RULES, Orders, Rule
from metadata_tool.zookeeper.jute import Stat
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, printable, tree_key

MAX_NAMED = 20
"""So many znodes of a kind are named."""

USUAL_LIMIT = 0xFFFFF
"""Bytes of a request or a reply, unless jute.maxbuffer was raised."""


@dataclass
class Changes:
    """What was done: znodes by rule, and those that were left as they are because they could not be decoded.

    `large` names znodes that have grown beyond ZooKeeper's usual limit.
    """

    changed: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    undecodable: list[str] = field(default_factory=list)
    undecodable_count: int = 0
    large: list[str] = field(default_factory=list)


class Recovery:
    """Applies the rules of a scope to a stream of znodes."""

    def __init__(self, orders: Orders, facts: Facts, layout: Layout) -> None:
        self.changes = Changes()
        self._orders = orders
        self._facts = facts
        self._layout = layout
        self._rules = self._by_first_name()

    def nodes(self, saved: Iterable[Node]) -> Iterator[Node]:
        """The tree of the new cluster; `saved` comes in tree order, and so does this."""
        gone: bytes | None = None
        for node in heapq.merge(self._without_old_cluster(saved), self._added(), key=_key):
            if gone is not None and node.path.startswith(gone):
                continue
            result = self._ruled(node)
            if result is not None:
                yield result
            else:
                gone = node.path + b"/"

    def _ruled(self, node: Node) -> Node | None:
        result: Node | None = node
        for pattern, rule in self._rules.get(self._first_name(node.path), ()):
            if result is not None and (match := pattern.fullmatch(node.path)):
                result = self._apply(rule, result, match)
        return result

    def _apply(self, rule: Rule, node: Node, match: Match[bytes]) -> Node | None:
        try:
            result = rule.change(node, match, self._orders)
        except UndecodableError as error:
            self.changes.undecodable_count += 1
            if len(self.changes.undecodable) < MAX_NAMED:
                self.changes.undecodable.append(f"{printable(node.path)}: {error}")
            return node
        if result is None:
            self.changes.removed[rule.name] += 1
        elif result is not node:
            self.changes.changed[rule.name] += 1
            self._note_growth(node, result)
        return result

    def _note_growth(self, before: Node, after: Node) -> None:
        size = len(after.data or b"")
        if size > max(USUAL_LIMIT, len(before.data or b"")) and len(self.changes.large) < MAX_NAMED:
            self.changes.large.append(f"{printable(after.path)} ({size} bytes)")

    def _by_first_name(self) -> dict[bytes, list[tuple[Pattern[bytes], Rule]]]:
        """Rules by the first name of their paths, so that most znodes are matched with few."""
        found: dict[bytes, list[tuple[Pattern[bytes], Rule]]] = {}
        for rule in RULES:
            if self._orders.scope in rule.scopes:
                for path in rule.paths:
                    name = self._first_name(self._layout.place(path).encode())
                    found.setdefault(name, []).append((self._layout.compile(path), rule))
        return found

    def _first_name(self, path: bytes) -> bytes:
        """The first name below the chroot; what is not below it has none."""
        chroot = self._layout.chroot.encode()
        return path[len(chroot) + 1 :].partition(b"/")[0] if path.startswith(chroot) else b""

    def _without_old_cluster(self, saved: Iterable[Node]) -> Iterator[Node]:
        if not self._orders.rename:
            yield from saved
            return
        old = f"{self._layout.chroot}/admin/clusters/{self._orders.rename[0]}".encode()
        for node in saved:
            if node.path != old and not node.path.startswith(old + b"/"):
                yield node

    def _added(self) -> list[Node]:
        """Znodes that are not there: the cluster under its new name, an id counter."""
        return sorted([*self._renamed_cluster(), *self._missing_counters()], key=_key)

    def _renamed_cluster(self) -> Iterator[Node]:
        if self._orders.rename:
            old, new = self._orders.rename
            root = f"{self._layout.chroot}/admin/clusters/"
            for node in self._facts.clusters[old]:
                yield node._replace(path=f"{root}{new}".encode() + node.path[len(f"{root}{old}".encode()) :])

    def _missing_counters(self) -> Iterator[Node]:
        counter = self._orders.counter
        needed = [counter.path] if counter.high is None else [ids.LONG, counter.path]
        if self._facts.has_ledgers:
            for path in needed:
                if path not in self._facts.counters:
                    yield self._new(f"{self._layout.chroot}{path}".encode())

    def _new(self, path: bytes) -> Node:
        zxid, time = self._orders.zxid, self._orders.time
        return Node(path, b"", OPEN_ACL_KEY, Stat(zxid, zxid, time, time, 0, 0, 0, 0, zxid).pack())


def _key(node: Node) -> bytes:
    return tree_key(node.path)
