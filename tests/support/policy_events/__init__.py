"""Events of topic policies: real ones of two versions of Pulsar, and others by the same definitions."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies
from support.avro import encode

VERSIONS = ("4.0.8", "3.3.6")


def real(version: str) -> tuple[str, Mapping[str, bytes]]:
    """The definition that a broker of this version registers, and events that it sent, by what they set."""
    found = json.loads((Path(__file__).parent / f"{version}.json").read_bytes())
    events = {name: base64.b64decode(event) for name, event in found["events"].items()}
    return json.dumps(found["definition"]), events


DEFINITION, EVENTS = real(VERSIONS[0])
TOPIC = "persistent://t1/n2/a"
"""The topic of the real events that set 99 minutes, 7 consumers, and so on."""


def schema(namespace: str, version: int = 0) -> PolicySchema:
    """The schema of the events of a namespace."""
    return PolicySchema(namespace, 7, version, DEFINITION)


def saved(namespace: str, topic: str, version: int | None = 0, **policies: Any) -> SavedPolicies:
    """The saved policies of a topic."""
    event = {
        "actionType": "UPDATE",
        "eventType": "TOPIC_POLICY",
        "topicPoliciesEvent": {"domain": "persistent", "topic": topic, "policies": policies},
    }
    key = f"__G__persistent://{namespace}/{topic}"
    return SavedPolicies(namespace, 1_000, key, 500, encode(json.loads(DEFINITION), event), version)


def sent(what: str, key: str = TOPIC, version: int | None = 0, namespace: str = "t1/n2") -> SavedPolicies:
    """The saved policies of a topic after a real event."""
    return SavedPolicies(namespace, 7, key, 8, EVENTS[what], version)
