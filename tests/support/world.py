"""A Pulsar that can be lost and restored: one cluster after the other, with one bucket, and all sent messages."""

import json
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pulsar

from ci.parts.pulsar import NEWEST as PULSAR
from ci.parts.pulsar import OLDER as OLDER_PULSAR
from ci.parts.zookeeper import NEWEST
from metadata_tool.archive import opened
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Topic, TopicDecoder
from support.embedded_s3 import KEYS
from support.pulsar import Pulsar, eventually
from support.s3 import S3Server, s3_client
from support.tokens import ADMIN, broker_settings, token
from support.tool import environment, succeed
from support.zookeeper import ZooKeeper

OFFLOADS = "offloads"
Position = tuple[int, int]
"""Ledger and entry."""

SUBSCRIPTIONS = ("start", "middle", "end", "holes")
QUIET = 300
"""A reader stops after this many milliseconds without a message."""
COMPRESSIONS = {
    PULSAR: {"managedLedgerInfoCompressionType": "ZSTD", "managedCursorInfoCompressionType": "LZ4"},
    OLDER_PULSAR: {"managedLedgerInfoCompressionType": "ZLIB", "managedCursorInfoCompressionType": "SNAPPY"},
}
THRESHOLDS = {
    "managedLedgerInfoCompressionThresholdInBytes": "0",
    "managedCursorInfoCompressionThresholdInBytes": "0",
}


WITHOUT = """
    import sys
    from metadata_tool.pulsar import recovery, rules
    recovery.RULES = tuple(rule for rule in rules.RULES if rule.name != sys.argv[1])
    assert len(recovery.RULES) == len(rules.RULES) - (sys.argv[1] != "none")
    from metadata_tool.cli import main
    sys.exit(main(["restore"]))
"""
"""A restore without the rule of this name."""


@dataclass
class Messages:
    """What was produced to a topic (a partition), in order, and what subscriptions acknowledged."""

    sent: list[tuple[bytes, Position]] = field(default_factory=list)
    acknowledged: dict[str, set[bytes]] = field(default_factory=dict)

    def promised(self, ledgers: set[int]) -> list[bytes]:
        """The messages in these ledgers."""
        return [content for content, (ledger, _) in self.sent if ledger in ledgers]


