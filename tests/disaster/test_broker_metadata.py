"""What brokers keep in BookKeeper comes back after everything is lost: schemas, subscriptions, topic policies.

The expected is what clients saw before the disaster. What they see before the put-back is the control.
"""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from ci.parts.pulsar import NEWEST, OLDER
from metadata_tool.archive import opened
from support import tool
from support.broker_world import (
    CURSORS,
    KEPT,
    NEWEST_FIELDS,
    PARTS,
    READER,
    SHORT,
    TYPED,
    VERSIONED,
    Seen,
    asking,
    fill,
    located,
    located_count,
    policies,
    putting_back,
    refusal,
    see,
    stored_policies,
    typed_client,
)
from support.processes import Process
from support.typed_client import RefusedError, Typed, TypedClient
from support.world import World, read_all, receive_all, say

AVRO = f"{TYPED}/avro"
LATER = b"sent after the restore"
LARGE_LEDGERS = {"managedLedgerMaxEntriesPerLedger": "1000"}
pytestmark = pytest.mark.parametrize(
    "world",
    [
        pytest.param((NEWEST, LARGE_LEDGERS, {"brokers": 2, "tokens": True}), id=f"{NEWEST}-tokens-two-brokers"),
        pytest.param((OLDER, LARGE_LEDGERS), id=OLDER),
    ],
    indirect=True,
)


@dataclass(frozen=True)
class Saved:
    """A cluster with two backups, and what clients saw of it. `blind` was made without asking brokers."""

    world: World
    before: Seen
    point: str
    blind: str


@pytest.fixture(scope="module")
def saved(world: World) -> Saved:
    """The cluster, filled and backed up."""
    say(f"a cluster of Pulsar {world.version} runs")
    with typed_client(world) as client:
        fill(world, client)
        before = see(world, client)
    say("topics of all kinds are filled and offloaded")
    point, blind = world.back_up(**asking(world, READER)), world.back_up()
    with opened(world.downloaded(point)) as backup:
        described = backup.manifest.broker
    assert described
    say(f"saved from brokers: {described.in_words()}")
    assert {} == described.not_saved
    return Saved(world, before, point, blind)


def reborn(world: World, point: str, **settings: str) -> None:
    """Lose everything, and start a new cluster from a backup."""
    world.lose()
    world.restore(point, ALLOW_OLDER="true", **settings)
    world.begin()
    say("everything except the bucket is lost, a new cluster runs")


def put_back(world: World, *arguments: str) -> tool.Outcome:
    """Run a put-back to its end."""
    return tool.run("put-back", *arguments, settings=putting_back(world))


def test_everything_comes_back(saved: Saved) -> None:
    """Clients and administrators see what they saw before, and no acknowledged message is delivered again."""
    world, before = saved.world, saved.before
    reborn(world, saved.point)
    assert_kept(world)
    with typed_client(world) as client:  # it remembers which schemas it did not get
        shown_to_be_lost(world, client, before)
    dry = put_back(world, "--dry-run")
    assert (0, 0) == (dry.exit_code, located_count(world)), dry
    with typed_client(world) as client:
        outcome = put_back(world)
        assert 0 == outcome.exit_code, outcome
        say(f"put back:\n{outcome.output}")
        assert before == see(world, client)
        assert 0 == put_back(world).exit_code
        assert before == see(world, client)
        for topic, kind in VERSIONED.items():
            client.produce(topic, kind, NEWEST_FIELDS + 1, range(1000, 1001))
            assert len(before.located[topic]) == client.read(topic)[-1].version, topic
    assert (0, 0) == redelivered_and_lost(world)
    assert_kept(world)


def assert_kept(world: World) -> None:
    """No message is deleted that only the policies of its topic keep, whether these are back or not."""
    path, expected = f"persistent/{KEPT}", [content for content, _ in world.topics[KEPT].sent]
    producer = world.client.create_producer(f"persistent://{KEPT}")
    producer.send(LATER)
    producer.close()
    world.cluster.post(f"{path}/trim")
    world.cluster.put(f"{path}/unload")  # brokers delete when they load a topic, too
    found = [content for content in read_all(world, KEPT) if content != LATER]
    say(f"{len(found)} of {len(expected)} messages of a topic with policies of its own are there")
    assert expected == found


def shown_to_be_lost(world: World, client: TypedClient, before: Seen) -> None:
    """The control: without the put-back old messages are not decoded, producers are refused, policies are gone."""
    assert 0 == located_count(world)
    refused = {refusal(client, topic, kind, NEWEST_FIELDS) for topic, kind in VERSIONED.items()}
    assert {"IncompatibleSchemaException"} == refused
    assert not decoded(client, AVRO)
    assert [] == [name for name, value in policies(world).items() if value and value == before.policies[name]]


