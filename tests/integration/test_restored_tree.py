"""A ZooKeeper that starts from a backup has the tree that was saved."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST, OLDER, OLDEST
from metadata_tool.errors import DataDirNotEmpty
from support import seed
from support.comparison import Tree, differences, read_tree
from support.s3 import S3Server, new_bucket
from support.tool import assert_refused, run, succeed
from support.zookeeper import Ensemble, client, standalone

WIDE, WIDE_IN_A_SOAK = 2_000, 50_000
"""Children of one znode."""


@dataclass(frozen=True)
class Saved:
    """A tree, its backup, and the settings for the backup."""

    version: str
    wide: int
    tree: Tree
    uri: str
    settings: dict[str, str]
    server: S3Server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """In the short form, the new ensemble is of the newest version alone: members of all versions restore alike."""
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", [NEWEST, OLDER, OLDEST] if metafunc.config.getoption("--soak") else [NEWEST])


@pytest.fixture(scope="module", params=[NEWEST, OLDEST])
def saved(
    request: pytest.FixtureRequest, s3: S3Server, tmp_path_factory: pytest.TempPathFactory, *, soak: bool
) -> Saved:
    """A backup of everything that ZooKeeper can hold, in a real S3."""
    return save(request.param, WIDE_IN_A_SOAK if soak else WIDE, s3, tmp_path_factory.mktemp("source"))


def save(version: str, wide: int, s3: S3Server, directory: Path) -> Saved:
    """Fill a ZooKeeper, back it up, and stop it."""
    settings = new_bucket(s3).settings
    with standalone(version, directory) as server, client(server.address, seed.ADMIN) as source:
        seed.pulsar(source)
        seed.everything(source, wide)
        tree = read_tree(source)
        login = {"ZOOKEEPER_SERVERS": server.address, "ZOOKEEPER_AUTH": f"digest:{seed.ADMIN}"}
        uri = succeed("backup", settings={**settings, **login})
    return Saved(version, wide, tree, uri, settings, s3)


def restore(saved: Saved, data_dir: Path) -> Path:
    """Restore into a data directory. Returns the snapshot's path."""
    data_dir.mkdir(parents=True, exist_ok=True)
    settings = {**saved.settings, "RESTORE_POINT": saved.uri, "ZOOKEEPER_DATA_DIR": str(data_dir)}
    settings["RESTORE_SCOPE"] = "bookies-kept"  # the tree as it was
    return Path(succeed("restore", settings=settings))


