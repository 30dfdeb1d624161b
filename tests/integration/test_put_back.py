"""`metadata-tool put-back` with a real ZooKeeper, and a model of the brokers that changes its znodes."""

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_acl

from ci.parts.zookeeper import NEWEST
from metadata_tool.broker_metadata.records import NotSaved, Record
from metadata_tool.catalog import RestorePoint
from metadata_tool.errors import (
    BrokerDenied,
    ClusterNameDiffers,
    ClusterRunning,
    PutBackIncomplete,
    PutBackRunning,
    SettingError,
    ToolError,
    ZnodeUnreadable,
    ZooKeeperUnreachable,
)
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.holds import HELD as HELD_VALUES
from metadata_tool.put_back.ensemble import LOCK
from metadata_tool.restore_marker import Marker
from metadata_tool.zookeeper import znodes
from metadata_tool.zookeeper.errors import WriteRefused
from metadata_tool.zookeeper.net import session
from metadata_tool.zookeeper.net.ensemble import Ensemble
from metadata_tool.zookeeper.znodes import Znode
from support import policy_events
from support.backups import TREE, make_backup
from support.broker_model import BROKER, CLUSTER, BrokerModel, RealZnodes, deletion, lost, saved, schema
from support.fake_broker import Reply, fake_broker
from support.processes import Process, free_port
from support.tool import Outcome, assert_refused, environment, run
from support.trees import in_tree_order
from support.zookeeper import ZooKeeper, client, standalone

MARKER = "/metadata-backup"
RELEASED = {"schema_compatibility_strategy": "FULL", "bundles": {"numBundles": 4}}
NOTE = {"is_allow_auto_update_schema": None, "retention_policies": None}
HELD = json.dumps(RELEASED | {name: HELD_VALUES[name] for name in NOTE}).encode()
NOTES = {"t/ns": NOTE, "t/other": {"is_allow_auto_update_schema": True}}
OTHER = {"schema_compatibility_strategy": "UNDEFINED", "is_allow_auto_update_schema": True}
RECORDS: list[Record] = [
    saved("t/ns/a%2Fb", schema(0, "a0"), schema(1, "a1"), schema(2, "ä2"), schema(3, "a3"), schema(4, "a4")),
    saved("t/ns/deleted", lost(0), deletion(1), schema(2, "d2")),
    saved("t/other/kv", schema(0, '{"key":"","value":{}}', "KEY_VALUE"), schema(1, "k1")),
]
TEXTS = {
    "t/ns/a%2Fb": ["a0", "a1", "ä2", "a3", "a4"],
    "t/ns/deleted": [None, None, "d2"],
    "t/other/kv": ['{"key":"","value":{}}', "k1"],
}
BACKED_UP: dict[bytes, bytes | None] = {
    **{path: data for path, data in TREE.items() if path < b"/admin/d"},
    b"/admin/policies": b"",
    b"/admin/policies/t": b"{}",
    b"/admin/policies/t/ns": json.dumps(RELEASED).encode(),
    b"/admin/policies/t/other": b'{"is_allow_auto_update_schema":false}',
    **{path: data for path, data in TREE.items() if path > b"/admin/q"},
}


