"""Reads a locator, the znode of a topic's schema: which versions there are, with the SHA-256 of each.

The schemas themselves are in BookKeeper (BookkeeperSchemaStorage, SchemaStorageFormat.proto).
"""

from typing import NamedTuple

from google.protobuf.message import DecodeError

from metadata_tool.pulsar.codec import UndecodableError, require_complete
from metadata_tool.pulsar.schema_locator_pb2 import SchemaLocator

SCHEMA = "/schemas/<tenant>/<namespace>/<topic>"
V1_SCHEMA = "/schemas/<tenant>/<cluster>/<namespace>/<topic>"
"""With a V1 topic name, which includes the cluster."""


class LocatedVersion(NamedTuple):
    """A version of a schema. The hash is the SHA-256 of its data, and empty for a tombstone."""

    version: int
    sha256: bytes

    @property
    def tombstone(self) -> bool:
        """Whether the schema was deleted by this version."""
        return not self.sha256


def versions(value: bytes) -> tuple[LocatedVersion, ...]:
    """All versions in a locator, in their order.

    Raises:
        UndecodableError: the value is not a SchemaLocator.
    """
    locator = SchemaLocator()
    try:
        locator.ParseFromString(value)
    except DecodeError as error:
        raise UndecodableError("not a SchemaLocator") from error
    return tuple(LocatedVersion(entry.version, entry.hash) for entry in require_complete(locator).index)


def last_tombstone(found: tuple[LocatedVersion, ...]) -> int:
    """The number of the last tombstone, -1 if there is none. Brokers give out only the versions after it."""
    return max((entry.version for entry in found if entry.tombstone), default=-1)
