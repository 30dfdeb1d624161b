"""Compares two trees znode by znode. Both are in tree order, so this takes the memory of one path."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from metadata_tool.archive import Tree
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key
from metadata_tool.zookeeper.stat import CZXID


class Change(NamedTuple):
    """A znode that is only in one tree, or differs in data, in its ACL, or because it was created again."""

    path: bytes
    before: Node | None
    after: Node | None
    acl_changed: bool = False


def changes(before: Tree, after: Tree) -> Iterator[Change]:
    """All changes, in tree order. A znode of which only the children changed is not among them.

    Raises whatever the trees raise, also after some changes, which may be wrong then.
    """
    old_nodes, new_nodes = before.nodes, after.nodes
    old, new = next(old_nodes, None), next(new_nodes, None)
    while old is not None or new is not None:
        order = _order(old, new)
        if order == 0:
            assert old
            assert new
            if old != new:
                acl_changed = _acl(before.acls, old) != _acl(after.acls, new)
                if acl_changed or old[1] != new[1] or old[3][CZXID] != new[3][CZXID]:
                    yield Change(old[0], old, new, acl_changed)
            old, new = next(old_nodes, None), next(new_nodes, None)
        elif order < 0:
            assert old
            yield Change(old[0], old, None)
            old = next(old_nodes, None)
        else:
            assert new
            yield Change(new[0], None, new)
            new = next(new_nodes, None)


def _order(old: Node | None, new: Node | None) -> int:
    """Which comes first: the old znode (-1), the new one (1), or neither, because they have one path."""
    if old is None or new is None:
        return 1 if old is None else -1
    if old[0] == new[0]:
        return 0
    return -1 if tree_key(old[0]) < tree_key(new[0]) else 1


def _acl(acls: Mapping[int, bytes], node: Node) -> bytes:
    """The encoded ACL of a znode. Its key may differ from tree to tree."""
    return b"" if node.acl == OPEN_ACL_KEY else acls[node.acl]
