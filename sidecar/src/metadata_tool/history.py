"""The newest sound backup of a series, by its manifest: what the next backup is compared with."""

import io
import logging
from threading import Lock

from metadata_tool.archive import MANIFEST_WITHIN, Archive
from metadata_tool.catalog import Backup, RestorePoint, sound
from metadata_tool.errors import ArchiveCorrupt, ToolError
from metadata_tool.fetch import require_match
from metadata_tool.limits import MANIFESTS_READ
from metadata_tool.manifest import Manifest
from metadata_tool.store import Store

log = logging.getLogger(__name__)


FileKey = tuple[str, int]
"""The name and the size of a file."""
_KEPT = 4 * MANIFESTS_READ
"""How many files are remembered, those that were read last."""
_UNREAD = object()


class History:
    """Manifests of the newest backups, each read once. Several threads may use it.

    A file without a manifest of its own name is no backup: somebody else's, renamed, or damaged.
    """

    def __init__(self) -> None:
        self._read: dict[FileKey, Manifest | None] = {}
        """None for a file that is no backup."""
        self._lock = Lock()

    def add(self, backup: Backup, manifest: Manifest) -> None:
        """Note a backup that was just made."""
        with self._lock:
            self._keep(file_key(backup), manifest)

    def newest(self, store: Store, found: list[Backup]) -> tuple[Backup, Manifest] | None:
        """The newest of these backups that is one, with its manifest. `found` has them newest first.

        A few are tried. If no manifest can be read, a warning says so and the result is None.
        """
        for backup in found[:MANIFESTS_READ]:
            try:
                manifest = self._manifest(store, backup)
            except ToolError as error:
                log.warning(
                    "the manifest of %s cannot be read, because %s", backup.uri, error, extra={"backup": backup.uri}
                )
            else:
                if manifest:
                    return backup, manifest
        if found:
            log.warning(
                "none of the newest backups can be read, so nothing is known of the backups before this one. "
                "Check them with `metadata-tool verify`",
                extra={"backup": found[0].uri},
            )
        return None

    def genuine(self, store: Store, found: list[Backup]) -> list[Backup]:
        """The same backups without files at their head that are no backups, so that the first of each kind is one.

        A file that cannot be read, or has a later format, stays.
        """
        for kind in (found, sound(found)):
            for backup in kind[:MANIFESTS_READ]:
                try:
                    if self._manifest(store, backup):
                        break
                except ToolError:
                    break
        with self._lock:
            return [backup for backup in found if self._read.get(file_key(backup), _UNREAD) is not None]

    def _manifest(self, store: Store, backup: Backup) -> Manifest | None:
        """The manifest of a backup. None if it is no backup. Raises ToolError if that is not known.

        No thread waits for the store while another one reads. Two may read the same file.
        """
        key = file_key(backup)
        with self._lock:
            if key in self._read:
                return self._read[key]
        manifest = _read(store, backup)
        with self._lock:
            self._keep(key, manifest)
        return manifest

    def _keep(self, key: FileKey, manifest: Manifest | None) -> None:
        if key not in self._read and len(self._read) >= _KEPT:
            self._read.pop(next(iter(self._read)))
        self._read[key] = manifest


def file_key(backup: Backup) -> FileKey:
    """By what a file is known that was read once."""
    return str(backup.name), backup.size


def read_manifest(store: Store, backup: Backup) -> Manifest:
    """The manifest of a backup, from its first bytes.

    Raises:
        ArchiveCorrupt: the file is no backup, or not the one of its name.
        ToolError: it has a later format, or cannot be read.
    """
    manifest = Archive(io.BytesIO(store.read_start(str(backup.name), MANIFEST_WITHIN))).manifest
    require_match(RestorePoint(store.location, backup.name), manifest)
    return manifest


def _read(store: Store, backup: Backup) -> Manifest | None:
    try:
        return read_manifest(store, backup)
    except ArchiveCorrupt as error:
        log.warning(
            "%s does not count as a backup, because %s. Remove it if it is not yours",
            backup.uri,
            error.message,
            extra={"backup": backup.uri},
        )
        return None
