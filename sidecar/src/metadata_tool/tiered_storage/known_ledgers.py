"""What earlier scrubs of a service found: ledgers that need not be read again, and ledgers that were lost already.

A ledger is known by a digest of all that was compared, so it becomes unknown if anything changes. The digests are in a
table on disk. After each scrub, those of ledgers that the tree no longer has are dropped.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from metadata_tool.tiered_storage.claims import Claim
from metadata_tool.tiered_storage.ledger_table import Joined
from metadata_tool.tiered_storage.limits import ROWS

DIGEST = 16
"""Bytes. Two of a billion ledgers would have the same digest with a probability of 1 : 10^20."""

_SCHEMA = """
PRAGMA main.journal_mode = OFF;
PRAGMA main.synchronous = OFF;
CREATE TABLE main.proven (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE main.lost (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known.proven (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known.lost (digest BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_REPLACE = """
BEGIN;
DELETE FROM known.proven;
DELETE FROM known.lost;
INSERT INTO known.proven SELECT digest FROM main.proven ORDER BY digest;
INSERT INTO known.lost SELECT digest FROM main.lost ORDER BY digest;
COMMIT;
"""
_ADD = "INSERT OR IGNORE INTO known.proven SELECT digest FROM main.proven ORDER BY digest"
_IS_PROVEN = "SELECT 1 FROM known.proven WHERE digest = ?"
_WAS_LOST = "SELECT 1 FROM known.lost WHERE digest = ?"
_NOTE_PROVEN = "INSERT OR IGNORE INTO main.proven VALUES (?)"
_NOTE_LOST = "INSERT OR IGNORE INTO main.lost VALUES (?)"


class Known(Protocol):
    """What is known of ledgers."""

    def is_proven(self, ledger: Joined, /) -> bool:
        """Whether an index has proven this ledger, and its claim and its objects' sizes are the same as then."""

    def was_lost(self, claim: Claim, /) -> bool:
        """Whether the last scrub found this ledger missing or damaged."""

    def note_proven(self, ledger: Joined, /) -> None:
        """Note a ledger that this scrub has proven by its index, or that is proven already."""

    def note_lost(self, claim: Claim, /) -> None:
        """Note a ledger that this scrub found missing or damaged."""

    def keep(self, *, complete: bool) -> None:
        """Keep what was noted. After a complete scrub it replaces what was known, otherwise it adds proven ledgers."""


class NothingKnown:
    """Of a scrub that follows no other: nothing is known, and nothing is kept."""

    def is_proven(self, _: Joined) -> bool:
        """See `Known.is_proven`."""
        return False

    def was_lost(self, _: Claim) -> bool:
        """See `Known.was_lost`."""
        return False

    def note_proven(self, _: Joined) -> None:
        """See `Known.note_proven`."""

    def note_lost(self, _: Claim) -> None:
        """See `Known.note_lost`."""

    def keep(self, *, complete: bool) -> None:
        """See `Known.keep`."""


class KnownLedgers:
    """The digests of earlier scrubs, and of this one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: dict[str, list[tuple[bytes]]] = {_NOTE_PROVEN: [], _NOTE_LOST: []}

    def is_proven(self, ledger: Joined) -> bool:
        """See `Known.is_proven`."""
        return self._has(_IS_PROVEN, _of_proven(ledger))

    def was_lost(self, claim: Claim) -> bool:
        """See `Known.was_lost`."""
        return self._has(_WAS_LOST, _of_claim(claim))

    def note_proven(self, ledger: Joined) -> None:
        """See `Known.note_proven`."""
        self._note(_NOTE_PROVEN, _of_proven(ledger))

    def note_lost(self, claim: Claim) -> None:
        """See `Known.note_lost`."""
        self._note(_NOTE_LOST, _of_claim(claim))

    def keep(self, *, complete: bool) -> None:
        """See `Known.keep`."""
        for insert in self._waiting:
            self._write(insert)
        self._connection.executescript(_REPLACE if complete else _ADD)

    def _has(self, query: str, digest: bytes) -> bool:
        return self._connection.execute(query, (digest,)).fetchone() is not None

    def _note(self, insert: str, digest: bytes) -> None:
        self._waiting[insert].append((digest,))
        if len(self._waiting[insert]) >= ROWS:
            self._write(insert)

    def _write(self, insert: str) -> None:
        self._connection.executemany(insert, self._waiting[insert])
        self._waiting[insert] = []


@contextmanager
def known_ledgers(kept: Path, directory: Path) -> Iterator[KnownLedgers]:
    """What is known from the file `kept`, which is made if it does not exist. `directory` is for work in progress.

    Raises:
        OSError: a file cannot be written, as on a full disk.
    """
    try:
        with closing(sqlite3.connect(directory / "known.sqlite", isolation_level=None)) as connection:
            connection.execute("ATTACH ? AS known", (str(kept),))
            connection.executescript(_SCHEMA)
            yield KnownLedgers(connection)
    except sqlite3.OperationalError as error:
        raise OSError(f"the table of known ledgers cannot be written ({error})") from error


def _of_claim(claim: Claim) -> bytes:
    return _digest(claim.bucket, claim.topic, claim.ledger_id, claim.uuid.int, claim.entries, claim.size)


def _of_proven(ledger: Joined) -> bytes:
    return hashlib.blake2b(
        b"%s %a %a" % (_of_claim(ledger.claim), ledger.data_size, ledger.index_size), digest_size=DIGEST
    ).digest()


def _digest(*parts: str | int) -> bytes:
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()
