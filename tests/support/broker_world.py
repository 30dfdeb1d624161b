"""What brokers keep in BookKeeper, in a cluster that is lost: schemas of every kind, subscriptions, topic policies."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kazoo.client import KazooClient

from metadata_tool.pulsar import schema_locator
from support.pulsar import eventually
from support.tokens import token
from support.typed_client import INCOMPATIBLE, KINDS, PRIMITIVES, RefusedError, Typed, TypedClient
from support.world import World, namespace, offload, produce, subscribe

TYPED, OPEN, CLOSED, UNTYPED = "shop/typed", "shop/open", "lab/closed", "lab/untyped"
NAMESPACES = (TYPED, OPEN, CLOSED, UNTYPED)
"""With a strategy of its own; with none; where clients may not register schemas; without schemas."""
VERSIONED = {f"{TYPED}/{kind.lower()}": kind for kind in KINDS}
PLAIN = {f"{OPEN}/{kind.lower()}": kind for kind in PRIMITIVES}
_RECORD = '{"type":"record","name":"Order","fields":[{"name":"number","type":"double","default":1.5}]}'
REGISTERED: dict[str, dict[str, Any]] = {
    f"{OPEN}/{kind.lower()}": {"type": kind, "schema": schema, "properties": {}}
    for kind, schema in (("BOOLEAN", ""), ("INT8", ""), ("DOUBLE", ""), ("INSTANT", ""), ("PROTOBUF", _RECORD))
}
"""Schemas that are registered, and by which no messages are sent."""
SPELLED = f"{OPEN}/spelled"
_SPELLED = {
    "type": "KEY_VALUE",
    "schema": '{"key":"","value":' + _RECORD.replace("1.5", "100000000000.0") + "}",
    "properties": {"kv.encoding.type": "INLINE", "key.schema.type": "STRING", "value.schema.type": "JSON"},
}
"""Brokers give out the number as 1.0E11, so the schema that is put back has another hash."""
PARTITIONED, SETTLED = f"{TYPED}/parts", f"{CLOSED}/settled"
NEWEST_FIELDS = 3
READER, OWNER = "reader", "owner"
"""The roles of backups, which may consume, and of put-backs, which administers the tenants."""

SHORT = "lab/short"
KEPT = f"{SHORT}/kept"
"""A topic whose own policies alone keep its messages, all of which are acknowledged."""
NEVER_DELETED = {
    "inactiveTopicDeleteMode": "delete_when_no_subscriptions",
    "maxInactiveDurationSeconds": 1000,
    "deleteWhileInactive": False,
}
DELETING: tuple[tuple[str, Any], ...] = (
    ("messageTTL", 3600),
    ("backlogQuota", {"limitSize": 1 << 30, "policy": "consumer_backlog_eviction"}),
    ("inactiveTopicPolicies", NEVER_DELETED | {"maxInactiveDurationSeconds": 9, "deleteWhileInactive": True}),
)
"""Policies of the namespace of that topic, which has no retention."""

CURSORS, PARTS = f"{OPEN}/cursors", [f"{OPEN}/parts-partition-{number}" for number in range(2)]
MESSAGES = 6000
"""Of the topic of which every third message is acknowledged: 2,000 holes."""

POLICIES: tuple[tuple[str, str, Any], ...] = (
    (CURSORS, "retention", {"retentionTimeInMinutes": 77, "retentionSizeInMB": -1}),
    (CURSORS, "maxConsumers", 9),
    (CURSORS, "maxProducers?isGlobal=true", 8),
    (f"{OPEN}/parts", "maxConsumers", 7),
    (f"{TYPED}/avro", "maxUnackedMessagesOnConsumer", 6),
    (f"{UNTYPED}/plain", "messageTTL?messageTTL=1000000", 1000000),
    (KEPT, "retention", {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}),
    (KEPT, "messageTTL?messageTTL=2000000", 2000000),
    (KEPT, "inactiveTopicPolicies", NEVER_DELETED),
)
STRATEGY = (f"{TYPED}/avro", "schemaCompatibilityStrategy", "FULL")
"""It refuses versions that the topic has, if it is put back before them."""
UNSET = (CURSORS, "maxUnackedMessagesOnSubscription", 5)
"""A policy that was set and removed."""


@dataclass(frozen=True)
class Seen:
    """What clients and administrators see."""

    decoded: dict[str, list[Typed]]
    """What a client decodes that knows no schema, by topic."""
    typed: dict[str, list[Typed]]
    """What a client decodes that knows the newest schema."""
    incompatible: dict[str, str]
    """Why a producer with an incompatible schema is refused."""
    schemas: dict[str, Any]
    located: dict[str, tuple[schema_locator.LocatedVersion, ...]]
    policies: dict[str, Any]
    namespaces: dict[str, Any]


def fill(world: World, client: TypedClient) -> None:
    """Send messages of every kind and version, offload them all, then subscribe, and set policies."""
    cluster = world.cluster
    _create(world)
    for topic, kind in VERSIONED.items():
        _produce(client, topic, kind, (1, 2), 0)
        cluster.delete(f"schemas/{topic}/schema")
        _produce(client, topic, kind, (1, 2, NEWEST_FIELDS), 20)
    for topic, kind in PLAIN.items():
        _produce(client, topic, kind, (0,), 0)
    for topic in (PARTITIONED, SETTLED):
        _produce(client, topic, "AVRO", (1, 2, NEWEST_FIELDS), 0)
    for topic, schema in (*REGISTERED.items(), (SPELLED, _SPELLED)):
        cluster.post(f"schemas/{topic}/schema", schema)
    cluster.post(f"namespaces/{CLOSED}/isAllowAutoUpdateSchema", False)
    produce(world, CURSORS, MESSAGES)
    for topic in (*PARTS, f"{UNTYPED}/plain"):
        produce(world, topic, 90)
    for topic in (*_topics(), CURSORS, *PARTS, f"{UNTYPED}/plain"):
        offload(world, topic)
    for topic in (CURSORS, *PARTS):
        subscribe(world, topic)
    world.client.subscribe(f"persistent://{KEPT}", "all").close()
    for topic, name, value in (*POLICIES, UNSET):
        _set_policy(world, topic, name, value)
    cluster.post(f"persistent/{KEPT}/backlogQuota", {"limitSize": -1, "policy": "producer_request_hold"})
    _acknowledge_all(world, KEPT, 2500)
    cluster.delete(f"persistent/{UNSET[0]}/{UNSET[1]}")
    topic, name, value = STRATEGY
    cluster.put(f"persistent/{topic}/{name}", value)


def _acknowledge_all(world: World, topic: str, count: int) -> None:
    """Send messages, acknowledge all of them, and offload them."""
    produce(world, topic, count)
    consumer = world.client.subscribe(f"persistent://{topic}", "all")
    for _ in range(count):
        consumer.acknowledge(consumer.receive(30_000))
    consumer.close()
    offload(world, topic)


def _set_policy(world: World, topic: str, name: str, value: Any) -> None:
    """Set a policy of a topic. One that is set before the broker has read the last one undoes that."""
    path = f"persistent/{topic}/{name}"
    world.cluster.post(path, value)
    eventually(f"{path} is set", lambda: world.cluster.get(path) == value)


def _create(world: World) -> None:
    cluster = world.cluster
    for name in (*NAMESPACES, SHORT):
        namespace(world, name, retention=name != SHORT)
        if world.tokens:
            cluster.post(f"namespaces/{name}/permissions/{READER}", ["consume"])
            cluster.post(f"tenants/{name.partition('/')[0]}", {"adminRoles": [OWNER], "allowedClusters": ["c1"]})
    for policy, value in DELETING:
        cluster.post(f"namespaces/{SHORT}/{policy}", value)
    cluster.put(f"namespaces/{TYPED}/schemaCompatibilityStrategy", "FULL_TRANSITIVE")
    cluster.put(f"persistent/{PARTITIONED}/partitions", 2)
    cluster.put(f"persistent/{OPEN}/parts/partitions", 2)


def _produce(client: TypedClient, topic: str, kind: str, versions: Sequence[int], first: int) -> None:
    """Send ten messages with each version of a schema."""
    for number, fields in enumerate(versions):
        client.produce(topic, kind, fields, range(first + 10 * number, first + 10 * (number + 1)))


def see(world: World, client: TypedClient) -> Seen:
    """What is to see now."""
    cluster = world.cluster
    names = {*VERSIONED, *PLAIN, *REGISTERED, PARTITIONED, SETTLED}
    return Seen(
        {topic: client.read(topic) for topic in _topics()},
        {topic: client.read(topic, kind, fields) for topic, (kind, fields) in _topics().items()},
        {topic: refusal(client, topic, kind, INCOMPATIBLE) for topic, kind in (*VERSIONED.items(), (SETTLED, "AVRO"))},
        {topic: _untimed(cluster.get(f"schemas/{topic}/schemas")) for topic in {*names, SPELLED}},
        {topic: located(world, topic) for topic in names},
        policies(world),
        {
            name: [
                cluster.get(f"namespaces/{name}/schemaCompatibilityStrategy"),
                cluster.get(f"namespaces/{name}/isAllowAutoUpdateSchema"),
                stored_policies(world, name),
            ]
            for name in (*NAMESPACES, SHORT)
        },
    )


def refusal(client: TypedClient, topic: str, kind: str, fields: int) -> str:
    """Why the broker refuses a producer. Empty if it does not."""
    try:
        client.connect(topic, kind, fields)
    except RefusedError as error:
        return str(error)
    return ""


def policies(world: World) -> dict[str, Any]:
    """The policies of topics that the broker applies."""
    names = [(topic, name) for topic, name, _ in (*POLICIES, UNSET, STRATEGY)]
    return {f"{topic} {name}": world.cluster.get(f"persistent/{topic}/{name}") for topic, name in names}


def located(world: World, topic: str) -> tuple[schema_locator.LocatedVersion, ...]:
    """The versions in the znode of a topic's schema. Those before the last tombstone are counted as tombstones."""
    with zookeeper(world) as client:
        path = f"/schemas/{topic}"
        found = schema_locator.versions(client.get(path)[0]) if client.exists(path) else ()
    last = schema_locator.last_tombstone(found)
    return tuple(version._replace(sha256=b"") if version.version <= last else version for version in found)


