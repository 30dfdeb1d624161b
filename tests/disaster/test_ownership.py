"""Owners of bundles that brokers keep in persistent znodes, and that are lost brokers after a restore."""

import json

import pytest

from ci.parts.pulsar import NEWEST
from support.pulsar import eventually
from support.world import World, namespace, offload, produce, read_all, say
from support.zookeeper import client

EXTENSIONS = "org.apache.pulsar.broker.loadbalance.extensions"
BROKER = {
    "loadManagerClassName": f"{EXTENSIONS}.ExtensibleLoadManagerImpl",
    "loadManagerServiceUnitStateTableViewClassName": f"{EXTENSIONS}.channel.ServiceUnitStateMetadataStoreTableViewImpl",
}
"""Brokers that keep the owners of bundles in ZooKeeper's persistent znodes, which is new in Pulsar 4."""
TOPIC = "shop/orders/partly"
BUNDLE = "/service_unit_state/shop/orders/0x00000000_0xffffffff"


def owner(world: World) -> str:
    """The broker that has the bundle of the topic, empty if none has."""
    with client(world.zookeeper.address) as zookeeper:
        return str(json.loads(zookeeper.get(BUNDLE)[0])["dstBroker"]) if zookeeper.exists(BUNDLE) else ""


@pytest.mark.parametrize("world", [(NEWEST, BROKER)], indirect=True)
def test_lost_owners(world: World) -> None:
    """A restore removes the lost owners. If it does not, the new broker takes their bundles over."""
    namespace(world, "shop/orders")
    produce(world, TOPIC, 130)
    offload(world, TOPIC)
    lost = eventually("the bundle has an owner", lambda: owner(world))
    point = world.back_up()
    promised = world.topics[TOPIC].promised(world.promised(point)[TOPIC])
    world.lose()
    for rule, expected in (("none", ""), ("load balancer and ownership", lost)):
        world.restore_without(rule, point)
        world.begin()
        assert expected == owner(world)
        assert promised == read_all(world, TOPIC)
        world.client.create_producer(f"persistent://{TOPIC}").close()
        assert owner(world) not in ("", lost)
        say(f"without the rule {rule}, all {len(promised)} messages are read, and the new broker has the bundle")
        world.lose()
