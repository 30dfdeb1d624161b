"""What a restore does beside running servers, or if the directory holds data."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST, OLDEST
from metadata_tool.errors import ClusterRunning, DataDirNotEmpty
from support import seed
from support.processes import free_port
from support.s3 import S3Server, new_bucket
from support.tool import assert_refused, run, succeed
from support.zookeeper import Ensemble, ZooKeeper, client, standalone

SERVERS = "ZOOKEEPER_SERVERS"
NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def point(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings that restore a small backup."""
    settings = new_bucket(s3).settings
    with standalone(NEWEST, tmp_path_factory.mktemp("source")) as server, client(server.address) as source:
        seed.pulsar(source)
        uri = succeed("backup", settings={**settings, SERVERS: server.address})
    return {**settings, "RESTORE_POINT": uri, "RESTORE_SCOPE": "bookies-kept"}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A new volume."""
    made = tmp_path / "volume"
    made.mkdir()
    return made


@pytest.fixture(params=[NEWEST, OLDEST])
def restored(request: pytest.FixtureRequest, point: dict[str, str], tmp_path: Path) -> Iterator[ZooKeeper]:
    """A cluster that was started from the backup."""
    data = tmp_path / "data"
    data.mkdir()
    succeed("restore", settings={**point, "ZOOKEEPER_DATA_DIR": str(data)})
    with standalone(request.param, tmp_path) as server:
        yield server


def test_another_cluster_runs(point: dict[str, str], volume: Path, tmp_path: Path) -> None:
    """An ensemble that no restore has made is left alone, and so is the new volume: exit code 43."""
    with standalone(NEWEST, tmp_path) as server:
        settings = {**point, "ZOOKEEPER_DATA_DIR": str(volume), SERVERS: f"127.0.0.1:{free_port()},{server.address}"}
        outcome = run("restore", settings=settings)
    assert_refused(ClusterRunning, server.address, outcome)
    assert "serves an ensemble that did not come from a restore" in outcome.error
    assert [] == list(volume.iterdir())


def test_own_cluster_runs(point: dict[str, str], volume: Path, restored: ZooKeeper) -> None:
    """A member whose volume was lost takes its tree from the others, without the object store."""
    settings = {name: value for name, value in point.items() if not name.startswith("AWS")}
    outcome = run("restore", settings={**settings, "ZOOKEEPER_DATA_DIR": str(volume), SERVERS: restored.address})
    assert (0, ["restore-joined.json"]) == (outcome.exit_code, [path.name for path in volume.iterdir()]), outcome.said
    assert "This member joins it, and takes its tree from" in outcome.said


def test_cluster_of_another_restore_runs(point: dict[str, str], volume: Path, restored: ZooKeeper) -> None:
    """A cluster of another restore version is not joined, and not restored over."""
    settings = {**point, "ZOOKEEPER_DATA_DIR": str(volume), SERVERS: restored.address, "RESTORE_VERSION": "2"}
    outcome = run("restore", settings=settings)
    assert_refused(ClusterRunning, "serves an ensemble of restore version 1", outcome)
    assert [] == list(volume.iterdir())


def test_marker_can_only_be_read(restored: ZooKeeper) -> None:
    """Clients cannot change the znode that says which restore a cluster is from."""
    with client(restored.address) as reading:
        acls, _ = reading.get_acls("/metadata-backup")
        assert [("world", "anyone", 1)] == [(acl.id.scheme, acl.id.id, acl.perms) for acl in acls]


def test_restore_of_a_restored_cluster(point: dict[str, str], volume: Path, restored: ZooKeeper, s3: S3Server) -> None:
    """A backup of a restored cluster can be restored with another version, and has one marker."""
    settings = {**point, **new_bucket(s3).settings}
    uri = succeed("backup", settings={**settings, SERVERS: restored.address})
    restoring = {"RESTORE_POINT": uri, "RESTORE_VERSION": "2", "ZOOKEEPER_DATA_DIR": str(volume)}
    succeed("restore", settings={**settings, **restoring})
    assert b'"restoreVersion": "2"' in (volume / "version-2" / "restore.json").read_bytes()


def test_data_of_unknown_origin(point: dict[str, str], tmp_path: Path) -> None:
    """Data that did not come from a restore is refused while no member serves, and moved aside if that is allowed."""
    with standalone(NEWEST, tmp_path) as server, client(server.address) as writing:
        writing.create("/precious", b"")
    own = {"ZOOKEEPER_DATA_DIR": str(server.data_dir), SERVERS: server.address}
    before = {path: path.stat().st_mtime_ns for path in server.data_dir.rglob("*")}
    assert_refused(DataDirNotEmpty, "it holds version-2", run("restore", settings={**point, **own}))
    assert before == {path: path.stat().st_mtime_ns for path in server.data_dir.rglob("*")}
    succeed("restore", settings={**point, **own, "OVERWRITE_EXISTING": "true"})
    assert 1 == len(
        [path for path in server.data_dir.glob("version-2.replaced-by-restore-1.*/*") if "log." in path.name]
    )


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
@pytest.mark.parametrize("method", ["gz", "snappy"])
def test_member_that_compresses_its_snapshots(
    point: dict[str, str], volume: Path, tmp_path: Path, version: str, method: str
) -> None:
    """A member that took its tree from the others is recognised by that tree, also if its snapshots are compressed."""
    succeed("restore", settings={**point, "ZOOKEEPER_DATA_DIR": str(volume)})
    data = volume.rename(tmp_path / "data")
    compress = (f"-Dzookeeper.snapshot.compression.method={method}",)
    for change in range(2):  # a server writes a snapshot when it starts
        with standalone(version, tmp_path, java_options=compress) as server, client(server.address) as writing:
            writing.create(f"/change-{change}", b"")
    for plain in [*data.glob("version-2/restore*"), *data.glob("version-2/snapshot.*[0-9]")]:
        plain.unlink()
    assert {f".{method}"} == {path.suffix for path in data.glob("version-2/snapshot.*")}
    outcome = run("restore", settings={**point, "ZOOKEEPER_DATA_DIR": str(data), SERVERS: f"127.0.0.1:{free_port()}"})
    assert (0, "") == (outcome.exit_code, outcome.output), outcome.said
    assert "version 1 was restored here before" in outcome.said


def test_another_version_without_members_is_refused(point: dict[str, str], volume: Path) -> None:
    """If the members are not known, one of them may be running, so an earlier restore is not replaced."""
    own = {**point, "ZOOKEEPER_DATA_DIR": str(volume)}
    succeed("restore", settings=own)
    outcome = run("restore", settings={**own, "RESTORE_VERSION": "2"})
    assert_refused(DataDirNotEmpty, "version 1", outcome)
    assert "Set ZOOKEEPER_SERVERS to the members" in outcome.error


def began(server: ZooKeeper) -> None:
    """Start a member alone, and stop it when it waits for the others."""
    server.start()
    assert server._process
    server._process.wait_until(lambda: server.runs)
    server.stop()


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
def test_volumes_on_which_zookeeper_only_waited(point: dict[str, str], tmp_path: Path, version: str) -> None:
    """Members that have waited without a tree are restored like new ones, whatever else their volumes hold."""
    ensemble = Ensemble(version, tmp_path)
    for server in ensemble.servers[:2]:
        began(server)
        assert {"currentEpoch", "snapshot.0"} <= {path.name for path in server.data_dir.glob("version-2/*")}
        (server.data_dir / ".snapshot" / "hourly").mkdir(parents=True)
        (server.data_dir / "aquota.group").write_bytes(b"precious")
    try:
        for server in ensemble.servers:
            succeed("restore", settings={**point, "ZOOKEEPER_DATA_DIR": str(server.data_dir), SERVERS: NOBODY})
        ensemble.start()
        with client(ensemble.address) as reading:
            assert reading.exists("/metadata-backup")
        kept = [sorted(path.name for path in server.data_dir.iterdir()) for server in ensemble.servers[:2]]
    finally:
        ensemble.stop()
    assert all({".snapshot", "aquota.group"} < set(names) for names in kept)


@pytest.mark.parametrize("joins", [False, True], ids=["restored", "joins"])
def test_epochs_of_an_earlier_ensemble(point: dict[str, str], tmp_path: Path, *, joins: bool) -> None:
    """If only epochs are left in a volume, the member serves after its restore, and after joining the others."""
    ensemble = Ensemble(NEWEST, tmp_path)
    *others, last = ensemble.servers
    (last.data_dir / "version-2").mkdir()
    for name, epoch in (("currentEpoch", "0"), ("acceptedEpoch", "2000000000")):
        (last.data_dir / "version-2" / name).write_text(epoch)
    try:
        for server in others:
            succeed("restore", settings={**point, "ZOOKEEPER_DATA_DIR": str(server.data_dir), SERVERS: NOBODY})
        for server in others if joins else ():
            server.start()
        for server in others if joins else ():
            server.wait()
        servers = ",".join(server.address for server in others) if joins else NOBODY
        succeed("restore", settings={**point, "ZOOKEEPER_DATA_DIR": str(last.data_dir), SERVERS: servers})
        for server in [last] if joins else ensemble.servers:
            server.start()
        last.wait()
        with client(last.address) as reading:
            assert reading.exists("/metadata-backup")
    finally:
        ensemble.stop()
