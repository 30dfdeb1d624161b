"""broker.json as a file: its description, and what is refused."""

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.broker_metadata.broker_file import BrokerFile, CheckedLines
from metadata_tool.broker_metadata.records import (
    MAX_LINE,
    NotSaved,
    PolicySchema,
    Position,
    Record,
    RecordError,
    SavedCursor,
    SavedPolicies,
    SavedSchemas,
    encode,
)
from support.trees import EXAMPLES, PATIENT, in_tree_order, names

paths = st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=6)


def cursor(path: str) -> SavedCursor:
    """The position of a subscription."""
    return SavedCursor(path, 7, Position(3, 4))


def schemas(topic: str) -> SavedSchemas:
    """The schemas of a topic."""
    return SavedSchemas(topic, 7, 8, ())


def policies(namespace: str) -> SavedPolicies:
    """The policies of a topic."""
    return SavedPolicies(namespace, 7, "persistent://t/n/a", 8, b"event")


def read(*records: Record) -> CheckedLines:
    """The lines of these records, read to their end."""
    found = CheckedLines(io.BytesIO(b"".join(encode(record) for record in records)))
    assert list(records) == [record for _, record in found]
    return found


def test_description(tmp_path: Path) -> None:
    """A file is described by its size, its SHA-256, and the number of records of each kind."""
    path = tmp_path / "broker.json"
    lost = NotSaved("cursor", "t/n/persistent/c/s", 7, "HTTP 500")
    mixed: list[Record] = [cursor("t/n/persistent/a/s"), schemas("t/n/a"), cursor("t/n/persistent/b/s")]
    written: list[Record] = [*mixed, lost, policies("t/n"), PolicySchema("t/n", 7, 0, "{}")]
    content = b"".join(encode(record) for record in written) + b'{"record":"later"}\n'
    path.write_bytes(content)
    saved = {"cursor": 2, "schemas": 1, "topicPolicies": 1}
    expected = BrokerFile(len(content), hashlib.sha256(content).hexdigest(), saved, {"cursor": 1})
    assert expected == BrokerFile.of(path)
    assert {"cursor": 5000, "schemas": 2} == BrokerFile.of(path, {"cursor": 5000, "schemas": 2}).not_saved


def test_in_words() -> None:
    """The description in words names each kind of which there is any."""
    several = {"schemas": 1, "cursor": 3, "topicPolicies": 2}
    expected = [
        "1 topic's schemas, 3 subscriptions' positions and 2 topics' policies",
        "2 topics' schemas and 1 subscription's position",
        "1 topic's policies",
        "nothing",
    ]
    each = [several, {"schemas": 2, "cursor": 1}, {"topicPolicies": 1}, {"cursor": 0}]
    assert expected == [BrokerFile(0, "", counts).in_words() for counts in each]


@settings(PATIENT, max_examples=EXAMPLES // 4)
@given(paths, paths, paths)
def test_tree_order(topics: list[str], cursors: list[str], namespaces: list[str]) -> None:
    """Records whose paths are in the order of the tree are read, also if kinds are mixed."""

    def ordered(found: list[str]) -> list[str]:
        return [path.decode() for path in in_tree_order(path.encode() for path in found)]

    records: list[Record] = [*map(cursor, ordered(cursors)), *map(schemas, ordered(topics))]
    records[1:1] = [policies(namespace) for namespace in ordered(namespaces) for _ in range(2)]
    assert len(records) == read(*records).saved.total()


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([cursor("t/n/persistent/b/s"), cursor("t/n/persistent/a/s")], id="cursors"),
        pytest.param([cursor("t/n/persistent/a/s"), cursor("t/n/persistent/a/s")], id="a cursor twice"),
        pytest.param([cursor("t-a/s"), cursor("t/a")], id="a byte that sorts before the slash"),
        pytest.param([schemas("t/n/b"), schemas("t/n/a")], id="schemas"),
        pytest.param([schemas("t/n/b"), cursor("a"), schemas("t/n/b")], id="schemas twice"),
        pytest.param([policies("t/m"), policies("t/l")], id="policies"),
    ],
)
def test_order(records: list[Record]) -> None:
    """Records that are out of order, or come twice, are refused and named."""
    with pytest.raises(RecordError, match=rf"^line {len(records)}: '.*' comes twice or out of order"):
        read(*records)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(encode(schemas("a")) + b'{"record":1}\n', "line 2: record is missing", id="record"),
        pytest.param(encode(schemas("a"))[:-1], "line 1: it has no end", id="cut"),
        pytest.param(b"\n", "line 1: it is not JSON", id="empty line"),
        pytest.param(b" " * (MAX_LINE + 1), "line 1: it is longer than", id="too long"),
        pytest.param(encode(cursor("\ud800")) + encode(cursor("\ud800")), "line 2: .*twice", id="half a character"),
    ],
)
def test_damage(content: bytes, what: str) -> None:
    """A damaged line is refused and named by its number."""
    with pytest.raises(RecordError, match=what):
        list(CheckedLines(io.BytesIO(content)))