def located_count(world: World) -> int:
    """How many versions of schemas of topics there are, tombstones included."""
    with zookeeper(world) as client:
        return sum(
            len(schema_locator.versions(client.get(f"/schemas/{topic}")[0]))
            for topic in (*VERSIONED, *PLAIN, PARTITIONED, SETTLED)
            if client.exists(f"/schemas/{topic}")
        )


def stored_policies(world: World, name: str) -> Any:
    """The policies of a namespace in ZooKeeper."""
    with zookeeper(world) as client:
        return json.loads(client.get(f"/admin/policies/{name}")[0])


@contextmanager
def zookeeper(world: World) -> Iterator[KazooClient]:
    """A session with the cluster's ZooKeeper."""
    client = KazooClient(world.zookeeper.address)
    client.start()
    try:
        yield client
    finally:
        client.stop()
        client.close()


def typed_client(world: World) -> TypedClient:
    """A client of the cluster that runs now."""
    return TypedClient(world.version, world.cluster.service_url, world.cluster.token)


def asking(world: World, role: str) -> dict[str, str]:
    """The settings of commands that ask brokers: the last of them, so that others are named by it."""
    settings = {"BROKER_SERVICE_URL": f"http://127.0.0.1:{world.cluster.web_ports[-1]}"}
    return settings | ({"BROKER_TOKEN": token(role)} if world.tokens else {})


def putting_back(world: World) -> dict[str, str]:
    """The settings of a put-back."""
    return {**world.settings, "ZOOKEEPER_SERVERS": world.zookeeper.address, **asking(world, OWNER)}


def _topics() -> dict[str, tuple[str, int]]:
    """The kind and the number of fields of the newest schema, by topic or partition."""
    versioned = {topic: (kind, NEWEST_FIELDS) for topic, kind in VERSIONED.items()}
    plain = {topic: (kind, 0) for topic, kind in PLAIN.items()}
    evolved = [SETTLED, *(f"{PARTITIONED}-partition-{number}" for number in range(2))]
    return versioned | plain | dict.fromkeys(evolved, ("AVRO", NEWEST_FIELDS))


def _untimed(answer: Any) -> Any:
    """The schemas in an answer, without when each was registered."""
    return [{key: value for key, value in each.items() if key != "timestamp"} for each in answer["getSchemaResponses"]]
