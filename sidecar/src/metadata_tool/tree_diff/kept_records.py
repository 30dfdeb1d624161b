"""The schemas and topic policies of one backup's `broker.json`, on disk, for a comparison."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from metadata_tool.broker_metadata.broker_file import Line
from metadata_tool.broker_metadata.records import (
    POLICIES,
    SCHEMAS,
    NotSaved,
    PolicySchema,
    Record,
    SavedPolicies,
    SavedSchemas,
    decode,
)


class At(NamedTuple):
    """A record, and the place of its line in the file, in bytes from the start."""

    offset: int
    record: Record


class KeptRecords:
    """Takes all lines of a file, and gives their records by kind. Takes memory for the names that were not saved."""

    def __init__(self, directory: Path) -> None:
        """Make two files in a directory of its own."""
        self._paths = {kind: directory / kind for kind in (SCHEMAS, POLICIES)}
        self._files = {kind: path.open("xb") for kind, path in self._paths.items()}
        self._not_saved: set[tuple[str, str]] = set()

    def add_line(self, line: Line) -> None:
        """Keep a line, if its record is compared."""
        record = line.record
        match record:
            case SavedSchemas():
                self._files[SCHEMAS].write(line.line)
            case SavedPolicies() | PolicySchema():
                self._files[POLICIES].write(line.line)
            case NotSaved() if record.kind in self._paths:
                self._not_saved.add((record.kind, record.name))

    def complete(self) -> "KeptRecords":
        """The same, after all lines were added."""
        for file in self._files.values():
            file.close()
        return self

    def may_lack(self, kind: str, name: str, not_saved: int) -> bool:
        """Whether brokers may not have given out this, if they did not give out so much of its kind.

        Only the first that were not saved have a line.
        """
        named = sum(each == kind for each, _ in self._not_saved)
        return (kind, name) in self._not_saved or not_saved > named

    def schemas(self) -> Iterator[SavedSchemas]:
        """The schemas, in the order of the tree."""
        for _, record in self._records(SCHEMAS):
            assert isinstance(record, SavedSchemas)
            yield record

    def policies(self) -> Iterator[tuple[str, Iterator[At]]]:
        """The policies and their schemas by namespace, in the order of the tree. Use each before the next."""
        return itertools.groupby(self._records(POLICIES), lambda at: _namespace(at.record))

    def at(self, offset: int) -> SavedPolicies:
        """The policies at this place."""
        with self._paths[POLICIES].open("rb") as file:
            file.seek(offset)
            record = decode(file.readline())
        assert isinstance(record, SavedPolicies)
        return record

    def _records(self, kind: str) -> Iterator[At]:
        offset = 0
        with self._paths[kind].open("rb") as file:
            for line in file:
                if record := decode(line):
                    yield At(offset, record)
                offset += len(line)


def _namespace(record: Record) -> str:
    assert isinstance(record, SavedPolicies | PolicySchema)
    return record.namespace
