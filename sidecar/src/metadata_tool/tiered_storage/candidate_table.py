"""A table on disk of topics, of what lies in buckets, and of the changes that a reconciliation makes to the topics."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from metadata_tool.pulsar.ids import MAX_ID
from metadata_tool.tiered_storage import ledger_table
from metadata_tool.tiered_storage.candidates import Listed, TopicEnd, Upload
from metadata_tool.tiered_storage.ledger_table import LedgerTable, database

SCHEMA = """
CREATE TABLE managed_ledger (number INTEGER PRIMARY KEY, name TEXT UNIQUE, last INTEGER, terminated INTEGER);
CREATE TABLE listed (topic INTEGER, ledger INTEGER, entries INTEGER, size INTEGER, uuid BLOB, promised INTEGER,
  why TEXT,   PRIMARY KEY (topic, ledger)) WITHOUT ROWID;
CREATE TABLE edit (topic INTEGER, ledger INTEGER, bucket TEXT, uuid BLOB, entries INTEGER, size INTEGER,
  created INTEGER, PRIMARY KEY (topic, ledger)) WITHOUT ROWID;
"""
_FOUND = """
CREATE TABLE kept AS SELECT DISTINCT ledger FROM claim WHERE ledger NOT IN (SELECT ledger FROM edit);
CREATE UNIQUE INDEX kept_ledger ON kept (ledger);
CREATE TABLE wanted AS SELECT DISTINCT ledger FROM listed;
CREATE UNIQUE INDEX wanted_ledger ON wanted (ledger);
CREATE TABLE found AS
SELECT ledger, bucket, uuid, SUM(CASE WHEN is_index THEN NULL ELSE size END) AS data_size, MAX(is_index) AS has_index,
  ledger > (SELECT COALESCE(MIN(last), -1) FROM managed_ledger) OR ledger IN (SELECT ledger FROM wanted) AS possible
FROM object WHERE ledger NOT IN (SELECT ledger FROM kept) GROUP BY ledger, uuid, bucket ORDER BY ledger, bucket, uuid;
BEGIN;
"""
_LOST = """
SELECT managed_ledger.name, listed.ledger, listed.entries, listed.size, listed.why
FROM listed JOIN managed_ledger ON managed_ledger.number = listed.topic
JOIN edit ON edit.topic = listed.topic AND edit.ledger = listed.ledger
WHERE edit.uuid IS NULL ORDER BY listed.topic, listed.ledger
"""


class Found(NamedTuple):
    """Objects in a bucket that no kept ledger needs. `data_size` is None if there is no data object."""

    ledger_id: int
    bucket: str
    uuid: UUID
    data_size: int | None
    has_index: bool


class Lost(NamedTuple):
    """A ledger that leaves a topic's list. `why` says what is wrong with its objects."""

    topic: str
    ledger_id: int
    entries: int
    size: int
    why: str


class KnownTopic(NamedTuple):
    """A topic of the tree: its number in the order of the tree, and the end of its list."""

    number: int
    end: TopicEnd


class Edit(NamedTuple):
    """What becomes of a ledger in a topic's list. It is removed if `uuid` is None. `created` is in epoch ms, or 0."""

    ledger_id: int
    bucket: str
    uuid: UUID | None
    entries: int
    size: int
    created: int


