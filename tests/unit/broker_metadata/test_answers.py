"""What brokers answer becomes records, or a reason why it is not saved."""

import hashlib
import json
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.broker_metadata import cursors, schemas, topic_policies
from metadata_tool.broker_metadata.client import Answer
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.broker_metadata.questions import CursorQuestion, PolicyQuestion, SchemaQuestion
from metadata_tool.broker_metadata.records import (
    Hole,
    PolicySchema,
    Position,
    SavedCursor,
    SavedPolicies,
    SavedSchemas,
    SchemaVersion,
)
from metadata_tool.broker_metadata.topic_policies import Event
from metadata_tool.errors import BrokerFailed
from metadata_tool.pulsar.schema_locator import LocatedVersion
from support.trees import PATIENT

NOW = 1_790_000_000_000
NOT_FOUND = Answer(404, b"", "Not found")


@dataclass
class Broker:
    """Answers by path."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, body: bytes | None = None, *, repeatable: bool | None = None) -> Answer:
        """The answer for a path, or 404."""
        assert ("GET", None, None) == (method, body, repeatable)
        self.asked.append(path)
        found = self.answers.get(path, NOT_FOUND)
        return found if isinstance(found, Answer) else Answer(200, json.dumps(found).encode())


def sha256(data: str) -> bytes:
    """The hash of a schema's data, as a locator has it."""
    return hashlib.sha256(data.encode()).digest()


def given_version(version: int, data: str = "d", **changes: Any) -> dict[str, Any]:
    """A version as a broker gives it out."""
    found = {"version": version, "type": "AVRO", "timestamp": 7, "data": data, "properties": {"a": "ä"}}
    return found | changes


def schema_question(*datas: str | None, topic: str = "t/ns/x") -> SchemaQuestion:
    """A question for versions with these data, None for a tombstone."""
    hashes = [b"" if data is None else sha256(data) for data in datas]
    return SchemaQuestion(topic, 9, tuple(LocatedVersion(number, each) for number, each in enumerate(hashes)))


SCHEMAS = "/admin/v2/schemas/t/ns/x/schemas"


def test_schemas() -> None:
    """Every version of a schema is saved. Versions newer than the tree are not, whatever the order is."""
    listed = [given_version(2, "new"), given_version(1, "b", properties=None), given_version(0, "a")]
    broker = Broker({SCHEMAS: {"getSchemaResponses": listed}})
    expected = SavedSchemas(
        "t/ns/x",
        NOW,
        9,
        (
            SchemaVersion(0, sha256("a"), "AVRO", "a", {"a": "ä"}, 7),
            SchemaVersion(1, sha256("b"), "AVRO", "b", {}, 7),
        ),
    )
    assert expected == schemas.ask(broker, schema_question("a", "b"), NOW)


def test_versions_before_a_tombstone() -> None:
    """Brokers give out what follows the last tombstone. All other versions keep their number and hash."""
    broker = Broker({SCHEMAS: {"getSchemaResponses": [given_version(2, "c")]}})
    found = schemas.ask(broker, schema_question("a", None, "c"), NOW)
    assert [False, False, True] == [version.readable for version in found.versions]
    assert [sha256("a"), b"", sha256("c")] == [version.sha256 for version in found.versions]


def test_deleted_schema_needs_no_answer() -> None:
    """A schema that ends with a tombstone is saved as it is, and no broker is asked."""
    broker = Broker()
    found = schemas.ask(broker, schema_question("a", None), NOW)
    assert (SchemaVersion(0, sha256("a")), SchemaVersion(1, b"")) == found.versions
    assert [] == broker.asked


def test_v1_schema() -> None:
    """A schema with a V1 name is asked for by the first API."""
    path = "/admin/schemas/t/c/ns/x/schemas"
    broker = Broker({path: {"getSchemaResponses": [given_version(0, "a")]}})
    schemas.ask(broker, schema_question("a", topic="t/c/ns/x"), NOW)
    assert [path] == broker.asked


