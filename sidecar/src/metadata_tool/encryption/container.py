"""An encrypted backup file: a tar of the sealed part of its manifest, a signature, and the backup in age's format.

`tar -xOf FILE backup.tar.gz.age | age -d -i KEYS | tar -xz` opens it. docs/format.md describes it.
"""

import io
import tarfile
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

from metadata_tool.errors import ArchiveCorrupt
from metadata_tool.manifest import USE_ANOTHER

SEALED, SIGNATURE, CONTENT = "manifest.sealed", "manifest.sig", "backup.tar.gz.age"
_SEALED_LIMIT = 1 << 20
_SIGNATURE_SIZE = 64
_BLOCK = tarfile.BLOCKSIZE
MAGIC = 16
"""How many bytes tell an encrypted backup from others."""
_END = bytes(2 * _BLOCK)
START = 4 * _BLOCK + _SEALED_LIMIT
"""Everything before the content is within these first bytes."""


class Head(NamedTuple):
    """What is before the content. `size` is that of the content in bytes."""

    sealed: bytes
    signature: bytes
    size: int


def begins(start: bytes) -> bool:
    """Whether a file with these first bytes is an encrypted backup."""
    return start.startswith(SEALED.encode() + b"\0")


def write(target: BinaryIO, sealed: bytes, signature: bytes, content: Callable[[BinaryIO], None], mtime: int) -> None:
    """Write a new file. `content` writes the encrypted backup. `mtime` is in epoch seconds."""
    target.writelines(
        _header(name, len(member), mtime) + _padded(member)
        for name, member in ((SEALED, sealed), (SIGNATURE, signature))
    )
    header = target.tell()
    target.write(bytes(_BLOCK))
    content(target)
    size = target.tell() - header - _BLOCK
    target.write(bytes(-size % _BLOCK) + _END)
    target.seek(header)
    target.write(_header(CONTENT, size, mtime))


def read_head(file: BinaryIO) -> Head:
    """Read everything before the content. The file is then at its first byte.

    Raises:
        ArchiveCorrupt: the file is damaged.
    """
    sealed = _member(file, SEALED, _SEALED_LIMIT)
    signature = _member(file, SIGNATURE, _SIGNATURE_SIZE)
    return Head(sealed, signature, _size(file, CONTENT, 1 << 63))


def read_sealed(start: bytes) -> bytes:
    """The sealed part of the manifest, from the first bytes of a file. Raises ArchiveCorrupt."""
    return _member(cast("BinaryIO", io.BytesIO(start)), SEALED, _SEALED_LIMIT)


def require_end(rest: BinaryIO, size: int) -> None:
    """Refuse a file that has anything after its content of this size, which was read.

    Raises:
        ArchiveCorrupt: it has.
    """
    if rest.read(_BLOCK + len(_END) + 1) != bytes(-size % _BLOCK) + _END:
        raise _damaged("it does not end after its content")


class Content:
    """The content as a file, which ends where the content does."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Up to this many bytes."""
        chunk = self._file.read(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(chunk)
        return chunk


def _header(name: str, size: int, mtime: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, mtime
    return member.tobuf(tarfile.GNU_FORMAT)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _BLOCK)


def _member(file: BinaryIO, name: str, limit: int) -> bytes:
    size = _size(file, name, limit)
    content = file.read(size + -size % _BLOCK)
    if len(content) < size + -size % _BLOCK or content[size:].strip(b"\0"):
        raise _damaged("it ends too early" if len(content) < size else f"the padding after {name} is not zero")
    return content[:size]


def _size(file: BinaryIO, name: str, limit: int) -> int:
    try:
        header = tarfile.TarInfo.frombuf(file.read(_BLOCK), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise _damaged(f"it has no tar header for {name}") from None
    if header.name != name or header.type != tarfile.REGTYPE or not 0 <= header.size <= limit:
        raise _damaged(f"it has {header.name!a} of {header.size} bytes instead of {name}")
    return header.size


def _damaged(what: str) -> ArchiveCorrupt:
    return ArchiveCorrupt(f"the encrypted backup is damaged, {what}", USE_ANOTHER)
