"""The options of a restore on a real Pulsar."""

from pathlib import Path

import pytest

from ci.parts.pulsar import NEWEST
from support.pulsar import Pulsar, eventually
from support.world import World, namespace, offload, produce, read_all, receive_all, say, stats, subscribe
from support.zookeeper import client

pytestmark = pytest.mark.parametrize("world", [NEWEST], indirect=True)

PARTLY, NEVER, TRIMMED = "shop/orders/partly", "shop/orders/never", "shop/short/trimmed"
LATER = "shop/orders/later"
"""A topic that is created after the backup."""


def ledgers(world: World) -> set[int]:
    """The ids of all ledgers with messages."""
    return {ledger for messages in world.topics.values() for _, (ledger, _) in messages.sent}


def entry_logs(cluster: Pulsar) -> set[Path]:
    """The entry logs of all bookies."""
    return {path for number in range(cluster.bookies) for path in cluster.entry_logs(number)}


def contents(world: World, topic: str) -> list[bytes]:
    """All messages that were sent to a topic."""
    return [content for content, _ in world.topics[topic].sent]


def test_bookies_kept(world: World) -> None:
    """With bookies that kept their disks, all messages of known ledgers come back, even those sent after the backup."""
    namespace(world, "shop/orders")
    for topic in (PARTLY, NEVER):
        produce(world, topic, 130)
        subscribe(world, topic)
    offload(world, PARTLY)
    produce(world, PARTLY, 20)
    point = world.back_up()
    for topic in (PARTLY, NEVER):
        produce(world, topic, 10)
    known = entry_logs(world.cluster)
    produce(world, LATER, 400, size=50_000)
    used = ledgers(world)
    bookies = world.cluster
    world.lose(bookies=False)
    world.restore(point, RESTORE_SCOPE="bookies-kept")
    unknown = entry_logs(bookies) - known
    world.begin(bookies=bookies)
    for topic in (PARTLY, NEVER):
        assert contents(world, topic) == read_all(world, topic)
        for subscription, done in world.topics[topic].acknowledged.items():
            wanted = [content for content in contents(world, topic) if content not in done]
            assert wanted == receive_all(world, topic, subscription, set(wanted)), (topic, subscription)
        produce(world, topic, 60)
        assert contents(world, topic) == read_all(world, topic)
    eventually(
        "bookies delete the ledgers that the backup does not know",
        lambda: len(unknown - entry_logs(bookies)) > len(unknown) // 2,
    )
    say(f"the bookies deleted {len(unknown - entry_logs(bookies))} of {len(unknown)} entry logs of later ledgers")
    say(f"{len(contents(world, PARTLY)) + len(contents(world, NEVER))} messages sent, and all of them read")
    assert not {where[0] for topic in (PARTLY, NEVER) for _, where in world.topics[topic].sent[-60:]} & used


def test_new_name_long_ids_infinite_retention(world: World) -> None:
    """With a new name, 63-bit ids and infinite retention, all messages are read again and none is trimmed."""
    namespace(world, "shop/short", retention=False)
    with client(world.zookeeper.address) as zookeeper:
        zookeeper.ensure_path("/ledgers/idgen-long")
    consumer = world.client.subscribe(
        f"persistent://{TRIMMED}", "middle"
    )  # before the first message, because nothing else retains messages here
    produce(world, TRIMMED, 130)
    for _ in range(65):
        consumer.acknowledge(consumer.receive(30_000))
    eventually("acknowledged", lambda: backlog(world, TRIMMED, "middle") == 65)  # a client sends it a little later
    consumer.close()
    offload(world, TRIMMED)
    assert min(ledgers_of(world, TRIMMED)) >= 1 << 32
    world.cluster.post(f"persistent/{TRIMMED}/trim")
    eventually("acknowledged messages are trimmed", lambda: len(stats(world.cluster, TRIMMED)["ledgers"]) < 4)
    point = world.back_up()
    promised = world.topics[TRIMMED].promised(world.promised(point)[TRIMMED])
    say(f"{len(promised)} of 130 messages were not trimmed before the backup")
    assert contents(world, TRIMMED)[-len(promised) :] == promised
    assert 65 <= len(promised) < 130
    world.lose()
    world.restore(point, CLUSTER_NAME="c2", RENAME_CLUSTER="true", INFINITE_RETENTION="true", RESTORE_VERSION="2")
    world.begin("c2")
    assert ["c2"] == [name for name in world.cluster.get("clusters") if name != "global"]
    assert ["c2"] == world.cluster.get("namespaces/shop/short")["replication_clusters"]
    used = ledgers_of(world, TRIMMED)
    receive_all(world, TRIMMED, "middle", set(contents(world, TRIMMED)[65:]))
    produce(world, TRIMMED, 120)
    world.cluster.put(f"persistent/{TRIMMED}/unload")
    assert promised + contents(world, TRIMMED)[-120:] == read_all(world, TRIMMED)
    fresh = {ledger for _, (ledger, _) in world.topics[TRIMMED].sent[-120:]}
    assert min(fresh) > max(used)
    assert stats(world.cluster, TRIMMED)


def backlog(world: World, topic: str, subscription: str) -> int:
    """How many messages a subscription has not acknowledged."""
    return int(world.cluster.get(f"persistent/{topic}/stats")["subscriptions"][subscription]["msgBacklog"])


def ledgers_of(world: World, topic: str) -> set[int]:
    """The ids of the ledgers with a topic's messages."""
    return {ledger for _, (ledger, _) in world.topics[topic].sent}
