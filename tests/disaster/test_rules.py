"""Which rules of a recovery a real Pulsar needs to serve what the backup promised.

The others remove references to lost bookies and brokers. One cluster is lost, and restored from the same backup many
times, each time without one of the rules.
"""

import pytest

from ci.parts.pulsar import NEWEST
from support.pulsar import Pulsar
from support.world import (
    SUBSCRIPTIONS,
    World,
    namespace,
    offload,
    produce,
    produce_with_schema,
    read_all,
    say,
    subscribe,
)

PARTLY, JSON, COMPACTED = "shop/orders/partly", "shop/orders/json", "shop/orders/compacted"
NEEDED = ("id counters", "topics", "cookies", "schemas")
OTHERS = ("subscriptions", "ledgers", "bookies", "under-replication", "load balancer and ownership")


@pytest.fixture(scope="module")
def lost(world: World) -> tuple[World, str, Pulsar]:
    """A world without its cluster, the backup of the cluster, and the lost cluster."""
    namespace(world, "shop/orders")
    for topic in (PARTLY, COMPACTED):
        produce(world, topic, 130)
    produce_with_schema(world, JSON, 60)
    for topic in (PARTLY, COMPACTED, JSON):
        subscribe(world, topic)
        offload(world, topic)
    produce(world, PARTLY, 70)
    world.cluster.put(f"persistent/{COMPACTED}/compaction")
    point = world.back_up()
    produce(world, PARTLY, 600)  # in ledgers that the backup does not know
    world.promise = world.promised(point)
    old = world.cluster
    world.lose()
    return world, point, old


def trouble(world: World, old: Pulsar) -> str:
    """What does not work in a restored cluster, empty if everything does."""
    try:
        world.begin(bookies=old)
        for topic in (PARTLY, COMPACTED, JSON):
            expected, found = world.topics[topic].promised(world.promise[topic]), read_all(world, topic, 8_000)
            if expected != found:
                return f"{topic}: {len(found)} of {len(expected)} messages were read"
            for subscription in SUBSCRIPTIONS:
                world.client.subscribe(f"persistent://{topic}", subscription + "-new").close()
        if not read_all(world, COMPACTED, 8_000, is_read_compacted=True):
            return f"{COMPACTED}: a compacted reader gets nothing"
        before = {ledger for messages in world.topics.values() for _, (ledger, _) in messages.sent}
        for topic in (PARTLY, COMPACTED, JSON):
            producer = world.client.create_producer(f"persistent://{topic}", send_timeout_millis=15_000)
            if producer.send(b"new").ledger_id() <= max(before):
                return f"{topic}: a ledger id was allocated twice"
        if read_all(world, PARTLY, 8_000)[-1:] != [b"new"]:
            return f"{PARTLY}: the new message is not read"
    except Exception as error:  # noqa: BLE001  # any error means that something does not work
        return f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    return ""


@pytest.mark.parametrize("world", [NEWEST], indirect=True)
@pytest.mark.parametrize("rule", ["none", *NEEDED, *OTHERS])
def test_without(rule: str, lost: tuple[World, str, Pulsar]) -> None:
    """With all rules everything works. Without a needed rule something does not, and without another one all does."""
    world, point, old = lost
    world.restore_without(rule, point)
    found = trouble(world, old)
    world.lose()
    say(f"without the rule {rule}, {found or 'everything works'}")
    assert (rule in NEEDED) == (found != "")
