"""A path in one backup, and a signature that is equal in two backups if the path did not change between them."""

from typing import NamedTuple

from metadata_tool.archive import Archive
from metadata_tool.restore_marker import ZNODE
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import AVERSION, CVERSION, CZXID, MZXID


class Sighting(NamedTuple):
    """A path in a backup: its znode, None if there is none, and the encoded ACLs of the backup by key.

    `signature` is equal in two backups if the path was the same all the time between them. It has the zxids of the
    znode, or those of the nearest znode above it, whose version counts the children that came and went. It also has
    those of the marker of restores, because a restore takes zxids back.
    """

    node: Node | None
    acl: bytes
    signature: tuple[bytes, ...]


def sighting(backup: Archive, path: bytes) -> Sighting:
    """Look for a path. All of the backup is read and verified.

    Raises:
        ArchiveCorrupt: it is damaged.
    """
    tree = backup.tree()
    above = {
        path[: place + 1].rstrip(b"/") if place else b""
        for place in range(len(path))
        if path[place : place + 1] == b"/"
    }
    found: Node | None = None
    nearest: Node | None = None
    marker: Node | None = None
    for node in tree.nodes:
        name = node[0]
        if name == path:
            found = node
        elif name in above:
            nearest = node
        elif name == ZNODE:
            marker = node
    signature = _of_znode(found) if found else _of_parent(nearest)
    return Sighting(found, tree.acls.get(found.acl, b"") if found else b"", (*signature, *_of_znode(marker)))


def _of_znode(node: Node | None) -> tuple[bytes, ...]:
    return (node.stat[CZXID], node.stat[MZXID], node.stat[AVERSION]) if node else ()


def _of_parent(node: Node | None) -> tuple[bytes, ...]:
    return (node.path, node.stat[CZXID], node.stat[CVERSION]) if node else ()
