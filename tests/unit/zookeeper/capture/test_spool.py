import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metadata_tool.zookeeper.capture.spool import Overlay, OverlayEntry, PathQueue, Spool, merged
from metadata_tool.zookeeper.errors import SpoolDamaged
from metadata_tool.zookeeper.snapshot import Node
from support.damage import damage
from support.trees import PATIENT, encoded, node, small_tree, trees


def by_level(nodes: list[Node]) -> list[list[Node]]:
    """The znodes of each level, in tree order within it."""
    levels = sorted(nodes, key=lambda node: node.path.count(b"/"))
    return [list(level) for _, level in groupby(levels, key=lambda node: node.path.count(b"/"))]


def spooled(path: Path, levels: list[list[Node]]) -> tuple[int, list[bytes]]:
    """How many znodes a spool of these levels counts, and in which order it gives them back."""
    spool = Spool.create(path)
    for level in levels:
        spool.begin_level()
        spool.append(1, *encoded(level))
    result = spool.nodes, [found for _, _, found in spool.in_tree_order()]
    spool.close()
    return result


@PATIENT
@given(trees())
@example(small_tree())
def test_tree_order(nodes: list[Node]) -> None:
    """A tree that went in level by level comes out depth first, siblings sorted, nothing lost."""
    with TemporaryDirectory() as directory:
        actual = spooled(Path(directory, "spool"), by_level(nodes))
    assert (len(nodes), [node.encode() for node in nodes]) == actual


@pytest.mark.parametrize("size", [0, 1, 65_000, 65_536, 70_000, 300_000])
def test_any_size(tmp_path: Path, size: int) -> None:
    """Znodes of any size come through, those that are larger than a buffer too."""
    sizes = [(b"", 0), (b"/a", size), (b"/a/b", size + 1), (b"/a/c", 3), (b"/d", size), (b"/e", size), (b"/e/f", size)]
    nodes = [node(path, bytes(length)) for path, length in sizes]
    expected = [node.encode() for node in nodes]
    assert (len(nodes), expected) == spooled(tmp_path / "spool", by_level(nodes))


def test_many_in_a_level(tmp_path: Path) -> None:
    """A level of many buffers comes through in order."""
    nodes = [node(b""), *(node(b"/%05d" % number) for number in range(3000))]
    expected = [node.encode() for node in nodes]
    assert (len(nodes), expected) == spooled(tmp_path / "spool", by_level(nodes))


def test_empty_level(tmp_path: Path) -> None:
    """A level without znodes changes nothing."""
    expected = [node(b"").encode(), node(b"/a").encode()]
    assert (len(expected), expected) == spooled(tmp_path / "spool", [[node(b"")], [], [node(b"/a")], []])


DAMAGED = "a file of the capture was damaged"
bits = st.integers(1, 255)
LATEST = 1 << 40
BATCHES = [
    (LATEST - 1, [node(b"")]),
    (7, []),
    (7, [node(b"/a", bytes(10)), node(b"/b", bytes(10))]),
    (8, [node(b"/a/c")]),
]


@contextmanager
def three_levels() -> Iterator[tuple[Spool, Path]]:
    """A spool of some batches, and its file."""
    with TemporaryDirectory() as directory:
        spool = Spool.create(Path(directory, "spool"))
        for zxid, nodes in BATCHES:
            if nodes:
                spool.begin_level()
            spool.append(zxid, *encoded(nodes))
        assert 4 == len(list(spool.in_tree_order()))
        yield spool, Path(directory, "spool")
        spool.close()


def assert_unsound(spool: Spool) -> None:
    """Every way of reading the file raises the error."""
    for read in (lambda: spool.read_before(LATEST), spool.in_tree_order):
        with pytest.raises(SpoolDamaged, match=DAMAGED):
            list(read())
    with pytest.raises(SpoolDamaged, match=DAMAGED):
        [list(spool.level(depth)) for depth in range(3)]


