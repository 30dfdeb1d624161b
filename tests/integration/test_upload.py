"""Tests of S3 alone: damage in transfer, and more files than a page of a listing has."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool import backup
from metadata_tool.backup import BackupJob
from metadata_tool.errors import StoreFailed, UploadUnverified
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store import parse_location
from metadata_tool.store.base import StoreOptions, ignored
from metadata_tool.store.directory import DirectoryStore
from metadata_tool.store.s3 import S3Store
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.net.ensemble import Ensemble
from support.backups import keep, location
from support.damage import damage
from support.proxy import Faults, proxy
from support.s3 import Bucket
from support.zookeeper import standalone


@pytest.fixture
def faulty(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Store, Faults]]:
    """A store behind a proxy that makes faults on demand."""
    with proxy(bucket.server.port) as (endpoint, faults):
        for name, value in {**bucket.server.environment(), "AWS_ENDPOINT_URL_S3": endpoint}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield S3Store(parse_location(f"s3a://{bucket.name}/folder"), StoreOptions("us-east-1", checksums="on")), faults


def a_file(directory: Path, size: int) -> Path:
    """A file of random bytes."""
    path = directory / "file"
    path.write_bytes(os.urandom(size))
    return path


class DamagedSpool(DirectoryStore):
    """A store that gets a file which a failing disk has altered since it was verified."""

    def save(
        self,
        source: Path,
        digest: bytes,
        name: str,
        heartbeat: Callable[[], None],
        *,
        sent: Callable[[int], None] = ignored,
    ) -> None:
        """See `Store.save`."""
        damage(source, source.stat().st_size // 2)
        super().save(source, digest, name, heartbeat, sent=sent)


def test_backup_is_uploaded_as_it_was_packed(tmp_path: Path) -> None:
    """A backup fails if its file was altered after it was verified, and nothing is kept."""
    store = DamagedSpool(location(tmp_path))
    with standalone(NEWEST, tmp_path / "zookeeper") as server, pytest.raises(UploadUnverified, match="has changed"):
        backup.run(BackupJob(Source(Ensemble(server.address)), "a", "/managed-ledgers", tmp_path), store, Heartbeat())
    assert {} == store.list("a-")


def test_damaged_download(faulty: tuple[S3Store, Faults], tmp_path: Path) -> None:
    """A download that does not match the server's checksum fails, and its file is named."""
    store, faults = faulty
    keep(store, a_file(tmp_path, 1000), "a-1.tar.gz", Heartbeat())
    faults.damage = lambda method, body: body[:-1] + b"!" if method == "GET" and len(body) == 1000 else body
    with pytest.raises(StoreFailed, match=r"folder/a-1\.tar\.gz does not match the object store's checksum"):
        store.fetch("a-1.tar.gz", tmp_path / "fetched", Heartbeat())


def test_other_folders_are_not_listed(faulty: tuple[S3Store, Faults], bucket: Bucket) -> None:
    """A listing has more files than a page, and only those of its own folder."""
    store, _ = faulty
    s3 = bucket.server.client()
    for number in range(1_005):
        s3.put_object(Bucket=bucket.name, Key=f"folder/a-{number}", Body=b"")
    for key in ("a-1", "folder/a-below/b", "folder2/a-1", "folder/b-1"):
        s3.put_object(Bucket=bucket.name, Key=key, Body=b"")
    assert 1_005 == len(store.list("a-"))
