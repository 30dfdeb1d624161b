"""What a ZooKeeper server does not load, although the snapshot is undamaged. Such a server exits at every start.

- A field above jute.maxbuffer plus zookeeper.jute.maxbuffer.extrasize (BinaryInputArchive.checkLength). The second one
  is as large as the first one by default, and at least 1024.
- A deep tree: a server writes a snapshot at its start, by recursion (DataTree.serializeNode).
- A quota for no path (DataTree.setupQuota, PathTrie.addPath).
- An epoch that leaves no room for elections (Leader.getEpochToPropose).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from metadata_tool.zookeeper.jute import INT, read_buffer
from metadata_tool.zookeeper.limits import JUTE_MAXBUFFER, MAX_DEPTH, MAX_EPOCH, REPORTED_ZNODES
from metadata_tool.zookeeper.snapshot import Node, printable

_LEAST_EXTRA = 1024
_QUOTA_OF_NONE = b"/zookeeper/quota/zookeeper_limits"
_LIMITS = b"/zookeeper_limits"
_SHOWN = 100
"""Bytes of a path in a message."""


@dataclass
class Named:
    """Znodes of one kind: how many there are, and the first ones in words, such as `/a (3145728 bytes)`."""

    count: int = 0
    first: list[str] = field(default_factory=list)
    largest: int = 0
    """Bytes of the largest field."""

    def add(self, text: str, size: int = 0) -> None:
        """Count a znode."""
        self.count += 1
        self.largest = max(self.largest, size)
        if len(self.first) < REPORTED_ZNODES:
            self.first.append(text)


class LoadCheck:
    """Takes every znode of a tree once, and finds those that servers with this `jute.maxbuffer` do not load."""

    def __init__(self, maxbuffer: int = JUTE_MAXBUFFER) -> None:
        self.maxbuffer = maxbuffer
        self.too_large, self.too_deep, self.bad_quotas = Named(), Named(), Named()
        """What servers do not load."""
        self.large = Named()
        """What servers load, but clients with the same `jute.maxbuffer` can neither read nor write."""
        self._most = maxbuffer + max(maxbuffer, _LEAST_EXTRA)
        self._long = min(maxbuffer, 2 * MAX_DEPTH)  # each level of a path takes two bytes

    @property
    def unloadable(self) -> int:
        """How many znodes and ACLs servers do not load."""
        return self.too_large.count + self.too_deep.count + self.bad_quotas.count

    def add_acls(self, acls: Mapping[int, bytes]) -> None:
        """Check the encoded ACLs of the tree."""
        for acl in acls.values():
            if len(acl) > self.maxbuffer:
                size = max(map(len, _texts(acl)), default=0)
                self._add_size(f"an ACL ({size} bytes)", size)

    def add(self, node: Node) -> None:
        """Check the next znode."""
        path, data = node[0], node[1]
        if data is not None and len(data) > self.maxbuffer:
            self._add_size(f"{_shortened(path)} ({len(data)} bytes)", len(data))
        if len(path) > self._long:
            self._check_long_path(path)
        if path.startswith(_QUOTA_OF_NONE) and path.endswith(_LIMITS):
            self.bad_quotas.add(_shortened(path))

    def passed_through(self, nodes: Iterable[Node]) -> Iterator[Node]:
        """The same znodes. Each is checked before the caller gets it."""
        for node in nodes:
            self.add(node)
            yield node

    def passed_through_encoded(self, encoded: Iterable[bytes]) -> Iterator[bytes]:
        """The same for encoded znodes that a server serves. It would not serve a quota for no path."""
        for node in encoded:
            if len(node) > self._long:
                self.add(Node.decode(node))
            yield node

    def _check_long_path(self, path: bytes) -> None:
        if len(path) > self.maxbuffer:
            self._add_size(f"{_shortened(path)} (a path of {len(path)} bytes)", len(path))
        if (depth := path.count(b"/")) > MAX_DEPTH:
            self.too_deep.add(f"{_shortened(path)} ({depth} levels)")

    def _add_size(self, text: str, size: int) -> None:
        (self.too_large if size > self._most else self.large).add(text, size)


def leaves_epochs(zxid: int) -> bool:
    """Whether an ensemble that starts at this zxid can elect leaders."""
    return zxid >> 32 <= MAX_EPOCH


def _texts(acl: bytes) -> Iterator[bytes]:
    """The schemes and ids of an encoded ACL."""
    (count,), offset = INT.unpack_from(acl), INT.size
    for _ in range(count):
        for start in (INT.size, 0):  # permissions come before the scheme
            text, offset = read_buffer(acl, offset + start)
            yield text or b""


def _shortened(path: bytes) -> str:
    return printable(path) if len(path) <= _SHOWN else f"{printable(path[:_SHOWN])}…"
