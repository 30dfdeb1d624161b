"""What brokers do with schemas and with policies of namespaces, as far as a put-back sees it.

All that a broker keeps in ZooKeeper is in znodes: a dictionary in unit tests, a real ZooKeeper in integration tests.
"""

import hashlib
import json
import threading
import zlib
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from metadata_tool.broker_metadata.client import Answer
from metadata_tool.broker_metadata.records import SavedSchemas, SchemaVersion
from metadata_tool.pulsar import schema_locator
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.pulsar.schema_locator_pb2 import SchemaLocator
from metadata_tool.put_back.held_namespaces import SchemaSettings
from metadata_tool.zookeeper.znodes import Write, Znode
from support.fake_broker import Asked, Reply

Znodes = MutableMapping[str, bytes]
Hook = Callable[[str, str], Reply | None]
"""Called with method and path of each request, before it is done. A reply is given instead."""

DEFAULTS = {"is_allow_auto_update_schema": True}
"""What a broker fills in where policies say nothing."""
BROKER, CLUSTER = "127.0.0.1:8080", "demo"


def stored_hash(kind: str, text: str) -> bytes:
    """The hash that a broker keeps. Of a key-value schema it keeps other bytes than it gives out."""
    return hashlib.sha256((f"stored:{text}" if kind == "KEY_VALUE" else text).encode()).digest()


def schema(version: int, text: str, kind: str = "AVRO") -> SchemaVersion:
    """A version as it is saved. The hash of a key-value schema is that of a client's own bytes."""
    return SchemaVersion(version, hashlib.sha256(text.encode()).digest(), kind, text, {"a": "b"}, 1)


def lost(version: int) -> SchemaVersion:
    """A version before a deletion, which brokers do not give out."""
    return SchemaVersion(version, hashlib.sha256(b"lost").digest())


def deletion(version: int) -> SchemaVersion:
    """A deletion."""
    return SchemaVersion(version, b"")


def saved(topic: str, *versions: SchemaVersion) -> SavedSchemas:
    """The schemas of a topic, as they are saved."""
    return SavedSchemas(topic, 1_000, 7, versions)


