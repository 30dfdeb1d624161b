"""The history of a path over backups, against a model that looks at all of them."""

import io
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.archive import Archive
from metadata_tool.catalog import Backup, BackupName
from metadata_tool.path_history.history import PathHistory, Seen, history
from metadata_tool.path_history.sightings import sighting
from metadata_tool.pulsar.paths import Layout
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key
from metadata_tool.zookeeper.stat import Stat
from support.trees import PATIENT, archive_bytes

PATH = b"/a/b"
MARKER = b"/metadata-backup"


@dataclass
class Ensemble:
    """A small tree with ZooKeeper's zxids, which can be taken back to an earlier one by a restore."""

    zxid: int = 1
    znodes: dict[bytes, tuple[bytes, Stat]] = field(
        default_factory=lambda: {b"": (b"", Stat(0, 0, 0, 0, 0, 0, 0, 0, 0))}
    )

    def write(self, path: bytes, data: bytes) -> None:
        """Create the znode, with its parents, or set its data."""
        self.zxid += 1
        if path in self.znodes:
            stat = self.znodes[path][1]
            self.znodes[path] = data, stat._replace(mzxid=self.zxid, mtime=self.zxid, version=stat.version + 1)
            return
        parent = path[: path.rindex(b"/")]
        if parent not in self.znodes:
            self.write(parent, b"")
        above, stat = self.znodes[parent]
        self.znodes[parent] = above, stat._replace(cversion=stat.cversion + 1, pzxid=self.zxid)
        zxid = self.zxid
        self.znodes[path] = data, Stat(zxid, zxid, zxid, zxid, 0, 0, 0, 0, zxid)

    def delete(self, path: bytes) -> None:
        """Delete the znode and all below it."""
        self.zxid += 1
        self.znodes = {
            other: znode for other, znode in self.znodes.items() if other != path and not other.startswith(path + b"/")
        }

    def backup(self) -> bytes:
        """A backup file of the tree now."""
        nodes = [Node(path, data, OPEN_ACL_KEY, stat.pack()) for path, (data, stat) in self.znodes.items()]
        return archive_bytes(sorted(nodes, key=lambda node: tree_key(node.path)))


steps = st.lists(
    st.sampled_from(["write", "again", "other", "delete", "delete parent", "restore", "backup"]),
    min_size=1,
    max_size=14,
)


def played(todo: list[str]) -> list[bytes]:
    """Backups of a tree to which this happened."""
    ensemble, files, first = Ensemble(), [], dict[bytes, tuple[bytes, Stat]]()
    for step in todo:
        match step:
            case "write":
                ensemble.write(PATH, str(ensemble.zxid).encode())
            case "again":
                ensemble.write(PATH, b"same")
            case "other":
                ensemble.write(b"/a/c", b"")
            case "delete":
                ensemble.delete(PATH)
            case "delete parent":
                ensemble.delete(b"/a")
            case "restore" if first:
                ensemble.znodes = dict(first)
                ensemble.write(MARKER, str(ensemble.zxid).encode())
            case "backup":
                files.append(ensemble.backup())
                first = first or dict(ensemble.znodes)
    return [*files, ensemble.backup()]


def looked_back(files: list[bytes], most: int = 1000) -> PathHistory:
    """The history in these files."""
    backups = [Backup(BackupName("p", number), f"s3a://b/p-{number}.tar.gz", 1) for number in range(len(files))]

    def look(backup: Backup) -> Seen:
        opened = Archive(io.BytesIO(files[backup.name.timestamp]))
        return Seen(backup, backup.name.timestamp, PATH, Layout(), sighting(opened, PATH))

    return history(backups, look, most)


def znode_in(file: bytes) -> tuple[bytes | None, int, int] | None:
    """The znode's data and zxids in a file, None if it is not there."""
    for node in Archive(io.BytesIO(file)).tree().nodes:
        if node.path == PATH:
            stat = Stat.unpack(node.stat)
            return node.data, stat.czxid, stat.mzxid
    return None


@PATIENT
@given(steps)
def test_no_change_is_missed(todo: list[str]) -> None:
    """Every two backups between which the znode differs are a step, also where restores take zxids back."""
    files = played(todo)
    znodes = [znode_in(file) for file in files]
    expected = [(number, number + 1) for number in range(len(files) - 1) if znodes[number] != znodes[number + 1]]
    found = looked_back(files)
    assert expected == [(step.before.zxid, step.after.zxid) for step in found.steps]
    assert found.complete


def test_backups_without_a_change_are_not_read() -> None:
    """Of many backups, only those around a change are read."""
    ensemble, files = Ensemble(), list[bytes]()
    for number in range(64):
        if number == 20:
            ensemble.write(PATH, b"")
        files.append(ensemble.backup())
    found = looked_back(files)
    assert [(19, 20)] == [(step.before.zxid, step.after.zxid) for step in found.steps]
    assert found.read <= 2 + 6


@pytest.mark.parametrize(("most", "complete"), [(2, False), (5, False), (8, True)])
def test_reads_are_bounded(most: int, complete: bool) -> None:
    """With few reads, steps are coarser, and the history says so."""
    ensemble, files = Ensemble(), list[bytes]()
    for number in range(8):
        ensemble.write(PATH, str(number).encode())
        files.append(ensemble.backup())
    found = looked_back(files, most)
    assert (most, complete) == (found.read, found.complete)
    assert complete == all(step.complete for step in found.steps)


def test_one_backup() -> None:
    """One backup has no steps."""
    found = looked_back([Ensemble().backup()])
    assert ([], 1, True) == (found.steps, found.read, found.complete)


def test_as_text() -> None:
    """The text has the first and the last state, and each step with what changed and when."""
    ensemble, files = Ensemble(), list[bytes]()
    files.append(ensemble.backup())
    ensemble.write(PATH, b"1")
    files.append(ensemble.backup())
    ensemble.write(PATH, b"22")
    files.append(ensemble.backup())
    ensemble.delete(PATH)
    files.append(ensemble.backup())
    assert [
        "/a/b in 4 backups, 4 of them read",
        "",
        "1970-01-01T00:00:00.000Z  not there",
        "1970-01-01T00:00:00.001Z  between zxid 0x0 (1970-01-01T00:00:00.000Z) and 0x1",
        "    + /a/b (1 bytes)",
        "        created 1970-01-01T00:00:00.003Z, version 0",
        "1970-01-01T00:00:00.002Z  between zxid 0x1 (1970-01-01T00:00:00.001Z) and 0x2",
        "    ~ /a/b (1 bytes -> 2 bytes, set at zxid 0x4, version 1)",
        "        set 1970-01-01T00:00:00.004Z, version 1",
        "1970-01-01T00:00:00.003Z  between zxid 0x2 (1970-01-01T00:00:00.002Z) and 0x3",
        "    - /a/b (2 bytes)",
        "1970-01-01T00:00:00.003Z  not there",
    ] == list(looked_back(files).lines())
