"""Counts what lies below the managed ledgers and is neither a topic nor a cursor. No rule of a recovery adapts it."""

from dataclasses import dataclass, field
from typing import Any

from metadata_tool.pulsar.limits import MAX_REPORTED
from metadata_tool.zookeeper.snapshot import printable


@dataclass
class UnknownZnodes:
    """How many there are, and the paths of the first ones.

    Only znodes with data count. Empty ones are parents of topics, or what Pulsar leaves of them.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, path: bytes, data: bytes | None) -> None:
        """Take a znode below the managed ledgers that is neither a topic nor a cursor."""
        if data:
            self.count += 1
            if len(self.first) < MAX_REPORTED:
                self.first.append(printable(path))

    def to_json(self) -> dict[str, Any]:
        """The number, and the first paths."""
        return {"count": self.count, "first": self.first}
