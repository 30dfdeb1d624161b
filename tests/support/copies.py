"""Backups that are to be copied to other places."""

import threading
from collections.abc import Callable
from pathlib import Path

from metadata_tool.catalog import BackupName
from metadata_tool.copies.copy import Finished
from metadata_tool.files import sha256
from metadata_tool.store.directory import DirectoryStore
from support.backups import TIMESTAMP, location
from support.trees import manifest_of

NAME = f"pulsar-{TIMESTAMP}.tar.gz"


def finished(directory: Path, timestamp: int = TIMESTAMP, *, suspect: bool = False) -> Finished:
    """A backup that is in its bucket, with its file in a directory."""
    name = BackupName("pulsar", timestamp)
    name = name.as_suspect if suspect else name
    path = directory / str(name)
    path.write_bytes(b"backup")
    return Finished(path, name, sha256(path), manifest_of(b"", 0, timestamp=timestamp))


class Place(DirectoryStore):
    """A directory whose saves fail with `error`, if it is set. While `released` is not set, they wait."""

    def __init__(self, directory: Path) -> None:
        super().__init__(location(directory))
        self.directory = directory
        self.error: Exception | None = None
        self.tries = 0
        self.saved: list[int] = []
        """The times of the saved backups, from TIMESTAMP."""
        self.begun, self.released = threading.Event(), threading.Event()
        self.released.set()

    def save(
        self,
        source: Path,
        digest: bytes,
        name: str,
        heartbeat: Callable[[], None],
        *,
        sent: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Save, or fail."""
        self.tries += 1
        self.begun.set()
        while not self.released.wait(0.001):
            heartbeat()
        if self.error:
            raise self.error
        super().save(source, digest, name, heartbeat, sent=sent)
        self.saved.append(int(name.removesuffix(".tar.gz").rpartition("-")[2]) - TIMESTAMP)

    @property
    def files(self) -> list[str]:
        """The copies."""
        return sorted(path.name for path in self.directory.glob("*.tar.gz"))
