"""A file that a failing disk has altered."""

import gzip
import zlib
from pathlib import Path


def damage(path: Path, place: int, bits: int = 1) -> None:
    """Turn over some bits of its byte at this place."""
    with path.open("r+b") as file:
        file.seek(place)
        (was,) = file.read(1)
        file.seek(place)
        file.write(bytes([was ^ bits]))


def damaged_gzip(content: bytes) -> bytes:
    """A gzip file with one changed byte near its middle that cannot be read any more.

    A few bits of a deflate stream may have either value: both decompress to the same content.
    """
    for place in range(len(content) // 2, len(content)):
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        try:
            gzip.decompress(changed)
        except (OSError, EOFError, zlib.error):
            return changed
    raise AssertionError("gzip reads this file whatever byte changes")
