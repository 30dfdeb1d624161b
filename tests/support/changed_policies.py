"""Events of topic policies, as Pulsar 4.0.8 encoded them."""

import base64
from pathlib import Path

from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies

NAMESPACE = "t1/n2"
TOPIC = f"persistent://{NAMESPACE}/a"
DEFINITION = Path(__file__).with_name("pulsar_event.avsc").read_text()
"""The schema that its brokers registered for `__change_events`."""
EVENTS = {
    "retention": (
        "AgQCAAICBGMxAAICFHBlcnNpc3RlbnQCBG4yAgACAAAAAAAAAAAAAAACAAAAAAAAAAAAAAAAAAACAcYBAAAAAAACAAIAAgR0MQICYQ=="
    ),
    "retention and ttl": (
        "AgQCAAICBGMxAAICFHBlcnNpc3RlbnQCBG4yAgACAAAAAAAAAAAAAAACAAAAAAAAAAACyAEAAAAAAAIBxgEAAAAAAAIAAgACBHQxAgJh"
    ),
    "consumers": (
        "AgQCAAICBGMxAAICFHBlcnNpc3RlbnQCBG4yAgACAAAAAAAAAAAAAAACAAIOAAAAAAAAAAAAAAAAAAAAAAAAAgACAAIEdDECAmE="
    ),
    "consumers, for all clusters": (
        "AgQCAAACAhRwZXJzaXN0ZW50AgRuMgIAAgAAAAAAAAAAAAAAAgECDgAAAAAAAAAAAAAAAAAAAAAAAAIAAgACBHQxAgJh"
    ),
}
"""What was set, and the event in base64: a retention of 99 minutes, a TTL of 100 s, 7 consumers."""


def event(what: str) -> bytes:
    """The event that has set this."""
    return base64.b64decode(EVENTS[what])


def saved(what: str, key: str = TOPIC, version: int | None = 0, namespace: str = NAMESPACE) -> SavedPolicies:
    """The policies of a topic after this event."""
    return SavedPolicies(namespace, 7, key, 8, event(what), version)


def policy_schema(namespace: str = NAMESPACE, version: int = 0) -> PolicySchema:
    """The schema by which these events are encoded."""
    return PolicySchema(namespace, 7, version, DEFINITION)
