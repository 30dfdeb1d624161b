"""Decodes the saved events of topic policies (PulsarEvent), by the schemas that were saved with them."""

from collections.abc import Mapping
from typing import Any

from metadata_tool.broker_metadata.avro import AvroError, Decoder
from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies

_MOST_SCHEMAS = 100
"""Versions of one namespace that are kept. Brokers register a few in a cluster's life."""


class PolicyEvents:
    """Reads events in the order of `broker.json`, where the schemas of a namespace come before its events."""

    def __init__(self) -> None:
        self._namespace = ""
        self._decoders: dict[int, Decoder] = {}

    def add(self, schema: PolicySchema) -> None:
        """Take a schema for the events that follow. One that is not valid decodes nothing."""
        if schema.namespace != self._namespace or len(self._decoders) == _MOST_SCHEMAS:
            self._namespace, self._decoders = schema.namespace, {}
        try:
            self._decoders[schema.version] = Decoder(schema.data)
        except AvroError:
            self._decoders.pop(schema.version, None)

    def policies(self, saved: SavedPolicies) -> Mapping[str, Any] | None:
        """The policies of a topic that are set, as in JSON. None if the event cannot be decoded."""
        decoder = self._decoders.get(saved.version) if saved.version is not None else None
        if decoder is None or saved.namespace != self._namespace:
            return None
        try:
            change = decoder.decode(saved.event)["topicPoliciesEvent"]
            policies = {} if change is None else change["policies"] or {}
            return {name: value for name, value in policies.items() if value not in (None, {}, [])}
        except (AvroError, AttributeError, KeyError, TypeError):
            return None
