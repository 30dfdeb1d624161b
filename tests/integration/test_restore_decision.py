"""What a restore does where an ensemble runs already: real servers, and volumes that are new."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST, OLDEST
from metadata_tool.errors import ClusterRunning
from support import seed
from support.comparison import differences, read_tree
from support.processes import free_port
from support.s3 import S3Server, new_bucket
from support.tool import assert_refused, run, succeed
from support.zookeeper import Ensemble, ZooKeeper, client, standalone

SERVERS = "ZOOKEEPER_SERVERS"


@pytest.fixture(scope="module")
def point(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings that restore a small backup."""
    settings = new_bucket(s3).settings
    with standalone(NEWEST, tmp_path_factory.mktemp("source")) as server, client(server.address) as source:
        seed.pulsar(source)
        uri = succeed("backup", settings={**settings, SERVERS: server.address})
    return {**settings, "RESTORE_POINT": uri, "RESTORE_SCOPE": "everything"}


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
    assert "no restore has made its tree" in outcome.error
    assert [] == list(volume.iterdir())


def test_own_cluster_runs(point: dict[str, str], volume: Path, restored: ZooKeeper) -> None:
    """A member whose volume was lost takes its tree from the others; the object store is not asked."""
    settings = {name: value for name, value in point.items() if not name.startswith("AWS")}
    outcome = run("restore", settings={**settings, "ZOOKEEPER_DATA_DIR": str(volume), SERVERS: restored.address})
    assert (0, []) == (outcome.exit_code, list(volume.iterdir())), outcome.said
    assert "this member takes its tree from it" in outcome.said


def test_cluster_of_another_restore_runs(point: dict[str, str], volume: Path, restored: ZooKeeper) -> None:
    """A cluster of another restore version is not joined, and not restored over."""
    settings = {**point, "ZOOKEEPER_DATA_DIR": str(volume), SERVERS: restored.address, "RESTORE_VERSION": "2"}
    outcome = run("restore", settings=settings)
    assert_refused(ClusterRunning, "its tree is of restore version 1", outcome)
    assert [] == list(volume.iterdir())


def test_marker_can_only_be_read(restored: ZooKeeper) -> None:
    """What says of which restore a cluster is cannot be changed by its clients."""
    with client(restored.address) as reading:
        acls, _ = reading.get_acls("/metadata-backup")
        assert [("world", "anyone", 1)] == [(acl.id.scheme, acl.id.id, acl.perms) for acl in acls]


def test_server_without_a_quorum_is_no_cluster(point: dict[str, str], tmp_path: Path) -> None:
    """A member that waits for the others does not keep them from being restored."""
    ensemble = Ensemble(NEWEST, tmp_path)
    first = ensemble.servers[0]
    succeed("restore", settings={**point, "ZOOKEEPER_DATA_DIR": str(first.data_dir), SERVERS: ensemble.address})
    try:
        first.start()
        for server in ensemble.servers[1:]:
            settings = {**point, "ZOOKEEPER_DATA_DIR": str(server.data_dir), SERVERS: ensemble.address}
            assert "snapshot." in succeed("restore", settings=settings)
            server.start()
        for server in ensemble.servers:
            server.wait()
        with client(first.address) as one, client(ensemble.servers[2].address) as another:
            assert [] == list(differences(read_tree(one), read_tree(another)))
    finally:
        ensemble.stop()


def test_restore_of_a_restored_cluster(point: dict[str, str], volume: Path, restored: ZooKeeper, s3: S3Server) -> None:
    """A backup of a restored cluster is restored under a version of its own, and carries one marker."""
    settings = {**point, **new_bucket(s3).settings}
    uri = succeed("backup", settings={**settings, SERVERS: restored.address})
    restoring = {"RESTORE_POINT": uri, "RESTORE_VERSION": "2", "ZOOKEEPER_DATA_DIR": str(volume)}
    succeed("restore", settings={**settings, **restoring})
    assert b'"restoreVersion": "2"' in (volume / "version-2" / "restore.json").read_bytes()
