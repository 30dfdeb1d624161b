"""What is asked of a bucket of tiered storage, without loading boto3."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class StoredObject(NamedTuple):
    """The first bytes of an object, and the name of the Pulsar cluster that wrote it. Empty if it is not known."""

    content: bytes
    cluster: str


class ReadableBucket(Protocol):
    """What is asked of a bucket."""

    def objects(self) -> Iterator[tuple[str, int]]:
        """The keys of all objects, and their sizes in bytes.

        Raises:
            ToolError: the bucket cannot be listed completely.
        """

    def read(self, key: str, limit: int) -> bytes | None:
        """The first bytes of an object, at most `limit`. None if there is no such object.

        Raises:
            ToolError: the object cannot be read.
        """


class DescribedBucket(ReadableBucket, Protocol):
    """What is asked of a bucket if it matters who wrote its objects."""

    def get(self, key: str, limit: int) -> StoredObject | None:
        """As `read`, with the name of the cluster."""
