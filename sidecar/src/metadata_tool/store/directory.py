"""A directory as a store, for use without S3: `file:///some/directory`."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from metadata_tool.errors import BucketDenied, BucketMissing, StoreFailed, ToolError, UploadUnverified
from metadata_tool.files import sha256, sync_directory
from metadata_tool.location import Location
from metadata_tool.store.base import Scheme, StoreOptions, already_there, ignored, no_such_backup, source_changed
from metadata_tool.store.limits import COPY_CHUNK, DEFAULT, TransferLimits
from metadata_tool.store.progress import Progress
from metadata_tool.workspace import scratch


def parse(rest: str) -> Location:
    """Read `/directory`. See `Scheme`."""
    host, _, path = rest.partition("/")
    path = path.removesuffix("/") or path
    if host or not path:
        raise ValueError("the address of a directory has three slashes and an absolute path")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("the path has an empty part, '.' or '..'")
    return Location("file", "", path)


class DirectoryStore:
    """Files in an existing directory. A file gets its name only once it is complete, synced and verified."""

    def __init__(self, location: Location, limits: TransferLimits = DEFAULT) -> None:
        self.location = location
        self._limits = limits
        self._root = Path("/", location.path)

    def save(
        self,
        source: Path,
        digest: bytes,
        name: str,
        heartbeat: Callable[[], None],
        *,
        sent: Callable[[int], None] = ignored,
    ) -> None:
        """See `Store.save`."""
        try:
            with scratch(self._root) as workdir, source.open("rb") as reader:
                partial = workdir / name

                def step() -> None:
                    heartbeat()
                    sent(reader.tell())

                copied = _copy(reader, partial, step)
                if copied != digest:
                    raise source_changed(self.location, name)
                if copied != sha256(partial):
                    raise UploadUnverified(
                        f"the copy for {self.location.uri(name)} reads back differently, and was removed",
                        "Check the disk of the directory",
                    )
                os.link(partial, self._root / name)  # unlike a rename, a link never replaces a file
                self._keep(self._root / name)
        except FileExistsError as error:
            raise already_there(self.location, name) from error
        except OSError as error:
            raise self._explain(error) from error

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """See `Store.fetch`."""
        source = self._root / name
        with self._explaining():
            if self._root.is_dir() and not source.is_file():
                raise no_such_backup(self.location, name)
            reader = source.open("rb")
        with reader:
            progress = Progress(os.fstat(reader.fileno()).st_size, self._limits.report_every)

            def step() -> None:
                heartbeat()
                progress(reader.tell())

            _copy(reader, target, step)

    def read_start(self, name: str, limit: int) -> bytes:
        """See `Store.read_start`."""
        source = self._root / name
        with self._explaining():
            if self._root.is_dir() and not source.is_file():
                raise no_such_backup(self.location, name)
            with source.open("rb") as reader:
                return reader.read(limit)

    def list(self, prefix: str) -> dict[str, int]:
        """See `Store.list`."""
        found = {}
        with self._explaining():
            for entry in os.scandir(self._root):
                with contextlib.suppress(FileNotFoundError):  # removed since the directory was read
                    if entry.name.startswith(prefix) and entry.is_file():
                        found[entry.name] = entry.stat().st_size
        return found

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        with self._explaining():
            try:
                (self._root / name).unlink()
            except FileNotFoundError:
                if not self._root.is_dir():
                    raise

    def _keep(self, target: Path) -> None:
        try:
            sync_directory(self._root)
        except OSError:
            target.unlink()  # a power cut could take its name, so the backup does not count
            raise

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explain(error) from error

    def _explain(self, error: OSError) -> ToolError:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return BucketMissing(
                f"the directory {self.location} does not exist",
                "Create the directory, or correct BUCKET or the address",
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return BucketDenied(
                f"this user has no access to the directory {self.location}",
                f"Give user {os.getuid()} read and write access to the directory",
            )
        return StoreFailed(
            f"the directory {self.location} cannot be used ({error.strerror or error})", "Check the disk"
        )


def _copy(reader: BinaryIO, target: Path, heartbeat: Callable[[], None]) -> bytes:
    """Copy an open file and sync the copy. Returns the SHA-256 of what was read."""
    digest = hashlib.sha256()
    with target.open("wb") as writer:
        while chunk := reader.read(COPY_CHUNK):
            heartbeat()
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.digest()


def open_directory(location: Location, options: StoreOptions) -> DirectoryStore:
    """The directory as a store. See `Scheme`."""
    return DirectoryStore(location, options.limits)


SCHEME = Scheme("file", ("file:///some/directory",), parse, open_directory)
