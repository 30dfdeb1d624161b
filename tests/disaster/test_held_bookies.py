"""Bookies that kept their disks keep what the restored tree does not know, as long as their collection is held."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.parts.pulsar import NEWEST, OLDER
from metadata_tool.pulsar.report import HELD_COLLECTION
from support.pulsar import Pulsar, eventually
from support.world import World, namespace, produce, read_all, say

HELD, FREE = 0, 1
"""Two bookies: garbage collection is held on one of them, and runs every two seconds on the other."""
KNOWN, LATER = "shop/orders/known", "shop/orders/later"
FIRST, SECOND = "shop/orders/first", "shop/orders/second"
"""Topics of clusters that are restored, one after the other."""
METRICS = {
    "httpServerEnabled": "true",
    "statsProviderClass": "org.apache.bookkeeper.stats.prometheus.PrometheusMetricsProvider",
}
ON_HOLD = {**METRICS, **HELD_COLLECTION}
RUNS, DELETED = 'bookie_THREAD_RUNTIME_count{success="true"', "bookie_DELETED_LEDGER_TOTAL{"
MESSAGES, SIZE = 800, 25_000

pytestmark = pytest.mark.parametrize("world", [NEWEST, pytest.param(OLDER, marks=pytest.mark.soak)], indirect=True)


@dataclass(frozen=True)
class Restored:
    """The backup, entry logs of the held bookie at the backup and at the disaster, and ledgers of each since then."""

    point: str
    known: set[Path]
    kept: set[Path]
    unknown: list[list[int]]


def metric(cluster: Pulsar, bookie: int, name: str) -> int:
    """The value of a bookie's metric."""
    (found,) = re.findall(rf"^{re.escape(name)}.* (\d+)$", cluster.ask_bookie(bookie, "/metrics"), re.MULTILINE)
    return int(found)


def ledgers(world: World, topic: str, bookie: int) -> list[int]:
    """The closed ledgers of a topic that are on a bookie."""
    port = world.cluster.bookie_ports[bookie]
    found = world.cluster.get(f"persistent/{topic}/internalStats?metadata=true")["ledgers"]
    metadata = {each["ledgerId"]: each.get("metadata", "") for each in found}
    return [ledger for ledger, text in metadata.items() if f":{port}]" in text and "state=CLOSED" in text]


def entries(cluster: Pulsar, bookie: int, ledger: int) -> int:
    """How many of the first ten entries of a ledger a bookie gives out."""
    address = f"127.0.0.1:{cluster.bookie_ports[bookie]}"
    said = cluster.shell(bookie, "readledger", "-b", address, "-l", str(ledger), "-fe", "0", "-le", "10")
    return len(re.findall(rf"Lid={ledger}, Eid=\d", said))


@pytest.fixture(scope="module")
def restored(world: World) -> Restored:
    """A cluster of which only ZooKeeper was lost, after more ledgers had been created than its backup has."""
    namespace(world, "shop/orders")
    produce(world, KNOWN, 130)
    point = world.back_up()
    known = world.cluster.entry_logs(HELD)
    produce(world, LATER, MESSAGES, size=SIZE)
    unknown = [ledgers(world, LATER, bookie) for bookie in (HELD, FREE)]
    assert all(unknown)
    bookies = world.cluster
    world.lose(bookies=False)
    world.restore(point, RESTORE_SCOPE="bookies-kept")
    kept = bookies.entry_logs(HELD)
    world.begin(bookies=bookies, bookie_settings=[ON_HOLD, METRICS])
    return Restored(point, known, kept, unknown)


def test_garbage_collection_is_held(world: World, restored: Restored) -> None:
    """Ledgers from after the backup stay until the hold is lifted, also over a restart. Known ledgers always do."""
    cluster, unknown = world.cluster, restored.unknown
    sent = [content for content, _ in world.topics[KNOWN].sent]
    eventually("the bookie without the hold deletes", lambda: metric(cluster, FREE, DELETED) >= len(unknown[FREE]))
    assert 0 == entries(cluster, FREE, unknown[FREE][0])
    assert sent == read_all(world, KNOWN)

    cluster.restart_bookie(HELD, ON_HOLD)
    runs = metric(cluster, FREE, RUNS)
    eventually("the bookie without the hold collects again", lambda: metric(cluster, FREE, RUNS) > runs + 2)
    assert (0, 0) == (metric(cluster, HELD, RUNS), metric(cluster, HELD, DELETED))
    assert set() == restored.kept - cluster.entry_logs(HELD)
    assert 10 == entries(cluster, HELD, unknown[HELD][0])
    assert sent == read_all(world, KNOWN)

    later = cluster.entry_logs(HELD) - restored.known
    cluster.restart_bookie(HELD, METRICS)
    eventually(
        "the bookie deletes once the hold is lifted", lambda: metric(cluster, HELD, DELETED) >= len(unknown[HELD])
    )
    eventually("its disk is freed", lambda: len(later - cluster.entry_logs(HELD)) > len(later) // 2)
    assert 0 == entries(cluster, HELD, unknown[HELD][0])
    assert sent == read_all(world, KNOWN)
    say(f"{len(unknown[HELD])} ledgers were held, {len(later - cluster.entry_logs(HELD))} entry logs deleted later")


def test_ids_of_an_earlier_restore(world: World, restored: Restored) -> None:
    """After a second restore, no ledger gets the id of one that brokers created after the first restore.

    Bookies still have that one. If its id came again and the broker crashed, the next broker would take the old
    entries for messages of the new ledger.
    """
    produce(world, FIRST, 300)
    used = {ledger for _, (ledger, _) in world.topics[FIRST].sent}
    bookies = world.cluster
    world.lose(bookies=False)
    world.restore(restored.point, RESTORE_SCOPE="bookies-kept", RESTORE_VERSION="2")
    world.begin(bookies=bookies, bookie_settings=[ON_HOLD, ON_HOLD])
    produce(world, SECOND, 300)
    assert set() == used & {ledger for _, (ledger, _) in world.topics[SECOND].sent}
