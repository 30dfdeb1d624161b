"""Reads a bucket of tiered storage. Nothing is ever written or deleted there."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.s3_client import Clients, common_fields
from metadata_tool.store.s3_listing import pages
from metadata_tool.tiered_storage.contract import StoredObject

CLUSTER = "pulsarclustername"
"""The user metadata with the name of the cluster that wrote an object, since about Pulsar 2.11."""


class S3Bucket:
    """A bucket by the protocol of S3."""

    def __init__(self, name: str, options: StoreOptions) -> None:
        """No request is made yet.

        Raises:
            SettingError: boto3's own settings are wrong.
        """
        self.location = Location("s3a", name, "")
        self._clients = Clients(self.location, options)
        self._common: Any = common_fields(options)

    def objects(self) -> Iterator[tuple[str, int]]:
        """See `ReadableBucket.objects`."""
        found = pages(self._clients.current(), self.location, {"Bucket": self.location.bucket, **self._common})
        while True:
            with self._clients.faults.explained(""):
                page = next(found, None)
            if page is None:
                return
            yield from ((item["Key"], item["Size"]) for item in page.get("Contents", []))

    def read(self, key: str, limit: int) -> bytes | None:
        """See `ReadableBucket.read`."""
        found = self.get(key, limit)
        return found.content if found else None

    def get(self, key: str, limit: int) -> StoredObject | None:
        """See `DescribedBucket.get`."""
        client = self._clients.current()
        with self._clients.faults.explained(key):
            try:
                answer = client.get_object(Bucket=self.location.bucket, Key=key, **self._common)
            except client.exceptions.NoSuchKey:
                return None
            with answer["Body"] as body:
                return StoredObject(body.read(limit), _cluster(answer["Metadata"]))


def _cluster(metadata: Mapping[str, str]) -> str:
    """The name of the cluster. Some stores change the case of names of user metadata."""
    return next((value for name, value in metadata.items() if name.lower() == CLUSTER), "")


def opener(options: StoreOptions, moved: Mapping[str, str]) -> Callable[[str], S3Bucket]:
    """What opens a bucket by the name that the tree has. `moved` has new names by the old ones."""
    return lambda name: S3Bucket(moved.get(name, name), options)
