"""A disaster on a real Pulsar, twice in a row: everything but the bucket is lost, and a new cluster serves all of what
its tiered storage holds.

What a backup promises is taken from the backup itself: the messages whose ledgers it lists as offloaded completely.
"""

import itertools
import json
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulsar
import pytest

from ci.parts.pulsar import NEWEST as PULSAR
from ci.parts.pulsar import OLDER as OLDER_PULSAR
from ci.parts.zookeeper import NEWEST
from metadata_tool.archive import opened
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Reader, Topic
from support.embedded_s3 import embedded_s3
from support.pulsar import Pulsar, eventually
from support.s3 import S3Server, new_bucket, s3_server
from support.tool import succeed
from support.zookeeper import ZooKeeper

OFFLOADS = "offloads"
NAMESPACES = ("shop/orders", "shop/threshold", "lab/odd")
Position = tuple[int, int]
"""Ledger and entry."""

SUBSCRIPTIONS = ("start", "middle", "end", "holes")
QUIET = 300
"""Milliseconds without a message after which there are no more."""
COMPRESSIONS = {
    PULSAR: {"managedLedgerInfoCompressionType": "ZSTD", "managedCursorInfoCompressionType": "LZ4"},
    OLDER_PULSAR: {"managedLedgerInfoCompressionType": "ZLIB", "managedCursorInfoCompressionType": "SNAPPY"},
}
THRESHOLDS = {
    "managedLedgerInfoCompressionThresholdInBytes": "0",
    "managedCursorInfoCompressionThresholdInBytes": "0",
}


@dataclass
class Messages:
    """What was produced to a topic (a partition), in order, and what subscriptions acknowledged."""

    sent: list[tuple[bytes, Position]] = field(default_factory=list)
    acknowledged: dict[str, set[bytes]] = field(default_factory=dict)

    def promised(self, ledgers: set[int]) -> list[bytes]:
        """Those that lie in these ledgers."""
        return [content for content, (ledger, _) in self.sent if ledger in ledgers]


