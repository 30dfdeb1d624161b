"""A tree in which Pulsar is not where the settings say: below a chroot, or at another path."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from ci.parts.zookeeper import NEWEST
from metadata_tool.errors import SettingError, TreeIncomplete
from metadata_tool.pulsar.codec import managed_ledger
from metadata_tool.zookeeper.snapshot import Node, SnapshotReader
from metadata_tool.zookeeper.stat import Stat
from support.metadata import NAMESPACE, as_json, ledgers
from support.tool import Outcome, Service, assert_refused, run, succeed
from support.zookeeper import ZooKeeper, client, standalone

CHROOT = "/pulsar"
MOVED = (
    "the tree has no /managed-ledgers, no cluster in /admin/clusters and no /ledgers, but it has "
    "/pulsar/managed-ledgers, /pulsar/admin/clusters and /pulsar/ledgers"
)


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A ZooKeeper with a small Pulsar below a chroot."""
    with standalone(NEWEST, tmp_path_factory.mktemp("zookeeper")) as server:
        with client(server.address) as source:
            fill(source, CHROOT)
        yield server


def fill(source: KazooClient, chroot: str) -> None:
    """Make a topic with an offloaded ledger and another one, and what else a Pulsar has."""
    content = {
        f"{NAMESPACE}/t1": ledgers((10, True), (11, False)),
        "/admin/clusters/c1": as_json(),
        "/admin/policies/public/default": as_json(),
        "/ledgers/idgen": b"",
        "/ledgers/cookies/bookie-0:3181": b"",
    }
    for path, data in content.items():
        source.create(chroot + path, data, makepath=True)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """A directory for backups, and an empty data directory."""
    for name in ("backups", "data"):
        (tmp_path / name).mkdir()
    return {"BUCKET": f"file://{tmp_path}/backups", "ZOOKEEPER_DATA_DIR": str(tmp_path / "data")}


def backed_up(zookeeper: ZooKeeper, settings: Mapping[str, str], chroot: str = "") -> Outcome:
    """A backup with this chroot."""
    outcome = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": zookeeper.address + chroot})
    assert 0 == outcome.exit_code, outcome.said
    return outcome


def restore(outcome: Outcome, settings: Mapping[str, str], **more: str) -> Outcome:
    """A restore of this backup."""
    return run("restore", settings={**settings, "RESTORE_POINT": outcome.output.strip(), **more})


def warnings(outcome: Outcome) -> list[str]:
    """The warnings in the log of a command."""
    return [line.partition(" WARNING ")[2] for line in outcome.said.splitlines() if " WARNING " in line]


def test_backup_without_the_chroot(zookeeper: ZooKeeper, settings: dict[str, str]) -> None:
    """A backup without the chroot says in one line where Pulsar is, and which setting to change."""
    hint = "Append the chroot /pulsar to ZOOKEEPER_SERVERS (backup.chroot)"
    expected = [f"a restore of this backup with lost bookies will be refused, because {MOVED}. {hint}"]
    assert expected == warnings(backed_up(zookeeper, settings))
    assert [] == warnings(backed_up(zookeeper, settings, CHROOT))


def test_verify_and_inspect(zookeeper: ZooKeeper, settings: dict[str, str]) -> None:
    """`verify` and `inspect` say the same of such a backup, and nothing of one with the chroot."""
    wrong, right = backed_up(zookeeper, settings).output.strip(), backed_up(zookeeper, settings, CHROOT).output.strip()
    verified = run("verify", wrong, settings=settings)
    assert 0 == verified.exit_code
    assert MOVED in warnings(verified)[0]
    assert [MOVED] == json.loads(succeed("inspect", "--json", wrong, settings=settings))["findings"]
    assert MOVED in succeed("inspect", wrong, settings=settings)
    assert [] == warnings(run("verify", right, settings=settings))
    assert [] == json.loads(succeed("inspect", "--json", right, settings=settings))["findings"]


def test_admin_port(zookeeper: ZooKeeper, settings: dict[str, str], tmp_path: Path) -> None:
    """The admin port tells it, in the newest backup and as a metric."""
    service = Service({**settings, "ZOOKEEPER_SERVERS": zookeeper.address}, tmp_path / "log")
    try:
        service.wait_for("backup_count", 1)
        assert [MOVED] == service.json("/backup/latest")["findings"]
        assert "\nbackup_tree_findings 1\n" in service.get("/metrics")[1]
    finally:
        service.process.stop()