def test_key_value_schema() -> None:
    """A KEY_VALUE schema is saved, although brokers hash another form of it than the one that they give out."""
    data = '{"key":"","value":{"type":"record"}}'
    broker = Broker({SCHEMAS: {"getSchemaResponses": [given_version(0, data, type="KEY_VALUE")]}})
    assert data == schemas.ask(broker, schema_question("other bytes"), NOW).versions[0].data


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (NOT_FOUND, Reason.DELETED),
        (Answer(409, b"", "conflict"), Reason.FAILED),
        ([], Reason.FAILED),
        ({"getSchemaResponses": None}, Reason.FAILED),
        ({"getSchemaResponses": ["x"]}, Reason.FAILED),
        ({"getSchemaResponses": []}, Reason.FAILED),
        ({"getSchemaResponses": [given_version(0, "other")]}, Reason.FAILED),
        ({"getSchemaResponses": [given_version(0, "a", type=None)]}, Reason.FAILED),
        ({"getSchemaResponses": [given_version(0, "a", properties={"a": 1})]}, Reason.FAILED),
        ({"getSchemaResponses": [given_version(0, "a", timestamp=1 << 63)]}, Reason.FAILED),
        ({"getSchemaResponses": [given_version(0, "\ud800")]}, Reason.FAILED),
        ({"getSchemaResponses": [given_version(0, "a") | {"version": True}]}, Reason.FAILED),
    ],
)
def test_schemas_that_are_not_saved(answer: Any, reason: Reason) -> None:
    """A schema that differs from its locator, or is none, is never saved."""
    with pytest.raises(NotSavedError) as caught:
        schemas.ask(Broker({SCHEMAS: answer}), schema_question("a"), NOW)
    assert reason is caught.value.reason


def test_undecodable_locator() -> None:
    """A locator that cannot be decoded is told, and no broker is asked."""
    with pytest.raises(NotSavedError, match="cannot be decoded"):
        schemas.ask(Broker(), SchemaQuestion("t/ns/x", 9, None), NOW)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (schema_question("a", None), True),
        (schema_question("a"), False),
        (schema_question("b", None), False),
        (SchemaQuestion("t/ns/x", 10, schema_question("a", None).versions), False),
        (schema_question("a", None, topic="t/ns/y"), False),
    ],
)
def test_unchanged_schemas(question: SchemaQuestion, expected: bool) -> None:
    """A record is used again only if topic, mzxid, numbers and hashes are the same."""
    before = schemas.ask(Broker(), schema_question("a", None), NOW)
    assert expected is schemas.unchanged(question, before)
    assert not schemas.unchanged(question, None)


TOPIC = "t/ns/persistent/x"
STATS = "/admin/v2/persistent/t/ns/x/internalStats"


def stats(**cursors: Any) -> dict[str, Any]:
    """The statistics of a topic."""
    return {"cursors": cursors}


def position(mark_delete: Any = "29:9", holes: Any = "[]") -> dict[str, Any]:
    """A subscription in the statistics."""
    return {"markDeletePosition": mark_delete, "individuallyDeletedMessages": holes, "cursorLedger": 3}


def test_cursors() -> None:
    """Positions are exact, holes included. Subscriptions that the tree does not have are left out."""
    broker = Broker(
        {STATS: stats(a=position("29:-1"), b=position("29:9", "[(29:12..29:29],(30:-1..30:30]]"), c=position())}
    )
    holes = Hole(Position(29, 12), Position(29, 29)), Hole(Position(30, -1), Position(30, 30))
    expected = {
        "a": SavedCursor(f"{TOPIC}/a", NOW, Position(29, -1)),
        "b": SavedCursor(f"{TOPIC}/b", NOW, Position(29, 9), holes),
    }
    assert expected == dict(cursors.ask(broker, CursorQuestion(TOPIC, ("a", "b")), NOW))


@pytest.mark.parametrize(("in_tree", "by_broker"), [("a%2Fb+c", "a/b c"), ("a%2Fb+c", "a%2Fb+c"), ("a%252F", "a%2F")])
def test_encoded_names_of_cursors(in_tree: str, by_broker: str) -> None:
    """Names are encoded in the tree, and may be in the broker's answer. The record has the tree's."""
    broker = Broker({STATS: stats(**{by_broker: position()})})
    found = dict(cursors.ask(broker, CursorQuestion(TOPIC, (in_tree,)), NOW))
    assert {in_tree: SavedCursor(f"{TOPIC}/{in_tree}", NOW, Position(29, 9))} == found


def test_v1_topic() -> None:
    """A topic with a V1 name is asked for by the first API."""
    assert "/admin/persistent/t/c/ns/x/internalStats" == cursors.stats_path("t/c/ns/persistent/x")


