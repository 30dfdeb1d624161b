"""A real Pulsar loses everything except the bucket, twice, and all offloaded messages are read again.

The expected messages come from the backup itself: those in ledgers that it lists as offloaded completely.
"""

import itertools
import json
import re
import threading
import time
from collections import Counter

from support.pulsar import eventually
from support.world import (
    Messages,
    World,
    check,
    namespace,
    offload,
    produce,
    produce_batches,
    produce_with_schema,
    read_all,
    say,
    stats,
    subscribe,
)

WHOLE, PARTLY, NEVER = "shop/orders/whole", "shop/orders/partly", "shop/orders/never"
ENDED, ENDED_PARTLY, EMPTY = "lab/odd/ended", "lab/odd/ended-partly", "lab/odd/empty"
JSON, BATCHES, COMPACTED, UNREAD = "lab/odd/json", "lab/odd/batches", "lab/odd/compacted", "lab/odd/unread"
THRESHOLD, BUSY, DELETED = "shop/threshold/automatic", "shop/orders/busy", "lab/odd/deleted"
PARTITIONS = [f"shop/orders/parts-partition-{number}" for number in range(3)]


def fill(world: World) -> None:
    """Create topics of every kind, and fill them."""
    cluster = world.cluster
    for name in ("shop/orders", "shop/threshold", "lab/odd"):
        namespace(world, name)
    cluster.put("namespaces/shop/threshold/offloadThreshold", 0)
    cluster.put("persistent/shop/orders/parts/partitions", 3)
    cluster.put(f"persistent/{EMPTY}")
    world.topics[EMPTY] = Messages()
    for topic in (WHOLE, PARTLY, NEVER, ENDED, ENDED_PARTLY, COMPACTED, UNREAD, THRESHOLD, *PARTITIONS):
        produce(world, topic, 130)
    produce_batches(world, BATCHES, 700)
    produce(world, DELETED, 60)
    produce_with_schema(world, JSON, 120)


def age(world: World) -> None:
    """Move subscriptions, offload ledgers, compact and terminate topics, delete one."""
    cluster = world.cluster
    for topic in (WHOLE, PARTLY, NEVER, ENDED, ENDED_PARTLY, JSON, BATCHES, COMPACTED, THRESHOLD, *PARTITIONS):
        subscribe(world, topic)
    for topic in (WHOLE, PARTLY, ENDED, ENDED_PARTLY, JSON, BATCHES, COMPACTED, UNREAD, DELETED, *PARTITIONS):
        offload(world, topic)
    for topic in (PARTLY, ENDED_PARTLY, COMPACTED):
        produce(world, topic, 70)
    for topic in (ENDED, ENDED_PARTLY):
        cluster.post(f"persistent/{topic}/terminate")
    cluster.put(f"persistent/{COMPACTED}/compaction")
    eventually("compacted", lambda: cluster.get(f"persistent/{COMPACTED}/compaction")["status"] == "SUCCESS")
    cluster.delete(f"persistent/{DELETED}?force=true")
    eventually(
        "the ledgers beyond the threshold are offloaded",
        lambda: any(each["offloaded"] for each in stats(cluster, THRESHOLD)["ledgers"]),
    )


def repeated(log: str) -> dict[str, int]:
    """Errors that the broker logged more than three times, with the digits replaced, and how often."""
    errors = re.findall(r"^\S+ \[[^\]]*\] (ERROR .*)$", log, re.MULTILINE)
    same = Counter(re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", line) for line in errors)
    return {line: count for line, count in same.items() if count > 3}


def test_two_disasters(world: World) -> None:
    """After each disaster all offloaded messages are read, topics take new ones, and no ledger id is used twice."""
    begun = time.monotonic()

    def elapsed() -> str:
        return f"[{time.monotonic() - begun:.0f} s]"

    say(f"a cluster of Pulsar {world.version} runs")
    fill(world)
    age(world)
    say(f"{elapsed()} topics are filled and offloaded, backing up while a producer runs")
    stop = threading.Event()
    busy = threading.Thread(target=_produce_until, args=(world, BUSY, stop))
    busy.start()
    point = world.back_up()
    stop.set()
    busy.join()
    used = {ledger for messages in world.topics.values() for _, (ledger, _) in messages.sent}

    for disaster in itertools.count(1):
        promised = world.promised(point)
        count = sum(map(len, promised.values()))
        assert {"proven": count, "missing": 0, "damaged": 0, "notChecked": 0} == world.scrub(point)
        say(f"{elapsed()} the objects of all {count} offloaded ledgers are proven")
        world.lose()
        world.restore(point, RESTORE_VERSION=str(disaster))
        say(f"{elapsed()} disaster {disaster}, everything except the bucket is lost, starting a new cluster")
        world.begin()
        check(world, promised)
        say(f"{elapsed()} all messages were read")
        for topic, messages in world.topics.items():
            messages.sent = [sent for sent in messages.sent if sent[1][0] in promised.get(topic, set())]
            messages.acknowledged = {name: {content for content, _ in messages.sent} for name in messages.acknowledged}
            produce(world, topic, 60)
            assert not {ledger for _, (ledger, _) in messages.sent[-60:]} & used, topic
            assert [content for content, _ in messages.sent] == read_all(world, topic), topic
        used |= {ledger for messages in world.topics.values() for _, (ledger, _) in messages.sent}
        assert {} == repeated(world.cluster.log())
        if disaster == 2:
            break
        for topic in (WHOLE, NEVER, BATCHES, *PARTITIONS):
            offload(world, topic)
        point = world.back_up()


def _produce_until(world: World, topic: str, stop: threading.Event) -> None:
    while not stop.is_set():
        produce(world, topic, 20)


def test_lost_schema(world: World) -> None:
    """A producer registers a lost schema again, and the old messages are read with it."""
    produce_with_schema(world, JSON, 1)
    contents = [json.loads(content) for content in read_all(world, JSON) if content.startswith(b"{")]
    assert {"number": 0} in contents
