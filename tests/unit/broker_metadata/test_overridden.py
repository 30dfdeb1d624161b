"""Which settings of its namespace a topic overrides."""

from dataclasses import replace

import pytest

from metadata_tool.broker_metadata.overridden import UNKNOWN, Overridden
from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies
from metadata_tool.pulsar.holds import BACKLOG_QUOTAS, INACTIVE_TOPICS, RETENTION, TTL
from support.policy_events import VERSIONS, real, saved, schema


def overridden(record: SavedPolicies, *schemas: PolicySchema) -> frozenset[str]:
    """What is overridden by an event that follows these schemas."""
    reader = Overridden()
    for each in schemas:
        reader.add(each)
    return reader.of(record)


@pytest.mark.parametrize("version", VERSIONS)
def test_real_events(version: str) -> None:
    """Each event that a real broker sent is understood."""
    definition, events = real(version)
    own = PolicySchema("t/ns", 7, 3, definition)
    expected = {
        "retention": {RETENTION},
        "retention, global": {RETENTION},
        "messageTTL": {TTL},
        "backlogQuota": {BACKLOG_QUOTAS},
        "backlogQuota of message_age": {BACKLOG_QUOTAS},
        "inactiveTopicPolicies": {INACTIVE_TOPICS},
        "deduplicationEnabled": set(),
        "maxConsumers": set(),
        "maxConsumers, and a backlogQuota that was removed": set(),
        "99 minutes": {RETENTION},
        "99 minutes, TTL of 100 s": {RETENTION, TTL},
        "7 consumers": set(),
        "7 consumers, global": set(),
    }
    given = {name: overridden(SavedPolicies("t/ns", 7, "k", 7, event, 3), own) for name, event in events.items()}
    assert {name: expected[name] for name in events} == given


def test_several() -> None:
    """All that a topic overrides is found."""
    record = saved(
        "t/ns", "a", messageTTLInSeconds=0, retentionPolicies={"retentionSizeInMB": 1, "retentionTimeInMinutes": 1}
    )
    assert {RETENTION, TTL} == overridden(record, schema("t/ns"))


@pytest.mark.parametrize(
    ("record", "schemas"),
    [
        pytest.param(saved("t/ns", "a"), [], id="no schema"),
        pytest.param(saved("t/ns", "a"), [schema("t/ns", 1)], id="no such version"),
        pytest.param(saved("t/ns", "a", None), [schema("t/ns")], id="no version"),
        pytest.param(saved("t/ns", "a"), [schema("t/ns"), schema("t/other", 1)], id="schema of another namespace"),
        pytest.param(saved("t/ns", "a"), [replace(schema("t/ns"), data="{")], id="damaged schema"),
        pytest.param(saved("t/ns", "a"), [replace(schema("t/ns"), data='"bytes"')], id="other schema"),
        pytest.param(
            saved("t/ns", "a"),
            [replace(schema("t/ns"), data='{"type":"record","name":"E","fields":[]}')],
            id="other event",
        ),
        pytest.param(replace(saved("t/ns", "a"), event=b"\x02"), [schema("t/ns")], id="damaged event"),
    ],
)
def test_unknown(record: SavedPolicies, schemas: list[PolicySchema]) -> None:
    """An event that cannot be decoded may override everything, so that nothing is lost by it."""
    assert UNKNOWN == overridden(record, *schemas)


def test_many_versions() -> None:
    """Of a namespace with countless versions of the schema, only some are kept, so that memory has a limit."""
    schemas = [schema("t/ns", version) for version in range(101)]
    assert UNKNOWN == overridden(saved("t/ns", "a", 0), *schemas)
    assert frozenset() == overridden(saved("t/ns", "a", 99), *schemas[:100])
    assert frozenset() == overridden(saved("t/ns", "a", 100), *schemas)


def test_other_events() -> None:
    """An event without policies overrides nothing."""
    nothing = SavedPolicies("t/ns", 7, "k", 7, bytes(4), 0)  # a record of four fields, all of which are null
    assert frozenset() == overridden(nothing, schema("t/ns"))
