"""Helpers for local files."""

import hashlib
import os
from pathlib import Path


def sha256(path: Path) -> bytes:
    """The SHA-256 of a file's content, 32 bytes.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def sync_directory(path: Path) -> None:
    """Make files that were created or renamed in a directory survive a power failure.

    Raises:
        OSError: the directory cannot be opened or synced.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
