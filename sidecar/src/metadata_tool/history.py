"""The newest sound backup of a series, by its manifest: what the next backup is compared with."""

import io
import logging
from threading import Lock

from metadata_tool.archive import MANIFEST_WITHIN, Archive
from metadata_tool.catalog import Backup, RestorePoint
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported, ToolError
from metadata_tool.fetch import require_match
from metadata_tool.limits import MANIFESTS_READ
from metadata_tool.manifest import Manifest
from metadata_tool.store import Store

log = logging.getLogger(__name__)


class History:
    """Manifests of the newest backups, each read once. Several threads may use it.

    Without a manifest, a file is no backup: somebody else's, or damaged.
    """

    def __init__(self) -> None:
        self._read: dict[tuple[str, int], Manifest | None] = {}
        """By name and size. None for a file without a manifest."""
        self._lock = Lock()

    def add(self, backup: Backup, manifest: Manifest) -> None:
        """Note a backup that was just made."""
        with self._lock:
            self._read[str(backup.name), backup.size] = manifest

    def newest(self, store: Store, found: list[Backup]) -> tuple[Backup, Manifest] | None:
        """The newest of these backups that is one, with its manifest. `found` has them newest first.

        A few are tried. If no manifest can be read, a warning says so and the result is None.
        """
        candidates = found[:MANIFESTS_READ]
        with self._lock:
            keys = {_key(backup) for backup in candidates}
            self._read = {key: manifest for key, manifest in self._read.items() if key in keys}
            for backup in candidates:
                if manifest := self._manifest(store, backup):
                    return backup, manifest
        if found:
            log.warning(
                "none of the newest backups can be read, so nothing is known of the backups before this one. "
                "Check them with `metadata-tool verify`",
                extra={"backup": found[0].uri},
            )
        return None

    def _manifest(self, store: Store, backup: Backup) -> Manifest | None:
        key = _key(backup)
        if key not in self._read:
            try:
                self._read[key] = _read(store, backup)
            except (ArchiveCorrupt, ArchiveUnsupported) as error:
                self._read[key] = None
                log.warning(
                    "%s does not count as a backup, because %s. Remove it if it is not yours",
                    backup.uri,
                    error.message,
                    extra={"backup": backup.uri},
                )
            except ToolError as error:
                log.warning(
                    "the manifest of %s cannot be read, because %s",
                    backup.uri,
                    error,
                    extra={"backup": backup.uri},
                )
        return self._read.get(key)


def _key(backup: Backup) -> tuple[str, int]:
    return str(backup.name), backup.size


def _read(store: Store, backup: Backup) -> Manifest:
    start = store.read_start(str(backup.name), MANIFEST_WITHIN)
    manifest = Archive(io.BytesIO(start)).manifest
    require_match(RestorePoint(store.location, backup.name), manifest)
    return manifest
