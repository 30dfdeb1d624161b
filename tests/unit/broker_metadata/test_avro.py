"""Values in Avro's encoding are read by their schemas, and nothing else is taken for one."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.broker_metadata.avro import AvroError, Decoder
from support.avro import encode, number
from support.policy_events import DEFINITION, EVENTS, VERSIONS, real
from support.trees import EXAMPLES, PATIENT

LONGS = st.integers(-(1 << 63), (1 << 63) - 1)
Example = tuple[Any, Any]
"""A schema, and a value of it."""


def of(schema: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Example]:
    """Examples of one schema."""
    return st.tuples(st.just(schema), values)


PRIMITIVES = st.one_of(
    of("null", st.none()),
    of("boolean", st.booleans()),
    of("int", st.integers(-(1 << 31), (1 << 31) - 1)),
    of({"type": "long", "logicalType": "timestamp-millis"}, LONGS),
    of("double", st.floats(allow_nan=False)),
    of("float", st.floats(allow_nan=False, width=32)),
    of("bytes", st.binary().map(bytes.hex)),
    of("string", st.text()),
    of({"type": "fixed", "name": "F", "size": 2}, st.just("0102")),
    of({"type": "enum", "name": "E", "symbols": ["x", "y"]}, st.just("y")),
)


def larger(examples: st.SearchStrategy[Example]) -> st.SearchStrategy[Example]:
    """Examples made of smaller ones. Items of lists take space, as they do in Pulsar's schemas."""
    items = examples.filter(lambda example: encode(*example) != b"")
    return st.one_of(
        items.map(lambda found: ({"type": "array", "items": found[0]}, [found[1]] * 3)),
        st.tuples(items, st.lists(st.text(), unique=True)).map(
            lambda found: ({"type": "map", "values": found[0][0]}, dict.fromkeys(found[1], found[0][1]))
        ),
        examples.filter(lambda found: found[1] is not None).map(lambda found: (["null", found[0]], found[1])),
        examples.map(lambda found: (["null", found[0]], None)),
        st.lists(examples).map(record),
    )


def record(fields: list[Example]) -> Example:
    """A record with these fields, f0, f1 and so on."""
    named = [{"name": f"f{place}", "type": schema} for place, (schema, _) in enumerate(fields)]
    name = f"R{abs(hash(json.dumps(named)))}"
    values = {f"f{place}": value for place, (_, value) in enumerate(fields)}
    return {"type": "record", "name": name, "fields": named}, values


@settings(PATIENT, max_examples=EXAMPLES // 2)
@given(st.recursive(PRIMITIVES, larger, max_leaves=8))
def test_values(example: Example) -> None:
    """Every value is read as it was written, and more or less data is refused."""
    schema, value = example
    decoder, encoded = Decoder(json.dumps(schema)), encode(schema, value)
    assert value == decoder.decode(encoded)
    for wrong in {encoded + b"\0", encoded[:-1]} - {encoded}:
        with pytest.raises(AvroError):
            decoder.decode(wrong)


@pytest.mark.parametrize("what", ["99 minutes", "99 minutes, TTL of 100 s", "7 consumers", "7 consumers, global"])
def test_events_of_pulsar(what: str) -> None:
    """Events of a real Pulsar are decoded by the schema that its brokers registered."""
    found = Decoder(DEFINITION).decode(EVENTS[what])["topicPoliciesEvent"]
    assert ("persistent", "t1", "n2", "a") == tuple(found[name] for name in ("domain", "tenant", "namespace", "topic"))
    policies = found["policies"]
    expected = {
        "99 minutes": (99, None, None, False),
        "99 minutes, TTL of 100 s": (99, 100, None, False),
        "7 consumers": (None, None, 7, False),
        "7 consumers, global": (None, None, 7, True),
    }
    retention = (policies["retentionPolicies"] or {}).get("retentionTimeInMinutes")
    others = (policies[name] for name in ("messageTTLInSeconds", "maxConsumerPerTopic", "isGlobal"))
    assert expected[what] == (retention, *others)


@pytest.mark.parametrize("reference", ["Inner", "a.b.Inner"])
def test_names(reference: str) -> None:
    """Types that have a name are used again, by their own or their whole name, also within themselves."""
    color = {"type": "enum", "name": "Color", "namespace": "other", "symbols": ["RED", "BLUE"]}
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "next", "type": ["null", "Inner"]}]}
    fields = [("inner", inner), ("again", reference), ("color", color), ("other", "other.Color"), ("id", ["null", ID])]
    named = [{"name": name, "type": kind} for name, kind in fields]
    schema = {"type": "record", "name": "Outer", "namespace": "a.b", "fields": named}
    empty = {"next": None}
    value = {"inner": {"next": empty}, "again": empty, "color": "BLUE", "other": "RED", "id": "3132"}
    assert value == Decoder(json.dumps(schema)).decode(encode(schema, value))


