"""Asks brokers for the policies of topics: the newest event of each key in the system topic of their namespace."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from metadata_tool.broker_metadata.client import Asks
from metadata_tool.broker_metadata.limits import MAX_POLICIES, READ_AGAIN_AFTER
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.broker_metadata.questions import CHANGE_EVENTS, PolicyQuestion
from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies
from metadata_tool.broker_metadata.schemas import are_texts, given_schemas

GLOBAL_KEY = "__G__"
"""The start of keys of policies for all clusters, since Pulsar 4.0. Older keys are equal for all clusters and one."""


class Event(NamedTuple):
    """A message of `__change_events`. `version` is that of its schema, None if it has none."""

    key: str
    data: bytes
    published: int
    version: int | None


class Reads(Protocol):
    """Reads topics: `EventReader`."""

    def events(self, topic: str) -> Iterator[Event]:
        """The events of a topic. `topic` is the path of a managed ledger."""


def ask(
    broker: Asks, reads: Reads, question: PolicyQuestion, now: int, sleep: Callable[[float], object] = time.sleep
) -> list[PolicySchema | SavedPolicies]:
    """The policies of a namespace's topics in the order in which they were sent, after the schemas that encode them.

    Raises:
        NotSavedError: the broker does not give them out, or not all of them.
        ToolError: a request failed.
    """
    newest: dict[tuple[str, bool], Event] = {}
    for topic in question.topics:
        try:
            _keep_newest(newest, reads.events(topic))
        except NotSavedError as error:
            if error.reason is not Reason.FAILED:
                raise
            sleep(READ_AGAIN_AFTER)  # the broker may still be loading the topic
            _keep_newest(newest, reads.events(topic))
    events = sorted(newest.values(), key=lambda event: (event.published, event.key))
    versions = sorted({event.version for event in events if event.version is not None})
    schemas = [*_schemas(broker, question.namespace, versions, now)] if versions else []
    return [*schemas, *(_saved(question.namespace, event, now) for event in events)]


def _keep_newest(newest: dict[tuple[str, bool], Event], events: Iterable[Event]) -> None:
    """Keep the newest event of each key. Policies for all clusters and for one are kept apart, even with equal keys.

    An event without a value deletes both.
    """
    for event in events:
        if event.data:
            newest[event.key, is_global(event)] = event
        else:
            newest.pop((event.key, True), None)
            newest.pop((event.key, False), None)
        if len(newest) > MAX_POLICIES:
            raise NotSavedError(Reason.UNSUPPORTED, f"the namespace has policies of more than {MAX_POLICIES} topics")


def is_global(event: Event) -> bool:
    """Whether the policies of an event are for all clusters.

    The record has two enums, and then `replicateTo`, each in a union with null (PulsarEvent). It names no cluster in a
    global event.
    """
    if event.key.startswith(GLOBAL_KEY):
        return True
    at = 0
    for _ in range(2):
        at += 2 if event.data[at : at + 1] == b"\x02" else 1
    return event.data[at : at + 1] == b"\x00"


def _schemas(broker: Asks, namespace: str, versions: list[int], now: int) -> Iterator[PolicySchema]:
    given = _given(broker, namespace)
    for version in versions:
        fields = given.get(version, {})
        data, properties = fields.get("data"), fields.get("properties") or {}
        if not isinstance(data, str) or not are_texts(properties):
            raise NotSavedError(Reason.FAILED, f"the broker did not give out version {version} of the events' schema")
        yield PolicySchema(namespace, now, version, data, properties)


def _given(broker: Asks, namespace: str) -> dict[int, dict[str, Any]]:
    try:
        return given_schemas(broker, f"{namespace}/{CHANGE_EVENTS}")
    except NotSavedError as error:  # a topic with events is not one that was deleted
        raise NotSavedError(Reason.FAILED, f"the schema of the events is missing, {error.why}") from error


def _saved(namespace: str, event: Event, now: int) -> SavedPolicies:
    return SavedPolicies(namespace, now, event.key, event.published, event.data, event.version)