@dataclass
class World:
    """A restored cluster: its ZooKeeper, its brokers, and the backup that it is from."""

    zookeeper: KazooClient
    brokers: BrokerModel
    point: RestorePoint
    settings: dict[str, str]

    def run(self, *arguments: str, **settings: str) -> Outcome:
        """One put-back."""
        return run("put-back", *arguments, settings={**self.settings, **settings})

    def report(self, *arguments: str) -> Any:
        """The report of one."""
        return json.loads(self.run("--json", *arguments).output)

    def texts(self) -> Mapping[str, list[str | None]]:
        """The schemas of all topics."""
        return {topic: self.brokers.texts(topic) for topic in TEXTS}

    def policies(self, namespace: str) -> Any:
        """The policies of a namespace."""
        return json.loads(self.zookeeper.get(f"/admin/policies/{namespace}")[0])

    def assert_complete(self) -> None:
        """Everything is as it was at the backup."""
        assert self.texts() == TEXTS
        assert self.policies("t/ns") == RELEASED
        assert self.policies("t/other") == OTHER
        assert [b"{}"] * 2 == [self.zookeeper.get(f"{MARKER}/held/{namespace}")[0] for namespace in NOTES]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A real ZooKeeper whose sessions end three seconds after their client was killed."""
    with standalone(NEWEST, tmp_path_factory.mktemp("zookeeper"), {"maxSessionTimeout": "3000"}) as made:
        yield made


@pytest.fixture
def world(server: ZooKeeper, folder: Path) -> Iterator[World]:
    """A restored cluster, before anything is put back."""
    with client(server.address) as zookeeper, restored(zookeeper, server, folder) as made:
        yield made


@contextmanager
def restored(zookeeper: KazooClient, server: ZooKeeper, folder: Path) -> Iterator[World]:
    """The znodes of a restored cluster, and its brokers."""
    point = make_backup(folder, tree=BACKED_UP, records=RECORDS)
    znodes = RealZnodes(zookeeper)
    if zookeeper.exists(MARKER):
        zookeeper.set_acls(MARKER, [make_acl("world", "anyone", all=True)])
    for path in ("/schemas", "/admin", "/loadbalance", MARKER, LOCK):
        zookeeper.delete(path, recursive=True) if zookeeper.exists(path) else None
    znodes[f"/admin/clusters/{CLUSTER}"] = b"{}"
    znodes["/admin/clusters/global"] = b""  # which brokers do not name
    znodes["/admin/policies/t/ns"] = HELD
    znodes["/admin/policies/t/other"] = b'{"is_allow_auto_update_schema":false}'
    znodes[f"/loadbalance/brokers/{BROKER}"] = b"{}"
    read_only = [make_acl("world", "anyone", read=True, admin=True)]
    zookeeper.create(MARKER, Marker("1", str(point)).to_json())
    for namespace, note in NOTES.items():
        zookeeper.create(f"{MARKER}/held/{namespace}", json.dumps(note).encode(), makepath=True)
    zookeeper.set_acls(MARKER, read_only)
    brokers = BrokerModel(znodes)
    with fake_broker(default=brokers.reply) as web:
        settings = {"ZOOKEEPER_SERVERS": server.address, "BROKER_SERVICE_URL": web.url, "LOG_LEVEL": "info"}
        yield World(zookeeper, brokers, point, settings)


def counted(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts of a part of the report that are not 0."""
    return {name: count for name, count in counts.items() if count}


def test_everything_comes_back(world: World) -> None:
    """Schemas and settings are as at the backup, the report counts them, and a second run changes nothing."""
    outcome = world.run("--json")
    assert outcome.exit_code == 0, outcome.said
    world.assert_complete()
    report = json.loads(outcome.output)
    assert (str(world.point), True, False) == (report["restorePoint"], report["complete"], report["dryRun"])
    assert {"topics": 3, "putBack": 3, "versions": 8, "deletions": 2, "unreadable": 1} == counted(report["schemas"])
    assert {"done": 2, "released": 2, "freed": 1} == counted(report["namespaces"])
    world.brokers.asked.clear()
    again = world.run(str(world.point))
    assert (0, []) == (again.exit_code, world.brokers.changes)
    assert "topics whose versions were all there" in again.output
    assert world.zookeeper.exists(LOCK) is None


def test_tenant_admin(world: World) -> None:
    """A login that may not list brokers is enough."""
    tenant_admin(world)
    assert 0 == world.run().exit_code
    world.assert_complete()


def test_dry_run(world: World) -> None:
    """A dry run changes nothing, takes no lock, and reports what a run would do."""
    world.zookeeper.create(LOCK, b"{}")
    paths = [f"{parent}/{name}" for parent in ("/admin/policies", f"{MARKER}/held") for name in NOTES]
    before = {path: world.zookeeper.get(path) for path in paths}
    dry = world.report("--dry-run")
    assert [] == world.brokers.changes
    assert before == {path: world.zookeeper.get(path) for path in before}
    world.zookeeper.delete(LOCK)
    done = world.report()
    assert {**done, "dryRun": True} == dry


