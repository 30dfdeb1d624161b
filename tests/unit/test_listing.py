import json
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from werkzeug.exceptions import ServiceUnavailable

from metadata_tool import limits
from metadata_tool.catalog import Backup, BackupName
from metadata_tool.errors import StoreUnreachable
from metadata_tool.listing import Listed, SharedListing

PATIENCE = 60.0


class Bucket:
    """A bucket that is listed when a test lets it, and has one more backup each time."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.listings = 0
        self.error: Exception | None = None

    def __call__(self) -> list[Backup]:
        """List it."""
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE)
        self.listings += 1
        if self.error:
            raise self.error
        return [Backup(BackupName("b", number), f"s3a://b/b-{number}.tar.gz", 1) for number in range(self.listings)]


@pytest.fixture
def bucket() -> Bucket:
    """A bucket."""
    return Bucket()


def waiting(listing: Callable[[], Listed], pool: ThreadPoolExecutor) -> Future[Listed]:
    """A request that has begun to wait."""
    called = threading.Event()

    def ask() -> Listed:
        called.set()
        return listing()

    asked = pool.submit(ask)
    assert called.wait(PATIENCE)
    time.sleep(0.05)
    return asked


def test_requests_share_a_listing(bucket: Bucket) -> None:
    """Requests that come during a listing share the next one, and none sees an older state of the bucket."""
    listing = SharedListing(bucket)
    with ThreadPoolExecutor() as pool:
        first = waiting(listing, pool)
        assert bucket.begun.acquire(timeout=PATIENCE)
        others = [waiting(listing, pool) for _ in range(limits.LISTINGS - 1)]
        bucket.go.release(2)
        assert [1, *[2] * len(others)] == [len(asked.result(PATIENCE).found) for asked in (first, *others)]


def test_later_request_lists_again(bucket: Bucket) -> None:
    """A later request does not get an earlier listing."""
    listing = SharedListing(bucket)
    bucket.go.release(2)
    assert [1, 2] == [len(listing().found) for _ in range(2)]


def test_waiting_requests_are_bounded(bucket: Bucket) -> None:
    """While many requests wait for a listing, another is refused at once. Later ones are not."""
    listing = SharedListing(bucket)
    with ThreadPoolExecutor() as pool:
        asked = [waiting(listing, pool) for _ in range(limits.LISTINGS)]
        with pytest.raises(ServiceUnavailable):
            listing()
        bucket.go.release(9)
        assert all(request.result(PATIENCE) for request in asked)
    assert listing().found


def test_error_is_not_shared(bucket: Bucket) -> None:
    """After a listing that failed, the next request lists again."""
    listing = SharedListing(bucket)
    bucket.go.release(2)
    bucket.error = StoreUnreachable("no answer")
    with pytest.raises(StoreUnreachable):
        listing()
    bucket.error = None
    assert 2 == len(listing().found)


def test_json_has_all() -> None:
    """The JSON of a listing has the fields of each backup, in their order."""
    found = [Backup(BackupName("b", number), f"s3a://b/b-{number}.tar.gz", 1) for number in (7, 0)]
    assert [backup.as_json() for backup in found] == json.loads(Listed(found).as_json)
    assert b"[]\n" == Listed([]).as_json


@dataclass
class LargeBucket:
    """A bucket with many backups, that counts how often it is listed."""

    size: int
    listings: int = 0
    bucket_changes: int = 0

    def __call__(self) -> list[Backup]:
        """List it."""
        self.listings += 1
        return [Backup(BackupName("b", number), f"s3a://b/b-{number}.tar.gz", 1) for number in range(self.size)]


@pytest.mark.parametrize(("size", "listings"), [(limits.LISTED_EACH_TIME, 9), (limits.LISTED_EACH_TIME + 1, 1)])
def test_long_listing_is_kept(size: int, listings: int) -> None:
    """Many requests cost one listing of a large bucket. A small bucket is listed for each."""
    bucket = LargeBucket(size)
    listing = SharedListing(bucket, lambda: bucket.bucket_changes)
    for _ in range(9):
        assert size == len(listing().found)
    assert listings == bucket.listings


def test_long_listing_ends_with_a_backup() -> None:
    """After a backup of this service has ended, a large bucket is listed again."""
    bucket = LargeBucket(limits.LISTED_EACH_TIME + 1)
    listing = SharedListing(bucket, lambda: bucket.bucket_changes)
    for number in range(3):
        bucket.bucket_changes = number
        listing()
        listing()
    assert 3 == bucket.listings


def test_long_listing_ends_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old listing is not used, however long it is."""
    bucket = LargeBucket(limits.LISTED_EACH_TIME + 1)
    listing = SharedListing(bucket)
    listing()
    monkeypatch.setattr(limits, "LISTING_KEPT", 0.0)
    listing()
    assert 2 == bucket.listings


def test_memory_of_many_backups() -> None:
    """What is kept of a backup takes less than 500 bytes, and their JSON little more than its own size to make."""
    tracemalloc.start()
    try:
        found = LargeBucket(5_000)()
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        size = len(Listed(found).as_json)
        peak = tracemalloc.get_traced_memory()[1] - kept
    finally:
        tracemalloc.stop()
    assert kept < 500 * 5_000
    assert peak < 4 * size
