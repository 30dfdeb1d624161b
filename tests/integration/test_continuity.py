"""A backup that does not continue the one before it, with real ZooKeepers: saved, told, and never `latest`."""

import json
import shutil
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool import archive, backup
from metadata_tool.errors import ArchiveCorrupt, BackupSuspect, SettingError, StoreFailed
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.settings import Settings as ToolSettings
from metadata_tool.store import open_store
from support import seed
from support.damage import damage
from support.processes import free_port
from support.s3 import Bucket
from support.tool import Outcome, Service, assert_refused, run, succeed
from support.zookeeper import ZooKeeper, client

Settings = dict[str, str]


class Cluster:
    """A ZooKeeper at an address that others can take."""

    def __init__(self, directory: Path, port: int) -> None:
        self._server = ZooKeeper(NEWEST, directory, port=port)
        self.data_dir, self.address = self._server.data_dir, self._server.address

    def start(self) -> "Cluster":
        """Start it."""
        self._server.start()
        self._server.wait()
        return self

    def stop(self) -> None:
        """Stop it."""
        self._server.stop()

    def seed(self, topics: int = 10) -> None:
        """Let it have a Pulsar."""
        with client(self.address) as zookeeper:
            seed.pulsar(zookeeper, topics)

    def delete(self, path: str) -> None:
        """Delete a znode and all below it."""
        with client(self.address) as zookeeper:
            zookeeper.delete(path, recursive=True)


@pytest.fixture
def port() -> int:
    """The port of all ensembles of a test."""
    return free_port()


@pytest.fixture
def cluster(tmp_path: Path, port: int) -> Iterator[Cluster]:
    """A ZooKeeper with a Pulsar."""
    made = Cluster(tmp_path / "first", port)
    try:
        made.start().seed()
        yield made
    finally:
        made.stop()


@pytest.fixture
def another(tmp_path: Path, port: int) -> Iterator[Cluster]:
    """An ensemble at the same address, not started."""
    made = Cluster(tmp_path / "second", port)
    yield made
    made.stop()


@pytest.fixture
def settings(folder: Path, port: int) -> Settings:
    """Backups into a directory."""
    return {
        "BUCKET": f"file://{folder}",
        "BACKUP_PREFIX": "pulsar",
        "ZOOKEEPER_SERVERS": f"127.0.0.1:{port}",
        "RESTORE_POINT": "latest",
    }


def back_up(settings: Settings) -> str:
    """The address of a backup that is sound."""
    return succeed("backup", settings=settings)


def assert_suspect(outcome: Outcome, latest: str, *reasons: str) -> str:
    """The backup was saved as suspect for these reasons, and the latest is another. Returns its address."""
    uri = outcome.output.rstrip("\n")
    assert BackupSuspect.exit_code == outcome.exit_code, outcome.said
    assert "/pulsar-suspect-" in uri
    assert [] == [reason for reason in reasons if reason not in outcome.error]
    (warning,) = [line for line in outcome.said.splitlines() if " WARNING the backup is suspect" in line]
    for told in (latest, uri, f"metadata-tool accept {uri}", *reasons):
        assert told in warning
    return uri


def latest(settings: Settings) -> str:
    """The address that `latest` stands for."""
    inspected = json.loads(succeed("inspect", "latest", "--json", settings=settings))["manifest"]
    return f"{settings['BUCKET']}/{inspected['prefix']}-{inspected['timestamp']}.tar.gz"


def manifest(uri: str, settings: Settings) -> dict[str, Any]:
    """The manifest of a backup, which passes all checks."""
    found = json.loads(succeed("inspect", uri, "--json", settings=settings))["manifest"]
    assert isinstance(found, dict)
    return found


def test_backups_of_one_cluster_are_sound(cluster: Cluster, settings: Settings) -> None:
    """Each backup names its predecessor, also after restarts, without a change, and after much has grown."""
    first = back_up(settings)
    second = back_up(settings)
    cluster.stop()
    cluster.start().seed(40)
    third = back_up(settings)
    manifests = [manifest(uri, settings) for uri in (first, second, third)]
    assert "predecessor" not in manifests[0]
    for uri, earlier, later in zip((first, second), manifests, manifests[1:], strict=False):
        expected = {"name": uri.rpartition("/")[2], **{key: earlier[key] for key in ("zxid", "nodes", "bytes")}}
        assert expected == later["predecessor"]
        assert earlier["identity"] == later["identity"]
    assert {"/admin", "/ledgers"} == manifests[0]["identity"]["created"].keys()
    assert third == latest(settings)


