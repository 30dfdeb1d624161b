"""Snapshots compressed as servers do it."""

import gzip
import struct
from collections.abc import Callable

import cramjam

SNAPPY_HEAD = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)


def snappy_block(compressed: bytes) -> bytes:
    """A block of snappy-java's format."""
    return struct.pack(">i", len(compressed)) + compressed


def snappy(content: bytes, block: int = 32 << 10) -> bytes:
    """The content as snappy-java's SnappyOutputStream writes it."""
    parts = [content[at : at + block] for at in range(0, len(content), block)]
    return SNAPPY_HEAD + b"".join(snappy_block(bytes(cramjam.snappy.compress_raw(part))) for part in parts)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".snappy": snappy,
}
"""By the end of the file's name."""
