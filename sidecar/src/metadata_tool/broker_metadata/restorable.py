"""What a restore puts into the tree before brokers start: positions of subscriptions, and settings of namespaces.

Both are read from files in the order of the tree, so memory is needed for one of each.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from metadata_tool.broker_metadata.broker_file import encoded
from metadata_tool.broker_metadata.records import SavedCursor
from metadata_tool.zookeeper.snapshot import tree_key

T = TypeVar("T")


class Hold(NamedTuple):
    """What a restore does with the settings of a namespace that can be held (holds.py).

    `namespace` is `tenant/namespace`, or `tenant/cluster/namespace`. `before` are those that are held, as they were
    before. `after` are those that change, None for one that is removed. `noted`: a put-back needs the znode of the
    note, even if nothing is held.
    """

    namespace: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    noted: bool = True

    def encode(self) -> bytes:
        """The line of a file."""
        return json.dumps(self).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Hold":
        """What `encode` wrote."""
        return cls(*json.loads(line))


class InTreeOrder(Generic[T]):
    """Values by path, which are in tree order and are asked for in tree order."""

    def __init__(self, items: Iterable[tuple[bytes, T]]) -> None:
        self._items: Iterator[tuple[bytes, T]] = iter(items)
        self._next = next(self._items, None)

    def get(self, path: bytes) -> T | None:
        """The value for this path. Paths before it are passed over."""
        if not self._next:
            return None
        key = tree_key(path)
        while self._next and tree_key(self._next[0]) < key:
            self._next = next(self._items, None)
        return self._next[1] if self._next and self._next[0] == path else None


class Restorable:
    """What is put into one tree, and how much of it was."""

    def __init__(self, cursors: Iterable[SavedCursor] = (), holds: Iterable[Hold] = ()) -> None:
        """Both are in tree order."""
        self.positions = 0
        """Subscriptions that got their saved position."""
        self.shortened = 0
        """Those of them whose holes did not all fit into their znode."""
        self.holes_left_out = 0
        self.impossible = 0
        """Subscriptions whose saved position is in a ledger that cannot have existed."""
        self._cursors = InTreeOrder((encoded(cursor.path), cursor) for cursor in cursors)
        self._holds = InTreeOrder((encoded(each.namespace), each) for each in holds)

    def cursor(self, path: bytes) -> SavedCursor | None:
        """The saved position of a subscription, by its path below the managed ledgers. Ask in tree order."""
        return self._cursors.get(path)

    def hold(self, namespace: bytes) -> Hold | None:
        """What happens to the settings of a namespace, None if nothing. Ask in tree order."""
        return self._holds.get(namespace)

    def note(self, cursor: SavedCursor, holes: int) -> None:
        """Count a subscription that got its saved position, with this many of its holes."""
        self.positions += 1
        self.shortened += holes < len(cursor.holes)
        self.holes_left_out += len(cursor.holes) - holes
