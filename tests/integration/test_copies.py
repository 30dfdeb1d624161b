"""Backups are copied to other places: other servers, other buckets, directories. Each place fails by itself."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool.errors import BackupNotCopied
from support import seed, tool
from support.proxy import proxy
from support.s3 import Bucket, S3Server
from support.tool import Service, succeed
from support.zookeeper import ZooKeeper, client, standalone

OTHER_KEYS = {"AWS_ACCESS_KEY_ID": "other-place", "AWS_SECRET_ACCESS_KEY": "another-secret-of-the-tests"}


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A ZooKeeper with a small tree, and data that does not compress."""
    with standalone(NEWEST, tmp_path_factory.mktemp("zookeeper")) as server:
        with client(server.address) as source:
            seed.pulsar(source, 3)
            source.create("/incompressible", os.urandom(500_000))
        yield server


@pytest.fixture
def other(tmp_path: Path) -> Iterator[S3Server]:
    """Another S3 server, whose owner has other keys."""
    (tmp_path / "other").mkdir()
    server = S3Server(tmp_path / "other")
    try:
        restart(server)
        yield server
    finally:
        server.stop()


def restart(server: S3Server) -> None:
    """Start it with its keys."""
    server.start(*OTHER_KEYS.values())


@pytest.fixture
def other_bucket(other: S3Server) -> str:
    """The name of a bucket there."""
    other.client(*OTHER_KEYS.values()).create_bucket(Bucket="second-place")
    return "second-place"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A mounted Secret with the keys of the other server."""
    folder = tmp_path / "keys"
    folder.mkdir()
    for name, value in OTHER_KEYS.items():
        (folder / name).write_text(value)
    return folder


@pytest.fixture
def settings(zookeeper: ZooKeeper, bucket: Bucket, tmp_path: Path) -> dict[str, str]:
    """Settings of a backup into one bucket."""
    (tmp_path / "spool").mkdir()
    return {
        **bucket.settings,
        "ZOOKEEPER_SERVERS": zookeeper.address,
        "BACKUP_PREFIX": "pulsar",
        "SPOOL_DIR": str(tmp_path / "spool"),
    }


def second(name: str, endpoint: str, keys: Path) -> str:
    """The other server as a place of BACKUP_COPIES."""
    return f"s3a://{name}/prod;AWS_ENDPOINT_URL_S3={endpoint};AWS_REGION=us-east-1;S3_CREDENTIALS_DIR={keys}"


def test_each_place_has_the_backup(  # noqa: PLR0917  # all the places
    settings: dict[str, str], bucket: Bucket, other: S3Server, other_bucket: str, keys: Path, folder: Path
) -> None:
    """All places have the same bytes, and all commands work on each of them, by the settings of the backup."""
    settings["BACKUP_COPIES"] = f"{second(other_bucket, other.endpoint, keys)}, file://{folder}"
    uri = succeed("backup", settings=settings)
    name = uri.rpartition("/")[2]
    listed = other.client(*OTHER_KEYS.values()).list_objects_v2(Bucket=other_bucket)["Contents"]
    assert [f"prod/{name}"] == [item["Key"] for item in listed]
    read = other.client(*OTHER_KEYS.values()).get_object(Bucket=other_bucket, Key=f"prod/{name}")["Body"].read()
    first = bucket.server.client().get_object(Bucket=bucket.name, Key=f"team/prod/{name}")["Body"].read()
    assert [first] * 2 == [read, (folder / name).read_bytes()]
    for place in (f"s3a://{other_bucket}/prod", f"file://{folder}"):
        there = {**settings, "BUCKET": place}
        assert f"{place}/{name}" == json.loads(succeed("list", "--json", settings=there))[0]["uri"]
        assert "is complete and undamaged" in succeed("verify", f"{place}/{name}", settings=settings)
        assert "1 backup kept" in succeed("prune", "--delete", settings={**there, "RETENTION": "last=1"})
        restored(f"{place}/{name}", settings, folder.parent / place.partition(":")[0])


def restored(point: str, settings: dict[str, str], volume: Path) -> None:
    """Restore a backup into an empty directory."""
    volume.mkdir()
    others = {name: value for name, value in settings.items() if name != "ZOOKEEPER_SERVERS"}
    succeed("restore", settings={**others, "RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(volume)})
    assert list((volume / "version-2").glob("snapshot.*"))


@pytest.mark.fault("Object store", "the store of copies is killed during an upload")
def test_place_is_killed(  # noqa: PLR0917  # all the places
    settings: dict[str, str], other: S3Server, other_bucket: str, keys: Path, folder: Path, tmp_path: Path
) -> None:
    """Backups and other copies do not wait for a place that is killed. Once it is back, it gets what it has missed."""
    with proxy(other.port) as (endpoint, faults):
        faults.upload_pause = 0.02
        place = f"s3a://{other_bucket}/prod"
        settings["BACKUP_COPIES"] = f"{second(other_bucket, endpoint, keys)},file://{folder}"
        service = Service({**settings, "BACKUP_INTERVAL": "1", "RETENTION": "last=100"}, tmp_path / "log")
        try:
            assert faults.uploading.wait(60)
            other.stop()
            service.process.wait_until(lambda: counted(service, "failures_total", place) > 0)
            told = {copy["place"]: copy for copy in service.json("/backup/latest")["copies"]}
            assert (True, False) == ("error" in told[place], "error" in told[f"file://{folder}"])
            faults.upload_pause = 0
            made = service.metric("backup_count")
            service.wait_for("backup_count", made + 3)
            assert counted(service, "missing", place) > 0 == counted(service, "missing", f"file://{folder}")
            restart(other)
            service.process.wait_until(lambda: counted(service, "last_success_timestamp_seconds", place) > 0)
            missed = {path.name for path in folder.glob("*.tar.gz")}
            service.process.wait_until(lambda: missed <= names(settings, place))
            assert 0 == service.metric("backup_failure_count") == counted(service, "failures_total", f"file://{folder}")
        finally:
            assert 0 == service.process.stop()
    assert [] == list((tmp_path / "spool").iterdir())
    assert "Traceback" not in service.process.output()


def names(settings: dict[str, str], place: str) -> set[str]:
    """The names of the backups in a place."""
    listed = json.loads(succeed("list", "--json", settings=settings | {"BUCKET": place}))
    return {backup["name"] for backup in listed}


def counted(service: Service, metric: str, place: str) -> float:
    """A metric of a place."""
    return service.metric(f'backup_copy_{metric}{{place="{place}"}}')


@pytest.mark.fault("Disk", "the directory of copies is full")
def test_full_directory(settings: dict[str, str], bucket: Bucket, folder: Path) -> None:
    """The backup is in the bucket, the error names the directory, and nothing is left there."""
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = 'mount -t tmpfs -o size=128k tmpfs "$1" && "$2" -m metadata_tool backup; echo $?; ls -A "$1"'
    command = ["unshare", "--mount", *own, "sh", "-c", script, "sh", str(folder), sys.executable]
    environment = tool.environment({**settings, "BACKUP_COPIES": f"file://{folder}"})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    uri, code = done.stdout.splitlines()
    assert (BackupNotCopied.exit_code, [uri]) == (int(code), [f"s3a://{bucket.name}/{key}" for key in bucket.objects()])
    assert f"error: the backup is in BUCKET, but there is no copy in file://{folder}." in done.stderr.splitlines()[-1]
    assert "No space left on device" in done.stderr
