"""A whole Pulsar is lost and restored as the guide says. The parts follow each other, and `make test-disaster` stops at
the first that fails. The first cluster is helm 3's, the second helm 4's.
"""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.client_pod import ClientPod
from support.cluster import kubectl
from support.cluster_world import RESTORING, SPACE, SUBSCRIPTIONS, Point, Topic, World

NEW = Topic(f"{SPACE}/new")
"""A topic that is created after the backup, so that a restore does not bring it back."""


@pytest.fixture(scope="module")
def points() -> list[Point]:
    """The backups. Empty at the start."""
    return []


def test_one_helm_install_is_a_pulsar(world: World) -> None:
    """One command starts a Pulsar that serves clients and is backed up."""
    kubectl("delete", "secret", "aws-secret")
    world.guide.run("Prepare", 3)
    begun = time.monotonic()
    assert "Backup: ON" in world.guide.run("Install", 3)
    world.installed(3, {}, begun)
    assert "Offload was a success" in world.guide.run("Send messages", 3)
    assert "Succeeded" in world.guide.run("See the backup", 3)
    world.fill()


def test_backup_counts_what_it_promises(world: World, points: list[Point]) -> None:
    """Coverage has as many entries as were offloaded, and as many subscriptions."""
    points.append(world.back_up())
    found = world.coverage(points[0])
    subscriptions = len(world.topics) * len(SUBSCRIPTIONS)
    assert (points[0].entries, subscriptions) == (found["recoverableEntries"], found["cursors"])
    world.say(f"{points[0].uri} promises {points[0].entries} entries in {points[0].ledgers} ledgers")


def test_more_messages_after_the_backup(world: World) -> None:
    """Topics take messages that no backup knows, a new topic comes, subscriptions go on, and most is offloaded."""
    world.produce(world.named("plain", "late", "parts-partition-0"), 70)
    world.produce(world.named("json", "avro"), 10)
    world.produce([NEW], 60)
    for topic in world.named("plain", "json"):
        left = len(topic.sent) - len(topic.acknowledged["middle"])
        ClientPod.do(("receive", topic.name, topic.reading, "middle", left))
    world.offload([*world.named("plain", "late", "parts-partition-0", "json", "avro"), NEW])
    world.produce(world.named("plain", "batches"), 25)


def test_everything_is_lost_and_restored(world: World, points: list[Point]) -> None:
    """Release and volumes are gone. The same command with the restore starts a Pulsar from the newest backup."""
    world.before_loss()
    world.guide.run("Lose everything", 3)
    world.after_loss()
    begun = time.monotonic()
    said = world.guide.run("Restore", 4)
    world.installed(4, RESTORING, begun)
    assert "Restore: ON" in said
    assert re.search(r"restored s3a://\S+-reconciled-\S+ into", said)
    world.check_report(points[0])
    (topics,) = ClientPod.do(("ask", "GET", f"persistent/{SPACE}"))
    assert sorted(world.topics) == sorted(each.removeprefix("persistent://") for each in topics)


def test_schemas_are_put_back(world: World) -> None:
    """A Job puts back all versions of all schemas, under the numbers that they had."""
    world.guide.run("Put back what brokers gave out", 4)
    world.check_schemas()


def test_message_of_the_guide_is_read(world: World) -> None:
    """The subscription gets what was sent before the disaster."""
    assert 10 == world.guide.run("Read the messages", 4).count("content:hello")


def test_all_offloaded_messages_are_read(world: World) -> None:
    """Readers get every offloaded message by its content, and subscriptions go on where they were at the backup."""
    world.check_offloaded()


def test_new_messages_flow(world: World) -> None:
    """Every topic takes new messages, in ledgers with new ids, and each subscription gets them."""
    world.flows()


def test_restore_is_switched_off(world: World) -> None:
    """ZooKeeper is restarted without the restore, and a topic takes messages all the time. That was the whole guide."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        producing = pool.submit(produce_until, world, stop)
        try:
            world.guide.run("Switch the restore off", 4)
        finally:
            stop.set()
        world.say(f"{producing.result()} messages were sent while ZooKeeper was restarted")
    world.settings = {}
    world.check()
    assert {} == world.guide.left


def produce_until(world: World, stop: threading.Event) -> int:
    """Send messages until the end. Returns how many were acknowledged, which is all of them."""
    before = len(world.named("plain")[0].sent)
    while not stop.is_set():
        world.produce(world.named("plain"), 10)
    return len(world.named("plain")[0].sent) - before
