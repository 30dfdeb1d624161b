"""Reads the index object of an offloaded ledger.

The format is that of OffloadIndexBlockImpl (tiered-storage/jcloud), with big-endian numbers:

| bytes | content |
| --- | --- |
| 4 | 0xDE47DE47 |
| 4 | the length of the whole index |
| 8 | the length of the data object |
| 8 | the length of the header of each block of the data object |
| 4 | the number of blocks |
| 4 | the length of the ledger's metadata |
| | the ledger's metadata, BookKeeper's LedgerMetadataFormat without a header |
| 20 a block | its first entry (8), its part of the upload (4), its offset in the data object (8) |
"""

import struct
from dataclasses import dataclass
from itertools import pairwise

from google.protobuf.message import DecodeError

from metadata_tool.tiered_storage.ledger_metadata_pb2 import LedgerMetadata

MAGIC = 0xDE47DE47
MANAGED_LEDGER = "pulsar/managed-ledger"
"""The key of the topic's name in the ledger's custom metadata, since about Pulsar 2.6."""

_HEADER = struct.Struct(">IiqqIi")
_BLOCK = struct.Struct(">qiq")


class IndexDamagedError(ValueError):
    """An object that is not the index of an offloaded ledger, or a damaged one. The message says why."""


@dataclass(frozen=True)
class OffloadIndex:
    """What an index tells of its ledger.

    `data_length` is the size of the data object in bytes, `entries` and `size` are those of the ledger as in the ledger
    list, `created` is in epoch milliseconds (0 if unknown). `managed_ledger` is `tenant/namespace/persistent/topic`, or
    empty if the ledger does not know its topic.
    """

    data_length: int
    entries: int
    size: int
    created: int
    managed_ledger: str

    @classmethod
    def parse(cls, data: bytes) -> "OffloadIndex":
        """Read an index object.

        Raises:
            IndexDamagedError: it is not one, or it contradicts itself.
        """
        metadata, data_length, blocks = _split(data)
        if metadata.lastEntryId < 0 and metadata.length:
            raise IndexDamagedError("its ledger has bytes, and no entry")
        _check_blocks(blocks, metadata.lastEntryId, data_length)
        return cls(
            data_length, metadata.lastEntryId + 1, metadata.length, max(metadata.ctime, 0), _managed_ledger(metadata)
        )


def _split(data: bytes) -> tuple[LedgerMetadata, int, list[tuple[int, int, int]]]:
    """The ledger's metadata, the length of the data object, and the blocks."""
    if len(data) < _HEADER.size:
        raise IndexDamagedError(f"it has {len(data)} bytes, fewer than a header")
    magic, length, data_length, header_length, blocks, metadata_length = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise IndexDamagedError("it does not start as an index does")
    if metadata_length < 0 or header_length <= 0:
        raise IndexDamagedError("its header has a length that cannot be")
    expected = _HEADER.size + metadata_length + blocks * _BLOCK.size
    if not length == expected == len(data):
        raise IndexDamagedError(f"it has {len(data)} bytes, {length} by its header, and {expected} by its content")
    metadata = LedgerMetadata()
    end = _HEADER.size + metadata_length
    try:
        metadata.ParseFromString(data[_HEADER.size : end])
    except DecodeError as error:
        raise IndexDamagedError("its ledger's metadata cannot be read") from error
    if not metadata.HasField("lastEntryId") or metadata.length < 0 or metadata.lastEntryId < -1:
        raise IndexDamagedError("its ledger is not closed")
    return metadata, data_length, list(_BLOCK.iter_unpack(data[end:]))


def _check_blocks(blocks: list[tuple[int, int, int]], last_entry: int, data_length: int) -> None:
    """Refuse blocks that do not lead to every entry, in order."""
    if not blocks or blocks[0][0] != 0 or blocks[0][2] != 0:
        raise IndexDamagedError("its first block does not start with the first entry")
    for before, after in pairwise(blocks):
        if not (before[0] < after[0] and before[2] < after[2]):
            raise IndexDamagedError("its blocks are not in order")
    if blocks[-1][0] > max(last_entry, 0) or blocks[-1][2] >= data_length:
        raise IndexDamagedError("its last block lies beyond the end of the ledger")


def _managed_ledger(metadata: LedgerMetadata) -> str:
    for item in metadata.customMetadata:
        if item.key == MANAGED_LEDGER:
            try:
                return item.value.decode()
            except UnicodeDecodeError as error:
                raise IndexDamagedError("the name of its topic is not UTF-8") from error
    return ""
