"""Reads `__change_events` by Pulsar's client: only a client of the binary protocol reads a topic that is compacted.

The client connects to the broker that our own lookup names. With several brokers, its own lookup by HTTP would lose
the token at a redirect.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pulsar
from pulsar import exceptions

from metadata_tool.broker_metadata.access import BrokerAccess
from metadata_tool.broker_metadata.client import Asks
from metadata_tool.broker_metadata.limits import CLIENT_TIMEOUT
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.broker_metadata.topic_policies import Event
from metadata_tool.errors import ToolError

_REASONS = {
    Reason.DENIED: (exceptions.AuthorizationError, exceptions.AuthenticationError),
    Reason.DELETED: (exceptions.TopicNotFound,),
    Reason.UNREACHABLE: (exceptions.Timeout, exceptions.ConnectError, exceptions.NotConnected),
}


class EventReader:
    """Reads topics, with one client for each broker. Several threads may use it. The clients end with the process."""

    def __init__(self, access: BrokerAccess, broker: Asks) -> None:
        self._access, self._broker = access, broker
        self._clients: dict[str, pulsar.Client] = {}
        self._lock = threading.Lock()

    def events(self, topic: str) -> Iterator[Event]:
        """The events of a topic, up to the last one. `topic` is the path of its managed ledger.

        Raises:
            NotSavedError: the topic cannot be read.
            ToolError: the lookup failed.
        """
        client = self.client(topic)
        with explained():
            reader = client.create_reader(topic_url(topic), pulsar.MessageId.earliest, is_read_compacted=True)
            try:
                while reader.has_message_available():
                    yield _event(reader.read_next(CLIENT_TIMEOUT * 1000))
            finally:
                with suppress(pulsar.PulsarException):  # what was read counts
                    reader.close()

    def client(self, topic: str) -> pulsar.Client:
        """The client of the broker that serves a topic. Raises as `events` does."""
        address = self._owner(topic)
        with self._lock:
            if address not in self._clients:
                self._clients[address] = new_client(self._access, address)
            return self._clients[address]

    def _owner(self, topic: str) -> str:
        """The address of the broker that serves a topic, for the binary protocol."""
        answer = self._broker.request("GET", f"/lookup/v2/topic/{topic_url(topic).replace('://', '/')}")
        if answer.status == 404:
            raise NotSavedError(Reason.DELETED, "the topic does not exist any more")
        found = answer.json() if answer.ok else None
        secure = self._access.url.startswith("https:")  # then the token is never sent in plain text
        name, scheme = ("brokerUrlSsl", "pulsar+ssl://") if secure else ("brokerUrl", "pulsar://")
        address = found.get(name) if isinstance(found, dict) else None
        if not isinstance(address, str) or not address.startswith(scheme):
            raise NotSavedError(Reason.FAILED, f"the lookup of the broker gave no {name}")
        return address


def topic_url(topic: str) -> str:
    """The name of a topic, from the path of its managed ledger."""
    *namespace, domain, name = topic.split("/")
    return f"{domain}://{'/'.join(namespace)}/{name}"


def new_client(access: BrokerAccess, address: str) -> pulsar.Client:
    """A client that logs nothing, with the token and the certificates of the web service.

    Raises:
        ToolError: the token cannot be read.
    """
    return pulsar.Client(
        address,
        authentication=_authentication(access),
        operation_timeout_seconds=CLIENT_TIMEOUT,
        connection_timeout_ms=CLIENT_TIMEOUT * 1000,
        tls_trust_certs_file_path=_text(access.ca or _system_authorities()),
        tls_validate_hostname=True,
        tls_certificate_file_path=_text(access.cert),
        tls_private_key_file_path=_text(access.key),
        logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, "/dev/null"),  # it may log what brokers send
    )


def _authentication(access: BrokerAccess) -> pulsar.Authentication | None:
    if first := access.current_token():

        def token() -> str:
            """The current token. No error may reach the client's own threads."""
            with suppress(ToolError):
                return access.current_token()
            return first

        return pulsar.AuthenticationToken(token)
    if access.cert and access.key:
        return pulsar.AuthenticationTLS(str(access.cert), str(access.key))
    return None


def _system_authorities() -> Path | None:
    found = ssl.get_default_verify_paths().cafile
    return Path(found) if found else None


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def _event(message: Any) -> Event:
    try:
        version = message.schema_version().encode()
    except UnicodeDecodeError as error:  # the client takes the bytes for UTF-8, which they are up to version 127
        raise NotSavedError(Reason.UNSUPPORTED, "an event has a schema version above 127") from error
    found = int.from_bytes(version) if version else None
    return Event(message.partition_key(), message.data(), message.publish_timestamp(), found)


@contextmanager
def explained() -> Iterator[None]:
    """Turns an error of Pulsar's client into a NotSavedError, by its type alone, because its text may hold a secret."""
    try:
        yield
    except pulsar.PulsarException as error:
        reason = next((reason for reason, kinds in _REASONS.items() if isinstance(error, kinds)), Reason.FAILED)
        raise NotSavedError(reason, f"Pulsar's client failed ({type(error).__name__})") from None
