"""A bucket of tiered storage that has moved, on a real Pulsar: empty topics, or all messages."""

import pulsar
import pytest

from ci.parts.pulsar import NEWEST
from support.embedded_s3 import KEYS
from support.pulsar import eventually
from support.tool import run
from support.world import OFFLOADS, World, namespace, offload, produce, read_all, say, stats, subscribe

PARTLY, OTHER, SEPARATE = "shop/orders/partly", "shop/orders/other", "shop/carts/separate"
TOPICS = (PARTLY, OTHER, SEPARATE)
MOVED = "offloads-that-moved"
QUIET = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)


def readable(world: World, topic: str) -> list[bytes]:
    """The messages that a reader gets before it waits ten seconds in vain."""
    client = pulsar.Client(world.cluster.service_url, operation_timeout_seconds=10, logger=QUIET)
    found = []
    try:
        reader = client.create_reader(f"persistent://{topic}", pulsar.MessageId.earliest)
        while reader.has_message_available():
            found.append(reader.read_next(10_000).data())
    except pulsar.Timeout:
        pass
    finally:
        client.close()
    return found


def own_bucket(world: World, name: str) -> None:
    """Give a namespace a bucket in its offload policies."""
    policies = {
        "managedLedgerOffloadDriver": "S3",
        "managedLedgerOffloadBucket": name,
        "managedLedgerOffloadServiceEndpoint": world.offloads,
        "managedLedgerOffloadThresholdInBytes": -1,
    }
    world.cluster.post("namespaces/shop/carts/offloadPolicies", policies)


@pytest.mark.parametrize("world", [NEWEST], indirect=True)
def test_moved(world: World) -> None:
    """With the old name in the tree nothing is read, with the new one everything, and new ledgers go there, too."""
    for name in ("shop/orders", "shop/carts"):
        namespace(world, name)
    own_bucket(world, OFFLOADS)
    for topic in TOPICS:
        produce(world, topic, 130)
        subscribe(world, topic)
        offload(world, topic)
    point = world.back_up()
    world.promise = world.promised(point)
    promised = {topic: world.topics[topic].promised(world.promise[topic]) for topic in TOPICS}
    assert [130, 130, 130] == [len(messages) for messages in promised.values()]
    world.lose()
    world.move_offloads(MOVED)
    access = {
        "TIERED_STORAGE_ENDPOINT_URL": world.offloads,
        "TIERED_STORAGE_ACCESS_KEY_ID": KEYS["AWS_ACCESS_KEY_ID"],
        "TIERED_STORAGE_SECRET_ACCESS_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
    }
    world.restored.mkdir()
    asked = {"RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(world.restored), "CLUSTER_NAME": "c1", **access}
    refused = run("restore", settings={**world.settings, **asked})
    assert f"the bucket {OFFLOADS} should have" in refused.error
    assert not list(world.restored.iterdir())
    world.restored.rmdir()

    world.restore(point)
    world.begin()
    found = {topic: len(readable(world, topic)) for topic in TOPICS}
    say(f"nothing rewritten: {found} messages read")
    assert dict.fromkeys(TOPICS, 0) == found
    world.lose()

    world.restore(point, TIERED_STORAGE_BUCKETS=f"{OFFLOADS}={MOVED}", **access)
    world.begin()
    for topic in TOPICS:
        assert promised[topic] == read_all(world, topic)
    say(f"with the new name: { {topic: len(promised[topic]) for topic in TOPICS} } messages read")
    assert MOVED == world.cluster.get("namespaces/shop/carts/offloadPolicies")["managedLedgerOffloadBucket"]
    produce(world, SEPARATE, 60)
    offload(world, SEPARATE)
    eventually("the new ledgers are offloaded", lambda: stats(world.cluster, SEPARATE))
    world.cluster.put(f"persistent/{SEPARATE}/unload")
    assert promised[SEPARATE] + [content for content, _ in world.topics[SEPARATE].sent[-60:]] == read_all(
        world, SEPARATE
    )
    assert {"proven"} == {state for state, count in world.scrub(world.back_up()).items() if count}