@PATIENT
@given(bits, st.data())
def test_damaged_spool(bits: int, data: st.DataObject) -> None:
    """A spool file that was altered while it was in use, wherever, is an error, and never another znode."""
    with three_levels() as (spool, path):
        damage(path, data.draw(st.integers(0, path.stat().st_size - 1)), bits)
        assert_unsound(spool)


def test_cut_spool() -> None:
    """A spool file that was cut while it was in use, wherever, is an error, and never a smaller tree."""
    with three_levels() as (spool, path):
        for place in reversed(range(path.stat().st_size)):
            os.truncate(path, place)
            assert_unsound(spool)


def test_batch_in_the_place_of_another(tmp_path: Path) -> None:
    """A batch at the wrong place of the file is an error."""
    path = tmp_path / "spool"
    spool = Spool.create(path)
    spool.begin_level()
    for name in (b"/a", b"/b"):
        spool.append(1, *encoded([node(name)]))
    assert 2 == len(list(spool.level(0)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] * 2)
    with pytest.raises(SpoolDamaged, match=DAMAGED):
        list(spool.level(0))
    spool.close()


def test_half_a_znode(tmp_path: Path) -> None:
    """An incomplete znode is an error."""
    spool = Spool.create(tmp_path / "spool")
    spool.begin_level()
    spool.append(1, node(b"").encode() + node(b"/a").encode()[:-1], 2)
    with pytest.raises(SpoolDamaged, match=DAMAGED):
        list(spool.level(0))
    spool.close()


