"""The snapshot codec against files that real ZooKeepers wrote, both ways."""

from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST, OLDER, OLDEST
from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.jute import unpack_acls
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Header, Node, SnapshotReader
from metadata_tool.zookeeper.stat import Stat
from support import seed
from support.comparison import CONFIG, Tree, Znode, differences, read_tree
from support.zookeeper import client, standalone

OPEN_ACL = ((31, "world", "anyone"),)


@pytest.fixture(scope="module", params=[NEWEST, OLDER, OLDEST])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Tree]:
    """A snapshot that a real ZooKeeper wrote while a client held ephemerals, and the tree that clients saw."""
    version: str = request.param
    directory = tmp_path_factory.mktemp("zookeeper")
    with standalone(version, directory) as server, client(server.address, seed.ADMIN) as source:
        seed.pulsar(source)
        seed.everything(source, wide=300)
        tree = read_tree(source)
        server.kill()
    with standalone(version, directory):  # a server writes a snapshot when it starts
        pass
    snapshots = (directory / "data" / "version-2").glob("snapshot.*")
    return version, max(snapshots, key=lambda path: int(path.suffix[1:], 16)), tree


def read(path: Path) -> tuple[Header, list[Node], SnapshotReader]:
    """All of a snapshot file."""
    with path.open("rb") as file:
        reader = SnapshotReader(file)
        return reader.header, list(reader.nodes()), reader


def as_tree(header: Header, nodes: list[Node]) -> Tree:
    """What clients see of a snapshot's persistent znodes."""
    tree = {}
    for node in nodes:
        stat = Stat.unpack(node.stat)
        acls = OPEN_ACL if node.acl == OPEN_ACL_KEY else tuple(sorted(unpack_acls(header.acls[node.acl])[0]))
        if not stat.ephemeral_owner:
            tree[node.path.decode() or "/"] = Znode(
                node.data, acls, stat.version, stat.aversion, stat.cversion,
                stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime,
            )  # fmt: skip
    return tree


def test_reads_what_zookeeper_wrote(written: tuple[str, Path, Tree]) -> None:
    """A real snapshot is read to the end, seals and trailers checked, and is the tree that clients saw."""
    _, path, tree = written
    header, nodes, _ = read(path)
    assert [] == list(differences(tree, as_tree(header, nodes)))


def test_real_snapshots_hold_what_backups_leave_out(written: tuple[str, Path, Tree]) -> None:
    """The files have sessions and ephemerals, and since 3.6 a digest after the first seal."""
    _, path, _ = written
    header, nodes, reader = read(path)
    assert (1, 2) == (len(header.sessions), sum(bool(Stat.unpack(node.stat).ephemeral_owner) for node in nodes))
    assert not reader.bare


def test_zookeeper_reads_what_is_written(written: tuple[str, Path, Tree], tmp_path: Path) -> None:
    """A real ZooKeeper starts from the same znodes, written by the codec, and serves the same tree."""
    version, path, tree = written
    header, nodes, _ = read(path)
    persistent = [node for node in nodes if not Stat.unpack(node.stat).ephemeral_owner]
    (tmp_path / "data" / "version-2").mkdir(parents=True)
    with (tmp_path / "data" / "version-2" / path.name).open("wb") as file:
        done = snapshot.write(file, header.acls, (node.encode() for node in persistent))
    assert len(tree) == done.nodes
    with standalone(version, tmp_path) as server, client(server.address, seed.ADMIN) as restored:
        assert [] == list(differences(tree, read_tree(restored)))
        assert CONFIG in tree


def test_zookeeper_starts_empty_from_a_cut_snapshot(written: tuple[str, Path, Tree], tmp_path: Path) -> None:
    """ZooKeeper ignores a truncated snapshot and serves an empty tree. So snapshots must be placed atomically."""
    version, path, tree = written
    (tmp_path / "data" / "version-2").mkdir(parents=True)
    (tmp_path / "data" / "version-2" / path.name).write_bytes(path.read_bytes()[:-40])
    with standalone(version, tmp_path) as server, client(server.address) as started:
        assert len(tree) > 100
        assert ["zookeeper"] == started.get_children("/")
