"""The lines of broker.json."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.broker_metadata.records import (
    Hole,
    NotSaved,
    PolicySchema,
    Position,
    Record,
    RecordError,
    SavedCursor,
    SavedPolicies,
    SavedSchemas,
    SchemaVersion,
    decode,
    encode,
    records,
)
from support.trees import PATIENT

numbers = st.integers(0, (1 << 63) - 1)
texts = st.text(max_size=20)
properties = st.dictionaries(texts, texts, max_size=3)
positions = st.builds(Position, numbers, st.integers(-1, 1 << 40))
readable = st.builds(SchemaVersion, numbers, st.binary(max_size=32), texts, texts, properties, numbers)
unreadable = st.builds(SchemaVersion, numbers, st.binary(max_size=32))
versions = st.lists(readable | unreadable, max_size=4).map(tuple)
holes = st.lists(st.builds(Hole, positions, positions), max_size=4).map(tuple)
any_record: st.SearchStrategy[Record] = st.one_of(
    st.builds(SavedSchemas, texts, numbers, numbers, versions),
    st.builds(SavedCursor, texts, numbers, positions, holes),
    st.builds(PolicySchema, texts, numbers, numbers, texts, properties),
    st.builds(SavedPolicies, texts, numbers, texts, numbers, st.binary(max_size=40), st.none() | numbers),
    st.builds(NotSaved, texts, texts, numbers, texts),
)
CURSOR = SavedCursor("t/n/persistent/a/s", 7, Position(3, 4), (Hole(Position(3, 5), Position(4, 0)),))


@PATIENT
@given(st.lists(any_record, max_size=5))
def test_round_trip(written: list[Record]) -> None:
    """Records are read as they were written, one a line."""
    lines = b"".join(map(encode, written)).splitlines(keepends=True)
    assert written == list(records(lines))


@PATIENT
@given(any_record, st.data())
def test_damaged_lines(record: Record, data: st.DataObject) -> None:
    """A damaged line is a record, is of an unknown kind, or is refused with a reason."""
    line = bytearray(encode(record))
    line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    found = None
    with suppress(RecordError):
        found = decode(bytes(line))
    assert found is None or found == decode(encode(found))


@pytest.mark.parametrize("key", sorted(json.loads(encode(CURSOR))))
@pytest.mark.parametrize("value", [None, True, {}, [1], [[1]], [-2, 0], 1 << 63])
def test_wrong_fields(key: str, value: object) -> None:
    """A field that is missing or has another type is named."""
    fields = json.loads(encode(CURSOR)) | {key: value}
    with pytest.raises(RecordError, match=key):
        decode(json.dumps(fields).encode())


def test_line_number_in_error() -> None:
    """A damaged line is named by its number."""
    lines = [encode(CURSOR), b"{\n"]
    with pytest.raises(RecordError, match="line 2: it is not JSON"):
        list(records(lines))


def test_unknown_kinds() -> None:
    """Records of a later version are left out."""
    assert [CURSOR] == list(records([b'{"record":"later"}\n', encode(CURSOR)]))
