"""What a restore takes from the broker metadata of a backup, and which settings of namespaces it holds.

Everything is written to files first, in the order of the tree, because `broker.json` is the last member of a backup.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

from metadata_tool import archive
from metadata_tool.broker_metadata.broker_file import encoded, place_of, read_lines
from metadata_tool.broker_metadata.overridden import UNKNOWN, Overridden
from metadata_tool.broker_metadata.records import PolicySchema, SavedCursor, SavedPolicies, SavedSchemas, decode
from metadata_tool.broker_metadata.restorable import Hold, InTreeOrder, Restorable
from metadata_tool.identity import Identity
from metadata_tool.manifest import Manifest
from metadata_tool.pulsar.coverage import OTHERS
from metadata_tool.pulsar.holds import (
    AUTO_UPDATE,
    RETENTION,
    STRATEGY,
    decode_note,
    decode_object,
    encode_note,
    is_held,
)
from metadata_tool.pulsar.holds import HELD as HELD_VALUES
from metadata_tool.pulsar.limits import DEFAULT_LIMITS
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import Scope
from metadata_tool.pulsar.tree_facts import NAMESPACE, V1_NAMESPACE
from metadata_tool.restore_marker import HELD
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key
from metadata_tool.zookeeper.stat import Stat

_CURSORS, _HOLDS = "cursors", "holds"
_SCHEMAS, _V1_SCHEMAS, _OVERRIDDEN = "schemas", "schemas-v1", "overridden"
_POLICIES = "/admin/policies"
_MOST_HELD = 100_000
"""Namespaces of an earlier restore that are kept in memory."""


@dataclass(frozen=True)
class FromBrokers:
    """The files of one backup in a directory. Empty ones if the backup has nothing that this restore takes.

    `saved` counts the records of the backup by namespace and kind, those beyond a limit under OTHERS.
    """

    directory: Path
    saved: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def restorable(self) -> Restorable:
        """What is put into a tree, for one reading of it."""
        return Restorable(self._cursors(), self.holds())

    def holds(self) -> Iterator[Hold]:
        """What a restore does with the settings of namespaces, in tree order."""
        with (self.directory / _HOLDS).open("rb") as file:
            yield from map(Hold.decode, file)

    def held_nodes(self, acl: int, zxid: int, time: int) -> Iterator[Node]:
        """The notes of what held settings were before, with their parents, in tree order.

        A put-back removes a setting from the note when it is no longer held. `acl` is that of the parents, and `time`
        is in epoch ms.
        """
        stat = Stat(zxid, zxid, time, time, 0, 0, 0, 0, zxid).pack()
        last: list[bytes] = []
        for change in self.holds():
            if not change.noted:
                continue
            names = encoded(change.namespace).split(b"/")
            if not last:
                yield Node(HELD, b"", acl, stat)
            for depth in range(1, len(names)):
                if last[:depth] != names[:depth]:
                    yield Node(b"/".join((HELD, *names[:depth])), b"", acl, stat)
            yield Node(b"/".join((HELD, *names)), encode_note(change.before), OPEN_ACL_KEY, stat)
            last = names

    def _cursors(self) -> Iterator[SavedCursor]:
        with (self.directory / _CURSORS).open("rb") as file:
            for line in read_lines(file):
                cursor = decode(line)
                if isinstance(cursor, SavedCursor):
                    yield cursor


@dataclass(frozen=True)
class Source:
    """A fetched backup, where its Pulsar is, and what survived.

    `infinite_retention`: the operator wants the retention of all namespaces to be infinite, also after a put-back.
    """

    path: Path
    manifest: Manifest
    layout: Layout
    scope: Scope
    infinite_retention: bool = False


def prepare(source: Source, directory: Path, heartbeat: Callable[[], None]) -> FromBrokers:
    """Write the files into an empty directory.

    Raises:
        ArchiveCorrupt, SpoolFailed: the backup is damaged, or cannot be read.
        OSError: the directory cannot be written.
    """
    saved: dict[str, Counter[str]] = {}
    names = [directory / name for name in (_SCHEMAS, _V1_SCHEMAS, _OVERRIDDEN)]
    with _created(directory / _CURSORS) as cursors, ExitStack() as files:
        wanted = [files.enter_context(_Wanted(name)) for name in names]
        if _takes_broker_metadata(source):
            _split(source.path, cursors, wanted, saved, heartbeat)
    with _created(directory / _HOLDS) as file, ExitStack() as files:
        lines = [files.enter_context(name.open("rb")) for name in names]
        for hold in _holds(source, [InTreeOrder(map(_Wanted.decode, each)) for each in lines], heartbeat):
            file.write(hold.encode())
    return FromBrokers(directory, saved)


def _created(path: Path) -> BinaryIO:
    return path.open("xb")


class _Wanted:
    """Writes a file of namespaces and of the settings to hold in each, in the order in which they are added."""

    def __init__(self, path: Path) -> None:
        self._file = _created(path)
        self._namespace, self._settings = "", frozenset[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()
        self._file.close()

    def has(self, namespace: str, settings: frozenset[str]) -> bool:
        """Whether these settings of the namespace that was added last are among those to hold."""
        return namespace == self._namespace and settings <= self._settings

    def add(self, namespace: str, settings: frozenset[str]) -> None:
        """Add settings of a namespace."""
        if namespace != self._namespace:
            self._write()
            self._namespace, self._settings = namespace, frozenset()
        self._settings |= settings

    def _write(self) -> None:
        if self._namespace and self._settings:
            self._file.write(json.dumps([self._namespace, sorted(self._settings)]).encode() + b"\n")

    @staticmethod
    def decode(line: bytes) -> tuple[bytes, frozenset[str]]:
        """A namespace, and the settings to hold there."""
        namespace, settings = json.loads(line)
        return encoded(namespace), frozenset(settings)


def _split(
    path: Path,
    cursors: BinaryIO,
    wanted: list[_Wanted],
    saved: dict[str, Counter[str]],
    heartbeat: Callable[[], None],
) -> None:
    """Write cursors, and what to hold because of schemas (V2 and V1 names, because both are mixed) and policies."""
    *schemas, overridden = wanted
    events, of_schemas = Overridden(), frozenset([AUTO_UPDATE])
    with archive.opened(path, heartbeat) as backup:
        for line, record in backup.broker():
            if place := place_of(record):
                namespace, kind = place
                known = namespace in saved or len(saved) < DEFAULT_LIMITS.namespaces
                saved.setdefault(namespace if known else OTHERS, Counter())[kind] += 1
            match record:
                case SavedCursor():
                    cursors.write(line)
                case SavedSchemas() if record.versions:
                    namespace = record.topic.rpartition("/")[0]
                    schemas[namespace.count("/") > 1].add(namespace, of_schemas)
                case PolicySchema():
                    events.add(record)
                case SavedPolicies() if not overridden.has(record.namespace, UNKNOWN):
                    overridden.add(record.namespace, events.of(record))


def _holds(source: Source, wanted: list[InTreeOrder[frozenset[str]]], heartbeat: Callable[[], None]) -> Iterator[Hold]:
    """What happens to each namespace that a put-back has to release, or that an earlier restore held."""
    earlier = _held_before(source, heartbeat)
    if not (earlier or _takes_broker_metadata(source)):
        return
    for path, data in _policies(source, heartbeat):
        policies = decode_object(data)
        if policies is None or not isinstance(policies.get(AUTO_UPDATE), bool | None):
            continue  # the report names it
        settings = frozenset[str]().union(*(each.get(path) or () for each in wanted))
        namespace = path.decode(errors="replace")
        hold = _hold(source, namespace, policies, settings, earlier.get(namespace, {}))
        if hold.noted or hold.after:
            yield hold


def _hold(
    source: Source, namespace: str, policies: Mapping[str, Any], wanted: frozenset[str], earlier: Mapping[str, Any]
) -> Hold:
    """`wanted` are settings to hold. `earlier` are those that an earlier restore or put-back has changed, as before."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for setting, value in HELD_VALUES.items():
        waiting = setting in earlier and is_held(setting, policies)  # probably nothing was put back since
        own = earlier[setting] if waiting else policies.get(setting)
        holding = setting in wanted or (waiting and source.scope is Scope.BOOKIES_KEPT and setting != STRATEGY)
        if setting == RETENTION and source.infinite_retention:
            holding = False
        if holding and not is_held(setting, {setting: own}):
            before[setting] = own
            after |= {} if waiting else {setting: value}
        elif waiting:
            after[setting] = own
    return Hold(namespace, before, after, noted=bool(before) or AUTO_UPDATE in wanted)


