"""Which settings of its namespace a topic overrides, out of the saved events of topic policies (PulsarEvent)."""

from typing import Any

from metadata_tool.broker_metadata.avro import AvroError, AvroSchema
from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies
from metadata_tool.pulsar.holds import OF_DATA

UNKNOWN = frozenset(OF_DATA.values())
"""What is assumed of an event that cannot be decoded, because holding too much loses nothing."""
_MOST_SCHEMAS = 100
"""Versions of one namespace that are kept. Brokers register a few in a cluster's life."""


class Overridden:
    """Reads events in the order of `broker.json`, where the schemas of a namespace come before its events."""

    def __init__(self) -> None:
        self._namespace = ""
        self._schemas: dict[int, AvroSchema] = {}

    def add(self, schema: PolicySchema) -> None:
        """Take a schema for the events that follow."""
        if schema.namespace != self._namespace or len(self._schemas) == _MOST_SCHEMAS:
            self._namespace, self._schemas = schema.namespace, {}
        try:
            self._schemas[schema.version] = AvroSchema(schema.data)
        except AvroError:
            return  # its events are unknown

    def of(self, saved: SavedPolicies) -> frozenset[str]:
        """The settings that can be held (holds.OF_DATA) and that the topic overrides."""
        schema = self._schemas.get(saved.version) if saved.version is not None else None
        if schema is None or saved.namespace != self._namespace:
            return UNKNOWN
        try:
            return _overridden(schema.value(saved.event))
        except AvroError:
            return UNKNOWN


def _overridden(event: Any) -> frozenset[str]:
    if not isinstance(event, dict) or "topicPoliciesEvent" not in event:
        return UNKNOWN
    change = event["topicPoliciesEvent"]
    policies = change.get("policies") if isinstance(change, dict) else None
    found = policies if isinstance(policies, dict) else {}
    return frozenset(setting for name, setting in OF_DATA.items() if found.get(name) not in (None, {}))
