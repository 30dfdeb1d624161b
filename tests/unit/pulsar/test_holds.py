"""The settings of namespaces that are held, as they are in policies and in notes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.pulsar.holds import (
    BACKLOG_QUOTAS,
    HELD,
    RETENTION,
    TTL,
    decode_note,
    encode_note,
    encode_policies,
    is_held,
    released,
    with_settings,
)
from support.trees import EXAMPLES, PATIENT

HOUR = {"retentionTimeInMinutes": 60, "retentionSizeInMB": 5}
QUOTA = {"limit": 7, "limitSize": 7, "limitTime": 0, "policy": "consumer_backlog_eviction"}
VALUES: dict[str, list[Any]] = {
    "is_allow_auto_update_schema": [None, True],
    "schema_compatibility_strategy": ["FULL", "UNDEFINED"],
    RETENTION: [None, HOUR],
    TTL: [None, 100],
    BACKLOG_QUOTAS: [None, {}, {"message_age": QUOTA}],
    "inactive_topic_policies": [None, {"deleteWhileInactive": True}],
}
"""What settings may be when they are not held."""
any_settings = st.fixed_dictionaries({}, optional={name: st.sampled_from(found) for name, found in VALUES.items()})


@settings(PATIENT, max_examples=EXAMPLES // 4)
@given(any_settings, st.dictionaries(st.sampled_from(["bundles", "größe", "deleted"]), st.integers() | st.none()))
def test_held_and_released(before: dict[str, Any], others: dict[str, Any]) -> None:
    """Held settings become what they were, and everything else stays as it is."""
    policies = others | {name: value for name, value in before.items() if value is not None}
    held = with_settings(policies, {name: HELD[name] for name in before})
    assert all(is_held(name, held) for name in before)
    done = released(json.loads(encode_policies(held)), decode_note(encode_note(before)), list(HELD))
    assert (policies, {}, (*before,), ()) == (done.policies, done.note, done.released, done.changed)


def test_some_settings() -> None:
    """Only the settings that are due are released, and the others stay noted."""
    policies, note = HELD | {"bundles": 4}, {TTL: 100, RETENTION: None}
    done = released(policies, note, [TTL])
    assert (policies | {TTL: 100}, {RETENTION: None}, (TTL,)) == (done.policies, done.note, done.released)


@pytest.mark.parametrize(("now", "changed"), [(HOUR, (RETENTION,)), (None, ())])
def test_changed_since(now: Any, changed: tuple[str, ...]) -> None:
    """What somebody has set since stays. It is named, unless it is what it was before."""
    done = released({RETENTION: now}, {RETENTION: None}, [RETENTION])
    assert ({RETENTION: now}, {}, (), changed) == (done.policies, done.note, done.released, done.changed)


def test_written_again_by_a_broker() -> None:
    """A setting is still held if a broker writes a field of it that it does not have."""
    quota = HELD[BACKLOG_QUOTAS]["message_age"] | {"later": None}
    assert is_held(BACKLOG_QUOTAS, {BACKLOG_QUOTAS: HELD[BACKLOG_QUOTAS] | {"message_age": quota, "other": None}})
    assert not is_held(BACKLOG_QUOTAS, {BACKLOG_QUOTAS: {"message_age": quota}})
    assert not is_held(TTL, {})


@pytest.mark.parametrize("data", [None, b"", b"null", b"true", b"[]", b'{"bundles":4}', b"{", b"[" * 100_000])
def test_no_note(data: bytes | None) -> None:
    """A note that is damaged, or names nothing that can be held, says nothing."""
    assert {} == decode_note(data)
