"""The settings of namespaces that are held between a restore and its put-back, and what they were before.

Topics override these settings by policies of their own, which are in BookKeeper, and so are missing until the put-back.
A held setting has a value by which brokers delete nothing, move no subscription, and register no schema. What it was
before is in a note, a znode for each namespace, as a JSON object with the held settings. None stands for an absent one.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from metadata_tool.pulsar.new_metadata import INFINITE_RETENTION, encoded

AUTO_UPDATE = "is_allow_auto_update_schema"
"""Whether clients may register schemas. If it is absent, the broker decides."""
STRATEGY = "schema_compatibility_strategy"
"""Which schemas are compatible. A put-back changes it for a while, and a restore only sets it back."""
RETENTION = "retention_policies"
TTL = "message_ttl_in_seconds"
BACKLOG_QUOTAS = "backlog_quota_map"
INACTIVE_TOPICS = "inactive_topic_policies"

ACCEPTS_ALL = "ALWAYS_COMPATIBLE"
"""The strategy while schemas are put back."""
_NO_QUOTA = {"limit": -1, "limitSize": -1, "limitTime": -1, "policy": "producer_request_hold"}
HELD: dict[str, Any] = {
    AUTO_UPDATE: False,
    STRATEGY: ACCEPTS_ALL,
    RETENTION: INFINITE_RETENTION,
    TTL: 0,
    BACKLOG_QUOTAS: {"destination_storage": _NO_QUOTA, "message_age": _NO_QUOTA},
    INACTIVE_TOPICS: {
        "inactiveTopicDeleteMode": "delete_when_no_subscriptions",
        "maxInactiveDurationSeconds": 60,
        "deleteWhileInactive": False,
    },
}
"""The value of each setting while it is held."""
OF_SCHEMAS = (AUTO_UPDATE, STRATEGY)
OF_DATA = {
    "retentionPolicies": RETENTION,
    "messageTTLInSeconds": TTL,
    "backLogQuotaMap": BACKLOG_QUOTAS,
    "inactiveTopicPolicies": INACTIVE_TOPICS,
}
"""The settings by which brokers delete data or move subscriptions, by the topic policies that override them."""


class Released(NamedTuple):
    """Policies and a note after the release of settings. `changed` were set by somebody since, and stay as they are."""

    policies: dict[str, Any]
    note: dict[str, Any]
    released: tuple[str, ...]
    changed: tuple[str, ...]


def is_held(setting: str, policies: Mapping[str, Any]) -> bool:
    """Whether a setting of a namespace has the value that it has while it is held."""
    return bool(_without_nulls(policies.get(setting)) == HELD[setting])


def with_settings(policies: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The policies with these settings. None removes one."""
    changed = {**policies, **settings}
    return {name: value for name, value in changed.items() if value is not None or name not in settings}


def released(policies: Mapping[str, Any], note: Mapping[str, Any], settings: Collection[str]) -> Released:
    """Set back those of the settings that the note has, and that are still held."""
    due = [setting for setting in note if setting in settings]
    held = {setting: note[setting] for setting in due if is_held(setting, policies)}
    changed = [name for name in due if name not in held and policies.get(name) != note[name]]
    rest = {name: value for name, value in note.items() if name not in due}
    return Released(with_settings(policies, held), rest, tuple(held), tuple(changed))


def encode_note(before: Mapping[str, Any]) -> bytes:
    """The data of a note."""
    return encoded(before)


def decode_note(data: bytes | None) -> dict[str, Any]:
    """What a note says of settings that can be held. Nothing if it is damaged."""
    found = decode_object(data) or {}
    return {name: value for name, value in found.items() if name in HELD}


def decode_object(data: bytes | None) -> dict[str, Any] | None:
    """The JSON object in a znode, such as the policies of a namespace. None if it has none."""
    try:
        found = json.loads(data or b"")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def encode_policies(policies: Mapping[str, Any]) -> bytes:
    """The data of a namespace's policies, as a put-back writes them."""
    return json.dumps(policies, separators=(",", ":"), ensure_ascii=False).encode()


def _without_nulls(value: Any) -> Any:
    """A JSON value as brokers write it again, without fields that are null."""
    if not isinstance(value, dict):
        return value
    return {name: _without_nulls(each) for name, each in value.items() if each is not None}
