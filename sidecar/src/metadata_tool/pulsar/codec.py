"""ManagedLedgerInfo and ManagedCursorInfo as znodes hold them: protobuf, plain or compressed.

A compressed value is the magic 0x4778, an int32 size, a message that names the compression and the size of what it
holds, and that (MetaStoreImpl.compressManagedInfo). What is written in place of such a value is compressed alike: a
long list may be too large for ZooKeeper otherwise. Fields that are not known are kept.
"""

import struct
import zlib
from collections.abc import Callable
from typing import TypeVar

import cramjam
from google.protobuf.message import DecodeError, EncodeError, Message

from metadata_tool.pulsar.managed_ledger_pb2 import Compression, ManagedCursorInfo, ManagedLedgerInfo

_HEAD = struct.Struct(">2si")
_MAGIC = b"\x47\x78"
_LIMIT = 64 << 20
"""Bytes that a value may claim to hold: ten times what ZooKeeper's own limits leave room for."""

M = TypeVar("M", bound=Message)


class UndecodableError(ValueError):
    """A value that is not what its path says; the message tells why."""


def managed_ledger(value: bytes) -> ManagedLedgerInfo:
    """The ledgers of a topic; nothing is an empty list.

    Raises:
        UndecodableError: it is none. That a field is missing which must be there shows in `encode`, or `require_whole`.
    """
    return _parse(ManagedLedgerInfo(), value)


def managed_cursor(value: bytes) -> ManagedCursorInfo:
    """A subscription's position. Raises as `managed_ledger` does."""
    return _parse(ManagedCursorInfo(), value)


def require_whole(message: M) -> M:
    """Refuse a message without a field that must be there.

    Raises:
        UndecodableError: it lacks one.
    """
    if not message.IsInitialized():
        raise _incomplete(message)
    return message


def encode(message: Message, saved: bytes) -> bytes:
    """A message that takes the place of a saved value, compressed as that was. The same message gives the same.

    Raises:
        UndecodableError: it lacks a field that must be there.
    """
    try:
        value = message.SerializeToString(deterministic=True)
    except EncodeError as error:
        raise _incomplete(message) from error
    if not _is_compressed(saved):
        return value
    head, _ = _split(saved)
    new = Compression(compressionType=head.compressionType, uncompressedSize=len(value)).SerializeToString()
    return _HEAD.pack(_MAGIC, len(new)) + new + _COMPRESS[_name(head.compressionType)](value)


def _parse(message: M, value: bytes) -> M:
    try:
        message.ParseFromString(_plain(value))
    except DecodeError as error:
        raise UndecodableError(f"it is no {message.DESCRIPTOR.name}") from error
    return message


def _incomplete(message: Message) -> UndecodableError:
    return UndecodableError(f"it is no {message.DESCRIPTOR.name}, a field is missing")


def _plain(value: bytes) -> bytes:
    if not _is_compressed(value):
        return value
    head, body = _split(value)
    if not 0 <= head.uncompressedSize <= _LIMIT:
        raise UndecodableError(f"it claims {head.uncompressedSize} bytes")
    return _decompressed(head.compressionType, body, head.uncompressedSize)


def _is_compressed(value: bytes) -> bool:
    return value[:2] == _MAGIC and len(value) >= _HEAD.size


def _split(value: bytes) -> tuple[Compression, bytes]:
    """What a compressed value says of itself, and what it holds."""
    size = _HEAD.unpack_from(value)[1]
    if not 0 <= size <= len(value) - _HEAD.size:
        raise UndecodableError("its compression header is cut off")
    end = _HEAD.size + size
    return _parse_head(value[_HEAD.size : end]), value[end:]


def _parse_head(value: bytes) -> Compression:
    head = Compression()
    try:
        head.ParseFromString(value)
    except DecodeError as error:
        raise UndecodableError("its compression header is damaged") from error
    if not head.IsInitialized():
        raise UndecodableError("its compression header is incomplete")
    return head


def _decompressed(kind: int, value: bytes, size: int) -> bytes:
    """Exactly `size` bytes; no more memory than that is taken, whatever the value claims."""
    name = _name(kind)
    try:
        if kind == Compression.NONE:
            found = value
        elif kind == Compression.ZLIB:
            found = zlib.decompressobj().decompress(value, size + 1)  # Pulsar flushes the stream and never ends it
        else:
            target = bytearray(size)
            found = bytes(target[: _INTO[name](value, target)])
    except (zlib.error, cramjam.DecompressionError, OverflowError) as error:
        raise UndecodableError(f"its {name} data is damaged") from error
    if len(found) != size:
        raise UndecodableError(f"its {name} data holds {len(found)} bytes, not {size}")
    return found


def _name(kind: int) -> str:
    return Compression.Type.Name(Compression.Type.ValueType(kind))


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "NONE": bytes,
    "LZ4": lambda value: bytes(cramjam.lz4.compress_block(value, store_size=False)),
    "ZLIB": zlib.compress,
    "ZSTD": lambda value: bytes(cramjam.zstd.compress(value, level=3)),
    "SNAPPY": lambda value: bytes(cramjam.snappy.compress_raw(value)),
}
_INTO = {
    "LZ4": cramjam.lz4.decompress_block_into,  # a raw block, without a size before it
    "ZSTD": cramjam.zstd.decompress_into,
    "SNAPPY": cramjam.snappy.decompress_raw_into,  # without the framing of its files
}
