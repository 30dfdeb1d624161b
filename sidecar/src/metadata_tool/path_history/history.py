"""When a path changed, by the backups of a series. If it is the same in two backups, those between are not read."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from metadata_tool.catalog import Backup, rfc3339
from metadata_tool.path_history.sightings import Sighting
from metadata_tool.pulsar.paths import Layout
from metadata_tool.tree_diff.changes import Change
from metadata_tool.tree_diff.objects import ObjectNamer
from metadata_tool.tree_diff.znodes import ZnodeChange
from metadata_tool.zookeeper.snapshot import escaped
from metadata_tool.zookeeper.stat import Stat

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """The path in one backup. `zxid`, `path` and `layout` are those of the backup."""

    backup: Backup
    zxid: int
    path: bytes
    layout: Layout
    sighting: Sighting

    @property
    def date(self) -> str:
        """When the backup was taken."""
        return rfc3339(self.backup.name.timestamp)

    def to_json(self) -> dict[str, Any]:
        """The backup, and the stat of the znode, null if it is not there."""
        node = self.sighting.node
        stat = Stat.unpack(node.stat) if node else None
        described = (
            {"created": rfc3339(stat.ctime), "set": rfc3339(stat.mtime), "version": stat.version} if stat else None
        )
        return {"uri": self.backup.uri, "time": self.date, "zxid": f"{self.zxid:#x}", "znode": described}


@dataclass(frozen=True)
class Step:
    """The path differs between two backups. `complete`: none was taken between them, or all were read."""

    before: Seen
    after: Seen
    complete: bool

    @property
    def change(self) -> Change:
        """What differs."""
        old, new = self.before.sighting, self.after.sighting
        return Change(self.after.path, old.node, new.node, bool(old.node and new.node and old.acl != new.acl))

    def lines(self) -> list[str]:
        """The step for people."""
        between = f"{self.after.date}  between zxid {self.before.zxid:#x} ({self.before.date}) and {self.after.zxid:#x}"
        more = "" if self.complete else ", maybe in several steps, because not all backups between these were read"
        return [between + more, *(f"    {line}" for line in _described(self.change, self.after.layout))]

    def to_json(self) -> dict[str, Any]:
        """The step, in Pulsar's words as far as there are any."""
        named = ObjectNamer(self.after.layout).named(self.change)
        return {
            "from": self.before.to_json(),
            "to": self.after.to_json(),
            "complete": self.complete,
            "change": (named or ZnodeChange(self.change)).to_json(),
        }


@dataclass
class PathHistory:
    """The steps of a path, oldest first, from the first to the last of these backups."""

    first: Seen
    last: Seen
    backups: int
    steps: list[Step] = field(default_factory=list)
    read: int = 0
    complete: bool = True
    """Whether all backups were read, or are known to have the same as those around them."""

    @property
    def name(self) -> str:
        """The path as text."""
        return self.last.path.decode(errors="replace")

    def lines(self) -> Iterator[str]:
        """The history for people."""
        yield escaped(f"{self.name} in {self.backups} backups, {self.read} of them read")
        yield ""
        yield f"{self.first.date}  {_state(self.first)}"
        for step in self.steps:
            yield from map(escaped, step.lines())
        yield f"{self.last.date}  {_state(self.last)}"
        if not self.complete:
            yield ""
            yield f"only {self.read} backups were read. Set --reads to a higher number to see more"

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "path": self.name,
            "backups": self.backups,
            "read": self.read,
            "complete": self.complete,
            "first": self.first.to_json(),
            "changes": [step.to_json() for step in self.steps],
            "last": self.last.to_json(),
        }

    def as_text(self) -> str:
        """The history as text."""
        return "\n".join(self.lines())

    def as_json(self) -> str:
        """The history as JSON."""
        return json.dumps(self.to_json(), indent=2)


def history(backups: Sequence[Backup], look: Callable[[Backup], Seen], most: int) -> PathHistory:
    """The history of a path. `backups` are oldest first, at least one. At most `most` are read, or two if that is 1.

    Raises whatever `look` raises.
    """
    seen: dict[int, Seen] = {}

    def at(number: int) -> Seen:
        if number not in seen:
            log.info("reading %s, %d of %d backups", backups[number].uri, len(seen) + 1, len(backups))
            seen[number] = look(backups[number])
        return seen[number]

    def steps(low: int, high: int) -> Iterator[Step]:
        if at(low).sighting.signature == at(high).sighting.signature:
            return
        if high - low > 1 and len(seen) < most:
            middle = (low + high) // 2
            yield from steps(low, middle)
            yield from steps(middle, high)
            return
        complete = high - low == 1
        found.complete &= complete
        if _differs(at(low).sighting, at(high).sighting):
            yield Step(at(low), at(high), complete)

    last = len(backups) - 1
    found = PathHistory(at(0), at(last), len(backups))
    found.steps = list(steps(0, last))
    found.read = len(seen)
    return found


def _differs(old: Sighting, new: Sighting) -> bool:
    """Whether the znode itself differs, not only the znodes around it."""
    if old.node is None or new.node is None:
        return old.node is not new.node
    was, now = Stat.unpack(old.node.stat), Stat.unpack(new.node.stat)
    return (old.node.data, old.acl, was.czxid, was.mzxid) != (new.node.data, new.acl, now.czxid, now.mzxid)


def _described(change: Change, layout: Layout) -> list[str]:
    named = ObjectNamer(layout).named(change)
    lines = named.lines() if named else ZnodeChange(change).lines()
    if change.after:
        stat = Stat.unpack(change.after.stat)
        when = f"created {rfc3339(stat.ctime)}" if change.before is None else f"set {rfc3339(stat.mtime)}"
        lines.append(f"    {when}, version {stat.version}")
    return lines


def _state(seen: Seen) -> str:
    node = seen.sighting.node
    if node is None:
        return "not there"
    stat = Stat.unpack(node.stat)
    return f"there, created {rfc3339(stat.ctime)}, set {rfc3339(stat.mtime)}, version {stat.version}"
