"""Applies the rules of a recovery to a saved tree, znode by znode in tree order, for a new cluster."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from re import Match, Pattern

from metadata_tool.pulsar import ids
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.limits import MAX_REPORTED
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import RULES, RecoveryPlan, Rule
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, inserted, printable
from metadata_tool.zookeeper.stat import Stat


@dataclass
class RecoveryChanges:
    """What a recovery did: the number of znodes changed and removed by each rule, by the rule's name."""

    changed: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    undecodable: list[str] = field(default_factory=list)
    """The first znodes that could not be decoded and were left unchanged, as `path: reason`."""
    undecodable_count: int = 0


@dataclass(frozen=True)
class _PathRule:
    """A rule for one of its paths. `depth` is the number of slashes, `descendants` true if the path ends with `/**`."""

    rule: Rule
    pattern: Pattern[bytes]
    first_name: bytes
    depth: int
    descendants: bool = field(kw_only=True)

    def may_match(self, first_name: bytes, depth: int) -> bool:
        return first_name == self.first_name and (depth == self.depth or (self.descendants and depth > self.depth))


class Recovery:
    """One recovery: applies the rules of its plan's scope to a stream of znodes."""

    def __init__(self, plan: RecoveryPlan, summary: TreeSummary, renamed: list[Node], layout: Layout) -> None:
        """`renamed` are the saved znodes of the cluster to rename."""
        self.changes = RecoveryChanges()
        self._plan = plan
        self._summary = summary
        self._renamed = renamed
        self._layout = layout
        self._undecodable: bytes | None = None
        self._chroot = layout.chroot.encode()
        self._rules = list(self._path_rules())
        self._rules_at: dict[tuple[bytes, int], list[tuple[Pattern[bytes], Rule]]] = {}

    def nodes(self, saved: Iterable[Node]) -> Iterator[Node]:
        """The tree of the new cluster. `saved` is in tree order, and so is the result."""
        removed: bytes | None = None  # the prefix of the descendants of the last removed znode
        for node in inserted(self._without_old_cluster(saved), [*self._renamed_cluster(), *self._missing_counters()]):
            path = node[0]
            if removed is not None and path.startswith(removed):
                continue
            result: Node | None = node
            for pattern, rule in self._rules_for(path):
                if result is not None and (match := pattern.fullmatch(path)):
                    result = self._apply(rule, result, match)
            if result is not None:
                yield result
            else:
                removed = path + b"/"

    def _rules_for(self, path: bytes) -> list[tuple[Pattern[bytes], Rule]]:
        """The few rules that can match a path with this first name and this depth."""
        place = self._first_name(path), path.count(b"/")
        rules = self._rules_at.get(place)
        if rules is None:
            rules = [(entry.pattern, entry.rule) for entry in self._rules if entry.may_match(*place)]
            self._rules_at[place] = rules
        return rules

    def _apply(self, rule: Rule, node: Node, match: Match[bytes]) -> Node | None:
        try:
            result = rule.transform(node, match, self._plan)
        except UndecodableError as error:
            if node.path == self._undecodable:  # another rule has reported it
                return node
            self._undecodable = node.path
            self.changes.undecodable_count += 1
            if len(self.changes.undecodable) < MAX_REPORTED:
                self.changes.undecodable.append(f"{printable(node.path)}: {error}")
            return node
        if result is None:
            self.changes.removed[rule.name] += 1
        elif result is not node:
            self.changes.changed[rule.name] += 1
        return result

    def _path_rules(self) -> Iterator[_PathRule]:
        for rule in RULES:
            if self._plan.scope in rule.scopes:
                for pattern in rule.paths:
                    path = self._layout.absolute(pattern.removesuffix("/**")).encode()
                    yield _PathRule(
                        rule,
                        self._layout.compile(pattern),
                        self._first_name(path),
                        path.count(b"/"),
                        descendants=pattern.endswith("/**"),
                    )

    def _first_name(self, path: bytes) -> bytes:
        """The first name below the chroot, empty for paths outside of it."""
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
        needed = [counter.path] if counter.high is None else [ids.LONG_ROOT, counter.path]
        if self._summary.has_ledgers:
            for path in needed:
                if path not in self._summary.counters:
                    yield self._new(f"{self._layout.chroot}{path}".encode())

    def _new(self, path: bytes) -> Node:
        zxid, time = self._plan.zxid, self._plan.time
        return Node(path, b"", OPEN_ACL_KEY, Stat(zxid, zxid, time, time, 0, 0, 0, 0, zxid).pack())