def _takes_broker_metadata(source: Source) -> bool:
    """Whether schemas and topic policies are to be put back after this restore."""
    return source.manifest.broker is not None and source.scope is Scope.BOOKIES_LOST


def _held_before(source: Source, heartbeat: Callable[[], None]) -> dict[str, dict[str, Any]]:
    """The settings of namespaces before an earlier restore held them. Some of them may no longer be held."""
    found: dict[str, dict[str, Any]] = {}
    if not Identity.parse(source.manifest.identity).restored:
        return found
    for name, data in _below(source.path, HELD, heartbeat):
        if (note := decode_note(data)) and len(found) < _MOST_HELD:
            found[name.decode(errors="replace")] = note
    return found


def _policies(source: Source, heartbeat: Callable[[], None]) -> Iterator[tuple[bytes, bytes | None]]:
    """The name and the policies of each namespace in the tree."""
    root = source.layout.absolute(_POLICIES).encode()
    patterns = [source.layout.compile(pattern) for pattern in (NAMESPACE, V1_NAMESPACE)]
    for name, data in _below(source.path, root, heartbeat):
        if any(pattern.fullmatch(root + b"/" + name) for pattern in patterns):
            yield name, data


def _below(packed: Path, root: bytes, heartbeat: Callable[[], None]) -> Iterator[tuple[bytes, bytes | None]]:
    """The names below a znode, and the data of each. What comes after them in the tree is not read."""
    prefix, end = root + b"/", tree_key(root)
    with archive.opened(packed, heartbeat) as backup:
        for path, data, _, _ in backup.tree(verified=True).nodes:
            if path.startswith(prefix):
                yield path[len(prefix) :], data
            elif tree_key(path) > end:
                return
