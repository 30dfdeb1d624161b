"""The whole Pulsar that these tests lose, on a cluster that is theirs for one namespace."""

from collections.abc import Iterator

import pytest

from support.client_pod import ClientPod
from support.cluster import Surroundings
from support.cluster_world import CLUSTER, OFFLOADS, PulsarRelease, World
from support.guide import Guide


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A namespace with an object store and a client, which stay when Pulsar is lost. Nothing else runs yet."""
    surroundings = Surroundings(tmp_path_factory.mktemp("surroundings"))
    try:
        surroundings.set_up()
        with surroundings.bucket() as store:
            store.create_bucket(Bucket=OFFLOADS)
        ClientPod(f"{CLUSTER}-broker").set_up()
        release = PulsarRelease(tmp_path_factory.mktemp("release"))
        yield World(surroundings, release, Guide(tmp_path_factory.mktemp("guide"), release.values()))
    finally:
        surroundings.tear_down()


@pytest.fixture
def running(world: World) -> World:
    """The same with a Pulsar in it, and messages: that of the tests before, or a new one."""
    if not world.helm:
        world.install(4, {})
        world.fill()
    return world
