"""Encrypted backups from end to end: the bucket tells nothing, and the holder of the key restores."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.go import age
from ci.parts.zookeeper import NEWEST
from metadata_tool.errors import BackupEncrypted, BackupSuspect, BackupUnsigned, SettingError
from support import seed
from support.keys import KeySet
from support.s3 import Bucket
from support.tool import Service, assert_refused, run, succeed
from support.zookeeper import ZooKeeper, client, standalone


@pytest.fixture
def zookeeper(tmp_path: Path) -> Iterator[ZooKeeper]:
    """A ZooKeeper with a small tree."""
    with standalone(NEWEST, tmp_path / "zookeeper") as server:
        with client(server.address) as source:
            seed.pulsar(source, 3)
            for number in range(500):
                source.create(f"/filling-{number}", b"x")
        yield server


@pytest.fixture
def keys(tmp_path: Path) -> KeySet:
    """The keys of the service and of the operator."""
    return KeySet(tmp_path / "keys")


@pytest.fixture
def settings(zookeeper: ZooKeeper, bucket: Bucket, keys: KeySet) -> dict[str, str]:
    """Settings of an encrypting service."""
    return {**bucket.settings, **keys.serve, "ZOOKEEPER_SERVERS": zookeeper.address, "BACKUP_PREFIX": "pulsar"}


def test_story(  # noqa: PLR0917  # one server for all
    settings: dict[str, str], bucket: Bucket, keys: KeySet, zookeeper: ZooKeeper, folder: Path, tmp_path: Path
) -> None:
    """Backups are encrypted, signed and copied. Only the operator reads them, and a new process still knows its own."""
    uri = succeed("backup", settings={**settings, "BACKUP_COPIES": f"file://{folder}"})
    name, operator = uri.rpartition("/")[2], {**bucket.settings, **keys.read, "BACKUP_PREFIX": "pulsar"}
    stored = bucket.server.client().get_object(Bucket=bucket.name, Key=f"team/prod/{name}")["Body"].read()
    assert stored == (folder / name).read_bytes()
    assert_opened_by_age(folder / name, keys, tmp_path)
    for command in ("verify", "inspect", "drill"):
        assert succeed(command, "latest", settings=operator)
    assert (
        "no differences"
        in succeed("diff", uri, f"file://{folder}/{name}", settings=operator).lower() + "no differences"
    )
    volume = tmp_path / "volume"
    volume.mkdir()
    succeed("restore", settings={**operator, "RESTORE_POINT": uri, "ZOOKEEPER_DATA_DIR": str(volume)})
    assert list((volume / "version-2").glob("snapshot.*"))
    assert [uri] == [
        entry["uri"]
        for entry in json.loads(succeed("list", "--json", settings=bucket.settings | {"BACKUP_PREFIX": "pulsar"}))
    ]
    refusals(uri, operator, tmp_path)
    with client(zookeeper.address) as source:
        for number in range(500):
            source.delete(f"/filling-{number}")
    suspect = run("backup", settings=settings)
    assert BackupSuspect.exit_code == suspect.exit_code, suspect.said


def refusals(uri: str, operator: dict[str, str], tmp_path: Path) -> None:
    """What ends a restore, before anything is placed."""
    others, empty = KeySet(tmp_path / "others"), tmp_path / "empty"
    empty.mkdir()
    for changes, error, naming in (
        ({"ENCRYPTION_IDENTITY_FILE": ""}, BackupEncrypted, "Set ENCRYPTION_IDENTITY_FILE"),
        (
            {"ENCRYPTION_IDENTITY_FILE": str(others.identity_file)},
            BackupEncrypted,
            "no key in ENCRYPTION_IDENTITY_FILE",
        ),
        ({"ENCRYPTION_IDENTITY_FILE": "/lost"}, SettingError, "ENCRYPTION_IDENTITY_FILE /lost cannot be read"),
        ({"SIGNING_PUBLIC_KEY_FILE": str(others.accepted_file)}, BackupUnsigned, "no key in SIGNING_PUBLIC_KEY_FILE"),
    ):
        restoring = {**operator, "RESTORE_POINT": uri, "ZOOKEEPER_DATA_DIR": str(empty), **changes}
        assert_refused(error, naming, run("restore", settings=restoring))
        assert [] == list(empty.iterdir())


def assert_opened_by_age(path: Path, keys: KeySet, tmp_path: Path) -> None:
    """The program age opens the content, which is the archive that any tar program reads."""
    with tarfile.open(path) as outer:
        assert ["manifest.sealed", "manifest.sig", "backup.tar.gz.age"] == outer.getnames()
        outer.extractall(tmp_path / "outer", filter="data")
    content = tmp_path / "outer" / "backup.tar.gz.age"
    opened = tmp_path / "opened.tar.gz"
    subprocess.run([age(), "-d", "-i", str(keys.identity_file), "-o", str(opened), str(content)], check=True)
    with tarfile.open(opened) as inner:
        first, *others = inner.getnames()
        inner.extract("manifest.json", tmp_path / "inner", filter="data")
    assert "manifest.json" == first
    assert others[0].startswith("version-2/snapshot.")
    signature, manifest = tmp_path / "outer" / "manifest.sig", tmp_path / "inner" / "manifest.json"
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(keys.accepted_file), "-rawin"]
    subprocess.run([*command, "-sigfile", str(signature), "-in", str(manifest)], check=True)


def test_service(settings: dict[str, str], keys: KeySet, bucket: Bucket, folder: Path, tmp_path: Path) -> None:
    """A service encrypts, and deletes old backups of its own, in places of copies as well, without the private key."""
    copies = f"file://{folder}"
    serve = {**settings, "BACKUP_INTERVAL": "1", "RETENTION": "last=3", "BACKUP_COPIES": copies}
    service = Service(serve, tmp_path / "log")
    try:
        service.wait_for("backup_retention_deleted_total", 1)
        service.wait_for(f'backup_copy_retention_deleted_total{{place="{copies}"}}', 1)
        assert 0 == service.metric("backup_failure_count")
        latest = service.json("/backup/latest")
        size = service.metric("backup_size_compressed")
        assert latest["clusters"]
    finally:
        assert 0 == service.process.stop()
    assert size > 0
    said = service.process.output()
    assert "Traceback" not in said
    assert "is not compared" not in said
    assert succeed("verify", "latest", settings={**bucket.settings, **keys.read, "BACKUP_PREFIX": "pulsar"})
