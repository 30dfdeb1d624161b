"""A directory as a store: `file:///some/directory`, for where there is no S3."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from metadata_tool.errors import BucketDenied, BucketMissing, StoreFailed, ToolError, UploadUnverified
from metadata_tool.files import sha256, sync_directory
from metadata_tool.location import Location
from metadata_tool.store import already_there, changed_meanwhile, no_such_backup
from metadata_tool.store.progress import Progress
from metadata_tool.workspace import scratch

_CHUNK = 1 << 20


class DirectoryStore:
    """Files in a directory that exists. A file gets its name only once it is whole, synced and checked."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._root = Path("/", location.path)

    def save(self, source: Path, digest: bytes, name: str, heartbeat: Callable[[], None]) -> None:
        """See `Store.save`."""
        try:
            with scratch(self._root) as workdir, source.open("rb") as reader:
                partial = workdir / name
                copied = _copy(reader, partial, heartbeat)
                if copied != digest:
                    raise changed_meanwhile(self.location, name)
                if copied != sha256(partial):
                    raise UploadUnverified(f"{self.location.uri(name)} reads back differently", "Check the disk")
                os.link(partial, self._root / name)  # unlike a rename, it never replaces a file
                self._keep(self._root / name)
        except FileExistsError as error:
            raise already_there(self.location, name) from error
        except OSError as error:
            raise self._explain(error) from error

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """See `Store.fetch`."""
        source = self._root / name
        try:
            if self._root.is_dir() and not source.is_file():
                raise no_such_backup(self.location, name)
            reader = source.open("rb")
        except OSError as error:
            raise self._explain(error) from error
        with reader:
            progress = Progress(os.fstat(reader.fileno()).st_size)

            def step() -> None:
                heartbeat()
                progress(reader.tell())

            _copy(reader, target, step)

    def list(self, prefix: str) -> dict[str, int]:
        """See `Store.list`."""
        found = {}
        try:
            for entry in os.scandir(self._root):
                with contextlib.suppress(FileNotFoundError):  # removed while we look
                    if entry.name.startswith(prefix) and entry.is_file():
                        found[entry.name] = entry.stat().st_size
        except OSError as error:
            raise self._explain(error) from error
        return found

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        try:
            (self._root / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._explain(error) from error

    def _keep(self, target: Path) -> None:
        try:
            sync_directory(self._root)
        except OSError:
            target.unlink()  # a backup that a power cut may take is none
            raise

    def _explain(self, error: OSError) -> ToolError:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return BucketMissing(
                f"the directory {self.location} does not exist",
                "Check BUCKET or the address; a directory for backups must exist",
            )
        if error.errno == errno.EACCES:
            return BucketDenied(f"the directory {self.location} may not be used", "Give this user access to it")
        return StoreFailed(f"the directory {self.location} cannot be used: {error.strerror or error}", "Check the disk")


def _copy(reader: BinaryIO, target: Path, heartbeat: Callable[[], None]) -> bytes:
    """Copy an open file and sync the copy; the SHA-256 of what was read."""
    digest = hashlib.sha256()
    with target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            heartbeat()
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.digest()
