"""Several programs write to one bucket: a backup is never replaced or removed by the failure of another."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from metadata_tool.errors import BucketDenied, StoreFailed
from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.credentials import Keys
from metadata_tool.store.limits import PART_SIZE, TransferLimits
from metadata_tool.store.s3 import S3Store
from support.backups import keep
from support.proxy import Faults, proxy
from support.s3 import ACCESS_KEY, SECRET_KEY, Bucket
from support.store_contract import content_of, file_of, never

NAME = "p-1.tar.gz"
SIZES = (100, PART_SIZE + 1)
"""One request, and several."""
WRITES = ("PUT", "POST")

Refusal = tuple[int, str, str] | None


@pytest.fixture
def slow(bucket: Bucket) -> Iterator[tuple[S3Store, Faults]]:
    """A store whose requests can be disturbed."""
    with proxy(bucket.server.port) as (endpoint, faults):
        limits = TransferLimits(read=5, pauses=(0.0, 0.01, 0.02))
        options = StoreOptions("us-east-1", endpoint, Keys(ACCESS_KEY, SECRET_KEY), limits=limits)
        yield S3Store(Location("s3a", bucket.name, ""), options), faults


@pytest.fixture
def another(bucket: Bucket) -> Callable[[], object]:
    """Saves another backup under the same name."""
    return lambda: bucket.server.client().put_object(Bucket=bucket.name, Key=NAME, Body=b"another")


def content(bucket: Bucket) -> bytes:
    """What lies under the name."""
    return bucket.server.client().get_object(Bucket=bucket.name, Key=NAME)["Body"].read()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.fault("Backups in the bucket", "another writer saves a backup of the same name")
def test_server_without_conditions(
    size: int, slow: tuple[S3Store, Faults], another: Callable[[], object], bucket: Bucket, tmp_path: Path
) -> None:
    """On a server that knows no conditions, a backup that replaced this one is noticed, and stays."""
    store, faults = slow

    def refuse(method: str, headers: Mapping[str, str]) -> Refusal:
        if method == "HEAD":
            another()
        return (501, "NotImplemented", "A header is not implemented") if "if-none-match" in headers else None

    faults.refuse = refuse
    with pytest.raises(StoreFailed, match=f"{NAME} exists already"):
        keep(store, file_of(tmp_path, size), NAME, never)
    assert b"another" == content(bucket)


@pytest.mark.parametrize("size", SIZES)
def test_server_without_conditions_saves(
    size: int, slow: tuple[S3Store, Faults], bucket: Bucket, tmp_path: Path
) -> None:
    """A server that knows no conditions keeps backups like others."""
    store, faults = slow
    faults.refuse = lambda _, headers: (501, "NotImplemented", "no") if "if-none-match" in headers else None
    keep(store, file_of(tmp_path, size), NAME, never)
    assert content_of(size) == content(bucket)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.fault("Backups in the bucket", "an upload fails beside the backup of another writer")
def test_failure_beside_another_backup(
    size: int, slow: tuple[S3Store, Faults], another: Callable[[], object], bucket: Bucket, tmp_path: Path
) -> None:
    """A failing upload does not remove the backup that another writer has saved under its name."""
    store, faults = slow

    def refuse(method: str, _: Mapping[str, str]) -> Refusal:
        if method not in WRITES:
            return None
        another()
        return 403, "AccessDenied", "no"

    faults.refuse = refuse
    with pytest.raises(BucketDenied):
        keep(store, file_of(tmp_path, size), NAME, never)
    assert b"another" == content(bucket)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.fault("Object store", "the answer to an upload is lost")
def test_answer_is_lost(size: int, slow: tuple[S3Store, Faults], bucket: Bucket, tmp_path: Path) -> None:
    """If the answer to an upload is lost, the object that is already there is known to be this one."""
    store, faults = slow
    faults.lost = [500]
    keep(store, file_of(tmp_path, size), NAME, never)
    assert content_of(size) == content(bucket)
    assert [] == faults.lost
