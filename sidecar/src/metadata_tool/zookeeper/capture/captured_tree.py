"""The result of a capture."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from metadata_tool.zookeeper.errors import ZnodeUnreadable
from metadata_tool.zookeeper.snapshot import AROUND_DATA, is_ephemeral


@dataclass
class CapturedTree:
    """A tree at `zxid`, and how it was captured.

    `unproven` are znodes whose ACL (and aversion) may date from just before or after that zxid. `rounds` is the number
    of rounds of the last consistent cut, `seconds` the duration of each phase. `data_bytes` and `ephemerals`, which are
    left out, count the znodes that `nodes` has passed.
    """

    server_version: str
    first_zxid: int
    zxid: int
    acls: dict[int, bytes]
    unproven: frozenset[bytes]
    rounds: int
    seconds: dict[str, float]
    counted: int
    """The number of znodes below the capture's root according to the server, ephemerals included."""
    tree: Callable[[], Iterator[tuple[bytes, bytes]]] = field(repr=False)
    """The paths and encoded znodes in tree order."""
    is_counted: Callable[[bytes], bool] = field(repr=False)
    """Whether the server counts the znode with this path."""
    data_bytes: int = 0
    ephemerals: int = 0
    on_ephemeral: Callable[[bytes], None] = field(default=lambda _: None, repr=False)
    """Called by `nodes` with the path of each ephemeral znode."""

    def nodes(self) -> Iterator[bytes]:
        """The encoded znodes in tree order, without ephemerals. At the end their number is checked.

        Raises:
            ZnodeUnreadable: some znodes are hidden from this login.
            SpoolDamaged: a file of the capture was damaged.
        """
        self.data_bytes = self.ephemerals = found = 0
        for path, node in self.tree():
            if self.is_counted(path):
                found += 1
            if is_ephemeral(node):
                self.ephemerals += 1
                self.on_ephemeral(path)
            else:
                self.data_bytes += max(len(node) - len(path) - AROUND_DATA, 0)
                yield node
        self.require_all(found)

    def require_all(self, found: int) -> None:
        """Refuse a tree with more znodes than this login has read."""
        if found != self.counted:
            raise ZnodeUnreadable(
                f"ZooKeeper has {self.counted} znodes, but this login can see {found}. ACLs hide the others",
                "READ and ADMIN on every znode",
            )