@pytest.mark.parametrize(
    ("given_cursor", "reason"),
    [
        (None, Reason.DELETED),
        ("x", Reason.FAILED),
        ({}, Reason.FAILED),
        (position(None), Reason.FAILED),
        (position("29"), Reason.FAILED),
        (position("29:9\n"), Reason.FAILED),
        (position("29:-2"), Reason.FAILED),
        (position("-1:0"), Reason.FAILED),
        (position(f"{1 << 63}:0"), Reason.FAILED),
        (position("٢:٢"), Reason.FAILED),
        (position(holes=None), Reason.FAILED),
        (position(holes="[(1:2..3:4]"), Reason.FAILED),
        (position(holes="[(1:2..3:4)]"), Reason.FAILED),
        (position(holes="[(1:2..3:4]x(1:2..3:4]]"), Reason.FAILED),
        (position(holes=f"[(1:2..3:{1 << 63}]]"), Reason.FAILED),
    ],
)
def test_cursor_that_is_not_saved(given_cursor: Any, reason: Reason) -> None:
    """A position that is not valid is not saved. The others are."""
    broker = Broker({STATS: stats(bad=given_cursor, good=position())})
    found = dict(cursors.ask(broker, CursorQuestion(TOPIC, ("bad", "good")), NOW))
    bad = found["bad"]
    assert isinstance(bad, NotSavedError)
    assert reason is bad.reason
    assert isinstance(found["good"], SavedCursor)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(NOT_FOUND, Reason.DELETED), (Answer(412, b""), Reason.FAILED), ([], Reason.FAILED), ({}, Reason.FAILED)],
)
def test_topic_without_positions(answer: Any, reason: Reason) -> None:
    """A topic that is being deleted, or whose statistics are none, has no positions to save."""
    with pytest.raises(NotSavedError) as caught:
        cursors.ask(Broker({STATS: answer}), CursorQuestion(TOPIC, ("a",)), NOW)
    assert reason is caught.value.reason


def test_segments_are_not_asked_for() -> None:
    """Positions in segments of scalable topics are not asked for, and set off no alert."""
    broker = Broker()
    with pytest.raises(NotSavedError, match="scalable") as caught:
        cursors.ask(broker, CursorQuestion("t/ns/segment/x/0000-7fff-1", ("a",)), NOW)
    assert Reason.UNSUPPORTED is caught.value.reason
    assert [] == broker.asked


entries = st.integers(-1, (1 << 63) - 1)
positions = st.builds(Position, st.integers(0, (1 << 63) - 1), entries)


@PATIENT
@given(st.lists(st.builds(Hole, positions, positions), max_size=5), st.sampled_from([",", ", "]))
def test_holes_round_trip(holes: list[Hole], between: str) -> None:
    """Every list of holes as brokers write it is read."""
    text = f"[{between.join(f'({a.ledger}:{a.entry}..{b.ledger}:{b.entry}]' for a, b in holes)}]"
    broker = Broker({STATS: stats(s=position(holes=text))})
    found = dict(cursors.ask(broker, CursorQuestion(TOPIC, ("s",)), NOW))["s"]
    assert isinstance(found, SavedCursor)
    assert tuple(holes) == found.holes


@PATIENT
@given(st.text() | st.text("[](),.:-0129 "))
def test_any_text_as_holes(text: str) -> None:
    """Any text is read, or is refused with a reason."""
    found = dict(cursors.ask(Broker({STATS: stats(s=position(text, text))}), CursorQuestion(TOPIC, ("s",)), NOW))["s"]
    assert isinstance(found, NotSavedError)


