"""The ACLs that a cache has of the previous walk."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.acl_table import UNKNOWN, AclTable, ZnodeAcl
from metadata_tool.zookeeper.capture.spool import Spool
from metadata_tool.zookeeper.jute import OPEN_ACL, Acl, pack_acls
from metadata_tool.zookeeper.limits import CacheLimits
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.stat import SHARED, Stat
from support.damage import damage
from support.trees import PATIENT, client_stat, encoded, node, small_tree, trees

MINE = pack_acls([Acl(31, "digest", "me:secret")])
KEY = 1


def depth(found: Node) -> int:
    """The depth of a znode. The root is at depth 0."""
    return found.path.count(b"/")


@contextmanager
def learned(nodes: list[Node], limits: CacheLimits | None = None) -> Iterator[tuple[AclCache, AclTable]]:
    """A cache of a walk of these znodes, and the walk's table of ACLs."""
    table = AclTable()
    assert KEY == table.key(b"/", MINE)
    with TemporaryDirectory() as directory:
        known = AclCache(Path(directory), limits or CacheLimits())
        spool = Spool.create(Path(directory, "walk"))
        for _, level in groupby(sorted(nodes, key=depth), key=depth):
            spool.begin_level()
            spool.append(1, *encoded(level))
        known.learn(spool, table)
        spool.close()
        assert ["known"] == [each.name for each in Path(directory).iterdir()]
        try:
            yield known, table
        finally:
            known.forget()
        assert [] == list(Path(directory).iterdir())


def acls_of(known: AclCache, level: int, paths: list[bytes]) -> list[ZnodeAcl | None]:
    """The cached ACLs of these paths of one level."""
    known.begin_level(level)
    return known.acls(paths)


keys = st.sampled_from([OPEN_ACL_KEY, KEY, UNKNOWN, 7])


@st.composite
def walks(draw: st.DrawFn) -> list[Node]:
    """Trees with known and unknown ACLs, of which some were set after the create."""
    nodes = draw(trees())
    rarely = st.sampled_from([0, 0, 0, 3])
    return [
        _with(found, draw(keys), aversion=draw(rarely), cversion=draw(st.integers(0, 3)), ephemeral_owner=draw(rarely))
        for found in nodes
    ]


def _with(found: Node, key: int, **stat: int) -> Node:
    return found._replace(acl=key, stat=Stat.unpack(found.stat)._replace(**stat).pack())


@PATIENT
@given(walks(), st.data())
def test_known(nodes: list[Node], data: st.DataObject) -> None:
    """For any paths in tree order, the cache has the ACL if the walk read it and it was never set.

    Nothing of ephemerals, and of what every ensemble has of itself.
    """
    asked = [found for found in nodes if data.draw(st.booleans())]
    with learned(nodes) as (known, table):
        for level in range(max(map(depth, nodes)) + 2):
            these = [found for found in asked if depth(found) == level]
            expected = [found.acl if never_set(found) else UNKNOWN for found in these]
            replies = acls_of(known, level, [found.path for found in these])
            now = [as_client(found)[SHARED] for found in these]
            actual = [
                table.of_head(found.path, head, reply) if reply else UNKNOWN
                for found, head, reply in zip(these, now, replies, strict=True)
            ]
            assert expected == actual


def never_set(found: Node) -> bool:
    """Whether its ACL was read by the walk and is still that of its create, by a client."""
    stat = Stat.unpack(found.stat)
    of_a_client = found.path and stat.czxid and not stat.ephemeral_owner
    return bool(of_a_client) and found.acl in {OPEN_ACL_KEY, KEY} and not stat.aversion


def as_client(found: Node, **overlay: int) -> bytes:
    """Its stat, as a client gets it."""
    return client_stat(Stat.unpack(found.stat)._replace(**overlay), len(found.data or b""))


def cached(found: Node) -> ZnodeAcl:
    """Its open ACL, as the cache has it."""
    return ZnodeAcl(OPEN_ACL, as_client(found)[SHARED], len(found.data or b""), 0)


def test_leaf() -> None:
    """For a znode that never had children, the cache knows what the server would answer."""
    leaf = node(b"/a", b"12345")
    with learned([node(b""), leaf]) as (known, _):
        expected = [cached(leaf)]
        assert expected == acls_of(known, 1, [b"/a"])


def test_another_znode() -> None:
    """A znode of the same path that was created later, or at the same zxid of another history, is another one."""
    first = node(b"/a")
    with learned([node(b""), first]) as (known, table):
        (reply,) = acls_of(known, 1, [b"/a"])
        assert reply
        stat = Stat.unpack(first.stat)
        others = [{"czxid": stat.czxid + 1}, {"ctime": stat.ctime + 1}, {"aversion": 1}]
        expected = [UNKNOWN] * 3
        assert expected == [table.of_head(b"/a", as_client(first, **change)[SHARED], reply) for change in others]


def test_unknown_znodes() -> None:
    """Znodes and levels that the walk did not have are not in the cache."""
    with learned(small_tree()) as (known, _):
        expected = [None, None]
        assert expected == acls_of(known, 1, [b"/!", b"/zzz"])
        assert expected == acls_of(known, 9, [b"/a", b"/b"])


