"""Compares two backups, and gives the changes one by one, as they are found: as objects of Pulsar, or as znodes."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metadata_tool.archive import Archive
from metadata_tool.catalog import RestorePoint, rfc3339
from metadata_tool.errors import SettingError
from metadata_tool.fetch import require_match
from metadata_tool.manifest import Manifest
from metadata_tool.pulsar.paths import Layout
from metadata_tool.tree_diff.broker_changes import BrokerSide, broker_changes
from metadata_tool.tree_diff.changes import Change, changes
from metadata_tool.tree_diff.kept_records import KeptRecords
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
    unknown: Counter[str] = field(default_factory=Counter)
    """Objects that brokers gave out for one of the backups, and did not give out for the other."""
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
            **({"notCompared": dict(+self.unknown)} if +self.unknown else {}),
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
        for kind, count in sorted((+self.unknown).items()):
            yield f"{kind:<30} {count} not compared, because brokers did not give it out for one backup"
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

    def __init__(
        self, before: tuple[RestorePoint, Archive], after: tuple[RestorePoint, Archive], directory: Path
    ) -> None:
        """Nothing is read yet. `directory` is for what brokers gave out.

        Raises:
            ArchiveCorrupt: a file was renamed.
        """
        for point, backup in (before, after):
            require_match(point, backup.manifest)
        self._archives = before[1], after[1]
        self.before, self.after = (Side(point, backup.manifest) for point, backup in (before, after))
        self.totals = Totals()
        self._directory = directory

    @property
    def broker_metadata(self) -> dict[str, bool]:
        """Which of the two has broker metadata."""
        return {name: side.manifest.broker is not None for name, side in (("from", self.before), ("to", self.after))}

    def all_changes(self, *, znodes: bool) -> Iterator[AnyChange]:
        """All changes in tree order, without subscriptions of which only the position changed.

        Then those of what brokers gave out, if both backups have that, but not with `znodes`.

        Raises:
            SettingError: Pulsar is at different paths in the two trees.
            ArchiveCorrupt: a backup is damaged. Earlier changes may be wrong.
        """
        namer = None if znodes else ObjectNamer(_common_layout(self.before, self.after))
        kept = [] if znodes or not all(self.broker_metadata.values()) else self._kept()
        old, new = (
            archive.tree(on_line=records.add_line if records else None)
            for archive, records in zip(self._archives, kept or (None, None), strict=True)
        )
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
        if kept:
            yield from self._of_brokers(*kept)

    def _kept(self) -> list[KeptRecords]:
        made = []
        for name in ("from", "to"):
            (self._directory / name).mkdir()
            made.append(KeptRecords(self._directory / name))
        return made

    def _of_brokers(self, old: KeptRecords, new: KeptRecords) -> Iterator[ObjectChange]:
        before, after = (
            BrokerSide(records.complete(), side.manifest.broker.not_saved if side.manifest.broker else {})
            for records, side in ((old, self.before), (new, self.after))
        )
        for change in broker_changes(before, after, self.totals.unknown):
            self.totals.add(change)
            yield change


def lines(diff: Diff, *, znodes: bool) -> Iterator[str]:
    """All changes as lines of text. Raises as `Diff.all_changes`."""
    for name, side in (("from", diff.before), ("to", diff.after)):
        described = side.to_json()
        yield f"{name:<5}{described['uri']}  {described['time']}  zxid {described['zxid']}"
    yield ""
    found = False
    for change in diff.all_changes(znodes=znodes):
        found = True
        yield from change.lines()
    if not znodes:
        yield from _without_brokers(diff)
    totals = [*diff.totals.lines()]
    if totals:
        yield from ["", "TOTAL"] if found else ["TOTAL"]
        yield from totals
    elif not found:
        yield "no znode differs"


def _without_brokers(diff: Diff) -> Iterator[str]:
    """Says that only one backup has broker metadata."""
    has = [side for name, side in (("from", diff.before), ("to", diff.after)) if diff.broker_metadata[name]]
    if len(has) == 1:
        yield f"only {has[0].point} has broker metadata, so that is not compared"


def json_lines(diff: Diff, *, znodes: bool) -> Iterator[str]:
    """The same as the lines of one JSON object."""
    yield f'{{"from": {json.dumps(diff.before.to_json())},'
    yield f' "to": {json.dumps(diff.after.to_json())},'
    yield ' "changes": ['
    line = ""
    for change in diff.all_changes(znodes=znodes):
        if line:
            yield f"{line},"
        line = f"  {json.dumps(change.to_json())}"
    if line:
        yield line
    yield f' ], "brokerMetadata": {json.dumps(diff.broker_metadata)},'
    yield f' "totals": {json.dumps(diff.totals.to_json())}}}'


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
