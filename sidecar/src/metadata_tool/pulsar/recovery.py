"""A saved tree becomes that of a new cluster: each znode as the rules want it, in the order of the tree."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from re import Match, Pattern

from metadata_tool.pulsar import ids
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import RULES, RecoveryPlan, Rule
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, inserted, printable
from metadata_tool.zookeeper.stat import Stat

MAX_NAMED = 20
"""So many znodes of a kind are named."""

USUAL_LIMIT = 0xFFFFF
"""Bytes of a request or a reply, unless jute.maxbuffer was raised."""


@dataclass
class Transform:
    """What was done: znodes by rule, and those that were left as they are because they could not be decoded.

    `large` names znodes that have grown beyond ZooKeeper's usual limit.
    """

    changed: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    undecodable: list[str] = field(default_factory=list)
    undecodable_count: int = 0
    large: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Placed:
    """One path of a rule: its expression, its first name, how deep it is, whether it means all below, too."""

    rule: Rule
    pattern: Pattern[bytes]
    first_name: bytes
    depth: int
    below: bool = field(kw_only=True)

    def may_match(self, first_name: bytes, depth: int) -> bool:
        return first_name == self.first_name and (depth == self.depth or (self.below and depth > self.depth))


class Recovery:
    """Applies the rules of a scope to a stream of znodes."""

    def __init__(self, plan: RecoveryPlan, summary: TreeSummary, renamed: list[Node], layout: Layout) -> None:
        """`renamed` are the znodes of the cluster that gets another name."""
        self.changes = Transform()
        self._plan = plan
        self._summary = summary
        self._renamed = renamed
        self._layout = layout
        self._chroot = layout.chroot.encode()
        self._rules = list(self._placed())
        self._rules_at: dict[tuple[bytes, int], list[tuple[Pattern[bytes], Rule]]] = {}

    def nodes(self, saved: Iterable[Node]) -> Iterator[Node]:
        """The tree of the new cluster; `saved` comes in tree order, and so does this."""
        gone: bytes | None = None
        for node in inserted(self._without_old_cluster(saved), [*self._renamed_cluster(), *self._missing_counters()]):
            path = node[0]
            if gone is not None and path.startswith(gone):
                continue
            result: Node | None = node
            for pattern, rule in self._rules_for(path):
                if result is not None and (match := pattern.fullmatch(path)):
                    result = self._apply(rule, result, match)
            if result is not None:
                yield result
            else:
                gone = path + b"/"

    def _rules_for(self, path: bytes) -> list[tuple[Pattern[bytes], Rule]]:
        """Few of all rules: those for this first name, and this depth."""
        place = self._first_name(path), path.count(b"/")
        rules = self._rules_at.get(place)
        if rules is None:
            rules = [(each.pattern, each.rule) for each in self._rules if each.may_match(*place)]
            self._rules_at[place] = rules
        return rules

    def _apply(self, rule: Rule, node: Node, match: Match[bytes]) -> Node | None:
        try:
            result = rule.change(node, match, self._plan)
        except UndecodableError as error:
            self.changes.undecodable_count += 1
            if len(self.changes.undecodable) < MAX_NAMED:
                self.changes.undecodable.append(f"{printable(node.path)}: {error}")
            return node
        if result is None:
            self.changes.removed[rule.name] += 1
        elif result is not node:
            self.changes.changed[rule.name] += 1
            if result.data and len(result.data) > USUAL_LIMIT:
                self._note_growth(node, result)
        return result

    def _note_growth(self, before: Node, after: Node) -> None:
        size = len(after.data or b"")
        if size > len(before.data or b"") and len(self.changes.large) < MAX_NAMED:
            self.changes.large.append(f"{printable(after.path)} ({size} bytes)")

    def _placed(self) -> Iterator["_Placed"]:
        for rule in RULES:
            if self._plan.scope in rule.scopes:
                for path in rule.paths:
                    place = self._layout.place(path.removesuffix("/**")).encode()
                    below = path.endswith("/**")
                    yield _Placed(
                        rule, self._layout.compile(path), self._first_name(place), place.count(b"/"), below=below
                    )

    def _first_name(self, path: bytes) -> bytes:
        """The first name below the chroot; what is not below it has none."""
        return path[len(self._chroot) + 1 :].partition(b"/")[0] if path.startswith(self._chroot) else b""

    def _without_old_cluster(self, saved: Iterable[Node]) -> Iterator[Node]:
        if not self._plan.rename:
            yield from saved
            return
        old = f"{self._layout.chroot}/admin/clusters/{self._plan.rename[0]}".encode()
        for node in saved:
            if node.path != old and not node.path.startswith(old + b"/"):
                yield node

    def _renamed_cluster(self) -> Iterator[Node]:
        if self._plan.rename:
            old, new = self._plan.rename
            root = f"{self._layout.chroot}/admin/clusters/"
            for node in self._renamed:
                yield node._replace(path=f"{root}{new}".encode() + node.path[len(f"{root}{old}".encode()) :])

    def _missing_counters(self) -> Iterator[Node]:
        counter = self._plan.counter
        needed = [counter.path] if counter.high is None else [ids.LONG, counter.path]
        if self._summary.has_ledgers:
            for path in needed:
                if path not in self._summary.counters:
                    yield self._new(f"{self._layout.chroot}{path}".encode())

    def _new(self, path: bytes) -> Node:
        zxid, time = self._plan.zxid, self._plan.time
        return Node(path, b"", OPEN_ACL_KEY, Stat(zxid, zxid, time, time, 0, 0, 0, 0, zxid).pack())
