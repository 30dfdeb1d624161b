"""Avro's binary encoding, by definitions and data that may be hostile."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.tree_diff.avro import AvroError, Decoder
from support.changed_policies import DEFINITION, EVENTS, event
from support.trees import PATIENT

LONG = st.integers(-(2**63), 2**63 - 1)


def number(value: int) -> bytes:
    """A number, in zigzag encoding."""
    left = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*encoded, left])


def text(value: str) -> bytes:
    """A text."""
    return number(len(value.encode())) + value.encode()


Value = tuple[Any, Any, bytes]
"""A type, a value of it, and how that is encoded."""


def in_list(found: Value) -> Value:
    """A list in two blocks, the first with its size."""
    kind, value, encoded = found
    return (
        {"type": "array", "items": kind},
        [value] * 3,
        number(-2) + number(9) + encoded * 2 + number(1) + encoded + b"\0",
    )


def in_map(found: Value) -> Value:
    """A map of one entry."""
    kind, value, encoded = found
    return {"type": "map", "values": kind}, {"ä": value}, number(1) + text("ä") + encoded + b"\0"


def in_union(found: Value) -> Value:
    """The second of two types."""
    kind, value, encoded = found
    return ["null", {"type": kind}], value, number(1) + encoded


def in_record(found: Value) -> Value:
    """A record with two fields."""
    kind, value, encoded = found
    fields = [{"name": "a", "type": kind}, {"name": "b", "type": "null"}]
    return {"type": "record", "name": "r", "fields": fields}, {"a": value, "b": None}, encoded


scalars: st.SearchStrategy[Value] = (
    st.just(("null", None, b""))
    | st.booleans().map(lambda value: ("boolean", value, bytes([value])))
    | LONG.map(lambda value: ("long", value, number(value)))
    | st.text().map(lambda value: ("string", value, text(value)))
    | st.binary().map(lambda value: ("bytes", value.hex(), number(len(value)) + value))
    | st.floats(allow_nan=False).map(lambda value: ("double", value, struct.pack("<d", value)))
    | st.just(({"type": "enum", "name": "e", "symbols": ["x", "y"]}, "y", number(1)))
    | st.just(({"type": "fixed", "name": "f", "size": 2}, "0102", b"\1\2"))
)
values = st.recursive(
    scalars,
    lambda inner: st.builds(
        lambda wrap, found: wrap(found), st.sampled_from([in_list, in_map, in_union, in_record]), inner
    ),
    max_leaves=4,
)


@PATIENT
@given(values)
def test_values(found: Value) -> None:
    """A value of any type is decoded as it was encoded, and more or less data is refused."""
    kind, value, encoded = found
    decoder = Decoder(json.dumps(kind))
    assert value == decoder.decode(encoded)
    for wrong in (encoded + b"\0", encoded[:-1]):
        if wrong != encoded:
            with pytest.raises(AvroError):
                decoder.decode(wrong)


@pytest.mark.parametrize(
    ("kind", "encoded", "expected"),
    [
        ("float", struct.pack("<f", 0.5), 0.5),
        ("double", struct.pack("<d", 0.1), 0.1),
        ("boolean", b"\1", True),
        ("int", b"\3", -2),
    ],
)
def test_primitives(kind: str, encoded: bytes, expected: object) -> None:
    """Values that have no parts."""
    assert expected == Decoder(f'"{kind}"').decode(encoded)


@pytest.mark.parametrize("what", EVENTS)
def test_events_of_pulsar(what: str) -> None:
    """Events of a real Pulsar are decoded by the schema that its brokers registered."""
    found = Decoder(DEFINITION).decode(event(what))["topicPoliciesEvent"]
    assert ("persistent", "t1", "n2", "a") == tuple(found[name] for name in ("domain", "tenant", "namespace", "topic"))
    policies = found["policies"]
    expected = {
        "retention": (99, None, None, False),
        "retention and ttl": (99, 100, None, False),
        "consumers": (None, None, 7, False),
        "consumers, for all clusters": (None, None, 7, True),
    }
    retention = (policies["retentionPolicies"] or {}).get("retentionTimeInMinutes")
    assert expected[what] == (
        retention,
        policies["messageTTLInSeconds"],
        policies["maxConsumerPerTopic"],
        policies["isGlobal"],
    )


def test_names() -> None:
    """A type is used again by its name, in its name space or with that, also inside of itself."""
    tree = {
        "type": "record",
        "name": "Tree",
        "namespace": "a.b",
        "fields": [
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["x", "y"]}},
            {"name": "again", "type": "Kind"},
            {"name": "whole", "type": "a.b.Kind"},
            {"name": "below", "type": ["null", "Tree"]},
        ],
    }
    leaf = {"kind": "y", "again": "x", "whole": "y", "below": None}
    encoded = b"\2\0\2"
    assert leaf | {"below": leaf} == Decoder(json.dumps(tree)).decode(encoded + b"\2" + encoded + b"\0")


@pytest.mark.parametrize(
    "definition",
    [
        "",
        "1",
        "{}",
        '"unknown"',
        '{"type": "array"}',
        '{"type": "record", "name": "r", "fields": [{}]}',
        '{"type": "fixed", "name": "f", "size": "x"}',
        "[" * 5_000 + "]" * 5_000,
        "[" * 100_000,
        '{"type": ' * 1_000 + '"int"' + "}" * 1_000,
    ],
)
def test_wrong_definitions(definition: str) -> None:
    """A definition that is not valid is an error of its own, however deep it is."""
    with pytest.raises(AvroError):
        Decoder(definition)


@pytest.mark.parametrize(
    ("definition", "encoded"),
    [
        ('["null"]', number(1)),
        ('["null"]', number(-1)),
        ('{"type": "enum", "name": "e", "symbols": ["x"]}', number(-1)),
        ('"long"', b"\xff" * 11),
        ('"string"', number(1) + b"\xff"),
        ('"string"', number(-1)),
        ('"bytes"', number(1 << 60)),
        ('{"type": "array", "items": "null"}', number(1 << 60)),
        ('{"type": "map", "values": "null"}', number(-(1 << 60)) + number(0)),
        ('{"type": "record", "name": "r", "fields": [{"name": "r", "type": "r"}]}', b""),
    ],
)
def test_hostile_data(definition: str, encoded: bytes) -> None:
    """Data that is not valid is an error, and neither counts nor recursion cost more than the data is large."""
    with pytest.raises(AvroError):
        Decoder(definition).decode(encoded)