def test_nothing_yet(tmp_path: Path) -> None:
    """A cache is empty at the start and after `forget`."""
    expected = [None]
    with learned(small_tree()) as (known, _):
        known.forget()
        assert expected == acls_of(known, 1, [b"/admin"])
    assert expected == acls_of(AclCache(tmp_path), 1, [b"/admin"])


def test_bounded_skips() -> None:
    """A batch skips a limited number of deleted znodes. The next batch finds those after them."""
    nodes = [node(b""), *(node(b"/%d" % number) for number in range(10))]
    with learned(nodes, CacheLimits(skips=6)) as (known, _):
        expected = [[None], [cached(nodes[10])]]
        assert expected == [acls_of(known, 1, [b"/8"]), known.acls([b"/9"])]


@pytest.mark.parametrize("break_it", [os.truncate, damage])
@pytest.mark.parametrize("from_end", [1, 60, 160, 180])
def test_damaged_file(break_it: Callable[[Path, int], None], from_end: int, caplog: pytest.LogCaptureFixture) -> None:
    """A truncated or damaged file drops the cache and logs a warning, so the capture reads ACLs."""
    with learned([node(b""), node(b"/admin"), node(b"/admin-2")]) as (known, _), caplog.at_level("INFO"):
        file = known._file  # nobody else has business with it
        break_it(file, file.stat().st_size - from_end)
        expected = [None, None]
        assert expected == acls_of(known, 1, [b"/admin", b"/admin-2"])
        assert known.empty
    (said,) = caplog.messages
    assert "cannot be read, so ZooKeeper is asked again: a file of the capture was damaged while it was in use" in said
    assert "uploaded" not in said


def test_disk_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the disk drops the cache, too."""

    def broken(*_: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with learned([node(b""), node(b"/admin")]) as (known, _):
        monkeypatch.setattr(os, "pread", broken)
        expected = [None]
        assert expected == acls_of(known, 1, [b"/admin"])
        assert known.empty
    assert "ZooKeeper is asked again: [Errno 5] Input/output error" in caplog.text


@pytest.mark.parametrize(("mistakes", "growth"), [(4096, 1 << 10), (0, 1 << 20)])
def test_misleading(mistakes: int, growth: int) -> None:
    """Up to the limits, mistakes and growth are accepted. Beyond them the cache is dropped."""
    with learned([node(b""), node(b"/a")]) as (known, _):
        expected = acls_of(known, 1, [b"/a"])
        assert expected != [None]
        known.judge(mistakes, growth)
        assert expected == acls_of(known, 1, [b"/a"])
        known.judge(1, growth + 1)
        assert [None] == acls_of(known, 1, [b"/a"])


def test_mistakes_are_those_of_one_capture() -> None:
    """Mistakes of one walk do not count for the next one."""
    with learned([node(b""), node(b"/a")]) as (known, table):
        known.judge(4096, 0)
        with TemporaryDirectory() as directory:
            spool = Spool.create(Path(directory, "walk"))
            spool.begin_level()
            known.learn(spool, table)
            spool.close()
        known.judge(4096, 0)
        assert not known.empty


def test_directory_vanished(caplog: pytest.LogCaptureFixture) -> None:
    """If the file cannot be kept, the cache is empty, a warning is logged, and the walk is unchanged."""
    with TemporaryDirectory() as directory:
        known = AclCache(Path(directory, "vanished"))
        spool = Spool.create(Path(directory, "walk"))
        spool.begin_level()
        spool.append(1, *encoded([node(b"")]))
        known.learn(spool, AclTable())
        assert known.empty
        assert "not kept for the next one" in caplog.text
        expected = [node(b"").encode()]
        assert expected == [encoded for _, _, encoded in spool.in_tree_order()]
        spool.close()


def learn_nothing(known: AclCache, directory: Path) -> None:
    """A capture of an empty tree."""
    walk = Spool.create(directory / "walk")
    known.learn(walk, AclTable())
    walk.close()
    (directory / "walk").unlink(missing_ok=True)


@PATIENT
@given(st.lists(st.booleans(), max_size=60))
def test_full_disks(full: list[bool]) -> None:
    """After full disks the cache is used again, at the latest when the longest pause is over."""
    longest = 8
    with TemporaryDirectory() as directory:
        known = AclCache(Path(directory), CacheLimits(longest_pause=longest))

        def capture() -> bool:
            learn_nothing(known, Path(directory))
            return not known.empty

        for each in full:
            if each:
                known.give_up()
                assert known.empty
            else:
                capture()
        used = [capture() for _ in range(longest + 1)]
        assert True in used
        known.forget()


def test_disk_without_room_for_both(tmp_path: Path) -> None:
    """Where every capture with a cache fills the disk, fewer and fewer captures have one."""
    known = AclCache(tmp_path)
    pauses: list[int] = []
    pause = 0
    while len(pauses) < 5:
        learn_nothing(known, tmp_path)
        if known.empty:
            pause += 1
        else:
            known.give_up()
            pauses, pause = [*pauses, pause], 0
    assert [0, 2, 4, 8, 16] == pauses
