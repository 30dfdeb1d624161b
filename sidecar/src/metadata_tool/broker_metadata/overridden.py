"""Which settings of its namespace a topic overrides, out of the saved events of topic policies."""

from metadata_tool.broker_metadata.policy_events import PolicyEvents
from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies
from metadata_tool.pulsar.holds import OF_DATA

UNKNOWN = frozenset(OF_DATA.values())
"""What is assumed of an event that cannot be decoded, because holding too much loses nothing."""


class Overridden:
    """Reads events in the order of `broker.json`, where the schemas of a namespace come before its events."""

    def __init__(self) -> None:
        self._events = PolicyEvents()

    def add(self, schema: PolicySchema) -> None:
        """Take a schema for the events that follow."""
        self._events.add(schema)

    def of(self, saved: SavedPolicies) -> frozenset[str]:
        """The settings that can be held (holds.OF_DATA) and that the topic overrides."""
        policies = self._events.policies(saved)
        return UNKNOWN if policies is None else frozenset(OF_DATA[name] for name in OF_DATA if name in policies)
