"""What was restored is compared with the backup, znode by znode."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.catalog import RestorePoint
from metadata_tool.drill import restored_files
from metadata_tool.drill.drill import drill
from metadata_tool.drill.result import TreeCounts
from metadata_tool.errors import ArchiveCorrupt, DrillFailed
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.restore import restore
from metadata_tool.store import open_store
from metadata_tool.store.base import StoreOptions
from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.snapshot import Node, SnapshotReader
from support.backups import TREE
from support.drills import ADDED, CHANGED, REMOVED, UNCHANGED, job, make_drilled
from support.trees import PATIENT, in_tree_order, node, trees

Change = Callable[[list[Node]], list[Node]]


def restored(point: RestorePoint, directory: Path) -> Path:
    """The snapshot of a real restore."""
    (directory / "data").mkdir()
    placed = restore(
        job(point, directory).restore_job(directory / "data", directory),
        lambda location: open_store(location, StoreOptions()),
        Heartbeat(),
    )
    assert placed
    return placed


def compared(point: RestorePoint, written: Path) -> TreeCounts:
    """What a comparison counts."""
    packed = Path("/", point.location.path, str(point.name))
    return restored_files.compare(point, packed, written, RecoveryOptions(Scope.BOOKIES_LOST), lambda _: None)


def rewrite(written: Path, change: Change) -> None:
    """Write the snapshot again with a change."""
    reader = SnapshotReader(io.BytesIO(written.read_bytes()))
    nodes = change(list(reader.nodes()))
    with written.open("wb") as out:
        snapshot.write(out, reader.header.acls, (each.encode() for each in nodes))


def replacing(path: bytes, **fields: object) -> Change:
    """A change of one znode."""
    return lambda nodes: [each._replace(**fields) if each.path == path else each for each in nodes]  # type: ignore[arg-type]


def without(path: bytes) -> Change:
    """A change that leaves out a znode."""
    return lambda nodes: [each for each in nodes if each.path != path]


def inserted(path: bytes) -> Change:
    """A change that adds a znode."""
    return lambda nodes: list(snapshot.inserted(nodes, [node(path)]))


def test_counts(folder: Path, tmp_path: Path) -> None:
    """Znodes are counted by what the restore did with them, and the snapshot has a digest."""
    point = make_drilled(folder)
    written = restored(point, tmp_path)
    found = compared(point, written)
    assert (UNCHANGED, CHANGED, REMOVED, ADDED) == (found.unchanged, found.changed, found.removed, found.added)
    assert (written.stat().st_size, 64) == (found.size, len(found.sha256))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replacing(b"/admin", data=b"other"), "changed znode /admin,"),
        (replacing(b"/admin", data=None), "changed znode /admin,"),
        (replacing(b"/admin", acl=7), "changed znode /admin,"),
        (replacing(b"/admin", stat=node(b"", version=9).stat), "changed znode /admin,"),
        (without("/odd ä/\N{SNOWMAN}".encode()), "removed znode /odd ä/\N{SNOWMAN}"),
        (inserted(b"/zzz"), "added znode /zzz"),
    ],
)
def test_difference_fails(change: Change, said: str, folder: Path, tmp_path: Path) -> None:
    """A znode that no rule names must be as in the backup, and no other znode may be there."""
    point = make_drilled(folder)
    written = restored(point, tmp_path)
    rewrite(written, change)
    with pytest.raises(DrillFailed) as caught:
        compared(point, written)
    assert said in caught.value.message


@pytest.mark.parametrize("size", [0, 100, -1])
def test_damaged_snapshot_fails(size: int, folder: Path, tmp_path: Path) -> None:
    """A snapshot that is incomplete fails."""
    point = make_drilled(folder)
    written = restored(point, tmp_path)
    written.write_bytes(written.read_bytes()[:size])
    with pytest.raises(DrillFailed, match="is damaged"):
        compared(point, written)


def test_damaged_backup_is_corrupt(folder: Path, tmp_path: Path) -> None:
    """The backup is read to its end again, so a change since the restore is noticed."""
    point = make_drilled(folder)
    written = restored(point, tmp_path)
    packed = folder / str(point.name)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(ArchiveCorrupt):
        compared(point, written)


@settings(PATIENT, max_examples=10)
@given(trees(), st.integers(0))
def test_every_tree_is_as_restored(tmp_path_factory: pytest.TempPathFactory, nodes: list[Node], chosen: int) -> None:
    """Whatever is restored passes, and a change of any znode that no rule names does not."""
    directory = tmp_path_factory.mktemp("drill")
    whole = {each.path: each for each in nodes} | {path: node(path, data) for path, data in TREE.items()}
    point = make_drilled(directory, [whole[path] for path in in_tree_order(whole)])
    written = restored(point, directory)
    found = compared(point, written)
    assert len(whole) == found.saved
    ruled = (b"/ledgers", b"/admin/clusters/", b"/zookeeper", b"/metadata-backup")
    own = [path for path in whole if path and not path.startswith(ruled)]
    rewrite(written, replacing(own[chosen % len(own)], stat=node(b"", version=1_234_567).stat))
    with pytest.raises(DrillFailed):
        compared(point, written)


def test_drill_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """A drill without a server passes, and its directory is removed."""
    spool = tmp_path / "spool"
    spool.mkdir()
    result = drill(job(make_drilled(folder), spool), lambda place: open_store(place, StoreOptions()), Heartbeat())
    assert ("", "", UNCHANGED) == (result.failure, result.server, result.counts.unchanged)
    assert ["fetch", "restore", "compare files"] == list(result.seconds)
    assert [] == list(spool.iterdir())
