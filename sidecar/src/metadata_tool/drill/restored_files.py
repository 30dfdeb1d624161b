"""Reads what a restore has written, and compares it with the backup, znode by znode."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from metadata_tool import archive
from metadata_tool.catalog import RestorePoint
from metadata_tool.drill.result import TreeCounts
from metadata_tool.errors import DrillFailed
from metadata_tool.fetch import require_match
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import RULES
from metadata_tool.restore_marker import is_of_restore
from metadata_tool.zookeeper import initial_znodes
from metadata_tool.zookeeper.jute import OPEN_ACL
from metadata_tool.zookeeper.snapshot import (
    OPEN_ACL_KEY,
    Node,
    SnapshotError,
    SnapshotReader,
    in_tree_order,
    printable,
    tree_key,
)

_CLUSTERS = "/admin/clusters/<cluster>/**"

Saved = tuple[Node, bytes]
"""A znode and its encoded ACL."""


class ExpectedChanges:
    """Which znodes a restore may change, add or remove: its own, and those of the rules of its scope."""

    def __init__(self, options: RecoveryOptions, layout: Layout) -> None:
        patterns = [path for rule in RULES if options.scope in rule.scopes for path in rule.paths]
        patterns += [_CLUSTERS] if options.rename_cluster else []
        self._patterns: list[re.Pattern[bytes]] = [layout.compile(pattern) for pattern in patterns]
        self._removed = b"/"

    def may_change(self, path: bytes) -> bool:
        """Whether the znode may be changed or added."""
        return _is_own(path) or any(pattern.fullmatch(path) for pattern in self._patterns)

    def may_remove(self, path: bytes) -> bool:
        """Whether the znode may be removed, itself or with one above it. Paths come in tree order."""
        if path.startswith(self._removed + b"/") or _is_own(path):
            return True
        if not self.may_change(path):
            return False
        self._removed = path
        return True


def _is_own(path: bytes) -> bool:
    """Whether every restore writes such a znode."""
    return path in initial_znodes.PATHS or is_of_restore(path)


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def compare(
    point: RestorePoint, packed: Path, written: Path, options: RecoveryOptions, step: Callable[[int], None]
) -> TreeCounts:
    """Compare a restored snapshot with the file of its backup, both read to their ends. `step` gets a running count.

    The backup must have the znodes and the SHA-256 of its manifest. Every znode that no rule of the recovery names must
    be in the snapshot with the same data, ACL and stat, and no other znode may be in it.

    Raises:
        DrillFailed: they differ, or the snapshot is damaged.
        ArchiveCorrupt, ArchiveUnsupported: the backup is damaged.
    """
    with archive.opened(packed) as backup, written.open("rb") as file:
        manifest = backup.manifest
        require_match(point, manifest)
        layout = Layout(options.layout.chroot or manifest.chroot, options.layout.managed_ledger_path)
        tree, hashing = backup.tree(), _Hashing(file)
        try:
            reader = SnapshotReader(hashing)
            nodes = in_tree_order(reader.nodes(), reader.header.acls, zxid_of(written))
            saved, restored = _with_acls(tree.nodes, tree.acls), _with_acls(nodes, reader.header.acls)
            kinds = _Comparison(ExpectedChanges(options, layout), step).of(saved, restored)
        except SnapshotError as error:
            raise DrillFailed(
                f"the snapshot that was restored from {point} is damaged, {error}",
                "Check the disk of SPOOL_DIR, then run the drill again",
            ) from error
    return TreeCounts(**kinds, size=written.stat().st_size, sha256=hashing.digest.hexdigest())


def zxid_of(snapshot: Path) -> int:
    """The zxid in the name of a snapshot."""
    return int(snapshot.name.partition(".")[2], 16)


def with_acls(snapshot: BinaryIO) -> Iterator[Saved]:
    """The znodes of an open snapshot, each with its ACL."""
    reader = SnapshotReader(snapshot)
    return _with_acls(reader.nodes(), reader.header.acls)


def _with_acls(nodes: Iterator[Node], acls: Mapping[int, bytes]) -> Iterator[Saved]:
    for node in nodes:
        yield node, OPEN_ACL if node.acl == OPEN_ACL_KEY else acls[node.acl]


class _Comparison:
    """Walks both trees side by side."""

    def __init__(self, expected: ExpectedChanges, step: Callable[[int], None]) -> None:
        self._expected = expected
        self._step = step
        self._counts = dict.fromkeys(("unchanged", "changed", "added", "removed"), 0)

    def of(self, saved: Iterator[Saved], restored: Iterator[Saved]) -> dict[str, int]:
        old, new = next(saved, None), next(restored, None)
        while old or new:
            order = _order(old, new)
            if order < 0 and old:
                self._count("removed", old[0].path, allowed=self._expected.may_remove(old[0].path))
            elif order > 0 and new:
                self._count("added", new[0].path, allowed=self._expected.may_change(new[0].path))
            elif old and new:
                self._both(old, new)
            old = next(saved, None) if order <= 0 else old
            new = next(restored, None) if order >= 0 else new
        return self._counts

    def _both(self, old: Saved, new: Saved) -> None:
        same = old[1] == new[1] and (old[0].data, old[0].stat) == (new[0].data, new[0].stat)
        self._count(
            "unchanged" if same else "changed",
            old[0].path,
            allowed=same or self._expected.may_change(old[0].path),
        )

    def _count(self, kind: str, path: bytes, *, allowed: bool) -> None:
        if not allowed:
            raise DrillFailed(
                f"the restore has {kind} znode {printable(path)}, which no rule names",
                "Report this bug together with the output of `metadata-tool rules`",
            )
        self._counts[kind] += 1
        self._step(sum(self._counts.values()))


def _order(old: Saved | None, new: Saved | None) -> int:
    """Negative if the znode of the backup comes first in tree order, 0 if both have the same path."""
    if old is None or new is None:
        return 1 if old is None else -1
    if old[0].path == new[0].path:
        return 0
    return -1 if tree_key(old[0].path) < tree_key(new[0].path) else 1