def test_client_first(world: World) -> None:
    """A topic for which a client was first is named with the command that replaces its schemas, and that repairs it."""
    world.brokers.znodes["/admin/policies/t/ns"] = json.dumps(RELEASED).encode()
    assert world.brokers.register("t/ns/a%2Fb", "foreign")
    world.brokers.znodes["/admin/policies/t/ns"] = HELD
    outcome = world.run()
    assert PutBackIncomplete.exit_code == outcome.exit_code
    assert "metadata-tool put-back --replace-schemas persistent://t/ns/a/b" in outcome.output
    assert ["foreign"] == world.brokers.texts("t/ns/a%2Fb")
    assert TEXTS["t/ns/deleted"] == world.brokers.texts("t/ns/deleted")
    assert world.policies("t/ns")["is_allow_auto_update_schema"] is False
    assert world.policies("t/other") == OTHER
    assert 0 == world.run("--replace-schemas", "persistent://t/ns/a/b").exit_code
    world.assert_complete()


def from_backup(
    world: World, folder: Path, records: list[Record], more: Mapping[bytes, bytes | None] | None = None
) -> None:
    """The cluster was restored from a backup with these records, and more znodes."""
    content = BACKED_UP | dict(more or {})
    tree = {path: content[path] for path in in_tree_order(content)}
    point = make_backup(folder, timestamp=world.point.name.timestamp + 1, tree=tree, records=records or None)
    world.zookeeper.set_acls(MARKER, [make_acl("world", "anyone", all=True)])
    world.zookeeper.set(MARKER, Marker("1", str(point)).to_json())


@pytest.mark.fault("Put-back", "the backup lacks schemas")
def test_not_saved(world: World, folder: Path) -> None:
    """What the backup lacks is counted, and clients of the other topics do not wait for it."""
    from_backup(world, folder, [*RECORDS, NotSaved("schemas", "t/ns/z", 1, "404")])
    assert {"schemas": 1} == world.report()["notSaved"]
    world.assert_complete()


def test_policies_that_cannot_be_sent(world: World, folder: Path) -> None:
    """While topic policies are missing, what deletes data stays held in their namespace, which is named."""
    own = policy_events.saved("t/ns", "a", retentionPolicies={"retentionSizeInMB": 1, "retentionTimeInMinutes": 1})
    from_backup(world, folder, [*RECORDS, policy_events.schema("t/ns"), own])
    outcome = world.run("--json")
    assert PutBackIncomplete.exit_code == outcome.exit_code
    report = json.loads(outcome.output)
    assert {"t/ns": ["is_allow_auto_update_schema", "retention_policies"]} == report["held"]
    assert {"done": 1, "released": 1, "held": 1, "keeping": 1} == counted(report["namespaces"])
    assert json.loads(HELD) == world.policies("t/ns")
    assert "still held\n  t/ns: is_allow_auto_update_schema, retention_policies" in world.run().output


def test_deleted_since(world: World, folder: Path) -> None:
    """A namespace or a topic that was deleted since the restore is named, and is no failure, however often it runs."""
    records: list[Record] = [
        saved("t/deleted/x", schema(0, "x")),
        *RECORDS,
        policy_events.schema("t/deleted"),
        policy_events.saved("t/deleted", "x"),
        policy_events.schema("t/ns"),
        policy_events.saved("t/ns", "deleted", maxConsumerPerTopic=7),
    ]
    parents = [f"/managed-ledgers/{name}" for name in ("t", "t/ns", "t/ns/persistent", "t/ns/persistent/deleted")]
    from_backup(world, folder, records, {path.encode(): b"" for path in parents})
    for _ in range(2):
        outcome = world.run("--json")
        assert 0 == outcome.exit_code, outcome.said
        report = json.loads(outcome.output)
        counts = report["namespaces"]["deleted"], report["schemas"]["deleted"], report["topicPolicies"]["deleted"]
        assert (1, 1, 1) == counts
        assert ["t/deleted", "persistent://t/ns/deleted"] == [note["name"] for note in report["notes"]["first"]]
        assert TEXTS | {"t/ns/deleted": []} == world.texts()
        assert world.policies("t/ns") == RELEASED