class BrokerModel:
    """Answers requests as a broker does, and changes znodes. It also is the ensemble, for unit tests."""

    def __init__(self, znodes: Znodes, hook: Hook = lambda _method, _path: None) -> None:
        self.znodes, self.hook = znodes, hook
        self.asked: list[tuple[str, str]] = []
        self.lose_answer_of = 0
        """The number of a request that is done but not answered, 0 for none."""
        self.strategies: dict[str, str] = {}
        """Strategies of single topics, which override those of their namespaces."""
        self._given: dict[str, dict[int, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def request(self, method: str, path: str, body: bytes | None = None, *, repeatable: bool | None = None) -> Answer:
        """As BrokerClient does, without its tries."""
        del repeatable
        reply = self.reply(Asked(method, path, "", body or b""))
        assert reply.status
        return Answer(reply.status, reply.body, reply.body.decode() if reply.status >= 400 else "")

    def reply(self, asked: Asked) -> Reply:
        """The answer to a request."""
        with self._lock:
            self.asked.append((asked.method, asked.path))
            if reply := self.hook(asked.method, asked.path):
                return reply
            done = self._done(asked.method, asked.path, json.loads(asked.body or b"null"))
            return Reply(None) if len(self.asked) == self.lose_answer_of else done

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The requests that change something."""
        return [asked for asked in self.asked if asked[0] != "GET"]

    def texts(self, topic: str) -> list[str | None]:
        """The schemas of a topic by version, None for those that brokers do not give out."""
        given = self._given.get(topic, {})
        return [given[found.version]["data"] if found.version in given else None for found in self._versions(topic)]

    def register(self, topic: str, text: str, kind: str = "AVRO") -> bool:
        """A client registers a schema. False if clients are held off."""
        if self.settings(topic.rpartition("/")[0]).auto_update is False:
            return False
        self._post(topic, {"type": kind, "schema": text, "properties": {}})
        return True

    def settings(self, namespace: str) -> SchemaSettings:
        """As RestoredEnsemble does."""
        return SchemaSettings.of(self.znodes[f"/admin/policies/{namespace}"])

    def located(self, topics: Sequence[str]) -> list[tuple[LocatedVersion, ...]]:
        """As RestoredEnsemble does."""
        return [self._versions(topic) for topic in topics]

    def read(self, path: bytes) -> Znode | None:
        """As RestoredEnsemble does. The version is a checksum."""
        data = self.znodes.get(path.decode())
        return None if data is None else Znode(data, zlib.crc32(data))

    def set_all(self, writes: Sequence[Write]) -> bool:
        """As RestoredEnsemble does."""
        if not all((found := self.read(write.path)) and found.version == write.version for write in writes):
            return False
        for write in writes:
            self.znodes[write.path.decode()] = write.data
        return True

    def policies_path(self, namespace: str) -> bytes:
        """As RestoredEnsemble does."""
        return f"/admin/policies/{namespace}".encode()

    def _done(self, method: str, path: str, body: Any) -> Reply:  # noqa: C901, PLR0911  # one for each request
        parts = urlsplit(path)
        match method, parts.path.removeprefix("/admin/v2/").split("/"):
            case "GET", ["clusters"]:
                return _json([CLUSTER])
            case "GET", ["brokers"]:
                return _json([BROKER])
            case "GET", ["", "lookup", "v2", "topic", *_]:
                return _json({"httpUrl": f"http://{BROKER}", "httpUrlTls": "https://127.0.0.1:8443"})
            case "GET", ["namespaces", *names]:
                return _json(DEFAULTS | json.loads(self.znodes["/admin/policies/" + "/".join(names)]))
            case "PUT", ["namespaces", *names, "schemaCompatibilityStrategy"]:
                self._change_policies("/".join(names), "schema_compatibility_strategy", body)
            case "GET", ["persistent", *names, "schemaCompatibilityStrategy"]:
                return _json(self.strategies.get("/".join(names)))
            case "PUT", ["persistent", *names, "schemaCompatibilityStrategy"]:
                self.strategies["/".join(names)] = body
            case "GET", ["schemas", *names, "schema", version]:
                found = self._given.get("/".join(names), {}).get(int(version))
                return _json(found) if found else Reply(404, b"no such version")
            case "POST", ["schemas", *names, "schema"]:
                return self._post_if_compatible("/".join(names), body)
            case "DELETE", ["schemas", *names, "schema"]:
                self._delete("/".join(names), force=parts.query == "force=true")
            case _:
                return Reply(405, b"no such request")
        return Reply(204, b"")

    def _change_policies(self, namespace: str, name: str, value: object) -> None:
        path = f"/admin/policies/{namespace}"
        fields = json.loads(self.znodes[path]) | {name: value}
        self.znodes[path] = json.dumps({key: each for key, each in fields.items() if each is not None}).encode()

    def _post_if_compatible(self, topic: str, body: dict[str, Any]) -> Reply:
        strategy = self.strategies.get(topic) or self.settings(topic.rpartition("/")[0]).strategy
        if self._given.get(topic) and strategy != "ALWAYS_COMPATIBLE" and self._number(topic, body) is None:
            return Reply(409, b"incompatible")
        return _json({"version": self._post(topic, body)})

    def _number(self, topic: str, body: dict[str, Any]) -> int | None:
        """The number of an equal schema."""
        given = self._given.get(topic, {})
        wanted = body["type"], body["schema"]
        return next((number for number, each in given.items() if (each["type"], each["data"]) == wanted), None)

    def _post(self, topic: str, body: dict[str, Any]) -> int:
        if (number := self._number(topic, body)) is not None:
            return number
        version = len(self._versions(topic))
        self._append(topic, stored_hash(body["type"], body["schema"]))
        fields = {"version": version, "type": body["type"], "timestamp": 5, "data": body["schema"]}
        self._given.setdefault(topic, {})[version] = fields | {"properties": body["properties"]}
        return version

    def _delete(self, topic: str, *, force: bool) -> None:
        self._given.pop(topic, None)
        if force:
            self.znodes.pop(f"/schemas/{topic}", None)
        else:
            self._append(topic, b"")

    def _append(self, topic: str, sha256: bytes) -> None:
        locator = SchemaLocator()
        locator.ParseFromString(self.znodes.get(f"/schemas/{topic}", b""))
        entry = locator.index.add(version=len(locator.index), hash=sha256)
        entry.position.ledgerId, entry.position.entryId = 9, len(locator.index)
        locator.info.CopyFrom(entry)
        self.znodes[f"/schemas/{topic}"] = locator.SerializeToString()

    def _versions(self, topic: str) -> tuple[LocatedVersion, ...]:
        value = self.znodes.get(f"/schemas/{topic}")
        return () if value is None else schema_locator.versions(value)


class RealZnodes(MutableMapping[str, bytes]):
    """The znodes of a ZooKeeper."""

    def __init__(self, client: KazooClient) -> None:
        self._client = client

    def __getitem__(self, path: str) -> bytes:
        try:
            return bytes(self._client.get(path)[0] or b"")
        except NoNodeError as error:
            raise KeyError(path) from error

    def __setitem__(self, path: str, data: bytes) -> None:
        self._client.ensure_path(path)
        self._client.set(path, data)

    def __delitem__(self, path: str) -> None:
        self[path]
        self._client.delete(path, recursive=True)

    def __iter__(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


def _json(value: object) -> Reply:
    return Reply(200, json.dumps(value).encode())