def test_damaged_spool_is_read_little(tmp_path: Path, asked: list[int]) -> None:
    """A damaged length does not read a large file into memory."""
    spool = Spool.create(tmp_path / "spool")
    spool.begin_level()
    for name in (b"", b"/a", b"/b"):
        spool.append(1, *encoded([node(name, bytes(1 << 20))]))
    assert 3 == len(list(spool.level(0)))
    asked.clear()
    damage(tmp_path / "spool", 1, 0x20)
    with pytest.raises(SpoolDamaged, match=DAMAGED):
        list(spool.level(0))
    spool.close()
    assert max(asked) < 100


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes are read at a time."""
    sizes: list[int] = []
    pread = os.pread

    def counted(descriptor: int, size: int, start: int) -> bytes:
        sizes.append(size)
        return pread(descriptor, size, start)

    monkeypatch.setattr(os, "pread", counted)
    return sizes


@pytest.mark.parametrize("before", [0, 7, 8, 9, LATEST])
def test_read_before(before: int, asked: list[int]) -> None:
    """The znodes of all batches that were read before a zxid come back, and no others are read from disk."""
    with three_levels() as (spool, _):
        asked.clear()
        expected = [found.encode() for zxid, nodes in BATCHES for found in nodes if zxid < before]
        assert expected == [found for _, found in spool.read_before(before)]
        heads = 20 * len(BATCHES)
        assert heads + sum(map(len, expected)) == sum(asked)


@PATIENT
@given(bits, st.data())
def test_damaged_changes(bits: int, data: st.DataObject) -> None:
    """A damaged znode in an overlay is an error."""
    encoded = node(b"/a", bytes(10)).encode()
    with TemporaryDirectory() as directory:
        path = Path(directory, "changes")
        overlay = Overlay.create(path)
        overlay.put(b"/a", 7, encoded)
        assert OverlayEntry(7, encoded) == overlay.get(b"/a")
        damage(path, data.draw(st.integers(0, len(encoded) - 1)), bits)
        with pytest.raises(SpoolDamaged, match=DAMAGED):
            overlay.get(b"/a")
        overlay.close()


@PATIENT
@given(bits, st.data())
def test_damaged_queue(bits: int, data: st.DataObject) -> None:
    """Paths that were damaged on disk end in an error, and the file is gone all the same."""
    paths = [b"/a", b"", b"/b/c"]
    with TemporaryDirectory() as directory:
        path = Path(directory, "queue")
        queue = PathQueue.create(path)
        queue.put(paths)
        queue._file.flush()
        damage(path, data.draw(st.integers(0, path.stat().st_size - 1)), bits)
        with pytest.raises(SpoolDamaged, match=DAMAGED):
            list(queue.drain())
        assert [] == list(Path(directory).iterdir())


def test_cut_queue(tmp_path: Path) -> None:
    """Paths that were cut off on disk are an error, not a smaller tree."""
    queue = PathQueue.create(tmp_path / "queue")
    queue.put([b"/a", b"/b"])
    queue._file.flush()
    os.truncate(tmp_path / "queue", 3)
    with pytest.raises(SpoolDamaged, match=DAMAGED):
        list(queue.drain())


@PATIENT
@given(trees(), st.data())
def test_changes(nodes: list[Node], data: st.DataObject) -> None:
    """The overlay replaces, adds and removes znodes. The result is in tree order."""
    changed = data.draw(st.lists(st.sampled_from(nodes), unique_by=lambda node: node.path))
    gone = {found.path for found in changed if data.draw(st.booleans())}
    added = [found for found in nodes if data.draw(st.booleans())]
    with TemporaryDirectory() as directory:
        spool, overlay = Spool.create(Path(directory, "spool")), Overlay.create(Path(directory, "changes"))
        for level in by_level([found for found in nodes if found not in added]):
            spool.begin_level()
            spool.append(1, *encoded(level))
        for found in [*added, *changed]:
            overlay.put(found.path, 7, b"earlier, and written over")
        expected = {found.path: found for found in nodes}
        for found in [*added, *changed]:
            newer = expected[found.path] = found._replace(acl=99)
            overlay.put(found.path, 8, newer.encode())
            assert OverlayEntry(8, newer.encode()) == overlay.get(found.path)
        for path in gone:
            overlay.remove(path)
            del expected[path]
        actual = list(merged(spool, overlay))
        spool.close()
        overlay.close()
    assert [(found.path, expected[found.path].encode()) for found in nodes if found.path in expected] == actual


@pytest.mark.parametrize("kind", [Spool, Overlay, PathQueue])
def test_existing_file(tmp_path: Path, kind: type[Spool | Overlay | PathQueue]) -> None:
    """An existing file is not overwritten."""
    path = tmp_path / "file"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        kind.create(path)
    expected = b"precious"
    assert expected == path.read_bytes()


names = st.binary(min_size=1, max_size=200).map(lambda name: b"/" + name.replace(b"\0", b"/"))


@PATIENT
@given(st.lists(st.lists(names | st.just(b""))))
def test_queue_round_trip(portions: list[list[bytes]]) -> None:
    """Paths come out of a queue in the order they went in, the root's, too, and its file is gone then."""
    with TemporaryDirectory() as directory:
        queue = PathQueue.create(Path(directory, "queue"))
        for paths in portions:
            queue.put(paths)
        empty, drained = queue.empty, list(queue.drain())
        left = list(Path(directory).iterdir())
    expected = [path for paths in portions for path in paths]
    assert (not expected, expected, []) == (empty, drained, left)


@PATIENT
@given(st.lists(st.tuples(names | st.just(b""), st.lists(names.map(lambda name: name.replace(b"/", b"x"))))))
def test_queue_of_children(children: list[tuple[bytes, list[bytes]]]) -> None:
    """Children are queued by their names, each below its parent. A parent may have none."""
    expected = [path + b"/" + name for path, names_below in children for name in names_below]
    with TemporaryDirectory() as directory:
        queue = PathQueue.create(Path(directory, "queue"))
        queue.put_below(children)
        assert (not expected, expected) == (queue.empty, list(queue.drain()))


def test_long_queue(tmp_path: Path) -> None:
    """Paths come whole out of a queue wherever a buffer ends in them."""
    expected = [b"/" + b"x" * (number % 301) for number in range(3000)]
    queue = PathQueue.create(tmp_path / "queue")
    queue.put(expected)
    assert expected == list(queue.drain())


def test_queue_abandoned(tmp_path: Path) -> None:
    """The file of a queue is gone also when its reader stops early."""
    queue = PathQueue.create(tmp_path / "queue")
    queue.put([b"/a", b"/b"])
    drain = queue.drain()
    next(drain)
    del drain
    expected: list[Path] = []
    assert expected == list(tmp_path.iterdir())