ID = {"type": "fixed", "name": "Id", "size": 2}
NOT_ITEMS = number(1 << 62) + b"\0"
LINKED = {"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]}


def doubled(times: int) -> Any:
    """A record of two records of two, and so on, which all have no data."""
    found: Any = {"type": "record", "name": "R0", "fields": []}
    for n in range(1, times):
        fields = [{"name": "a", "type": found}, {"name": "b", "type": f"R{n - 1}"}]
        found = {"type": "record", "name": f"R{n}", "fields": fields}
    return found


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ("int", b""),
        ("int", b"\x80" * 10 + b"\0"),
        ("boolean", b"\2"),
        ("bytes", number(1 << 60)),
        (LINKED, number(1) * 64 + number(0)),
        (doubled(40), b""),
        ("int", b"\0\0"),
        ("string", number(5) + b"four"),
        ("string", number(-1)),
        ("string", number(1) + b"\xff"),
        (["null", "int"], number(2)),
        (["null", "int"], number(-1)),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, number(-1)),
        ({"type": "array", "items": "null"}, NOT_ITEMS),
        ({"type": "map", "values": "null"}, NOT_ITEMS),
        ({"type": "array", "items": "null"}, number(-(1 << 60)) + number(0)),
        ({"type": "map", "values": "null"}, number(-(1 << 60)) + number(0)),
        ({"type": "array", "items": {"type": "record", "name": "R", "fields": []}}, number(3) + b"\0"),
        ({"type": "record", "name": "R", "fields": [{"name": "r", "type": "R"}]}, b""),
    ],
)
def test_no_value(schema: Any, data: bytes) -> None:
    """Data that is not valid is refused, and neither counts nor recursion cost more than the data is large."""
    with pytest.raises(AvroError):
        Decoder(json.dumps(schema)).decode(data)


@pytest.mark.parametrize(
    "definition",
    [
        *("", "[", "7", "{}", '"unknown"', "null", '{"type": "array"}'),
        *('{"type":"record"}', '{"type":"record","name":"R"}', '{"type":"record","name":"r","fields":[{}]}'),
        '{"type": "fixed", "name": "f", "size": "x"}',
        "[" * 5_000 + "]" * 5_000,
        "[" * 100_000,
        '{"type": ' * 1_000 + '"int"' + "}" * 1_000,
    ],
)
def test_no_schema(definition: str) -> None:
    """What is not a schema is refused, however deep it is."""
    with pytest.raises(AvroError):
        Decoder(definition)


@settings(PATIENT, max_examples=EXAMPLES // 2)
@given(st.data())
def test_damaged_events(data: st.DataObject) -> None:
    """A damaged event of a broker is read as another one, or refused, and nothing else happens."""
    definition, events = real(VERSIONS[0])
    event = bytearray(events[data.draw(st.sampled_from(sorted(events)))])
    for _ in range(data.draw(st.integers(1, 4))):
        event[data.draw(st.integers(0, len(event) - 1))] = data.draw(st.integers(0, 255))
    try:
        Decoder(definition).decode(bytes(event[: data.draw(st.integers(0, len(event)))]))
    except AvroError:
        return
