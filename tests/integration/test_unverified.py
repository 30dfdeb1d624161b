"""An upload that was not verified is not a backup, and each upload is verified by what the store gives back."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from metadata_tool.catalog import BackupName, backups
from metadata_tool.errors import UploadUnverified
from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.credentials import Keys
from metadata_tool.store.limits import PART_SIZE, TransferLimits
from metadata_tool.store.s3 import S3Store
from support.backups import TIMESTAMP, keep, make_backup
from support.processes import Process, eventually
from support.proxy import Faults, proxy
from support.s3 import ACCESS_KEY, SECRET_KEY, Bucket
from support.store_contract import file_of, never
from support.tool import environment

NAME = "p-1.tar.gz"
MARK = f"{NAME}.unverified"
Refusal = tuple[int, str, str] | None


@pytest.fixture
def behind(bucket: Bucket) -> Iterator[tuple[str, Faults]]:
    """A proxy in front of the bucket, and its faults."""
    with proxy(bucket.server.port) as found:
        yield found


def opened(bucket: Bucket, endpoint: str, verify: str = "full", checksums: str = "on") -> S3Store:
    """The bucket as a store, through the proxy."""
    limits = TransferLimits(read=5, pauses=(0.0, 0.01, 0.02))
    options = StoreOptions("us-east-1", endpoint, Keys(ACCESS_KEY, SECRET_KEY), limits=limits)
    return S3Store(Location("s3a", bucket.name, ""), replace(options, checksums=checksums, verify=verify))


def no_deletion(method: str, _: Mapping[str, str]) -> Refusal:
    """Credentials without the right to delete."""
    return (403, "AccessDenied", "no") if method == "DELETE" else None


def damaged(method: str, body: bytes) -> bytes:
    """An object that the store does not give back as it got it."""
    return body[:-1] + b"!" if method == "GET" and b"<?xml" not in body else body


@pytest.mark.parametrize(("verify", "reads"), [("full", 1), ("checksum", 0)])
@pytest.mark.parametrize("size", [1000, PART_SIZE + 1])
def test_how_an_upload_is_verified(  # noqa: PLR0917  # pytest passes them by name
    verify: str, reads: int, size: int, behind: tuple[str, Faults], bucket: Bucket, tmp_path: Path
) -> None:
    """An upload is read back to the end, or compared by the store's checksum. Nothing but the backup is left."""
    endpoint, faults = behind
    keep(opened(bucket, endpoint, verify), file_of(tmp_path, size), NAME, never)
    reading = [path for method, path, _ in faults.seen if method == "GET" and NAME in path.partition("?")[0]]
    assert reads == len(reading)
    assert [NAME] == bucket.objects()


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.fault("Object store", "the object store gives no checksums")
def test_store_without_checksums(
    hidden: bool, behind: tuple[str, Faults], bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If a store gives no checksum, VERIFY=checksum reads uploads back, and says so once."""
    endpoint, faults = behind
    faults.hide_checksums = hidden
    store = opened(bucket, endpoint, "checksum", checksums="on" if hidden else "off")
    for number in (1, 2):
        keep(store, file_of(tmp_path, 1000), f"p-{number}.tar.gz", never)
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "no SHA-256" in told
    faults.damage = damaged
    with pytest.raises(UploadUnverified):
        keep(store, file_of(tmp_path, 1000), "p-3.tar.gz", never)


@pytest.mark.parametrize("verify", ["full", "checksum"])
@pytest.mark.fault("Object store", "the object store loses bytes after it has computed a checksum")
def test_checksum_does_not_prove_what_is_given_back(
    verify: str, behind: tuple[str, Faults], bucket: Bucket, tmp_path: Path
) -> None:
    """A store that loses bytes after it has computed a checksum is found by reading back alone."""
    endpoint, faults = behind
    faults.damage = damaged
    store = opened(bucket, endpoint, verify)
    if verify == "full":
        with pytest.raises(UploadUnverified):
            keep(store, file_of(tmp_path, 1000), NAME, never)
    else:
        keep(store, file_of(tmp_path, 1000), NAME, never)
    assert ([] if verify == "full" else [NAME]) == bucket.objects()


@pytest.mark.parametrize("size", [1000, PART_SIZE + 1])
@pytest.mark.fault("Backups in the bucket", "a bad upload cannot be deleted")
def test_bad_upload_that_cannot_be_deleted(
    size: int, behind: tuple[str, Faults], bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to delete, a bad upload stays in the bucket, and is not listed. The log names its mark."""
    endpoint, faults = behind
    store = opened(bucket, endpoint)
    keep(store, file_of(tmp_path, 10), "p-0.tar.gz", never)
    faults.refuse, faults.damage = no_deletion, damaged
    with pytest.raises(UploadUnverified):
        keep(store, file_of(tmp_path, size), NAME, never)
    assert ["p-0.tar.gz", NAME, MARK] == bucket.objects()
    assert ["p-0.tar.gz"] == [str(backup.name) for backup in backups(store, "p")]
    assert MARK in caplog.text


@pytest.mark.fault("Backups in the bucket", "the credentials may not delete")
def test_backup_without_the_right_to_delete(behind: tuple[str, Faults], bucket: Bucket, tmp_path: Path) -> None:
    """Credentials that may not delete can back up."""
    endpoint, faults = behind
    faults.refuse = no_deletion
    store = opened(bucket, endpoint)
    keep(store, file_of(tmp_path, 1000), NAME, never)
    assert {NAME: 1000} == store.list("p-")


@pytest.mark.fault("Backups in the bucket", "the mark of an unverified upload cannot be removed")
def test_mark_cannot_be_removed(behind: tuple[str, Faults], bucket: Bucket, tmp_path: Path) -> None:
    """If the mark can neither be deleted nor overwritten, the backup has failed, and does not stay."""
    endpoint, faults = behind
    marks = [0]

    def refuse(method: str, headers: Mapping[str, str]) -> Refusal:
        if method == "PUT" and headers.get("content-type") == "text/plain":
            marks[0] += 1
            return (403, "AccessDenied", "no") if marks[0] > 1 else None
        return no_deletion(method, headers)

    faults.refuse = refuse
    store = opened(bucket, endpoint)
    with pytest.raises(Exception, match="denied"):
        keep(store, file_of(tmp_path, 1000), NAME, never)
    assert {} == store.list("p-")


@contextmanager
def accepting(bucket: Bucket, endpoint: str, tmp_path: Path) -> Iterator[Process]:
    """A command that uploads a backup, and is killed at the end."""
    made = make_backup(tmp_path, timestamp=TIMESTAMP)
    suspect = str(BackupName("pulsar", TIMESTAMP).as_suspect)
    bucket.server.client().put_object(Bucket=bucket.name, Key=suspect, Body=(tmp_path / str(made.name)).read_bytes())
    settings = {**bucket.server.environment(), "AWS_ENDPOINT_URL_S3": endpoint, "SPOOL_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "metadata_tool", "accept", f"s3a://{bucket.name}/{suspect}"]
    process = Process(command, tmp_path / "log", environment(settings))
    try:
        yield process
    finally:
        process.kill()


@pytest.mark.fault("Process", "a kill between the upload and its verification")
def test_killed_between_upload_and_verification(behind: tuple[str, Faults], bucket: Bucket, tmp_path: Path) -> None:
    """If the program is killed before it has verified an upload, no listing shows it, although it is there."""
    endpoint, faults = behind
    verifying, over = threading.Event(), threading.Event()

    def wait(method: str, _: Mapping[str, str]) -> None:
        if method == "HEAD":
            verifying.set()
            over.wait(60)

    faults.refuse = wait
    name = f"pulsar-{TIMESTAMP}.tar.gz"
    with accepting(bucket, endpoint, tmp_path) as process:
        eventually("the verification begins", verifying.is_set, 60, process.output)
        process.send(signal.SIGKILL)
        process.wait()
    over.set()
    assert {name, f"{name}.unverified"} < set(bucket.objects())
    store = opened(bucket, bucket.server.endpoint)
    assert [True] == [backup.name.suspect for backup in backups(store, "pulsar")]