def test_uninitialised_then_initialised(another: Cluster, settings: Settings) -> None:
    """A ZooKeeper that is still empty, then has a Pulsar, is the same cluster."""
    another.start()
    back_up(settings)
    another.seed()
    assert back_up(settings) == latest(settings)


@pytest.mark.fault("ZooKeeper", "the ensemble came up empty")
def test_emptied(cluster: Cluster, settings: Settings) -> None:
    """An ensemble that came up empty: its backup is suspect, again and again, and is restored only by its name."""
    sound = back_up(settings)
    cluster.stop()
    shutil.rmtree(cluster.data_dir)
    cluster.data_dir.mkdir()
    cluster.start()
    for _ in range(2):
        suspect = assert_suspect(run("backup", settings=settings), sound, "is earlier than", "znodes instead of")
    assert sound == latest(settings)
    assert f"{suspect}  suspect" in succeed("list", settings=settings)
    found = manifest(suspect, settings)
    assert ("pulsar", sound.rpartition("/")[2]) == (found["prefix"], found["predecessor"]["name"])
    assert "SUSPECT WHEN IT WAS MADE" in succeed("inspect", suspect, settings=settings)
    succeed("verify", suspect, settings=settings)


@pytest.mark.fault("ZooKeeper", "the ensemble was rolled back")
def test_rolled_back(cluster: Cluster, settings: Settings, tmp_path: Path) -> None:
    """If an older data directory is put back, the zxid is earlier."""
    cluster.stop()
    shutil.copytree(cluster.data_dir, tmp_path / "older")
    cluster.start().seed(15)
    sound = back_up(settings)
    cluster.stop()
    shutil.rmtree(cluster.data_dir)
    shutil.move(tmp_path / "older", cluster.data_dir)
    cluster.start()
    assert_suspect(run("backup", settings=settings), sound, "its zxid", "is earlier than")
    assert sound == latest(settings)


@pytest.mark.fault("ZooKeeper", "another ensemble answers at the address")
def test_another_ensemble(cluster: Cluster, another: Cluster, settings: Settings) -> None:
    """Another cluster at the address, of the same name and larger, is told by the creation of its znodes."""
    sound = back_up(settings)
    cluster.stop()
    another.start().seed(40)
    assert_suspect(run("backup", settings=settings), sound, "/admin and /ledgers were created another time")
    assert sound == latest(settings)


@pytest.mark.fault("ZooKeeper", "the tree has lost its topics")
def test_shrunk(cluster: Cluster, settings: Settings) -> None:
    """A tree that lost its topics is suspect, unless MAX_SHRINK allows it."""
    sound = back_up(settings)
    cluster.delete("/managed-ledgers")
    assert_suspect(run("backup", settings=settings), sound, "znodes instead of")
    assert latest({**settings}) == sound
    assert back_up({**settings, "MAX_SHRINK": "0.95"}) == latest(settings)


def test_only_sound_backups_are_scrubbed(cluster: Cluster, settings: Settings) -> None:
    """A suspect backup is not offered to scrubs, because it may promise nothing."""
    read, offered = ToolSettings(settings), list[Path]()
    store = open_store(read.store().location, read.store().options)
    sound = backup.run(read.job(), store, Heartbeat(), offer=offered.append)
    cluster.delete("/managed-ledgers")
    suspect = backup.run(read.job(), store, Heartbeat(), offer=offered.append)
    assert ((), True) == (sound.doubts, bool(suspect.doubts))
    assert [str(sound.backup.name)] == [path.name for path in offered]


@pytest.mark.fault("Backups in the bucket", "the bucket was emptied")
def test_bucket_was_emptied(cluster: Cluster, settings: Settings, folder: Path) -> None:
    """The first backup into an empty prefix is sound."""
    back_up(settings)
    cluster.delete("/managed-ledgers")
    for file in folder.iterdir():
        file.unlink()
    assert back_up(settings) == latest(settings)