def test_restart_restores_nothing(saved: Saved, tmp_path: Path) -> None:
    """A second restore with the same version changes nothing, and does not ask the object store."""
    snapshot = restore(saved, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    settings = {"RESTORE_POINT": saved.uri, "ZOOKEEPER_DATA_DIR": str(tmp_path)}  # no credentials, no endpoint
    again = run("restore", settings=settings)
    assert (0, "", before) == (again.exit_code, again.output, {path: path.stat().st_mtime_ns for path in before})
    assert "version 1 was restored here before" in again.said
    assert snapshot in before


def test_another_version_on_restored_volume(saved: Saved, tmp_path: Path) -> None:
    """Another restore into a restored data directory is refused, names both versions, and changes nothing."""
    restore(saved, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    settings = {**saved.settings, "RESTORE_POINT": saved.uri, "ZOOKEEPER_DATA_DIR": str(tmp_path)}
    outcome = run("restore", settings={**settings, "RESTORE_VERSION": "2"})
    assert_refused(DataDirNotEmpty, "version 1", outcome)
    assert "Nothing was touched" in outcome.error
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_standalone_equals_its_source(saved: Saved, tmp_path: Path) -> None:
    """Data, ACLs and every kept stat of every persistent znode come back, and nothing else does."""
    restore(saved, tmp_path / "data")
    with standalone(saved.version, tmp_path) as server, client(server.address, seed.ADMIN) as restored:
        assert [] == list(differences(saved.tree, read_tree(restored)))


def test_it_holds_what_is_hard_to_keep(saved: Saved) -> None:
    """The compared tree has each feature that is easily lost."""
    tree = saved.tree
    assert (None, b"") == (tree["/null"].data, tree["/empty"].data)
    assert 900_096 == len(tree["/large"].data or b"")
    assert saved.wide == sum(path.startswith("/wide/") for path in tree)
    assert "/unicode-\u00fc\u4e2d\u0627/\u00f1 with a space" in tree
    assert ("digest", 31) == (tree["/acl-digest"].acl[0][1], tree["/acl-digest"].acl[0][0])
    assert (6, 2, 8) == (tree["/empty"].version, tree["/acl-changed"].aversion, tree["/sequential"].cversion)
    assert not {"/sequential/ephemeral", "/ledgers/available/bookie-0:3181"} & tree.keys()


def test_sequential_names_go_on(saved: Saved, tmp_path: Path) -> None:
    """The next sequential names are those of the source. Ledger ids continue far above the saved ones."""
    restore(saved, tmp_path / "data")
    with standalone(saved.version, tmp_path) as server, client(server.address) as restored:
        names = [restored.create(f"{parent}/s-", b"", sequence=True) for parent in ("/sequential", "/ledgers/idgen")]
    assert "/sequential/s-0000000008" == names[0]
    assert "/ledgers/idgen/s-0001000041" <= names[1]


@pytest.mark.parametrize("scope", ["bookies-lost", "bookies-kept"])
def test_ids_continue_in_the_flat_layout(scope: str, s3: S3Server, tmp_path: Path) -> None:
    """In BookKeeper's flat layout, ids are numbers of children of `/ledgers`. They continue far above all known ids."""
    layout = b"2\norg.apache.bookkeeper.meta.FlatLedgerManagerFactory:1"
    (tmp_path / "source").mkdir()
    settings = {**new_bucket(s3).settings, "RESTORE_SCOPE": scope, "ZOOKEEPER_DATA_DIR": str(tmp_path / "data")}
    with standalone(NEWEST, tmp_path / "source") as server, client(server.address) as source:
        seed.pulsar(source)
        source.create("/ledgers/LAYOUT", layout)
        source.create("/ledgers/L0006000000", b"")
        settings["RESTORE_POINT"] = succeed("backup", settings={**settings, "ZOOKEEPER_SERVERS": server.address})
    (tmp_path / "data").mkdir()
    succeed("restore", settings=settings)
    with standalone(NEWEST, tmp_path) as server, client(server.address) as restored:
        next_id = restored.create("/ledgers/ID-", b"", sequence=True)
        report = json.loads(next((tmp_path / "data").rglob("restore-report.json")).read_text())
        assert (f"/ledgers/ID-{report['nextLedgerId']:010d}", layout) == (next_id, restored.get("/ledgers/LAYOUT")[0])
        assert (scope == "bookies-kept") == (report["nextLedgerId"] > 7_000_002)
        assert (scope == "bookies-kept") == bool(restored.exists("/ledgers/L0006000000"))


def test_plain_tar_is_enough(saved: Saved, tmp_path: Path) -> None:
    """After `tar xzf` of a backup into an empty data directory, a ZooKeeper starts with the tree."""
    (tmp_path / "data").mkdir()
    bucket, _, key = saved.uri.removeprefix("s3a://").partition("/")
    saved.server.client().download_file(bucket, key, str(tmp_path / "backup.tar.gz"))
    subprocess.run(["tar", "xzf", tmp_path / "backup.tar.gz", "-C", tmp_path / "data"], check=True)
    with standalone(saved.version, tmp_path) as server, client(server.address, seed.ADMIN) as restored:
        assert [] == list(differences(saved.tree, read_tree(restored)))


def test_new_ensemble_equals_its_source(version: str, s3: S3Server, tmp_path: Path) -> None:
    """Three restored members form one ensemble. Each has the complete tree, and accepts writes."""
    saved = save(version, 500, s3, tmp_path / "source")
    ensemble = Ensemble(version, tmp_path)
    snapshots = [restore(saved, server.data_dir) for server in ensemble.servers]
    assert 1 == len({(path.name, path.read_bytes()) for path in snapshots})
    try:
        ensemble.start()
        assert ["follower", "follower", "leader"] == sorted(server.mode() for server in ensemble.servers)
        for server in ensemble.servers:
            with client(server.address, seed.ADMIN) as member:
                assert [] == list(differences(saved.tree, read_tree(member)))
        with client(ensemble.address) as writer:
            assert "/sequential/s-0000000008" == writer.create("/sequential/s-", b"", sequence=True)
    finally:
        ensemble.stop()


def test_verify_and_inspect_tell_what_is_there(saved: Saved) -> None:
    """`verify` finds the backup undamaged, and `inspect` counts the saved znodes."""
    assert f"is complete and undamaged: {len(saved.tree)} znodes" in succeed(
        "verify", saved.uri, settings=saved.settings
    )
    counts = json.loads(succeed("inspect", "--json", saved.uri, settings=saved.settings))["topLevel"]
    assert saved.wide + 1 == counts["/wide"]["znodes"]
    assert {"znodes": 1, "bytes": 900_096} == counts["/large"]
    tree = succeed("inspect", "--tree", saved.uri, settings=saved.settings)
    assert len(saved.tree) == len(tree.splitlines())


@pytest.mark.parametrize("saved", [OLDEST], indirect=True)
def test_older_backup_starts_a_newer_zookeeper(saved: Saved, tmp_path: Path) -> None:
    """A backup of an older ZooKeeper can be restored into the newest version."""
    restore(saved, tmp_path / "data")
    with standalone(NEWEST, tmp_path) as server, client(server.address, seed.ADMIN) as restored:
        assert [] == list(differences(saved.tree, read_tree(restored)))