def decoded(client: TypedClient, topic: str) -> list[Typed]:
    """The messages whose content a client gets that knows no schema."""
    try:
        return [message for message in client.read(topic) if isinstance(message.content, dict)]
    except RefusedError:
        return []


def redelivered_and_lost(world: World) -> tuple[int, int]:
    """How many messages subscriptions get again that they had acknowledged, and how many they never get."""
    again = missing = total = 0
    for topic in (CURSORS, *PARTS):
        messages = world.topics[topic]
        for subscription, done in messages.acknowledged.items():
            expected = {content for content, _ in messages.sent} - done
            received = receive_all(world, topic, subscription, expected)
            again += len(done & set(received)) + len(received) - len(set(received))
            missing += len(expected - set(received))
            total += len(received)
    say(f"subscriptions got {total} messages, {again} of them again, and {missing} were lost")
    return again, missing


def test_a_client_that_was_first(saved: Saved) -> None:
    """A topic whose first version is a client's is refused by name, and put back when the operator says so."""
    world, before = saved.world, saved.before
    reborn(world, saved.point)
    world.cluster.post(f"namespaces/{TYPED}/isAllowAutoUpdateSchema", True)
    with typed_client(world) as client:
        client.produce(AVRO, "AVRO", NEWEST_FIELDS, range(500, 501))
        outcome = put_back(world)
        assert 63 == outcome.exit_code, outcome
        replacing = ("--replace-schemas", f"persistent://{AVRO}")
        assert " ".join(replacing) in outcome.output + outcome.said
        assert [0] == [version.version for version in located(world, AVRO)]
        others = {*before.located} - {AVRO}
        assert {topic: before.located[topic] for topic in others} == {topic: located(world, topic) for topic in others}
        outcome = put_back(world, *replacing)
        assert 0 == outcome.exit_code, outcome
        assert before.located == {topic: located(world, topic) for topic in before.located}
        assert before.decoded[AVRO] == client.read(AVRO)[: len(before.decoded[AVRO])]


def test_killed_put_backs_and_two_at_once(saved: Saved, tmp_path: Path) -> None:
    """A put-back that is killed is finished by the next one, and one of two at once waits or ends without harm."""
    world, before = saved.world, saved.before
    reborn(world, saved.point)
    for versions in (2, 20):  # of 39
        killed = started_put_back(world, tmp_path / f"killed-{versions}.log")
        killed.wait_until(partial(are_located, world, versions))
        killed.kill()
    say(f"two put-backs were killed, {located_count(world)} versions are back")
    both = [started_put_back(world, tmp_path / f"both-{number}.log") for number in range(2)]
    codes = {process.wait() for process in both}
    assert codes <= {0, 64}, [process.output() for process in both]
    assert 0 in codes
    with typed_client(world) as client:
        assert before == see(world, client)


def are_located(world: World, versions: int) -> bool:
    """Whether at least this many versions of schemas are put back."""
    return located_count(world) >= versions


def started_put_back(world: World, log: Path) -> Process:
    """A put-back that runs."""
    command = [sys.executable, "-m", "metadata_tool", "put-back"]
    return Process(command, log, tool.environment(putting_back(world)))


def test_infinite_retention(saved: Saved) -> None:
    """Infinite retention stays until the operator ends it, and everything else is as before the disaster."""
    world = saved.world
    reborn(world, saved.point, INFINITE_RETENTION="true")
    assert_kept(world)
    assert 0 == put_back(world).exit_code
    infinite = {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}
    *_, before = saved.before.namespaces[SHORT]
    assert before | {"retention_policies": infinite} == stored_policies(world, SHORT)
    assert saved.before.policies == policies(world)


def test_second_disaster(saved: Saved) -> None:
    """What was put back is in the next backup, and comes back from it."""
    world, before = saved.world, saved.before
    with typed_client(world) as client:
        again = see(world, client)
    reborn(world, world.back_up(**asking(world, READER)))
    assert 0 == put_back(world).exit_code
    with typed_client(world) as client:
        assert again == see(world, client)
    assert before.located == again.located


def test_without_broker_metadata(saved: Saved) -> None:
    """The control: a client that is first takes version 0, old messages do not decode, messages are delivered again."""
    world, before = saved.world, saved.before
    reborn(world, saved.blind)
    with typed_client(world) as client:
        client.produce(AVRO, "AVRO", NEWEST_FIELDS, range(500, 501))
        assert [0] == [version.version for version in located(world, AVRO)]
        readable = [message for message in client.read(AVRO, "AVRO", NEWEST_FIELDS) if not message.error]
        say(f"{len(readable)} of {len(before.decoded[AVRO]) + 1} messages are decoded")
        assert len(readable) < len(before.decoded[AVRO])
    assert before.policies != policies(world)
    assert redelivered_and_lost(world)[0] > 0
