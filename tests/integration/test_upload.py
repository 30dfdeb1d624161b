"""What the bucket holds is what was sent: small and in parts, with checksums and without, and when it goes wrong."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool import archive, backup
from metadata_tool.backup import BackupJob
from metadata_tool.errors import Stopped, StoreFailed, UploadUnverified
from metadata_tool.files import sha256
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.manifest import Manifest
from metadata_tool.store.directory import DirectoryStore
from metadata_tool.store.s3 import PART_SIZE, S3Store
from metadata_tool.zookeeper.capture import Source
from metadata_tool.zookeeper.session import Ensemble
from support.backups import keep, location
from support.damage import damage
from support.proxy import Faults, proxy
from support.s3 import Bucket
from support.zookeeper import standalone

SIZES = [0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 3 * PART_SIZE]


@pytest.fixture
def faulty(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Store, Faults]]:
    """A store behind a proxy that makes faults on demand."""
    with proxy(bucket.server.port) as (endpoint, faults):
        for name, value in {**bucket.server.environment(), "AWS_ENDPOINT_URL_S3": endpoint}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield S3Store(Location.parse(f"s3a://{bucket.name}/folder"), "us-east-1", "auto"), faults


def a_file(directory: Path, size: int) -> Path:
    """A file of random bytes."""
    path = directory / "file"
    path.write_bytes(os.urandom(size))
    return path


@pytest.mark.parametrize("hidden", [False, True], ids=["checksums", "no-checksums"])
@pytest.mark.parametrize("size", SIZES)
def test_round_trip(size: int, hidden: bool, faulty: tuple[S3Store, Faults], tmp_path: Path) -> None:
    """A file of any size comes back as it was, whether or not the server keeps a SHA-256 to compare."""
    store, faults = faulty
    faults.hide_checksums = hidden
    source = a_file(tmp_path, size)
    keep(store, source, "a-1.tar.gz", Heartbeat())
    assert {"a-1.tar.gz": size} == store.list("a-")
    store.fetch("a-1.tar.gz", tmp_path / "fetched", Heartbeat())
    assert source.read_bytes() == (tmp_path / "fetched").read_bytes()


def test_name_that_is_taken_is_left_alone(faulty: tuple[S3Store, Faults], bucket: Bucket, tmp_path: Path) -> None:
    """A file is never overwritten."""
    store, _ = faulty
    bucket.server.client().put_object(Bucket=bucket.name, Key="folder/a-1.tar.gz", Body=b"the user's")
    with pytest.raises(StoreFailed, match="is there already"):
        keep(store, a_file(tmp_path, 100), "a-1.tar.gz", Heartbeat())
    kept = bucket.server.client().get_object(Bucket=bucket.name, Key="folder/a-1.tar.gz")["Body"].read()
    assert b"the user's" == kept


@pytest.mark.parametrize("size", [1000, 2 * PART_SIZE])
def test_what_reads_back_differently_is_removed(
    size: int, faulty: tuple[S3Store, Faults], bucket: Bucket, tmp_path: Path
) -> None:
    """Where the server keeps no checksum and returns other bytes, the upload fails and its object goes."""
    store, faults = faulty
    faults.hide_checksums = True
    source = a_file(tmp_path, size)
    faults.damage = lambda method, body: body[:-1] + b"!" if method == "GET" and len(body) == size else body
    with pytest.raises(UploadUnverified, match="SHA-256"):
        keep(store, source, "a-1.tar.gz", Heartbeat())
    assert [] == bucket.objects()


@pytest.mark.parametrize("size", [1000, 2 * PART_SIZE + 1])
@pytest.mark.parametrize("hidden", [False, True])
def test_changed_since_it_was_made(
    size: int, hidden: bool, faulty: tuple[S3Store, Faults], bucket: Bucket, tmp_path: Path
) -> None:
    """A local file that is not what was made is not kept, though what arrived is what was sent."""
    store, faults = faulty
    faults.hide_checksums = hidden
    source = a_file(tmp_path, size)
    made = sha256(source)
    damage(source, size - 1)
    with pytest.raises(UploadUnverified, match="has changed since it was made"):
        store.save(source, made, "a-1.tar.gz", Heartbeat())
    assert [] == bucket.objects()


def test_backup_is_uploaded_as_it_was_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit that the spool's disk turns over after a backup was verified makes it fail, and nothing is kept."""
    verified = archive.verify

    def then_damaged(path: Path, heartbeat: Heartbeat) -> Manifest:
        manifest = verified(path, heartbeat)
        damage(path, path.stat().st_size // 2)
        return manifest

    monkeypatch.setattr(archive, "verify", then_damaged)
    store = DirectoryStore(location(tmp_path))
    with standalone(NEWEST, tmp_path / "zookeeper") as server, pytest.raises(UploadUnverified, match="has changed"):
        backup.run(BackupJob(Source(Ensemble(server.address)), "a", "/managed-ledgers", tmp_path), store, Heartbeat())
    assert {} == store.list("a-")


def test_what_arrives_damaged_is_said(faulty: tuple[S3Store, Faults], tmp_path: Path) -> None:
    """A download whose bytes are not those of the server's checksum fails, naming the file."""
    store, faults = faulty
    keep(store, a_file(tmp_path, 1000), "a-1.tar.gz", Heartbeat())
    faults.damage = lambda method, body: body[:-1] + b"!" if method == "GET" and len(body) == 1000 else body
    with pytest.raises(StoreFailed, match=r"folder/a-1\.tar\.gz arrives with another checksum"):
        store.fetch("a-1.tar.gz", tmp_path / "fetched", Heartbeat())


def test_stop_in_mid_upload_leaves_nothing(faulty: tuple[S3Store, Faults], bucket: Bucket, tmp_path: Path) -> None:
    """An upload that is told to stop is aborted: neither an object nor its parts remain."""
    store, faults = faulty
    faults.upload_pause = 0.005
    heartbeat = Heartbeat()

    def step() -> None:
        if faults.uploading.is_set():
            heartbeat.stop()
        heartbeat()

    with pytest.raises(Stopped):
        keep(store, a_file(tmp_path, 4 * PART_SIZE), "a-1.tar.gz", step)
    assert ([], 0) == (bucket.objects(), bucket.unfinished_uploads())


def test_other_folders_are_not_listed(faulty: tuple[S3Store, Faults], bucket: Bucket) -> None:
    """A folder lists its own files alone, more than a page of them."""
    store, _ = faulty
    s3 = bucket.server.client()
    for number in range(1_005):
        s3.put_object(Bucket=bucket.name, Key=f"folder/a-{number}", Body=b"")
    for key in ("a-1", "folder/a-below/b", "folder2/a-1", "folder/b-1"):
        s3.put_object(Bucket=bucket.name, Key=key, Body=b"")
    assert 1_005 == len(store.list("a-"))