def test_accept(cluster: Cluster, settings: Settings, folder: Path) -> None:
    """An accepted backup is the latest, with its own time. The suspect one stays, and the next backup is sound."""
    sound = back_up(settings)
    cluster.delete("/managed-ledgers")
    suspect = assert_suspect(run("backup", settings=settings), sound, "znodes instead of")
    accepted = succeed("accept", suspect, settings=settings)
    assert suspect.replace("-suspect", "") == accepted == latest(settings)
    paths = [folder / uri.rpartition("/")[2] for uri in (suspect, accepted)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    succeed("verify", accepted, settings=settings)
    assert back_up(settings) == latest(settings)
    assert_refused(StoreFailed, "exists already", run("accept", suspect, settings=settings))
    assert_refused(SettingError, f"{accepted} is not suspect", run("accept", accepted, settings=settings))


def test_accept_a_damaged_one(cluster: Cluster, settings: Settings, folder: Path) -> None:
    """A suspect backup that is damaged is not accepted."""
    sound = back_up(settings)
    cluster.delete("/managed-ledgers")
    suspect = assert_suspect(run("backup", settings=settings), sound)
    path = folder / suspect.rpartition("/")[2]
    damage(path, path.stat().st_size // 2)
    assert_refused(ArchiveCorrupt, suspect, run("accept", suspect, settings=settings))
    assert sound == latest(settings)


def restored(point: str, cluster: Cluster, settings: Settings, **changes: str) -> Cluster:
    """A cluster that was restored and runs."""
    cluster.data_dir.mkdir(parents=True, exist_ok=True)
    own = {"RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(cluster.data_dir), "ZOOKEEPER_SERVERS": ""}
    succeed("restore", settings={**settings, **own, **changes})
    return cluster.start()


def test_restored_cluster(cluster: Cluster, another: Cluster, settings: Settings) -> None:
    """A restored cluster is sound although it lost its ledgers, its name and an epoch. The one before is not."""
    chosen = back_up(settings)
    cluster.seed(40)
    back_up(settings)
    cluster.stop()
    renamed = {"CLUSTER_NAME": "new", "RENAME_CLUSTER": "true", "ALLOW_OLDER": "true"}
    restored(chosen, another, settings, **renamed)
    outcome = run("backup", settings=settings)
    assert 0 == outcome.exit_code, outcome.said
    assert f"the ensemble was restored from {chosen}, so" in outcome.said
    after = back_up(settings)
    assert after == latest(settings)
    another.delete("/admin")
    assert_suspect(run("backup", settings={**settings, "MAX_SHRINK": "0"}), after, "znodes instead of")
    another.stop()
    cluster.start()
    assert_suspect(run("backup", settings=settings), after, "is earlier than")


def test_restored_from_a_suspect_backup(cluster: Cluster, another: Cluster, settings: Settings) -> None:
    """A suspect backup that is named is restored, and the restored cluster is sound."""
    sound = back_up(settings)
    cluster.delete("/managed-ledgers")
    suspect = assert_suspect(run("backup", settings=settings), sound)
    cluster.stop()
    restored(suspect, another, settings)
    assert back_up(settings) == latest(settings)


def test_restored_from_elsewhere(cluster: Cluster, another: Cluster, settings: Settings, tmp_path: Path) -> None:
    """A cluster that was restored from backups of others is suspect, unless they are in a place of copies."""
    elsewhere = {**settings, "BUCKET": f"file://{tmp_path}/elsewhere"}
    (tmp_path / "elsewhere").mkdir()
    foreign, sound = back_up(elsewhere), back_up(settings)
    cluster.stop()
    restored(foreign, another, settings)
    assert_suspect(run("backup", settings=settings), sound, f"restored from {foreign}, which is not one of these")
    after = back_up({**settings, "BACKUP_COPIES": elsewhere["BUCKET"]})
    assert after == latest(settings)


@pytest.mark.usefixtures("cluster")
@pytest.mark.fault("Backups in the bucket", "two clusters under one prefix")
def test_two_clusters_under_one_prefix(settings: Settings, tmp_path: Path) -> None:
    """The second cluster under a prefix is told at each of its backups, and the first goes on."""
    second = Cluster(tmp_path / "second", free_port())
    try:
        second.start().seed()
        own = {**settings, "ZOOKEEPER_SERVERS": second.address}
        for _ in range(2):
            sound = back_up(settings)
            assert_suspect(run("backup", settings=own), sound, "were created another time")
        assert sound == latest(settings)
    finally:
        second.stop()


def dated(uri: str, timestamp: int, folder: Path, tmp_path: Path) -> Path:
    """A backup as it would be if it had been made at another time, in place of the one that was made."""
    path = folder / uri.rpartition("/")[2]
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    with archive.opened(path) as opened:
        described = replace(opened.manifest, timestamp=timestamp)
    target = folder / f"pulsar-{timestamp}.tar.gz"
    archive.pack(target, described, tmp_path / "unpacked" / described.snapshot.name, lambda: None)
    path.unlink()
    return target


@pytest.mark.usefixtures("cluster")
@pytest.mark.fault("Backups in the bucket", "the clock was a year ahead")
def test_names_never_go_back(settings: Settings, folder: Path, tmp_path: Path) -> None:
    """After a backup of a clock that was a year ahead, each name is the next one, and the log tells of the clock."""
    ahead = time.time_ns() // 1_000_000 + 1000 * 365 * 86_400
    dated(back_up(settings), ahead, folder, tmp_path)
    for number in (1, 2):
        outcome = run("backup", settings=settings)
        assert (0, f"file://{folder}/pulsar-{ahead + number}.tar.gz\n") == (outcome.exit_code, outcome.output)
        assert "has a later time, so this backup is named as the next one after it. Check the clock" in outcome.said
        assert outcome.output.strip() == latest(settings)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("kind", ["pulsar", "pulsar-suspect"])
@pytest.mark.fault("Backups in the bucket", "a foreign object of the future")
def test_foreign_object_of_the_future(kind: str, settings: Settings, folder: Path, tmp_path: Path) -> None:
    """An object that looks like a backup far in the future is neither latest nor leads the names."""
    before = time.time_ns() // 1_000_000
    first = back_up(settings)
    foreign = folder / f"{kind}-99999999999999.tar.gz"
    for content in (b"somebody else's", (folder / first.rpartition("/")[2]).read_bytes()):
        foreign.write_bytes(content)
        made = back_up(settings)
        assert before < int(made.rpartition("-")[2].partition(".")[0]) <= time.time_ns() // 1_000_000
        assert made == latest(settings)
    service = Service({**settings, "SPOOL_DIR": str(tmp_path)}, tmp_path / "log")
    try:
        service.process.wait_until(lambda: service.get("/backup/latest")[0] == 200)
        assert "99999999999999" not in service.get("/backup/latest")[1]
        service.wait_for("backup_count", 1)
        assert abs(time.time() - service.metric("backup_last_success_timestamp_seconds")) < 600
        assert "99999999999999" not in service.get("/backup/latest")[1]
    finally:
        assert 0 == service.process.stop()
    assert "99999999999999.tar.gz does not count as a backup" in service.process.output()


def test_service(cluster: Cluster, settings: Settings, bucket: Bucket, tmp_path: Path) -> None:
    """A service tells of an emptied ensemble on its admin port, and notices that a backup was accepted."""
    own = {**settings, **bucket.settings, "BACKUP_INTERVAL": "5"}  # longer than the ensemble needs to start
    service = Service(own, tmp_path / "log")
    try:
        service.wait_for("backup_count", 1)
        assert 0 == service.metric("backup_suspect")
        cluster.stop()
        shutil.rmtree(cluster.data_dir)
        cluster.data_dir.mkdir()
        cluster.start()
        service.wait_for("backup_suspect", 1)
        first = service.metric("backup_last_success_timestamp_seconds")
        told: dict[str, Any] = {}

        def tells_why() -> bool:  # not while a newer one is in the bucket, and its backup has not ended
            told.update(service.json("/backup/latest"))
            return "reasons" in told["suspectBackup"]

        service.process.wait_until(tells_why)
        suspect = told["suspectBackup"]
        assert told["clusters"] == ["demo"]
        assert any("znodes instead of" in reason for reason in suspect["reasons"])
        assert suspect["uri"] in [entry["uri"] for entry in service.json("/backup/list") if entry.get("suspect")]
        accepted = succeed("accept", suspect["uri"], settings=own)
        service.process.wait_until(lambda: service.metric("backup_suspect") == 0)
        assert service.metric("backup_last_success_timestamp_seconds") > first
        assert service.json("/backup/latest")["timestamp"] > suspect["timestamp"]
        assert accepted in [entry["uri"] for entry in service.json("/backup/list")]
        assert service.metric("backup_suspect_total") >= 1
        assert 0 == service.metric("backup_failure_count")
    finally:
        assert 0 == service.process.stop()
