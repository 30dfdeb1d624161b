"""What a restore takes from the broker metadata of a backup, and which namespaces it holds.

Everything is written to files first, in the order of the tree, because `broker.json` is the last member of a backup.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from metadata_tool import archive
from metadata_tool.broker_metadata.broker_file import encoded, read_lines
from metadata_tool.broker_metadata.records import SavedCursor, SavedSchemas, decode
from metadata_tool.broker_metadata.restorable import AutoUpdate, InTreeOrder, Restorable
from metadata_tool.identity import Identity
from metadata_tool.manifest import Manifest
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import AUTO_UPDATE, Scope
from metadata_tool.pulsar.tree_facts import NAMESPACE, V1_NAMESPACE
from metadata_tool.restore_marker import HELD
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key
from metadata_tool.zookeeper.stat import Stat

_CURSORS, _AUTO_UPDATES = "cursors", "auto-updates"
_POLICIES = "/admin/policies"
_MOST_HELD = 100_000
"""Namespaces of an earlier restore that are kept in memory."""


@dataclass(frozen=True)
class FromBrokers:
    """The files of one backup in a directory. Empty ones if the backup has nothing that this restore takes."""

    directory: Path

    def restorable(self) -> Restorable:
        """What is put into a tree, for one reading of it."""
        return Restorable(self._cursors(), self.auto_updates())

    def auto_updates(self) -> Iterator[AutoUpdate]:
        """The namespaces in which a restore decides who may register schemas, in tree order."""
        with (self.directory / _AUTO_UPDATES).open("rb") as file:
            yield from map(AutoUpdate.decode, file)

    def held_nodes(self, acl: int, zxid: int, time: int) -> Iterator[Node]:
        """The znodes that keep what the policies of held namespaces allowed before, with their parents, in tree order.

        A put-back sets the data to `false` when a namespace is no longer held. `acl` is that of the parents, and `time`
        is in epoch ms.
        """
        stat = Stat(zxid, zxid, time, time, 0, 0, 0, 0, zxid).pack()
        last: list[bytes] = []
        for change in self.auto_updates():
            if not change.held:
                continue
            names = encoded(change.namespace).split(b"/")
            if not last:
                yield Node(HELD, b"", acl, stat)
            for depth in range(1, len(names)):
                if last[:depth] != names[:depth]:
                    yield Node(b"/".join((HELD, *names[:depth])), b"", acl, stat)
            yield Node(b"/".join((HELD, *names)), json.dumps(change.before).encode(), OPEN_ACL_KEY, stat)
            last = names

    def _cursors(self) -> Iterator[SavedCursor]:
        with (self.directory / _CURSORS).open("rb") as file:
            for line in read_lines(file):
                cursor = decode(line)
                if isinstance(cursor, SavedCursor):
                    yield cursor


@dataclass(frozen=True)
class Source:
    """A fetched backup, where its Pulsar is, and what survived."""

    path: Path
    manifest: Manifest
    layout: Layout
    scope: Scope


def prepare(source: Source, directory: Path, heartbeat: Callable[[], None]) -> FromBrokers:
    """Write the files into an empty directory.

    Raises:
        ArchiveCorrupt, SpoolFailed: the backup is damaged, or cannot be read.
        OSError: the directory cannot be written.
    """
    names = [directory / "namespaces", directory / "namespaces-v1"]
    with _created(directory / _CURSORS) as cursors, _created(names[0]) as new, _created(names[1]) as old:
        if _takes_schemas(source):
            _split(source.path, cursors, _Namespaces(new, old), heartbeat)
    with _created(directory / _AUTO_UPDATES) as file, names[0].open("rb") as new, names[1].open("rb") as old:
        schemas = [InTreeOrder((line[:-1], True) for line in lines) for lines in (new, old)]
        for change in _auto_updates(source, schemas, heartbeat):
            file.write(change.encode())
    return FromBrokers(directory)


def _created(path: Path) -> BinaryIO:
    return path.open("xb")


class _Namespaces:
    """Files of the namespaces that have saved schemas, in tree order: V2 and V1 names, because both are mixed."""

    def __init__(self, *files: BinaryIO) -> None:
        self._files = files
        self._last = ["", ""]

    def add(self, namespace: str) -> None:
        """Add a namespace, if it is not the last one."""
        number = namespace.count("/") > 1
        if namespace != self._last[number] and "\n" not in namespace:
            self._last[number] = namespace
            self._files[number].write(encoded(namespace) + b"\n")


def _split(path: Path, cursors: BinaryIO, namespaces: _Namespaces, heartbeat: Callable[[], None]) -> None:
    with archive.opened(path, heartbeat) as backup:
        for line, record in backup.broker():
            if isinstance(record, SavedCursor):
                cursors.write(line)
            elif isinstance(record, SavedSchemas) and record.versions:
                namespaces.add(record.topic.rpartition("/")[0])


def _auto_updates(
    source: Source, schemas: list[InTreeOrder[bool]], heartbeat: Callable[[], None]
) -> Iterator[AutoUpdate]:
    """The new setting of each namespace that has saved schemas, or that an earlier restore held."""
    earlier = _held_before(source, heartbeat)
    if not (earlier or _takes_schemas(source)):
        return
    for path, data in _policies(source, heartbeat):
        try:
            now = _auto_update(data)
        except UndecodableError:
            continue  # the report names it
        saved = any(each.get(path) for each in schemas)
        namespace = path.decode(errors="replace")
        if now is not False:
            if saved:
                yield AutoUpdate(namespace, now, False)
        elif namespace in earlier:  # probably nothing was put back since that restore
            kept = saved or source.scope is Scope.BOOKIES_KEPT
            yield AutoUpdate(namespace, earlier[namespace], False if kept else earlier[namespace])


def _takes_schemas(source: Source) -> bool:
    """Whether schemas are to be put back after this restore."""
    return source.manifest.broker is not None and source.scope is Scope.BOOKIES_LOST


def _held_before(source: Source, heartbeat: Callable[[], None]) -> dict[str, bool | None]:
    """The settings of namespaces before an earlier restore held them. Some of them may no longer be held."""
    found: dict[str, bool | None] = {}
    if not Identity.parse(source.manifest.identity).restored:
        return found
    for name, data in _below(source.path, HELD, heartbeat):
        value = _parsed(data)
        if (value is None or value is True) and data and len(found) < _MOST_HELD:
            found[name.decode(errors="replace")] = value
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


def _auto_update(policies: bytes | None) -> bool | None:
    """The value in the policies of a namespace, None if it is absent."""
    found = _parsed(policies)
    value = found.get(AUTO_UPDATE) if isinstance(found, dict) else ""
    if value is None or isinstance(value, bool):
        return value
    raise UndecodableError("no policies of a namespace")


def _parsed(data: bytes | None) -> object:
    """The JSON in a znode. Empty text if it is none."""
    try:
        return json.loads(data or b"")
    except (ValueError, RecursionError):
        return ""
