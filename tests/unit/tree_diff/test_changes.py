"""Trees compared znode by znode."""

from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.archive import Tree
from metadata_tool.tree_diff.changes import Change, changes
from metadata_tool.zookeeper.jute import Acl, pack_acls
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key
from metadata_tool.zookeeper.stat import Stat
from support.trees import PATIENT, paths

ACLS = [b"", pack_acls([Acl(1, "world", "anyone")]), pack_acls([Acl(31, "digest", "a:b")])]


def stat(czxid: int, cversion: int = 0) -> bytes:
    """A stat of a znode that was created at this zxid."""
    return Stat(czxid, czxid, 0, 0, 0, cversion, 0, 0, czxid).pack()


@st.composite
def trees(draw: st.DrawFn, all_paths: list[bytes]) -> dict[bytes, tuple[bytes | None, int, int]]:
    """Data, number of the ACL and czxid of some of these paths."""
    values = st.tuples(st.sampled_from([None, b"", b"1", b"2"]), st.sampled_from([0, 1, 2]), st.sampled_from([1, 2]))
    return {path: draw(values) for path in all_paths if draw(st.booleans())}


def as_tree(content: dict[bytes, tuple[bytes | None, int, int]], first_key: int, cversion: int) -> Tree:
    """The tree, whose ACLs have keys from this one on."""
    keys = [OPEN_ACL_KEY, first_key, first_key + 1]
    nodes = [
        Node(path, data, keys[acl], stat(czxid, cversion))
        for path, (data, acl, czxid) in sorted(content.items(), key=lambda item: tree_key(item[0]))
    ]
    return Tree({keys[1]: ACLS[1], keys[2]: ACLS[2]}, iter(nodes))


@PATIENT
@given(st.data(), paths())
def test_every_change_is_found(data: st.DataObject, all_paths: list[bytes]) -> None:
    """Exactly the znodes that differ in data, ACL or creation are found, in tree order, whatever the keys of ACLs."""
    old, new = data.draw(trees(all_paths)), data.draw(trees(all_paths))
    found = list(changes(as_tree(old, 1, 3), as_tree(new, 7, 4)))
    expected = sorted((path for path in {*old, *new} if old.get(path) != new.get(path)), key=tree_key)
    assert expected == [change.path for change in found]
    for change in found:
        was, now = old.get(change.path), new.get(change.path)
        assert (was is None, now is None) == (change.before is None, change.after is None)
        assert change.acl_changed == bool(was and now and was[1] != now[1])


def test_nothing_differs() -> None:
    """Trees that differ only in what changes of children leave in their parents are equal."""
    old, new = Tree({}, iter([Node(b"", None, -1, stat(1, 1))])), Tree({}, iter([Node(b"", None, -1, stat(1, 9))]))
    assert [] == list[Change](changes(old, new))
