"""The brokers' registry of schemas: changed by requests to brokers, and read from the locators in ZooKeeper."""

import json
from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

from metadata_tool.broker_metadata.client import BROKERS, Answer, Asks, api_of
from metadata_tool.broker_metadata.records import SchemaVersion
from metadata_tool.errors import BrokerFailed
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.put_back.held_namespaces import SchemaSettings

_INCOMPATIBLE = 409
_UNCHANGED = "/%+*"
"""Names in locators' paths are encoded for URLs already."""


def topic_name(topic: str) -> str:
    """The name that Pulsar's tools take, from a path below `/schemas`."""
    namespace, _, local = topic.rpartition("/")
    return f"persistent://{namespace}/{unquote_plus(local)}"


def topic_path(name: str) -> str:
    """The path below `/schemas` of such a name."""
    namespace, _, local = name.partition("://")[2].rpartition("/")
    return f"{namespace}/{quote_plus(local)}"


def namespace_of(topic: str) -> str:
    """The namespace of a path below `/schemas`."""
    return topic.rpartition("/")[0]


class RejectedError(BrokerFailed):
    """A broker refused a request for good. `incompatible`: a compatibility strategy forbids it."""

    incompatible = False


class Znodes(Protocol):
    """What ZooKeeper has of the brokers' metadata: `RestoredEnsemble`."""

    def located(self, topics: Sequence[str]) -> list[tuple[LocatedVersion, ...]]:
        """The versions of the schemas of topics, nothing for a topic without."""

    def settings(self, namespace: str) -> SchemaSettings | None:
        """What the policies of a namespace say of schemas. None if there is no such namespace."""


class Registry:
    """Asks the brokers of a restored ensemble. Topics are paths below `/schemas`.

    Every method raises the errors of `Asks.request`, and RejectedError for what a broker does not do.
    """

    def __init__(self, brokers: Asks, ensemble: Znodes) -> None:
        self.ensemble = ensemble
        self._brokers = brokers

    def clusters(self) -> frozenset[str]:
        """The clusters that the brokers know."""
        return _names(self._require("GET", "/admin/v2/clusters").json())

    def brokers(self) -> frozenset[str]:
        """The brokers of the cluster, as `host:port` of their web services."""
        return _names(self._require("GET", BROKERS).json())

    def owner(self, topic: str) -> frozenset[str]:
        """The `host:port` of the web service of the broker that serves a topic, empty if a lookup does not tell."""
        answer = self._brokers.request("GET", f"/lookup/v2/topic/persistent/{quote(topic, safe=_UNCHANGED)}")
        found = answer.json() if answer.ok else None
        urls = [found.get(name) for name in ("httpUrl", "httpUrlTls")] if isinstance(found, dict) else []
        return frozenset(urlsplit(url).netloc for url in urls if isinstance(url, str) and url)

    def settings(self, namespace: str) -> SchemaSettings:
        """What brokers know of the namespace's settings."""
        return SchemaSettings.of_fields(self._require("GET", _namespace(namespace)).json())

    def set_strategy(self, namespace: str, strategy: str) -> None:
        """Set the strategy of the namespace."""
        self._require("PUT", f"{_namespace(namespace)}/schemaCompatibilityStrategy", strategy)

    def topic_strategy(self, topic: str) -> str:
        """The strategy of the topic alone, which overrides that of its namespace. Empty if it has none."""
        answer = self._brokers.request("GET", _topic_strategy(topic))
        found = answer.json() if answer.ok and answer.body else None
        return found if isinstance(found, str) else ""

    def set_topic_strategy(self, topic: str, strategy: str) -> None:
        """Set the strategy of the topic alone."""
        self._require("PUT", _topic_strategy(topic), strategy)

    def versions(self, topic: str) -> tuple[LocatedVersion, ...]:
        """What the locator of a topic has now. Raises UndecodableError if it is damaged."""
        return self.ensemble.located([topic])[0]

    def gives(self, topic: str, version: SchemaVersion) -> bool:
        """Whether brokers give out this version as it was saved."""
        answer = self._brokers.request("GET", f"{_schemas(topic)}/{version.version}")
        found = answer.json() if answer.ok else None
        return isinstance(found, dict) and (version.type, version.data, version.properties) == (
            found.get("type"),
            found.get("data"),
            found.get("properties") or {},
        )

    def post(self, topic: str, version: SchemaVersion) -> None:
        """Register a schema. An equal one is not registered again."""
        body = {"type": version.type, "schema": version.data, "properties": dict(version.properties or {})}
        self._require("POST", _schemas(topic), body, repeatable=True)

    def delete(self, topic: str, *, force: bool = False) -> None:
        """Add a deletion to the topic's versions. With `force`, remove all versions instead."""
        self._require("DELETE", _schemas(topic) + ("?force=true" if force else ""), repeatable=force)

    def _require(self, method: str, path: str, body: object = None, *, repeatable: bool | None = None) -> Answer:
        """The answer to a request that was done."""
        content = None if body is None else json.dumps(body).encode()
        answer = self._brokers.request(method, path, content, repeatable=repeatable)
        if not answer.ok:
            error = RejectedError(
                f"a broker refused {method} {path} ({answer.status}{f', {answer.reason}' if answer.reason else ''})",
                "Look at the log of this broker",
            )
            error.incompatible = answer.status == _INCOMPATIBLE
            raise error
        return answer


def _namespace(namespace: str) -> str:
    return f"{api_of(namespace)}/namespaces/{quote(namespace, safe=_UNCHANGED)}"


def _schemas(topic: str) -> str:
    return f"{api_of(topic.rpartition('/')[0])}/schemas/{quote(topic, safe=_UNCHANGED)}/schema"


def _topic_strategy(topic: str) -> str:
    api = api_of(topic.rpartition("/")[0])
    return f"{api}/persistent/{quote(topic, safe=_UNCHANGED)}/schemaCompatibilityStrategy"


def _names(found: Any) -> frozenset[str]:
    return frozenset(name for name in found if isinstance(name, str)) if isinstance(found, list) else frozenset()
