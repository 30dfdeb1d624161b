"""Compares two backups, and gives the changes one by one, as they are found: as objects of Pulsar, or as znodes."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from metadata_tool.archive import Archive
from metadata_tool.catalog import RestorePoint, rfc3339
from metadata_tool.errors import SettingError
from metadata_tool.fetch import require_match
from metadata_tool.manifest import Manifest
from metadata_tool.pulsar.paths import Layout
from metadata_tool.tree_diff.changes import Change, changes
from metadata_tool.tree_diff.objects import How, ObjectChange, ObjectNamer
from metadata_tool.tree_diff.znodes import ZnodeChange
from metadata_tool.zookeeper.snapshot import printable

AnyChange = ObjectChange | ZnodeChange


@dataclass
class Totals:
    """The number of changes by kind of object, of ledgers, and of all other znodes by top-level path."""

    objects: Counter[tuple[str, How]] = field(default_factory=Counter)
    ledgers: Counter[str] = field(default_factory=Counter)
    moved: int = 0
    others: Counter[tuple[str, How]] = field(default_factory=Counter)

    def add(self, change: ObjectChange) -> None:
        """Count a change of an object."""
        self.moved += change.only_moved
        if not change.only_moved:
            self.objects[change.kind, change.how] += 1
        for name, ids in change.ledgers._asdict().items():
            self.ledgers[name] += len(ids)

    def to_json(self) -> dict[str, Any]:
        """All counts."""
        return {
            "objects": _nested(self.objects),
            "ledgers": {name: count for name, count in self.ledgers.items() if count},
            "subscriptionsMoved": self.moved,
            "otherZnodes": _nested(self.others),
        }

    def lines(self) -> Iterator[str]:
        """The counts for people."""
        for kind, counts in _nested(self.objects).items():
            yield f"{kind:<30} {_listed(counts)}"
        if any(self.ledgers.values()):
            yield f"{'ledgers':<30} {_listed(self.ledgers)}"
        if self.moved:
            yield f"{'subscriptions that only moved':<30} {self.moved}"
        for path, counts in _nested(self.others).items():
            yield f"{f'other znodes in {path}':<30} {_listed(counts)}"


@dataclass(frozen=True)
class Side:
    """One of the two backups."""

    point: RestorePoint
    manifest: Manifest

    def to_json(self) -> dict[str, Any]:
        """Its address, its time and its zxid."""
        return {"uri": str(self.point), "time": rfc3339(self.manifest.timestamp), "zxid": f"{self.manifest.zxid:#x}"}


class Diff:
    """The changes from one open backup to another. They are read once, and `totals` is complete after that."""

    def __init__(self, before: tuple[RestorePoint, Archive], after: tuple[RestorePoint, Archive]) -> None:
        """Nothing is read yet.

        Raises:
            ArchiveCorrupt: a file was renamed.
        """
        for point, backup in (before, after):
            require_match(point, backup.manifest)
        self._archives = before[1], after[1]
        self.before, self.after = (Side(point, backup.manifest) for point, backup in (before, after))
        self.totals = Totals()

    def all_changes(self, *, znodes: bool) -> Iterator[AnyChange]:
        """All changes in tree order, without subscriptions of which only the position changed.

        Raises:
            SettingError: Pulsar is at different paths in the two trees.
            ArchiveCorrupt: a backup is damaged. Earlier changes may be wrong.
        """
        namer = None if znodes else ObjectNamer(_common_layout(self.before, self.after))
        old, new = (archive.tree() for archive in self._archives)
        for change in changes(old, new):
            if namer is None:
                yield ZnodeChange(change)
                continue
            found = namer.named(change)
            if found:
                self.totals.add(found)
                if not found.only_moved:
                    yield found
            else:
                self.totals.others[_top_level(change), _how(change)] += 1


def lines(diff: Diff, changed: Iterator[AnyChange]) -> Iterator[str]:
    """The changes as lines of text."""
    for name, side in (("from", diff.before), ("to", diff.after)):
        described = side.to_json()
        yield f"{name:<5}{described['uri']}  {described['time']}  zxid {described['zxid']}"
    yield ""
    found = False
    for change in changed:
        found = True
        yield from change.lines()
    totals = [*diff.totals.lines()]
    if totals:
        yield from ["", "TOTAL"] if found else ["TOTAL"]
        yield from totals
    elif not found:
        yield "no znode differs"


def json_lines(diff: Diff, changed: Iterator[AnyChange]) -> Iterator[str]:
    """The changes as the lines of one JSON object."""
    yield f'{{"from": {json.dumps(diff.before.to_json())},'
    yield f' "to": {json.dumps(diff.after.to_json())},'
    yield ' "changes": ['
    line = ""
    for change in changed:
        if line:
            yield f"{line},"
        line = f"  {json.dumps(change.to_json())}"
    if line:
        yield line
    yield f' ], "totals": {json.dumps(diff.totals.to_json())}}}'


def _common_layout(before: Side, after: Side) -> Layout:
    old, new = before.manifest.layout, after.manifest.layout
    if old != new:
        described = (f"{side.manifest.chroot or '/'} ({side.manifest.managed_ledger_path})" for side in (before, after))
        raise SettingError(
            f"the backups have their metadata at different paths, {' and '.join(described)}",
            "Compare backups of one Pulsar, or use --znodes",
        )
    return new


def _how(change: Change) -> How:
    if change.before is None:
        return How.ADDED
    return How.REMOVED if change.after is None else How.CHANGED


def _top_level(change: Change) -> str:
    return printable(b"/".join(change.path.split(b"/")[:2]))


def _nested(counts: Counter[tuple[str, How]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (kind, how), count in sorted(counts.items()):
        found.setdefault(kind, {})[how.value] = count
    return found


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
