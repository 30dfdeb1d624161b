"""Backups that are to be copied to other places."""

from pathlib import Path

from metadata_tool.catalog import BackupName
from metadata_tool.copies.copy import Finished
from metadata_tool.files import sha256
from support.backups import TIMESTAMP
from support.trees import manifest_of

NAME = f"pulsar-{TIMESTAMP}.tar.gz"


def finished(directory: Path, timestamp: int = TIMESTAMP, *, suspect: bool = False) -> Finished:
    """A backup that is in its bucket, with its file in a directory."""
    name = BackupName("pulsar", timestamp)
    name = name.as_suspect if suspect else name
    path = directory / str(name)
    path.write_bytes(b"backup")
    return Finished(path, name, sha256(path), manifest_of(b"", 0, timestamp=timestamp))
