"""Restore points that are made of tiered storage, on a real Pulsar that has lost everything else."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pulsar
import pytest

from ci.parts.pulsar import NEWEST
from metadata_tool.errors import OffloadedLedgersLost
from metadata_tool.tiered_storage.object_names import ObjectName
from support.embedded_s3 import KEYS
from support.s3 import s3_client
from support.tool import run, succeed
from support.world import (
    OFFLOADS,
    QUIET,
    World,
    check,
    namespace,
    offload,
    produce,
    read_all,
    say,
    stats,
    subscribe,
)

pytestmark = pytest.mark.parametrize("world", [NEWEST], indirect=True)

WHOLE, LATE, NEW = "shop/orders/whole", "shop/orders/late", "lab/odd/new"
"""`LATE` is never offloaded before the first backup, `NEW` is created after it."""
PARTITIONS = [f"shop/orders/parts-partition-{number}" for number in range(3)]
TOPICS = [WHOLE, LATE, *PARTITIONS]


def offloaded(world: World, topics: Iterable[str]) -> dict[str, set[int]]:
    """The ledgers that the broker has offloaded, by topic."""
    found = {}
    for topic in topics:
        found[topic] = {each["ledgerId"] for each in stats(world.cluster, topic)["ledgers"] if each["offloaded"]}
    return found


def more(world: World, topics: Iterable[str], count: int = 120) -> None:
    """Send messages, offload everything, and send a few that stay in BookKeeper."""
    for topic in topics:
        produce(world, topic, count)
        offload(world, topic)
        produce(world, topic, 7)


def reconcile(world: World, point: str) -> tuple[str, dict[str, Any]]:
    """Make a restore point of a backup and the bucket. Returns its address and the report."""
    report = json.loads(succeed("reconcile", point, "--json", settings=world.reading))
    counts = {kind: count["ledgers"] for kind, count in report["total"].items()}
    say(f"reconciled: {counts}, not taken: {report['notTaken']}")
    return report["uri"], report


def forget(world: World, expected: Mapping[str, set[int]]) -> None:
    """From now on, only these messages are expected, and every subscription has them."""
    for topic, messages in world.topics.items():
        messages.sent = [sent for sent in messages.sent if sent[1][0] in expected.get(topic, set())]
        messages.acknowledged = {name: {content for content, _ in messages.sent} for name in messages.acknowledged}


def damage(world: World, expected: dict[str, set[int]]) -> list[tuple[str, int]]:
    """Delete and damage objects of four ledgers, which are expected no more. Returns their topics and ids."""
    client = s3_client(world.offloads, KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"])
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=OFFLOADS)
    keys = [ObjectName.parse(item["Key"]) for page in pages for item in page["Contents"]]
    done = []
    for topic, index, content in (
        (WHOLE, False, None),
        (LATE, True, None),
        (PARTITIONS[0], True, b"damaged"),
        (PARTITIONS[1], False, b"cut"),
    ):
        ledger = sorted(expected[topic])[1]
        (key,) = (str(key) for key in keys if key and (key.ledger_id, key.is_index) == (ledger, index))
        if content is None:
            client.delete_object(Bucket=OFFLOADS, Key=key)
        else:
            client.put_object(Bucket=OFFLOADS, Key=key, Body=content)
        expected[topic].remove(ledger)
        done.append((topic, ledger))
    return done


def receive_everything(world: World, topic: str, subscription: str) -> Counter[bytes]:
    """What a new subscription gets."""
    consumer = world.client.subscribe(
        f"persistent://{topic}", subscription, initial_position=pulsar.InitialPosition.Earliest
    )
    found: Counter[bytes] = Counter()
    while True:
        try:
            message = consumer.receive(30_000 if not found else QUIET * 10)
        except pulsar.Timeout:
            break
        found[message.data()] += 1
        consumer.acknowledge(message)
    consumer.close()
    return found


def test_everything_but_the_bucket_is_lost(world: World) -> None:
    """All that was offloaded is read after each disaster, what came after the backup included, and without a backup."""
    expected, new = after_a_backup(world)
    expected = with_damaged_objects(world, expected)
    without_a_backup(world, expected | new)


def after_a_backup(world: World) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """The first disaster, with a backup that is older. Returns what was read, and what a new topic has."""
    for name in ("shop/orders", "lab/odd"):
        namespace(world, name)
    world.cluster.put("persistent/shop/orders/parts/partitions", 3)
    for topic in TOPICS:
        produce(world, topic, 130)
        subscribe(world, topic)
    for topic in (WHOLE, *PARTITIONS):
        offload(world, topic)
    point = world.back_up()
    promised = sum(map(len, world.promised(point).values()))
    more(world, [*TOPICS, NEW])
    expected, new = offloaded(world, TOPICS), offloaded(world, [NEW])
    lost = world.topics.pop(NEW)
    made, report = reconcile(world, point)
    added = sum(map(len, expected.values())) - promised
    assert (promised, added, 0) == tuple(report["total"][each]["ledgers"] for each in ("promised", "added", "leftOut"))
    assert {"the topic is not in the tree": len(new[NEW])} == report["notTaken"]
    world.lose()
    world.restore(made)
    world.begin()
    check(world, expected)
    say(f"first disaster: {promised} ledgers promised, {added} added, 0 left out, all read")
    forget(world, expected)
    world.topics[NEW] = lost
    return expected, new


def with_damaged_objects(world: World, before: dict[str, set[int]]) -> dict[str, set[int]]:
    """The second disaster, in which objects are damaged, too. Returns what was read."""
    lost = world.topics.pop(NEW)
    more(world, [WHOLE, PARTITIONS[0]])
    point = world.back_up()
    in_backup = offloaded(world, TOPICS)
    assert sum(map(len, before.values())) < sum(map(len, in_backup.values()))
    more(world, [LATE, PARTITIONS[1]])
    expected = offloaded(world, TOPICS)
    added = sum(map(len, expected.values())) - sum(map(len, in_backup.values()))
    damaged = damage(world, expected)
    outcome = run("scrub", point, "--json", settings=world.reading)
    assert OffloadedLedgersLost.exit_code == outcome.exit_code
    found = json.loads(outcome.output)["ledgers"]
    assert sorted(damaged) == sorted((each["topic"].replace("/persistent/", "/"), each["ledger"]) for each in found)
    world.lose()
    world.restore(point, **{**world.reading, "RESTORE_VERSION": "2", "TIERED_STORAGE_RECONCILE": "true"})
    report = json.loads((world.restored / "version-2" / "restore-report.json").read_text())["origin"]
    assert (added, len(damaged)) == tuple(report["total"][each]["ledgers"] for each in ("added", "leftOut"))
    world.begin()
    check(world, expected)
    say(f"second disaster: {added} ledgers added, {len(damaged)} missing or damaged and left out, the rest read")
    world.topics[NEW] = lost
    return expected


def without_a_backup(world: World, expected: dict[str, set[int]]) -> None:
    """The third disaster, from which the bucket alone is left."""
    settings = {**world.reading, "TIERED_STORAGE_BUCKET": OFFLOADS, "TIERED_STORAGE_DRIVER": "S3"}
    rescued = json.loads(succeed("rescue", "--json", settings=settings))
    say(f"rescued: {rescued['total']}, not taken: {rescued['notTaken']}, unusable: {len(rescued['ledgers'])}")
    assert ("c1", sum(map(len, expected.values()))) == (rescued["cluster"], rescued["total"]["ledgers"])
    world.lose()
    world.restore(rescued["uri"], RESTORE_VERSION="3")
    world.begin()
    assert 3 == world.cluster.get("persistent/shop/orders/parts/partitions")["partitions"]
    contents = {topic: world.topics[topic].promised(ledgers) for topic, ledgers in expected.items()}
    parts = [content for topic in PARTITIONS for content in contents[topic]]
    assert Counter(parts) == receive_everything(world, "shop/orders/parts", "of-all-partitions")
    read = 0
    for topic, sent in contents.items():
        found = receive_everything(world, topic, "rescued")
        read += found.total()
        assert (Counter(sent), sent) == (found, read_all(world, topic)), topic
    total = sum(map(len, contents.values()))
    say(f"without a backup: {total} messages offloaded, {read} read, difference {total - read}")
    produce(world, WHOLE, 60)
    assert len(contents[WHOLE]) + 60 == len(read_all(world, WHOLE))