@dataclass
class World:
    """One cluster after the other, with one bucket."""

    version: str
    directory: Path
    s3: S3Server
    settings: dict[str, str]
    offloads: str  # the endpoint of the store that Pulsar offloads to
    broker: dict[str, str] = field(default_factory=dict)  # more settings of brokers
    bucket: str = OFFLOADS  # the one that brokers offload to
    brokers: int = 1
    tokens: bool = False  # whether brokers ask for one
    topics: dict[str, Messages] = field(default_factory=dict)
    generation: int = 0
    promise: dict[str, set[int]] = field(default_factory=dict)

    @property
    def restored(self) -> Path:
        """The data directory of the next ZooKeeper."""
        return self.directory / "restored"

    @property
    def reading(self) -> dict[str, str]:
        """The settings of commands that read tiered storage."""
        return {
            **self.settings,
            "TIERED_STORAGE_ENDPOINT_URL": self.offloads,
            "TIERED_STORAGE_ACCESS_KEY_ID": KEYS["AWS_ACCESS_KEY_ID"],
            "TIERED_STORAGE_SECRET_ACCESS_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
        }

    def begin(
        self, name: str = "c1", bookies: Pulsar | None = None, bookie_settings: Sequence[Mapping[str, str]] = ()
    ) -> None:
        """Start a cluster from the restored directory, with empty bookies at new addresses, or those of another."""
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
            self.bucket,
            {**COMPRESSIONS[self.version], **THRESHOLDS, **(broker_settings() if self.tokens else {}), **self.broker},
            name,
            ledger_disks=bookies.disks if bookies else None,
            bookie_ports=bookies.bookie_ports if bookies else [],
            bookie_settings=bookie_settings,
            brokers=self.brokers,
            token=token(ADMIN) if self.tokens else None,
        )
        self.cluster.start()
        self.client = pulsar.Client(
            self.cluster.service_url,
            operation_timeout_seconds=60,
            authentication=pulsar.AuthenticationToken(self.cluster.token) if self.cluster.token else None,
            logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error),
        )

    def back_up(self, **settings: str) -> str:
        """Make a backup now. Returns its address."""
        asked = {**self.settings, "ZOOKEEPER_SERVERS": self.zookeeper.address, **settings}
        return succeed("backup", settings=asked).strip()

    def lose(self, *, bookies: bool = True) -> None:
        """The disaster: kill all processes, and delete all disks, or only ZooKeeper's."""
        self.cluster.kill()
        self.zookeeper.kill()
        self.client.close()
        if bookies:
            shutil.rmtree(self.cluster.disks)
        shutil.rmtree(self.zookeeper.data_dir)

    def restore(self, point: str, **settings: str) -> None:
        """Restore a backup for the next cluster."""
        self.restored.mkdir()
        restoring = {"RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(self.restored), "CLUSTER_NAME": "c1"}
        succeed("restore", settings={**self.settings, **restoring, **settings})

    def restore_without(self, rule: str, point: str) -> None:
        """Restore a backup for the next cluster, without one of the rules. With the rule `none`, with all of them."""
        self.restored.mkdir()
        settings = {"RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(self.restored), "CLUSTER_NAME": "c1"}
        command = [sys.executable, "-c", textwrap.dedent(WITHOUT), rule]
        subprocess.run(command, env=environment({**self.settings, **settings}), check=True, capture_output=True)

    def downloaded(self, point: str) -> Path:
        """The file of a backup."""
        bucket, _, key = point.removeprefix("s3a://").partition("/")
        file = self.directory / "backup.tar.gz"
        self.s3.client().download_file(bucket, key, str(file))
        return file

    def promised(self, point: str) -> dict[str, set[int]]:
        """The ledgers that a backup lists as offloaded completely, by topic."""
        decoder, found = TopicDecoder(Layout()), dict[str, set[int]]()
        with opened(self.downloaded(point)) as backup:
            for node in backup.tree().nodes:
                topic = decoder.decode(node.path, node.data)
                if isinstance(topic, Topic):
                    complete = {each.ledgerId for each in topic.info.ledgerInfo if each.offloadContext.complete}
                    found[f"{topic.namespace}/{topic.name}"] = complete
        return found

    def scrub(self, point: str) -> dict[str, int]:
        """What `scrub` finds of the ledgers that a backup lists as offloaded completely: how many are in each state."""
        found = json.loads(succeed("scrub", point, "--json", settings=self.reading))
        return {state: counts["ledgers"] for state, counts in found["total"].items()}

    def move_offloads(self, bucket: str) -> None:
        """Copy all that is offloaded to a new bucket, and delete the old one. Later brokers offload to the new one."""
        s3 = s3_client(self.offloads, KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"])
        s3.create_bucket(Bucket=bucket)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        for key in [item["Key"] for page in pages for item in page.get("Contents", [])]:
            s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": self.bucket, "Key": key})
            s3.delete_object(Bucket=self.bucket, Key=key)
        s3.delete_bucket(Bucket=self.bucket)
        self.bucket = bucket

    def end(self) -> None:
        """Stop everything."""
        self.cluster.kill()
        self.zookeeper.kill()


def namespace(world: World, name: str, *, retention: bool = True) -> None:
    """Create a namespace and its tenant. With retention, nothing is ever deleted from it."""
    tenant = name.partition("/")[0]
    if tenant not in world.cluster.get("tenants"):
        world.cluster.put(f"tenants/{tenant}", {"allowedClusters": [world.cluster.name]})
    world.cluster.put(f"namespaces/{name}")
    if retention:
        infinite = {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}
        world.cluster.post(f"namespaces/{name}/retention", infinite)


def say(text: str) -> None:
    """A step."""
    print(f"==> {text}", flush=True)


def produce(world: World, topic: str, count: int, size: int = 0, **options: Any) -> None:
    """Send numbered messages of at least this size, and remember where they are."""
    messages = world.topics.setdefault(topic, Messages())
    producer = world.client.create_producer(
        f"persistent://{topic}", batching_enabled=False, block_if_queue_full=True, **options
    )
    numbers = range(len(messages.sent), len(messages.sent) + count)
    messages.sent += _sent(producer, [(f"{topic} {n}".encode().ljust(size), f"key-{n % 7}") for n in numbers])
    producer.close()


def produce_batches(world: World, topic: str, count: int) -> None:
    """Send messages that share entries."""
    messages = world.topics.setdefault(topic, Messages())
    producer = world.client.create_producer(
        f"persistent://{topic}", batching_enabled=True, batching_max_publish_delay_ms=20, batching_max_messages=10
    )
    messages.sent += _sent(producer, [(f"{topic} {number}".encode(), None) for number in range(count)])
    producer.close()


def _sent(producer: Any, contents: Sequence[tuple[bytes, str | None]]) -> list[tuple[bytes, Position]]:
    """Send messages with keys, all at once. Returns where each is."""
    sent: dict[int, Position] = {}
    done = threading.Event()

    def acknowledged(number: int, result: pulsar.Result, where: pulsar.MessageId) -> None:
        if result == pulsar.Result.Ok:
            sent[number] = (where.ledger_id(), where.entry_id())
        if len(sent) == len(contents):
            done.set()

    for number, (content, key) in enumerate(contents):
        producer.send_async(content, partial(acknowledged, number), partition_key=key)
    assert not contents or done.wait(60)
    return [(content, sent[number]) for number, (content, _) in enumerate(contents)]


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
    """Create subscriptions at the start, in the middle, at the end, and with gaps in their acknowledged messages."""
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
    """Close the last ledger, and offload everything."""
    cluster, path = world.cluster, f"persistent/{topic}"
    cluster.put(f"{path}/unload")
    opened_topic = eventually(f"{topic} is open", lambda: stats(cluster, topic))
    last = opened_topic["ledgers"][-1]["ledgerId"]
    cluster.put(f"{path}/offload", {"ledgerId": last, "entryId": 0, "partitionIndex": -1})

    def done() -> bool:
        status = cluster.get(f"{path}/offload")
        assert status["status"] != "ERROR", status
        return bool(status["status"] == "SUCCESS")

    eventually(f"{topic} is offloaded", done)


def stats(cluster: Pulsar, topic: str) -> Any:
    """A topic's ledgers and cursors. None while the topic is not open."""
    try:
        stats = cluster.get(f"persistent/{topic}/internalStats")
    except OSError:
        return None
    return stats if stats["ledgers"] else None


def read_all(world: World, topic: str, patience: int = 30_000, **options: Any) -> list[bytes]:
    """All messages that a reader gets from the beginning."""
    reader = world.client.create_reader(f"persistent://{topic}", pulsar.MessageId.earliest, **options)
    found = []
    while reader.has_message_available():
        found.append(reader.read_next(patience).data())
    reader.close()
    return found


def receive_all(world: World, topic: str, subscription: str, wanted: set[bytes]) -> list[bytes]:
    """All messages that a subscription still gets. Waits with patience for the wanted ones."""
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


def check(world: World, promised: Mapping[str, set[int]]) -> None:
    """Read all promised messages with a reader and with each subscription, and say how many there were."""
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
    say(f"{entries} messages promised, {read} read, difference {entries - read}")
    assert entries > 0
