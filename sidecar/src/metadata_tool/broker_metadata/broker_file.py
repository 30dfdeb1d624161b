"""`broker.json`, the third member of a backup file: its description in the manifest, and a strict reader."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from metadata_tool.broker_metadata.records import (
    CURSOR,
    MAX_LINE,
    POLICIES,
    SCHEMAS,
    NotSaved,
    Record,
    RecordError,
    SavedCursor,
    SavedPolicies,
    SavedSchemas,
    decode,
)
from metadata_tool.zookeeper.snapshot import tree_key

BROKER_JSON = "broker.json"
KINDS = (SCHEMAS, CURSOR, POLICIES)
"""The kinds of records that the manifest counts."""
_IN_WORDS = {
    SCHEMAS: ("topic's schemas", "topics' schemas"),
    CURSOR: ("subscription's position", "subscriptions' positions"),
    POLICIES: ("topic's policies", "topics' policies"),
}
_NOT_SAVED_IN_WORDS = _IN_WORDS | {POLICIES: ("namespace's topic policies", "namespaces' topic policies")}


@dataclass(frozen=True)
class BrokerFile:
    """A `broker.json`: its size in bytes, its SHA-256 in hex, and what is in it.

    `saved` counts the records of each of KINDS. `not_saved` counts what brokers did not give out, by the same kinds,
    which may be more than the file has lines for. A kind that is absent counts as 0.
    """

    size: int
    sha256: str
    saved: Mapping[str, int] = field(default_factory=dict)
    not_saved: Mapping[str, int] = field(default_factory=dict)
    name: str = BROKER_JSON

    @classmethod
    def of(cls, path: Path, not_saved: Mapping[str, int] | None = None) -> "BrokerFile":
        """Read a file and check all of it, as every reader of a backup does.

        `not_saved` is how much was not saved, if that is more than the file has lines for.

        Raises:
            RecordError: a line is damaged, or out of order.
            OSError: the file cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as file:
            found = CheckedLines(file)
            for line, _ in found:
                digest.update(line)
                size += len(line)
        counted = Counter(found.not_saved) | Counter(not_saved or {})
        return cls(size, digest.hexdigest(), dict(found.saved), dict(counted))

    def in_words(self) -> str:
        """What was saved, such as `3 topics' schemas, 1 subscription's position and 2 topics' policies`."""
        return counted(self.saved)


def place_of(record: Record | None) -> tuple[str, str] | None:
    """The namespace and the kind of a record that is counted. None for others."""
    match record:
        case SavedSchemas():
            return record.topic.rpartition("/")[0], SCHEMAS
        case SavedCursor():
            return "/".join(record.path.split("/")[:-3]), CURSOR
        case SavedPolicies():
            return record.namespace, POLICIES
    return None


def saved_by_namespace(path: Path) -> dict[str, Counter[str]]:
    """How many records of each kind a file has, by namespace.

    Raises:
        RecordError: a line is damaged, or out of order.
        OSError: the file cannot be read.
    """
    saved: dict[str, Counter[str]] = {}
    with path.open("rb") as file:
        for _, record in CheckedLines(file):
            if place := place_of(record):
                saved.setdefault(place[0], Counter())[place[1]] += 1
    return saved


def counted(counts: Mapping[str, int], *, saved: bool = True) -> str:
    """Counts by kind in words, `nothing` if all are 0. Policies that were not saved are counted by namespace."""
    names = _IN_WORDS if saved else _NOT_SAVED_IN_WORDS
    words = [f"{count} {names[kind][count != 1]}" for kind in KINDS if (count := counts.get(kind, 0))]
    *first, last = words or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last


class Line(NamedTuple):
    """A line with its line end, and its record. None if a later version wrote it."""

    line: bytes
    record: Record | None


class CheckedLines:
    """The lines of a `broker.json`, decoded one by one. Counts their records as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` is read by `readline`, with memory for one line."""
        self.saved: Counter[str] = Counter()
        self.not_saved: Counter[str] = Counter()
        self._file = file
        self._last: dict[str, bytes] = {}

    def __iter__(self) -> Iterator[Line]:
        """Each line.

        Raises:
            RecordError: a line is damaged, or out of order. The message has its number.
        """
        for number, line in enumerate(read_lines(self._file), 1):
            try:
                record = decode(line)
                if record:
                    self._add(record)
            except RecordError as error:
                raise RecordError(f"line {number}: {error}") from error
            yield Line(line, record)

    def _add(self, record: Record) -> None:
        match record:
            case SavedSchemas():
                self._in_order(SCHEMAS, record.topic, strictly=True)
            case SavedCursor():
                self._in_order(CURSOR, record.path, strictly=True)
            case SavedPolicies():
                self._in_order(POLICIES, record.namespace, strictly=False)
            case NotSaved():
                self.not_saved[record.kind] += 1

    def _in_order(self, kind: str, path: str, *, strictly: bool) -> None:
        """Count the record, unless it does not follow the one before it of its kind."""
        key, last = order(path), self._last.get(kind)
        if last is not None and (key < last or (strictly and key == last)):
            raise RecordError(f"{path!a} comes twice or out of order")
        self._last[kind] = key
        self.saved[kind] += 1


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, each with its line end, in bounded memory.

    Raises:
        RecordError: a line is too long, or the last one has no end.
    """
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise RecordError(f"line {number}: it is longer than {MAX_LINE} bytes")
        if not line.endswith(b"\n"):
            raise RecordError(f"line {number}: it has no end")
        yield line


def order(path: str) -> bytes:
    """A key by which paths are in the order of the tree."""
    return tree_key(encoded(path))


def encoded(path: str) -> bytes:
    """A path out of JSON as a tree has it. A lone surrogate becomes bytes that no tree has."""
    return path.encode("utf-8", "surrogatepass")
