"""A table on disk that joins what a tree claims with what lies in buckets, for millions of ledgers in little memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import UUID

from metadata_tool.tiered_storage.claims import Claim
from metadata_tool.tiered_storage.limits import ROWS
from metadata_tool.tiered_storage.object_names import ObjectName

T = TypeVar("T")

SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE topic (id INTEGER PRIMARY KEY, namespace TEXT, name TEXT);
CREATE TABLE claim (topic INTEGER, ledger INTEGER, uuid BLOB, entries INTEGER, size INTEGER, bucket TEXT, reason TEXT);
CREATE TABLE object (bucket TEXT, ledger INTEGER, uuid BLOB, is_index INTEGER, size INTEGER,
  PRIMARY KEY (ledger, uuid, is_index, bucket)) WITHOUT ROWID;
CREATE INDEX claimed_by ON claim (ledger, uuid, bucket);
"""
"""It exists before the first claim: to make it later, SQLite would sort, in a directory that is not SPOOL_DIR."""
_JOINED = """
SELECT topic.namespace, topic.name, claim.ledger, claim.uuid, claim.entries, claim.size, claim.bucket, claim.reason,
  data.size, found.size
FROM claim CROSS JOIN topic ON topic.id = claim.topic
LEFT JOIN object AS data ON data.ledger = claim.ledger AND data.uuid = claim.uuid AND data.is_index = 0
  AND data.bucket = claim.bucket
LEFT JOIN object AS found ON found.ledger = claim.ledger AND found.uuid = claim.uuid AND found.is_index = 1
  AND found.bucket = claim.bucket
ORDER BY claim.rowid
"""
"""A cross join is read in the order in which it is written, so nothing is sorted."""
_ORPHANS = """
SELECT object.ledger, object.uuid, object.is_index, object.size FROM object
WHERE object.bucket = ? AND NOT EXISTS (SELECT 1 FROM claim WHERE claim.ledger = object.ledger
  AND claim.uuid = object.uuid AND claim.bucket = object.bucket)
ORDER BY object.ledger, object.uuid, object.is_index
"""
"""In the order of the table, so nothing is sorted."""


class Joined(NamedTuple):
    """A claim, and the sizes of its two objects. None for an object that is not there."""

    claim: Claim
    data_size: int | None
    index_size: int | None


class Orphan(NamedTuple):
    """An object that no ledger of the tree names."""

    bucket: str
    name: ObjectName
    size: int


class LedgerTable:
    """Claims go in first, then the objects of each bucket."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._last_topic = ""
        self._last_id = 0
        self._listed: set[str] = set()

    def add_claims(self, found: Iterable[Claim]) -> None:
        """Note claims. Those of a topic come together, as in a tree."""
        for batch in batches(found):
            rows = [
                (
                    self._topic(claim),
                    claim.ledger_id,
                    claim.uuid.bytes,
                    claim.entries,
                    claim.size,
                    claim.bucket,
                    claim.not_checked,
                )
                for claim in batch
            ]
            self._connection.executemany("INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _topic(self, claim: Claim) -> int:
        if claim.topic != self._last_topic:
            inserted = self._connection.execute(
                "INSERT INTO topic (namespace, name) VALUES (?, ?)", (claim.namespace, claim.topic)
            )
            self._last_topic, self._last_id = claim.topic, inserted.lastrowid or 0
        return self._last_id

    def buckets(self) -> list[str]:
        """The buckets that must be looked into."""
        rows = self._connection.execute("SELECT DISTINCT bucket FROM claim WHERE reason = '' ORDER BY bucket")
        return [bucket for (bucket,) in rows]

    def count(self) -> int:
        """The number of claims."""
        return int(self._connection.execute("SELECT COUNT(*) FROM claim").fetchone()[0])

    def add_objects(self, bucket: str, found: Iterable[tuple[ObjectName, int]]) -> None:
        """Note objects of a bucket, with their sizes in bytes."""
        self._listed.add(bucket)
        for batch in batches(found):
            rows = [(bucket, name.ledger_id, name.uuid.bytes, name.is_index, size) for name, size in batch]
            self._connection.executemany("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?)", rows)

    def joined(self) -> Iterator[Joined]:
        """All claims in the order of the tree, with their objects."""
        for namespace, topic, ledger, uuid, entries, size, bucket, reason, data, index in self._connection.execute(
            _JOINED
        ):
            claim = Claim(namespace, topic, ledger, UUID(bytes=uuid), entries, size, bucket, reason)
            yield Joined(claim, data, index)

    def orphans(self) -> Iterator[Orphan]:
        """The objects that no claim names, by bucket and ledger."""
        for bucket in sorted(self._listed):
            for ledger, uuid, is_index, size in self._connection.execute(_ORPHANS, (bucket,)):
                yield Orphan(bucket, ObjectName(UUID(bytes=uuid), ledger, bool(is_index)), size)


@contextmanager
def ledger_table(directory: Path) -> Iterator[LedgerTable]:
    """An empty table in a file of this directory.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    with database(directory, SCHEMA) as connection:
        yield LedgerTable(connection)


@contextmanager
def database(directory: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """A new database with this schema, in a file of this directory. Nothing of it survives a crash.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    try:
        with closing(sqlite3.connect(directory / "ledgers.sqlite", isolation_level=None)) as connection:
            connection.executescript(schema)
            connection.execute("BEGIN")
            yield connection
    except sqlite3.OperationalError as error:
        raise OSError(f"the table of ledgers cannot be written ({error})") from error


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists of at most ROWS."""
    remaining = iter(items)
    while batch := list(islice(remaining, ROWS)):
        yield batch
