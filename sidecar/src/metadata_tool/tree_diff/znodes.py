"""A change as what it is in ZooKeeper: a znode with its data, its versions and its ACL."""

from typing import Any, NamedTuple

from metadata_tool.tree_diff.changes import Change
from metadata_tool.zookeeper.snapshot import Node, printable
from metadata_tool.zookeeper.stat import Stat


class ZnodeChange(NamedTuple):
    """A changed znode."""

    change: Change

    def lines(self) -> list[str]:
        """The change for people: its path, and what of the znode has changed."""
        path, old, new, _ = self.change
        if not (old and new):
            node = new or old
            assert node
            return [f"{'+' if new else '-'} {printable(path)} ({_size(node)})"]
        what = ", ".join(self._differences(old, new))
        return [f"~ {printable(path)} ({what})"]

    def to_json(self) -> dict[str, Any]:
        """The path, and the stat and the size of the data on each side."""
        path, old, new, acl_changed = self.change
        found: dict[str, Any] = {"path": printable(path)}
        for name, node in (("before", old), ("after", new)):
            if node:
                found[name] = _described(node)
        return found | ({"aclChanged": True} if acl_changed else {})

    def _differences(self, old: Node, new: Node) -> list[str]:
        was, now = Stat.unpack(old.stat), Stat.unpack(new.stat)
        found = []
        if was.czxid != now.czxid:
            found.append(f"created again at zxid {now.czxid:#x}")
        if old.data != new.data:
            found.append(f"{_size(old)} -> {_size(new)}, set at zxid {now.mzxid:#x}, version {now.version}")
        if self.change.acl_changed:
            found.append(f"another ACL, version {now.aversion}")
        return found


def _described(node: Node) -> dict[str, Any]:
    stat = Stat.unpack(node.stat)
    return {
        "bytes": None if node.data is None else len(node.data),
        "czxid": f"{stat.czxid:#x}",
        "mzxid": f"{stat.mzxid:#x}",
        "version": stat.version,
        "aversion": stat.aversion,
    }


def _size(node: Node) -> str:
    return "null" if node.data is None else f"{len(node.data)} bytes"
