"""Reads and sends the events of topic policies, by Pulsar's own client: `__change_events` of each namespace.

Events are bytes here. They are sent with the schema that they were written with, so brokers decode them as before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from metadata_tool.broker_metadata.access import BrokerAccess
from metadata_tool.broker_metadata.client import Asks
from metadata_tool.broker_metadata.limits import CLIENT_TIMEOUT
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.broker_metadata.questions import CHANGE_EVENTS
from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies
from metadata_tool.broker_metadata.topic_policies import Event, is_global
from metadata_tool.errors import BrokerDenied, BrokerFailed, BrokerUnreachable, ToolError
from metadata_tool.lifecycle import Heartbeat, interruptible

if TYPE_CHECKING:
    from metadata_tool.broker_metadata.event_reader import EventReader

T = TypeVar("T")

_PARTITIONS = 64
"""The most partitions of that topic that are read. Brokers create it unpartitioned."""
_ERRORS: dict[Reason, tuple[type[ToolError], str]] = {
    Reason.DENIED: (BrokerDenied, "Give the role of the token or certificate the permission to produce and consume"),
    Reason.UNREACHABLE: (BrokerUnreachable, "Check the brokers' advertised addresses, and that they are reachable"),
}


class ChangeEvents:
    """The events of any namespace. Pulsar's client is loaded at the first use.

    `existing` returns those of the given topics that exist. Reading any other topic would create it.
    """

    def __init__(
        self, access: BrokerAccess, brokers: Asks, existing: Callable[[list[str]], list[str]], heartbeat: Heartbeat
    ) -> None:
        self._access, self._brokers, self._existing, self._heartbeat = access, brokers, existing, heartbeat
        self._reader: EventReader | None = None

    def read(self, namespace: str) -> list[Event]:
        """All events of a namespace, in their order.

        Raises:
            BrokerUnreachable, BrokerDenied, BrokerFailed: they cannot be read.
        """
        partitions = [f"{CHANGE_EVENTS}-partition-{number}" for number in range(_PARTITIONS)]
        topics = self._existing([_path(namespace, name) for name in (CHANGE_EVENTS, *partitions)])
        return self._asked(namespace, "read", lambda: self._read(topics))

    def send(self, namespace: str, events: Sequence[SavedPolicies], schemas: Mapping[int, PolicySchema]) -> None:
        """Send events, each with the schema of its version.

        Raises:
            BrokerUnreachable, BrokerDenied, BrokerFailed: not all could be sent.
        """
        for version in {event.version for event in events} - {None, *schemas}:
            raise BrokerFailed(
                f"the backup has no version {version} of the schema of its topic policies", "Set these policies by hand"
            )
        self._asked(namespace, "sent", lambda: self._send(namespace, events, schemas))

    def _read(self, topics: list[str]) -> list[Event]:
        return [event for topic in topics for event in self._heard(self._connected().events(topic))]

    def _heard(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            self._heartbeat()
            yield event

    def _send(self, namespace: str, events: Sequence[SavedPolicies], schemas: Mapping[int, PolicySchema]) -> None:
        for version in dict.fromkeys(event.version for event in events):
            with self._producer(namespace, None if version is None else schemas[version].data) as producer:
                for event in events:
                    if event.version == version:
                        self._heartbeat()
                        producer.send(event.event, partition_key=event.key, disable_replication=not _for_all(event))

    @contextmanager
    def _producer(self, namespace: str, definition: str | None) -> Iterator[Any]:
        import pulsar  # noqa: PLC0415  # it takes memory and time to load, and is needed only for policies

        from metadata_tool.broker_metadata.event_reader import explained, topic_url  # noqa: PLC0415

        topic = _path(namespace, CHANGE_EVENTS)
        client = self._connected().client(topic)
        schema = pulsar.schema.BytesSchema() if definition is None else _encoded_already(definition)
        with explained():
            producer = client.create_producer(
                topic_url(topic), schema=schema, send_timeout_millis=CLIENT_TIMEOUT * 1000
            )
            try:
                yield producer
            finally:
                producer.close()

    def _connected(self) -> "EventReader":
        from metadata_tool.broker_metadata.event_reader import EventReader  # noqa: PLC0415

        if self._reader is None:
            self._reader = EventReader(self._access, self._brokers)
        return self._reader

    def _asked(self, namespace: str, verb: str, work: Callable[[], T]) -> T:
        """The result of work with Pulsar's client. A stop does not wait for it."""
        what = f"the topic policies of namespace {namespace} cannot be {verb}"
        try:
            return interruptible(work, self._heartbeat)
        except NotSavedError as error:
            kind, hint = _ERRORS.get(error.reason, (BrokerFailed, "Look at the log of the broker"))
            raise kind(f"{what}, {error}", hint) from error


def _for_all(saved: SavedPolicies) -> bool:
    """Whether policies are for all clusters. Those of one cluster must not be replicated."""
    return is_global(Event(saved.key, saved.event, saved.published, saved.version))


def _encoded_already(definition: str) -> Any:
    """A schema of Pulsar's client for bytes that are encoded by this Avro definition."""
    import _pulsar  # noqa: PLC0415
    import pulsar  # noqa: PLC0415

    class Encoded(pulsar.schema.Schema):  # type: ignore[misc]
        def __init__(self) -> None:
            self._record_cls = bytes
            self._schema_info = _pulsar.SchemaInfo(_pulsar.SchemaType.AVRO, "PulsarEvent", definition)

        def encode(self, content: bytes) -> bytes:
            return content

        def decode(self, content: bytes) -> bytes:
            return content

    return Encoded()


def _path(namespace: str, name: str) -> str:
    return f"{namespace}/persistent/{name}"