def test_restore_is_refused(zookeeper: ZooKeeper, settings: dict[str, str], tmp_path: Path) -> None:
    """A restore with lost bookies is refused, whatever CLUSTER_NAME is, and nothing is touched."""
    outcome = backed_up(zookeeper, settings)
    for more in ({}, {"CLUSTER_NAME": "wrong"}, {"RESTORE_POINT": "latest", "CLUSTER_NAME": "wrong"}):
        refused = restore(outcome, settings, **more)
        assert refused.exit_code != 0
        assert "ZOOKEEPER_SERVERS" in refused.error
        assert [] == list((tmp_path / "data").iterdir())
    assert_refused(TreeIncomplete, MOVED, restore(outcome, settings))
    assert_refused(TreeIncomplete, MOVED, run("restore", "--dry-run", settings={**settings, **point(outcome)}))


def point(outcome: Outcome) -> dict[str, str]:
    """The setting that names this backup."""
    return {"RESTORE_POINT": outcome.output.strip()}


def test_restore_with_the_chroot(zookeeper: ZooKeeper, settings: dict[str, str], tmp_path: Path) -> None:
    """With the chroot, the same backup is restored, with all rules, as one that was made with the chroot."""
    wrong, right = backed_up(zookeeper, settings), backed_up(zookeeper, settings, CHROOT)
    own = {"ZOOKEEPER_SERVERS": "127.0.0.1:1/pulsar", "CLUSTER_NAME": "c1", "ALLOW_OLDER": "true"}
    contents: list[dict[str, Node]] = []
    for outcome in (wrong, right):
        data = tmp_path / f"data-{len(contents)}"
        data.mkdir()
        done = restore(outcome, settings, **own, ZOOKEEPER_DATA_DIR=str(data))
        assert (0, []) == (done.exit_code, warnings(done)), done.said
        with Path(done.output.strip()).open("rb") as file:
            contents.append({node.path.decode(): node for node in SnapshotReader(file).nodes()})
    for nodes in contents:
        kept = managed_ledger(nodes[f"{CHROOT}{NAMESPACE}/t1"].data or b"").ledgerInfo
        assert [10, 1_000_012] == [ledger.ledgerId for ledger in kept]
        assert 1_000_013 == Stat.unpack(nodes["/pulsar/ledgers/idgen"].stat).cversion
        assert "/pulsar/ledgers/cookies/bookie-0:3181" not in nodes


@pytest.mark.parametrize("more", [{"ALLOW_PARTIAL": "true"}, {"RESTORE_SCOPE": "bookies-kept"}])
def test_restored_on_purpose(zookeeper: ZooKeeper, settings: dict[str, str], more: dict[str, str]) -> None:
    """With ALLOW_PARTIAL, or if the bookies are kept, the tree is restored as it is, and the report says so."""
    done = restore(backed_up(zookeeper, settings), settings, **more)
    assert 0 == done.exit_code, done.said
    assert MOVED in warnings(done)
    report = json.loads((Path(done.output.strip()).parent / "restore-report.json").read_bytes())
    assert [MOVED] == report["findings"]


def test_other_path_of_managed_ledgers(zookeeper: ZooKeeper, settings: dict[str, str]) -> None:
    """A backup with a wrong MANAGED_LEDGER_PATH is restored with the right one, and not with another wrong one."""
    own = {**settings, "MANAGED_LEDGER_PATH": "/own"}
    outcome = backed_up(zookeeper, own, CHROOT)
    missing = "the tree has no /pulsar/own, but it has /pulsar/managed-ledgers"
    hint = "Set MANAGED_LEDGER_PATH to /managed-ledgers"
    expected = [f"a restore of this backup with lost bookies will be refused, because {missing}. {hint}"]
    assert expected == warnings(outcome)
    assert_refused(TreeIncomplete, hint, restore(outcome, own))
    assert_refused(
        SettingError, "Set MANAGED_LEDGER_PATH to /own", restore(outcome, settings, MANAGED_LEDGER_PATH="/x")
    )
    assert 0 == restore(outcome, settings).exit_code