def test_memory_for_many_holes() -> None:
    """An answer is checked in little memory: a topic may have hundreds of thousands of holes."""
    holes = "[" + ",".join(f"({number}:1..{number}:2]" for number in range(2_000)) + "]"
    broker = Broker({STATS: stats(s=position("3:1", holes))})
    tracemalloc.start()
    try:
        found = dict(cursors.ask(broker, CursorQuestion(TOPIC, ("s",)), NOW))["s"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(found, SavedCursor)
    assert 2_000 == len(found.holes)
    assert peak < 40 * len(holes)


def test_too_many_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first holes are saved if there are too many for a line."""
    monkeypatch.setattr("metadata_tool.broker_metadata.cursors.MAX_HOLES", 2)
    assert 2 == len(cursors.parsed_holes("[(1:1..1:2],(1:3..1:4],(1:5..1:6]]"))


EVENTS = "t/ns/persistent/__change_events"
QUESTION = PolicyQuestion("t/ns", (EVENTS,))
OF_EVENTS = {
    "/admin/v2/schemas/t/ns/__change_events/schemas": {"getSchemaResponses": [given_version(0, "PulsarEvent")]}
}
LOCAL, GLOBAL = b"\x02\x04\x02\x00\x02\x02\x04c1", b"\x02\x04\x02\x00\x00"


@dataclass
class Topics:
    """Gives events by topic."""

    found: dict[str, Sequence[Event]]

    def events(self, topic: str) -> Iterator[Event]:
        """The events of a topic."""
        yield from self.found[topic]


def policies(*events: Event, broker: Broker | None = None) -> list[PolicySchema | SavedPolicies]:
    """The records of these events."""
    return topic_policies.ask(broker or Broker(OF_EVENTS), Topics({EVENTS: events}), QUESTION, NOW)


def saved(event: Event) -> SavedPolicies:
    """The record of an event."""
    return SavedPolicies("t/ns", NOW, event.key, event.published, event.data, event.version)


def test_newest_policies() -> None:
    """The newest event of each key is saved, in the order of sending, after the schema that encodes them."""
    old, b, new = Event("a", LOCAL + b"1", 1, 0), Event("b", LOCAL, 2, 0), Event("a", LOCAL + b"2", 3, 0)
    schema = PolicySchema("t/ns", NOW, 0, "PulsarEvent", {"a": "ä"})
    assert [schema, saved(b), saved(new)] == policies(old, b, new)


def test_policies_of_one_and_of_all_clusters() -> None:
    """Policies for one cluster and for all of them are both saved, also if they have the same key, as before 4.0."""
    here, everywhere = Event("a", LOCAL, 1, None), Event("a", GLOBAL, 2, None)
    new_form = Event("__G__a", LOCAL, 3, None)
    assert [saved(here), saved(everywhere), saved(new_form)] == policies(here, everywhere, new_form)


def test_deleted_policies() -> None:
    """An event without a value deletes its key, with both of its policies."""
    assert [] == policies(Event("a", LOCAL, 1, 0), Event("a", GLOBAL, 2, 0), Event("a", b"", 3, None))


@dataclass
class Loading:
    """A topic that fails so many times while it is loaded, each time after its first event."""

    given: Sequence[Event]
    reason: Reason
    failures: int

    def events(self, _topic: str) -> Iterator[Event]:
        """The events, or the failure."""
        self.failures -= 1
        yield self.given[0]
        if self.failures >= 0:
            raise NotSavedError(self.reason, "the topic is being loaded")
        yield from self.given[1:]


def test_topic_that_is_being_loaded() -> None:
    """A topic that fails once is read again from its beginning, but not one that denies, or that fails again."""
    given = [Event("a", LOCAL + b"1", 1, None), Event("a", LOCAL + b"2", 2, None)]
    pauses: list[float] = []

    def ask(reason: Reason, failures: int) -> list[PolicySchema | SavedPolicies]:
        return topic_policies.ask(Broker(), Loading(given, reason, failures), QUESTION, NOW, pauses.append)

    assert [saved(given[1])] == ask(Reason.FAILED, 1)
    for reason, failures in ((Reason.FAILED, 2), (Reason.DENIED, 1)):
        with pytest.raises(NotSavedError, match="is being loaded"):
            ask(reason, failures)
    assert 2 == len(pauses)


def test_events_without_a_schema() -> None:
    """Events that have no schema version need no schema."""
    event = Event("a", LOCAL, 1, None)
    assert [saved(event)] == policies(event, broker=Broker())


def test_events_with_an_unknown_schema() -> None:
    """Events whose schema the broker does not give out are not saved, because nobody could decode them."""
    with pytest.raises(NotSavedError, match="version 1 of the events' schema"):
        policies(Event("a", LOCAL, 1, 1))
    with pytest.raises(NotSavedError) as caught:
        policies(Event("a", LOCAL, 1, 0), broker=Broker())
    assert Reason.FAILED is caught.value.reason


def test_too_many_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace with too many policies for the memory is told."""
    monkeypatch.setattr("metadata_tool.broker_metadata.topic_policies.MAX_POLICIES", 1)
    with pytest.raises(NotSavedError, match="more than 1 topics"):
        policies(Event("a", LOCAL, 1, None), Event("b", LOCAL, 1, None))


@PATIENT
@given(st.binary(max_size=12))
def test_any_event(data: bytes) -> None:
    """Whatever an event has, it is saved as it is, or deletes its key."""
    event = Event("a", data, 1, None)
    assert ([saved(event)] if data else []) == policies(event)


def test_errors_of_requests_are_raised() -> None:
    """Something that is not JSON is an error of the broker."""
    with pytest.raises(BrokerFailed):
        schemas.ask(Broker({SCHEMAS: Answer(200, b"<html>")}), schema_question("a"), NOW)
