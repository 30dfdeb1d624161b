"""What is known of the ACLs of an earlier walk, and what is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.zookeeper.acls import UNKNOWN, AclTable
from metadata_tool.zookeeper.jute import OPEN_ACL, Acl, Stat, pack_acls
from metadata_tool.zookeeper.known_acls import KnownAcls
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.spool import Spool
from support.trees import PATIENT, client_stat, node, small_tree, trees

MINE = pack_acls([Acl(31, "digest", "me:secret")])
KEY = 1


def depth(found: Node) -> int:
    """Of a znode; the root's is 0."""
    return found.path.count(b"/")


@contextmanager
def learned(nodes: list[Node]) -> Iterator[tuple[KnownAcls, AclTable]]:
    """What is known of a walk of these, whose files have gone; and its ACLs."""
    table, known = AclTable(), KnownAcls()
    assert KEY == table.key(b"/", MINE)
    with TemporaryDirectory() as directory:
        spool = Spool(Path(directory, "walk"))
        for _, level in groupby(sorted(nodes, key=depth), key=depth):
            spool.begin_level()
            spool.append(1, [found.encode() for found in level])
        known.learn(spool, table)
        spool.close()
    try:
        yield known, table
    finally:
        known.forget()


keys = st.sampled_from([OPEN_ACL_KEY, KEY, UNKNOWN, 7])


@st.composite
def walks(draw: st.DrawFn) -> list[Node]:
    """Trees whose ACLs are known or not, and were set since the create or not."""
    nodes = draw(trees())
    return [_with(found, draw(keys), draw(st.sampled_from([0, 0, 3])), draw(st.integers(0, 3))) for found in nodes]


def _with(found: Node, key: int, aversion: int, cversion: int) -> Node:
    stat = Stat.unpack(found.stat)._replace(aversion=aversion, cversion=cversion)
    return found._replace(acl=key, stat=stat.pack())


@PATIENT
@given(walks(), st.data())
def test_known(nodes: list[Node], data: st.DataObject) -> None:
    """Of whatever is asked, in tree order: the ACL of a walk's znode if it was read and never set, else nothing."""
    asked = [found for found in nodes if data.draw(st.booleans())]
    with learned(nodes) as (known, table):
        for level in range(max(map(depth, nodes)) + 2):
            these = [found for found in asked if depth(found) == level]
            expected = [found.acl if never_set(found) else UNKNOWN for found in these]
            replies = known.level(level).replies([found.path for found in these])
            now = [as_client(found) for found in these]
            actual = [
                table.fitting(found.path, stat, reply) for found, stat, reply in zip(these, now, replies, strict=True)
            ]
            assert expected == actual


def never_set(found: Node) -> bool:
    """Whether its ACL is one that the walk has read, and that of its create."""
    return found.acl in {OPEN_ACL_KEY, KEY} and Stat.unpack(found.stat).aversion == 0


def as_client(found: Node, **changes: int) -> bytes:
    """Its stat, as a client gets it."""
    return client_stat(Stat.unpack(found.stat)._replace(**changes), len(found.data or b""))


def test_leaf() -> None:
    """What is known of a znode that never had children ends with the very stat that a client gets."""
    leaf = node(b"/a", b"12345")
    with learned([node(b""), leaf]) as (known, _):
        expected = [OPEN_ACL + as_client(leaf)]
        assert expected == known.level(1).replies([b"/a"])


def test_another_znode() -> None:
    """A znode of the same path that was created later, or at the same zxid of another history, is another one."""
    first = node(b"/a")
    with learned([node(b""), first]) as (known, table):
        (reply,) = known.level(1).replies([b"/a"])
        stat = Stat.unpack(first.stat)
        others = [{"czxid": stat.czxid + 1}, {"ctime": stat.ctime + 1}, {"aversion": 1}]
        expected = [UNKNOWN] * 3
        assert expected == [table.fitting(b"/a", as_client(first, **change), reply) for change in others]


def test_strangers() -> None:
    """Znodes that no walk has seen are not known, nor are those of a level that it had not."""
    with learned(small_tree()) as (known, _):
        expected = [None, None]
        assert expected == known.level(1).replies([b"/!", b"/zzz"])
        assert expected == known.level(9).replies([b"/a", b"/b"])


def test_nothing_yet() -> None:
    """To begin with nothing is known, and after it was let go nothing is."""
    with learned(small_tree()) as (known, _):
        known.forget()
        expected = [None]
        assert expected == known.level(0).replies([b""])
    assert expected == KnownAcls().level(0).replies([b""])