def test_later_decision(world: World) -> None:
    """If somebody forbids new schemas after a put-back, a further one leaves that as it is."""
    assert 0 == world.run().exit_code
    forbidden = b'{"is_allow_auto_update_schema":false}'
    world.brokers.znodes["/admin/policies/t/other"] = forbidden
    assert {"done": 2} == counted(world.report()["namespaces"])
    assert forbidden == world.brokers.znodes["/admin/policies/t/other"]


def test_nothing_to_put_back(world: World, folder: Path) -> None:
    """With a backup that has nothing to put back, all is done, also for a login that may not list brokers."""
    from_backup(world, folder, [])
    tenant_admin(world)
    outcome = world.run()
    assert 0 == outcome.exit_code, outcome.said
    assert [] == world.brokers.changes


def test_kept_bookies(world: World) -> None:
    """If the bookies were kept, they have everything, so nothing is asked or changed, and that is no failure."""
    kept = Marker("1", str(world.point), {"RESTORE_SCOPE": "bookies-kept"})
    world.zookeeper.set_acls(MARKER, [make_acl("world", "anyone", all=True)])
    world.zookeeper.set(MARKER, kept.to_json())
    outcome = world.run()
    assert (0, []) == (outcome.exit_code, world.brokers.asked)
    assert "RESTORE_SCOPE=bookies-kept: the bookies were kept" in outcome.output


def other_marker(world: World) -> None:
    """The ensemble was restored from another backup."""
    point = str(world.point).replace("pulsar-", "other-")
    world.zookeeper.set_acls(MARKER, [make_acl("world", "anyone", all=True)])
    world.zookeeper.delete(MARKER, recursive=True)
    world.zookeeper.create(MARKER, Marker("1", point).to_json())


def without_marker(world: World) -> None:
    """The ensemble did not come from a restore."""
    world.zookeeper.set_acls(MARKER, [make_acl("world", "anyone", all=True)])
    world.zookeeper.delete(MARKER, recursive=True)


def other_brokers(world: World) -> None:
    """The brokers are not registered in this ZooKeeper."""
    world.zookeeper.delete(f"/loadbalance/brokers/{BROKER}")


def other_owner(world: World) -> None:
    """The same, for a login that may not list brokers."""
    other_brokers(world)
    tenant_admin(world)


def tenant_admin(world: World) -> None:
    """The login may not list brokers."""
    world.brokers.hook = lambda _, path: Reply(401, b"no superuser") if path == "/admin/v2/brokers" else None


def other_cluster(world: World) -> None:
    """The brokers are those of a cluster with another name."""
    world.zookeeper.delete(f"/admin/clusters/{CLUSTER}")
    world.zookeeper.create("/admin/clusters/restored", b"")


def other_policies(world: World) -> None:
    """The brokers have the policies of another cluster."""
    policies = Reply(200, json.dumps(RELEASED).encode())
    world.brokers.hook = lambda method, path: policies if (method, path[-4:]) == ("GET", "t/ns") else None


def login_refused(world: World) -> None:
    """The brokers refuse the login."""
    world.brokers.hook = lambda *_: Reply(401, b"no token")


def read_only_root(world: World) -> None:
    """This login may not create the lock."""
    world.zookeeper.set_acls("/", [make_acl("world", "anyone", read=True, admin=True)])


