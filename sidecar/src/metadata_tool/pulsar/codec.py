"""Reads and writes the values of managed-ledger and cursor znodes: protobuf, plain or compressed.

A compressed value (MetaStoreImpl.compressManagedInfo) consists of

- the magic bytes 0x47 0x78,
- the size of the header, a big-endian int32,
- the header, a protobuf message with the compression's type and the size of the value before compression,
- the compressed protobuf message.

A changed value is compressed as it was before, because a long list may not fit in a znode otherwise. Unknown fields
are kept.
"""

import struct
import zlib
from collections.abc import Callable
from typing import TypeVar

import cramjam
from google.protobuf.message import DecodeError, EncodeError, Message

from metadata_tool.pulsar.limits import MAX_DECOMPRESSED
from metadata_tool.pulsar.managed_ledger_pb2 import Compression, ManagedCursorInfo, ManagedLedgerInfo

_PREFIX = struct.Struct(">2si")
_MAGIC = b"\x47\x78"

M = TypeVar("M", bound=Message)


class UndecodableError(ValueError):
    """A value that does not have the type that its path stands for. The message says why."""


def managed_ledger(value: bytes) -> ManagedLedgerInfo:
    """The ledgers of a topic. An empty value is an empty list.

    Required fields may be missing: `require_complete` and `encode` check that.

    Raises:
        UndecodableError: the value is not a ManagedLedgerInfo.
    """
    return _parse(ManagedLedgerInfo(), value)


def managed_cursor(value: bytes) -> ManagedCursorInfo:
    """The position of a subscription. Required fields may be missing, as in `managed_ledger`.

    Raises:
        UndecodableError: the value is not a ManagedCursorInfo.
    """
    return _parse(ManagedCursorInfo(), value)


def require_complete(message: M) -> M:
    """The message, if all of its required fields are set.

    Raises:
        UndecodableError: a required field is missing.
    """
    if not message.IsInitialized():
        raise _incomplete(message)
    return message


def encode(message: Message, saved: bytes) -> bytes:
    """The bytes of a message that replaces a saved value, with the same compression. The result is deterministic.

    Raises:
        UndecodableError: a required field is missing.
    """
    try:
        value = message.SerializeToString(deterministic=True)
    except EncodeError as error:
        raise _incomplete(message) from error
    if not _is_compressed(saved):
        return value
    header, _ = _split(saved)
    new = Compression(compressionType=header.compressionType, uncompressedSize=len(value)).SerializeToString()
    return _PREFIX.pack(_MAGIC, len(new)) + new + _COMPRESS[_name(header.compressionType)](value)


def _parse(message: M, value: bytes) -> M:
    try:
        message.ParseFromString(_plain(value))
    except DecodeError as error:
        raise UndecodableError(f"not a {message.DESCRIPTOR.name}") from error
    return message


def _incomplete(message: Message) -> UndecodableError:
    return UndecodableError(f"not a {message.DESCRIPTOR.name}, a required field is missing")


def _plain(value: bytes) -> bytes:
    if not _is_compressed(value):
        return value
    header, body = _split(value)
    if not 0 <= header.uncompressedSize <= MAX_DECOMPRESSED:
        raise UndecodableError(f"its compression header claims {header.uncompressedSize} bytes")
    return _decompressed(header.compressionType, body, header.uncompressedSize)


def _is_compressed(value: bytes) -> bool:
    return value[:2] == _MAGIC and len(value) >= _PREFIX.size


def _split(value: bytes) -> tuple[Compression, bytes]:
    """The header of a compressed value, and the compressed bytes."""
    size = _PREFIX.unpack_from(value)[1]
    if not 0 <= size <= len(value) - _PREFIX.size:
        raise UndecodableError("its compression header is truncated")
    end = _PREFIX.size + size
    return _parse_header(value[_PREFIX.size : end]), value[end:]


def _parse_header(value: bytes) -> Compression:
    header = Compression()
    try:
        header.ParseFromString(value)
    except DecodeError as error:
        raise UndecodableError("its compression header is damaged") from error
    if not header.IsInitialized():
        raise UndecodableError("its compression header is incomplete")
    return header


def _decompressed(kind: int, value: bytes, size: int) -> bytes:
    """Exactly `size` bytes. Takes no more memory than that, even for a malicious value."""
    name = _name(kind)
    try:
        if kind == Compression.NONE:
            plain = value
        elif kind == Compression.ZLIB:
            plain = zlib.decompressobj().decompress(value, size + 1)  # Pulsar flushes the stream but never ends it
        else:
            target = bytearray(size)
            plain = bytes(target[: _DECOMPRESS_INTO[name](value, target)])
    except (zlib.error, cramjam.DecompressionError, OverflowError) as error:
        raise UndecodableError(f"its {name} data is damaged") from error
    if len(plain) != size:
        raise UndecodableError(f"its {name} data has {len(plain)} bytes instead of {size}")
    return plain


def _name(kind: int) -> str:
    return Compression.Type.Name(Compression.Type.ValueType(kind))


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "NONE": bytes,
    "LZ4": lambda value: bytes(cramjam.lz4.compress_block(value, store_size=False)),
    "ZLIB": zlib.compress,
    "ZSTD": lambda value: bytes(cramjam.zstd.compress(value, level=3)),
    "SNAPPY": lambda value: bytes(cramjam.snappy.compress_raw(value)),
}
_DECOMPRESS_INTO = {
    "LZ4": cramjam.lz4.decompress_block_into,  # a raw block, which does not start with its size
    "ZSTD": cramjam.zstd.decompress_into,
    "SNAPPY": cramjam.snappy.decompress_raw_into,  # without the frames of Snappy files
}