class CandidateTable(LedgerTable):
    """Topics and claims go in first, then objects, then the ledgers that cannot be read, then the edits."""

    def add_topic(self, number: int, name: str, end: TopicEnd | None, listed: Iterable[tuple[int, Listed]]) -> None:
        """Note a topic, and the ledgers of its list that are not offloaded completely, by id.

        `number` is its place in the order of the tree. The end is None if the list is empty.
        """
        self._connection.execute(
            "INSERT INTO managed_ledger VALUES (?, ?, ?, ?)", (number, name, *(end or (None, False)))
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?, ?, ?, '')",
            [(number, ledger_id, *_row(each)) for ledger_id, each in listed],
        )

    def end_topics(self, highest_id: int) -> None:
        """Note the highest id in use, when all topics are noted. Topics with an empty list get only higher ones."""
        self._connection.execute("UPDATE managed_ledger SET last = ? WHERE last IS NULL", (highest_id,))

    def add_lost(self, topic: int, ledger_id: int, listed: Listed, why: str) -> None:
        """Note an offloaded ledger that cannot be read. It leaves its list if nothing replaces it."""
        self._connection.execute(
            "INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?, ?, ?, ?)", (topic, ledger_id, *_row(listed), why)
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO edit VALUES (?, ?, '', NULL, 0, 0, 0)",
            (topic, ledger_id),
        )

    def add_edit(self, topic: int, ledger_id: int, upload: Upload) -> None:
        """Note that the topic has this ledger, in this upload."""
        index = upload.index
        self._connection.execute(
            "INSERT OR REPLACE INTO edit VALUES (?, ?, ?, ?, ?, ?, ?)",
            (topic, ledger_id, upload.bucket, upload.uuid.bytes, index.entries, index.size, index.created),
        )

    def topic(self, name: str) -> KnownTopic | None:
        """The topic with the name of this managed ledger, as in its path."""
        row = self._connection.execute(
            "SELECT number, last, terminated FROM managed_ledger WHERE name = ?", (name,)
        ).fetchone()
        return KnownTopic(row[0], TopicEnd(row[1], bool(row[2]))) if row else None

    def listed(self, topic: int, ledger_id: int) -> Listed | None:
        """A ledger of a topic's list that cannot be read from tiered storage as the list says."""
        row = self._connection.execute(
            "SELECT entries, size, uuid, promised FROM listed WHERE topic = ? AND ledger = ?", (topic, ledger_id)
        ).fetchone()
        return Listed(row[0], row[1], row[2] and UUID(bytes=row[2]), bool(row[3])) if row else None

    def highest_id(self) -> int:
        """The highest ledger id of all objects that a counter can have allocated. -1 if there is none."""
        row = self._connection.execute("SELECT MAX(ledger) FROM object WHERE ledger <= ?", (MAX_ID,)).fetchone()
        return -1 if row[0] is None else int(row[0])

    def find(self) -> int:
        """Look for objects that no kept ledger has. Returns how many uploads are older than every topic's list."""
        self._connection.executescript(_FOUND)
        return int(self._connection.execute("SELECT COUNT(*) FROM found WHERE NOT possible").fetchone()[0])

    def found(self) -> Iterator[list[Found]]:
        """The other uploads that `find` found, those of one ledger together, by id."""
        rows = self._connection.execute(
            "SELECT ledger, bucket, uuid, data_size, has_index FROM found WHERE possible ORDER BY rowid"
        )
        for _, group in groupby(rows, itemgetter(0)):
            yield [Found(row[0], row[1], UUID(bytes=row[2]), row[3], bool(row[4])) for row in group]

    def lost(self) -> Iterator[Lost]:
        """The ledgers that the lists call offloaded, that cannot be read, and that nothing replaces."""
        yield from map(Lost._make, self._connection.execute(_LOST))

    def has_edits(self) -> bool:
        """Whether any list changes."""
        return self._connection.execute("SELECT 1 FROM edit LIMIT 1").fetchone() is not None

    def edits(self) -> Iterator[tuple[int, list[Edit]]]:
        """The number of each topic that changes, and its edits by id."""
        rows = self._connection.execute("SELECT * FROM edit ORDER BY topic, ledger")
        for topic, group in groupby(rows, itemgetter(0)):
            yield topic, [Edit(row[1], row[2], row[3] and UUID(bytes=row[3]), *row[4:]) for row in group]


@contextmanager
def candidate_table(directory: Path) -> Iterator[CandidateTable]:
    """An empty table in a file of this directory.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    with database(directory, ledger_table.SCHEMA + SCHEMA) as connection:
        yield CandidateTable(connection)


def _row(listed: Listed) -> tuple[int, int, bytes | None, bool]:
    return listed.entries, listed.size, listed.uuid.bytes if listed.uuid else None, listed.promised
