"""A table on disk of the ledgers that a rescue has found, and of the znodes that it makes of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from uuid import UUID

from metadata_tool.tiered_storage.candidate_table import SCHEMA as CANDIDATES
from metadata_tool.tiered_storage.candidate_table import CandidateTable, Edit
from metadata_tool.tiered_storage.candidates import Upload
from metadata_tool.tiered_storage.ledger_table import SCHEMA, database
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key
from metadata_tool.zookeeper.stat import Stat

_SCHEMA = """
CREATE TABLE rescued (name TEXT, ledger INTEGER, bucket TEXT, uuid BLOB, entries INTEGER, size INTEGER,
  created INTEGER, PRIMARY KEY (name, ledger)) WITHOUT ROWID;
CREATE TABLE partitioned (name TEXT PRIMARY KEY, partitions INTEGER) WITHOUT ROWID;
CREATE TABLE znode (key BLOB PRIMARY KEY, path BLOB, parent BLOB, data BLOB) WITHOUT ROWID;
CREATE INDEX child ON znode (parent);
"""
_PARTITION = """
INSERT INTO partitioned VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET partitions = MAX(partitions, excluded.partitions)
"""
_ZNODE = """
INSERT INTO znode VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET data = excluded.data WHERE excluded.data != x''
"""
_ZNODES = (
    "SELECT path, data, (SELECT COUNT(*) FROM znode AS child WHERE child.parent = znode.path) FROM znode ORDER BY key"
)


class RescueTable(CandidateTable):
    """Objects go in first, then the ledgers that were chosen, then znodes."""

    def add_rescued(self, name: str, ledger_id: int, upload: Upload) -> None:
        """Note a ledger of a topic, which is named as in its path."""
        index = upload.index
        self._connection.execute(
            "INSERT OR REPLACE INTO rescued VALUES (?, ?, ?, ?, ?, ?, ?)",
            (name, ledger_id, upload.bucket, upload.uuid.bytes, index.entries, index.size, index.created),
        )

    def rescued(self) -> Iterator[tuple[str, list[Edit]]]:
        """Each topic and its ledgers by id."""
        rows = self._connection.execute("SELECT * FROM rescued ORDER BY name, ledger")
        for name, group in groupby(rows, itemgetter(0)):
            yield name, [Edit(row[1], row[2], UUID(bytes=row[3]), *row[4:]) for row in group]

    def add_partition(self, name: str, partitions: int) -> None:
        """Note that a topic has at least this many partitions."""
        self._connection.execute(_PARTITION, (name, partitions))

    def partitioned(self) -> Iterator[tuple[str, int]]:
        """The partitioned topics, and the number of their partitions."""
        yield from self._connection.execute("SELECT name, partitions FROM partitioned ORDER BY name")

    def add_znode(self, path: str, data: bytes = b"") -> None:
        """Note a znode. Znodes above it get no data, if they are not there yet."""
        encoded = path.encode()
        self._connection.execute(_ZNODE, (tree_key(encoded), encoded, encoded.rpartition(b"/")[0], data))
        while encoded:
            encoded = encoded.rpartition(b"/")[0]
            row = (tree_key(encoded), encoded, encoded.rpartition(b"/")[0] if encoded else None, b"")
            if not self._connection.execute("INSERT OR IGNORE INTO znode VALUES (?, ?, ?, ?)", row).rowcount:
                return

    def znodes(self, zxid: int, time: int) -> Iterator[Node]:
        """All znodes in tree order, created at this zxid and time (epoch ms)."""
        for path, data, children in self._connection.execute(_ZNODES):
            yield Node(path, data, OPEN_ACL_KEY, Stat(zxid, zxid, time, time, 0, children, 0, 0, zxid).pack())


@contextmanager
def rescue_table(directory: Path) -> Iterator[RescueTable]:
    """An empty table in a file of this directory.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    with database(directory, SCHEMA + CANDIDATES + _SCHEMA) as connection:
        yield RescueTable(connection)