@pytest.mark.fault("Put-back", "ZooKeeper or the brokers are not those of the restore")
@pytest.mark.parametrize(
    ("change", "error", "naming"),
    [
        (without_marker, ClusterRunning, "did not come from a restore"),
        (other_marker, ClusterRunning, "and not from file:"),
        (other_brokers, ClusterRunning, f"the brokers are {BROKER}, and this ZooKeeper has none"),
        (other_owner, ClusterRunning, "this ZooKeeper has none"),
        (other_cluster, ClusterNameDiffers, f"the clusters {CLUSTER}, and this ZooKeeper restored"),
        (other_policies, ClusterRunning, "other policies of namespace t/ns"),
        (login_refused, BrokerDenied, "no token"),
        (read_only_root, ZnodeUnreadable, LOCK),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_refusals(world: World, change: Any, error: type[ToolError], naming: str) -> None:
    """Only the brokers of an ensemble that was restored from this backup are ever changed."""
    change(world)
    try:
        assert_refused(error, naming, world.run(str(world.point)))
    finally:
        world.zookeeper.set_acls("/", [make_acl("world", "anyone", all=True)])
    assert [] == world.brokers.changes


def test_wrong_arguments(world: World) -> None:
    """A topic that the backup does not have, and missing settings, are named."""
    assert_refused(
        SettingError, "no schemas of 'persistent://t/ns/x'", world.run("--replace-schemas", "persistent://t/ns/x")
    )
    assert_refused(SettingError, "BROKER_SERVICE_URL is empty", world.run(BROKER_SERVICE_URL=""))
    assert_refused(SettingError, "URI is not valid", world.run("nowhere"))
    nobody = f"127.0.0.1:{free_port()}"
    unreachable = world.run(ZOOKEEPER_SERVERS=nobody, ZOOKEEPER_CONNECT_TIMEOUT="1")
    assert_refused(ZooKeeperUnreachable, nobody, unreachable)
    assert [] == world.brokers.changes


@pytest.mark.fault("Put-back", "two put-backs run at once")
def test_two_at_once(world: World) -> None:
    """While another put-back runs, a second one waits for as long as a killed one would last, and then says so."""
    world.zookeeper.create(LOCK, b'{"host":"pod-0","pid":7,"since":1769903999123}', ephemeral=True)
    outcome = world.run()
    running = "another put-back is running on pod-0 (process 7) since 2026-01-31T23:59:59.123Z"
    assert_refused(PutBackRunning, running, outcome)
    assert [] == world.brokers.changes


def test_writes_by_version(world: World) -> None:
    """A znode is set only if it was not set meanwhile, so no change of a broker is lost."""
    path = b"/admin/policies/t/ns"
    ensemble = Ensemble(world.settings["ZOOKEEPER_SERVERS"])
    with session.connect(ensemble, Heartbeat()) as connected:
        found = znodes.read(connected, path)
        assert found
        world.zookeeper.set(path.decode(), b"by a broker")
        assert not znodes.set_data(connected, path, b"ours", found.version)
        znodes.synchronise(connected)
        assert Znode(b"by a broker", found.version + 1) == znodes.read(connected, path)
        assert znodes.set_data(connected, path, b"ours", found.version + 1)
        assert not znodes.set_data(connected, b"/no/such", b"", 0)
        assert [] == znodes.children(connected, b"/no/such")
        second = znodes.read(connected, b"/admin/policies/t/other")
        assert second
        other = znodes.Write(b"/admin/policies/t/other", b"ours", second.version)
        assert not znodes.set_all(connected, [other, znodes.Write(path, b"both", found.version)])
        assert not znodes.set_all(connected, [other, znodes.Write(b"/no/such", b"both", 0)])
        with pytest.raises(WriteRefused, match=MARKER):
            znodes.set_all(connected, [other, znodes.Write(MARKER.encode(), b"both", 0)])
        assert b"ours" == world.zookeeper.get(path.decode())[0] != world.zookeeper.get(other.path.decode())[0]
        assert znodes.set_all(connected, [other, znodes.Write(path, b"both", found.version + 2)])
    assert [b"both", b"ours"] == [world.zookeeper.get(each.decode())[0] for each in (path, other.path)]


@pytest.mark.fault("Put-back", "a put-back is killed, and run again")
@pytest.mark.parametrize(
    "moment",
    [5, 14, *(pytest.param(number, marks=pytest.mark.soak) for number in range(1, 21) if number not in (5, 14))],
)
def test_killed(world: World, moment: int, tmp_path: Path) -> None:
    """A put-back that is killed at a request is completed by the next, which waits until its session has ended."""
    command = [sys.executable, "-m", "metadata_tool", "put-back"]
    started: list[Process] = []

    def kill(*_: str) -> Reply | None:
        if len(world.brokers.asked) != moment or not started:
            return None
        started[0].send(signal.SIGKILL)
        started[0].wait()
        return Reply(None)

    world.brokers.hook = kill
    started.append(Process(command, tmp_path / "log", environment(world.settings)))
    assert -signal.SIGKILL == started[0].wait()
    world.brokers.hook = lambda *_: None
    outcome = world.run()
    assert outcome.exit_code == 0, outcome.said
    world.assert_complete()
