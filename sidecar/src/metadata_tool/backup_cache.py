"""Copies of backups in CACHE_DIR, so that commands that read many backups fetch each one once."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from metadata_tool.archive import Archive, opened
from metadata_tool.catalog import Backup, BackupName, RestorePoint
from metadata_tool.encryption.keyed_store import raw_store, readable
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported, SettingError
from metadata_tool.fetch import fetched, require_match
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store import Store

log = logging.getLogger(__name__)


class BackupSource:
    """Opens backups of a store. Each is fetched, used and removed."""

    def __init__(self, store: Store, spool_dir: Path, heartbeat: Heartbeat) -> None:
        self.store = store
        self.heartbeat = heartbeat
        self._spool_dir = spool_dir

    @contextmanager
    def opened(self, backup: Backup) -> Iterator[Archive]:
        """A backup, which is verified as it is read.

        Raises:
            ArchiveCorrupt, ArchiveUnsupported: it cannot be used.
            ToolError: it cannot be fetched.
        """
        point = RestorePoint(self.store.location, backup.name)
        with fetched(point, self.store, self._spool_dir, self.heartbeat) as path, opened(path, self.heartbeat) as file:
            require_match(point, file.manifest)
            yield file


class CachedBackups(BackupSource):
    """Opens backups, and keeps copies in a directory, up to `limit` bytes. The least recently used go first.

    Copies of encrypted backups stay encrypted.
    """

    def __init__(self, store: Store, spool_dir: Path, heartbeat: Heartbeat, directory: Path, limit: int) -> None:
        """Raises SettingError if the directory cannot be made."""
        super().__init__(store, spool_dir, heartbeat)
        self._directory, self._limit = directory, limit
        with _explained(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def opened(self, backup: Backup) -> Iterator[Archive]:
        """A backup. If the copy turns out to be damaged, it is removed.

        Raises as BackupSource does, and SettingError if the directory cannot be used.
        """
        path = self._directory / str(backup.name)
        if not _is_copy(path, backup.size):
            self._fetch(backup, path)
        with _explained(self._directory):
            os.utime(path)
        try:
            with (
                readable(self.store, path.name, path, self._spool_dir, self.heartbeat) as plain,
                opened(plain, self.heartbeat) as file,
            ):
                require_match(RestorePoint(self.store.location, backup.name), file.manifest)
                yield file
        except (ArchiveCorrupt, ArchiveUnsupported) as error:
            path.unlink(missing_ok=True)
            raise type(error)(
                f"{backup.uri}: {error.message}. The copy in CACHE_DIR was removed", error.hint
            ) from error

    def _fetch(self, backup: Backup, path: Path) -> None:
        self._make_room(backup.size)
        log.info("fetching %s", backup.uri, extra={"phase": "fetch", "backup": backup.uri})
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            raw_store(self.store).fetch(str(backup.name), partial, self.heartbeat)
            with _explained(self._directory):
                partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Remove copies that were not used for long, until another one fits. Other files stay."""
        copies = []
        for path in self._directory.iterdir():
            if BackupName.parse(path.name) and path.is_file():
                with suppress(FileNotFoundError):  # another process removed it
                    copies.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        used = sum(each for _, each, _ in copies)
        for _, each, path in sorted(copies):
            if used + size <= self._limit:
                break
            path.unlink(missing_ok=True)
            used -= each


def _is_copy(path: Path, size: int) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_size == size
    return False


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingError(
            f"CACHE_DIR {directory} cannot be used ({error.strerror or error})", "Set it to a writable directory"
        ) from error