@dataclass
class World:
    """One cluster after the other, over one bucket."""

    version: str
    directory: Path
    s3: S3Server
    settings: dict[str, str]
    offloads: str  # the endpoint of the store that Pulsar offloads to
    topics: dict[str, Messages] = field(default_factory=dict)
    generation: int = 0

    @property
    def restored(self) -> Path:
        """Where a restore puts what the next ZooKeeper starts from."""
        return self.directory / "restored"

    def begin(self) -> None:
        """Start a cluster on whatever ZooKeeper's data directory holds, with empty bookies at new addresses."""
        self.generation += 1
        self.place = self.directory / str(self.generation)
        self.zookeeper = ZooKeeper(NEWEST, self.place / "zookeeper")
        if self.generation > 1:
            shutil.rmtree(self.zookeeper.data_dir)
            self.restored.rename(self.zookeeper.data_dir)
        self.zookeeper.start()
        self.zookeeper.wait()
        self.cluster = Pulsar(
            self.version,
            self.place / "pulsar",
            self.zookeeper.address,
            self.offloads,
            OFFLOADS,
            {**COMPRESSIONS[self.version], **THRESHOLDS},
        )
        self.cluster.start()
        self.client = pulsar.Client(
            self.cluster.service_url,
            operation_timeout_seconds=60,
            logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error),
        )

    def back_up(self) -> str:
        """A backup now; its address."""
        return succeed("backup", settings={**self.settings, "ZOOKEEPER_SERVERS": self.zookeeper.address}).strip()

    def lose(self, point: str, **settings: str) -> dict[str, set[int]]:
        """The disaster: all is killed, all disks are gone. Restored is what the backup has; what it promises."""
        self.cluster.kill()
        self.zookeeper.kill()
        self.client.close()
        shutil.rmtree(self.place / "pulsar" / "bookies")
        shutil.rmtree(self.zookeeper.data_dir)
        self.restored.mkdir()
        restoring = {"RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(self.restored), "CLUSTER_NAME": "c1"}
        succeed("restore", settings={**self.settings, **restoring, **settings})
        return self.promised(point)

    def promised(self, point: str) -> dict[str, set[int]]:
        """The ledgers that a backup lists as offloaded completely, by topic."""
        bucket, _, key = point.removeprefix("s3a://").partition("/")
        file = self.directory / "backup.tar.gz"
        self.s3.client().download_file(bucket, key, str(file))
        reader, found = Reader(Layout()), dict[str, set[int]]()
        with opened(file) as backup:
            for node in backup.tree().nodes:
                topic = reader.read(node.path, node.data)
                if isinstance(topic, Topic):
                    complete = {each.ledgerId for each in topic.info.ledgerInfo if each.offloadContext.complete}
                    found[f"{topic.namespace}/{topic.name}"] = complete
        return found

    def end(self) -> None:
        """Stop everything."""
        self.cluster.kill()
        self.zookeeper.kill()


@pytest.fixture(scope="module", params=[PULSAR, OLDER_PULSAR])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A first cluster that runs."""
    directory = tmp_path_factory.mktemp("disaster")
    with s3_server(directory / "s3") as server, embedded_s3(directory, OFFLOADS) as offloads:
        made = World(request.param, directory, server, new_bucket(server).settings, offloads)
        try:
            made.begin()
            yield made
        finally:
            made.end()


def say(text: str) -> None:
    """A step."""
    print(f"==> {text}", flush=True)


def produce(world: World, topic: str, count: int, **options: Any) -> None:
    """Send numbered messages, and remember where they are."""
    messages = world.topics.setdefault(topic, Messages())
    producer = world.client.create_producer(f"persistent://{topic}", batching_enabled=False, **options)
    for _ in range(count):
        content = f"{topic} {len(messages.sent)}".encode()
        where = producer.send(content, partition_key=f"key-{len(messages.sent) % 7}")
        messages.sent.append((content, (where.ledger_id(), where.entry_id())))
    producer.close()


def produce_batches(world: World, topic: str, count: int) -> None:
    """Send messages that share entries."""
    messages = world.topics.setdefault(topic, Messages())
    producer = world.client.create_producer(
        f"persistent://{topic}", batching_enabled=True, batching_max_publish_delay_ms=20, batching_max_messages=10
    )
    sent: dict[bytes, Position] = {}
    done = threading.Event()

    def acknowledged(content: bytes, result: pulsar.Result, where: pulsar.MessageId) -> None:
        assert result == pulsar.Result.Ok
        sent[content] = (where.ledger_id(), where.entry_id())
        if len(sent) == count:
            done.set()

    for number in range(count):
        content = f"{topic} {number}".encode()
        producer.send_async(content, lambda result, where, content=content: acknowledged(content, result, where))
    assert done.wait(60)
    producer.close()
    messages.sent += [(content, sent[content]) for content in (f"{topic} {n}".encode() for n in range(count))]


def produce_with_schema(world: World, topic: str, count: int) -> None:
    """Send JSON records."""

    class Order(pulsar.schema.Record):  # type: ignore[misc]  # it ships no types
        number = pulsar.schema.Integer()

    schema = pulsar.schema.JsonSchema(Order)
    messages = world.topics.setdefault(topic, Messages())
    producer = world.client.create_producer(f"persistent://{topic}", schema=schema, batching_enabled=False)
    for number in range(count):
        where = producer.send(Order(number=number))
        messages.sent.append((schema.encode(Order(number=number)), (where.ledger_id(), where.entry_id())))
    producer.close()


def subscribe(world: World, topic: str) -> None:
    """Subscriptions that are at the start, in the middle, at the end, and with holes in what they acknowledged."""
    messages = world.topics[topic]
    total = len(messages.sent)
    for name in SUBSCRIPTIONS:
        kind = pulsar.ConsumerType.Shared if name == "holes" else pulsar.ConsumerType.Exclusive
        consumer = world.client.subscribe(
            f"persistent://{topic}", name, consumer_type=kind, initial_position=pulsar.InitialPosition.Earliest
        )
        done = messages.acknowledged.setdefault(name, set())
        goal = {"start": 0, "middle": total // 2, "end": total, "holes": total}[name]
        for number in range(goal):
            message = consumer.receive(30_000)
            if name != "holes" or number % 3 == 0:
                consumer.acknowledge(message)
                done.add(message.data())
        time.sleep(0.2)
        consumer.close()


def offload(world: World, topic: str) -> None:
    """Offload everything up to the end; the last ledger is closed before."""
    cluster, path = world.cluster, f"persistent/{topic}"
    cluster.put(f"{path}/unload")
    stats = eventually(f"{topic} is open", lambda: _stats(cluster, topic))
    last = stats["ledgers"][-1]["ledgerId"]
    cluster.put(f"{path}/offload", {"ledgerId": last, "entryId": 0, "partitionIndex": -1})

    def done() -> bool:
        status = cluster.get(f"{path}/offload")
        assert status["status"] != "ERROR", status
        return bool(status["status"] == "SUCCESS")

    eventually(f"{topic} is offloaded", done)


def _stats(cluster: Pulsar, topic: str) -> Any:
    try:
        stats = cluster.get(f"persistent/{topic}/internalStats")
    except OSError:
        return None
    return stats if stats["ledgers"] else None


def read_all(world: World, topic: str) -> list[bytes]:
    """Everything that a reader gets, from the beginning."""
    reader = world.client.create_reader(f"persistent://{topic}", pulsar.MessageId.earliest)
    found = []
    while reader.has_message_available():
        found.append(reader.read_next(30_000).data())
    reader.close()
    return found


def receive_all(world: World, topic: str, subscription: str, wanted: set[bytes]) -> list[bytes]:
    """Everything that a subscription still gets; patience is for what is wanted."""
    kind = pulsar.ConsumerType.Shared if subscription == "holes" else pulsar.ConsumerType.Exclusive
    consumer = world.client.subscribe(f"persistent://{topic}", subscription, consumer_type=kind)
    found: list[bytes] = []
    while True:
        try:
            message = consumer.receive(QUIET if wanted <= set(found) else 30_000)
        except pulsar.Timeout:
            break
        found.append(message.data())
        consumer.acknowledge(message)
    consumer.close()
    return found


WHOLE, PARTLY, NEVER = "shop/orders/whole", "shop/orders/partly", "shop/orders/never"
ENDED, ENDED_PARTLY, EMPTY = "lab/odd/ended", "lab/odd/ended-partly", "lab/odd/empty"
JSON, BATCHES, COMPACTED, TRIMMED = "lab/odd/json", "lab/odd/batches", "lab/odd/compacted", "lab/odd/trimmed"
THRESHOLD, BUSY = "shop/threshold/automatic", "shop/orders/busy"
PARTITIONS = [f"shop/orders/parts-partition-{number}" for number in range(3)]


def fill(world: World) -> None:
    """Topics of every kind."""
    cluster = world.cluster
    for tenant in ("shop", "lab"):
        cluster.put(f"tenants/{tenant}", {"allowedClusters": ["c1"]})
    for namespace in NAMESPACES:
        cluster.put(f"namespaces/{namespace}")
        cluster.post(f"namespaces/{namespace}/retention", {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1})
    cluster.put("namespaces/shop/threshold/offloadThreshold", 0)
    cluster.put("persistent/shop/orders/parts/partitions", 3)
    cluster.put(f"persistent/{EMPTY}")
    world.topics[EMPTY] = Messages()
    for topic in (WHOLE, PARTLY, NEVER, ENDED, ENDED_PARTLY, COMPACTED, TRIMMED, THRESHOLD, *PARTITIONS):
        produce(world, topic, 130)
    produce_batches(world, BATCHES, 700)
    produce_with_schema(world, JSON, 120)


def age(world: World) -> None:
    """Subscriptions move, ledgers are offloaded, trimmed, compacted, topics ended."""
    cluster = world.cluster
    for topic in (WHOLE, PARTLY, NEVER, ENDED, ENDED_PARTLY, JSON, BATCHES, COMPACTED, THRESHOLD, *PARTITIONS):
        subscribe(world, topic)
    for topic in (WHOLE, PARTLY, ENDED, ENDED_PARTLY, JSON, BATCHES, COMPACTED, TRIMMED, *PARTITIONS):
        offload(world, topic)
    for topic in (PARTLY, ENDED_PARTLY, COMPACTED):
        produce(world, topic, 70)
    for topic in (ENDED, ENDED_PARTLY):
        cluster.post(f"persistent/{topic}/terminate")
    cluster.put(f"persistent/{COMPACTED}/compaction")
    eventually("compacted", lambda: cluster.get(f"persistent/{COMPACTED}/compaction")["status"] == "SUCCESS")
    eventually(
        "the threshold has offloaded", lambda: any(each["offloaded"] for each in _stats(cluster, THRESHOLD)["ledgers"])
    )


def check(world: World, promised: Mapping[str, set[int]]) -> None:
    """Everything promised is read by a reader and by each subscription; the figures."""
    entries = read = 0
    for topic, messages in world.topics.items():
        expected = messages.promised(promised.get(topic, set()))
        found = read_all(world, topic)
        entries, read = entries + len(expected), read + len(found)
        assert expected == found, topic
        for subscription, done in messages.acknowledged.items():
            received = receive_all(world, topic, subscription, set(expected) - done)
            missing = [content for content in expected if content not in done and content not in set(received)]
            assert ([], set()) == (missing, set(received) - set(expected)), (topic, subscription)
    say(f"messages promised {entries}, read {read}, difference {entries - read}")
    assert entries > 0


def repeated(log: str) -> dict[str, int]:
    """Errors that the broker said again and again, without what is different in each."""
    errors = re.findall(r"^\S+ \[[^\]]*\] (ERROR .*)$", log, re.MULTILINE)
    same = Counter(re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", line) for line in errors)
    return {line: count for line, count in same.items() if count > 3}


def test_two_disasters(world: World) -> None:
    """All that was offloaded is read again, topics take new messages, ids never repeat; and so it goes once more."""
    begun = time.monotonic()

    def elapsed() -> str:
        return f"[{time.monotonic() - begun:.0f} s]"

    say(f"Pulsar {world.version}: a cluster runs")
    fill(world)
    age(world)
    say(f"{elapsed()} topics are filled and offloaded; a backup while a producer runs")
    stop = threading.Event()
    busy = threading.Thread(target=_produce_until, args=(world, BUSY, stop))
    busy.start()
    point = world.back_up()
    stop.set()
    busy.join()
    used = {ledger for messages in world.topics.values() for _, (ledger, _) in messages.sent}

    for disaster in itertools.count(1):
        promised = world.lose(point, RESTORE_VERSION=str(disaster))
        say(f"{elapsed()} disaster {disaster}: all is lost but the bucket; a new cluster starts")
        world.begin()
        check(world, promised)
        say(f"{elapsed()} all read")
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


def test_json_is_json(world: World) -> None:
    """A topic whose schema was lost takes it again from its producer, and its old messages are read with it."""
    produce_with_schema(world, JSON, 1)
    contents = [json.loads(content) for content in read_all(world, JSON) if content.startswith(b"{")]
    assert {"number": 0} in contents
