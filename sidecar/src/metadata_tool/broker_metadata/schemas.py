"""Asks a broker for the schemas of a topic, and compares them with the locator in the tree."""

import hashlib
from typing import Any

from metadata_tool.broker_metadata.client import Asks, api_of
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.broker_metadata.questions import SchemaQuestion
from metadata_tool.broker_metadata.records import SavedSchemas, SchemaVersion
from metadata_tool.pulsar.schema_locator import LocatedVersion, last_tombstone

KEY_VALUE = "KEY_VALUE"
"""Brokers give it out as JSON, but hash another encoding, which cannot always be derived from the JSON."""


def unchanged(question: SchemaQuestion, before: SavedSchemas | None) -> bool:
    """Whether an earlier record has what the question asks for."""
    if before is None or (before.topic, before.mzxid) != (question.topic, question.mzxid):
        return False
    return question.versions == tuple(LocatedVersion(each.version, each.sha256) for each in before.versions)


def ask(broker: Asks, question: SchemaQuestion, now: int) -> SavedSchemas:
    """All versions of a topic's schema. Nothing is asked if none of them can be read.

    Raises:
        NotSavedError: the broker did not give out what the locator lists.
        ToolError: the request failed.
    """
    versions = question.versions
    if versions is None:
        raise NotSavedError(Reason.UNSUPPORTED, "the locator in ZooKeeper cannot be decoded")
    last = last_tombstone(versions)
    wanted = [each for each in versions if each.version > last]
    given = given_schemas(broker, question.topic) if wanted else {}
    return SavedSchemas(
        question.topic,
        now,
        question.mzxid,
        tuple(
            _version(each, given.get(each.version)) if each.version > last else SchemaVersion(*each)
            for each in versions
        ),
    )


def given_schemas(broker: Asks, topic: str) -> dict[int, dict[str, Any]]:
    """What a broker gives out of a topic's schemas, by version. `topic` is its path below `/schemas`.

    Raises:
        NotSavedError: nothing, or not a list of schemas.
        ToolError: the request failed.
    """
    answer = broker.request("GET", f"{api_of(topic.rpartition('/')[0])}/schemas/{topic}/schemas")
    if answer.status == 404:
        raise NotSavedError(Reason.DELETED, "the broker has no schema of this topic any more")
    if not answer.ok:
        raise NotSavedError(Reason.FAILED, f"the broker answered {answer.status}, {answer.reason}")
    found = answer.json()
    listed = found.get("getSchemaResponses") if isinstance(found, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise NotSavedError(Reason.FAILED, "the broker's answer does not list schemas")
    return {each["version"]: each for each in listed if type(each.get("version")) is int}


def _version(located: LocatedVersion, given: dict[str, Any] | None) -> SchemaVersion:
    if given is None:
        raise NotSavedError(Reason.FAILED, f"the broker did not give out version {located.version}")
    kind, data, timestamp = given.get("type"), given.get("data"), given.get("timestamp", -1)
    properties = given.get("properties") or {}
    if not (isinstance(kind, str) and isinstance(data, str) and _is_time(timestamp) and are_texts(properties)):
        raise NotSavedError(Reason.FAILED, f"the broker's answer for version {located.version} is not a schema")
    if kind != KEY_VALUE and hashlib.sha256(data.encode(errors="surrogatepass")).digest() != located.sha256:
        raise NotSavedError(Reason.FAILED, f"version {located.version} differs from its locator in ZooKeeper")
    return SchemaVersion(located.version, located.sha256, kind, data, properties, int(timestamp))


def are_texts(properties: object) -> bool:
    """Whether properties are an object with values of text."""
    return isinstance(properties, dict) and all(isinstance(value, str) for value in properties.values())


def _is_time(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63
