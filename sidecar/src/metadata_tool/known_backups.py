"""Whose the files are that have names of backups, and which are good. Each file is read once.

A name proves nothing: any program may write a file of that name. A manifest says which program and cluster a file is
of, and only a backup that was read to its end is known to be good.
"""

import logging
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from metadata_tool.catalog import Backup, RestorePoint
from metadata_tool.continuity import same_cluster
from metadata_tool.errors import (
    ArchiveCorrupt,
    ArchiveUnsupported,
    BackupEncrypted,
    BackupMissing,
    BucketDenied,
    ObjectArchived,
)
from metadata_tool.fetch import fetched, verify
from metadata_tool.history import FileKey, file_key, read_manifest
from metadata_tool.identity import Identity
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.manifest import Manifest
from metadata_tool.store import Store

log = logging.getLogger(__name__)


class Whose(StrEnum):
    """Whose a file is."""

    OURS = "ours"
    OTHER_CLUSTER = "other-cluster"
    """A backup of another cluster, such as the one that this cluster was restored from."""
    DERIVED = "derived"
    """A restore point that was made by `reconcile` or `rescue`."""
    LATER_VERSION = "later-version"
    """What a later version of this program wrote, and this one cannot read."""
    UNREADABLE = "unreadable"
    """What is in an archive, encrypted for others or denied to these credentials, or was just deleted."""
    NO_BACKUP = "not-a-backup"
    """A damaged, renamed or foreign file."""


class OutOfReads(Exception):  # noqa: N818  # no error: the rest is read the next time
    """No more files are read this time."""


class KnownBackups:
    """What is known of the files of one prefix."""

    def __init__(self, store: Store, spool_dir: Path) -> None:
        self._store = store
        self._spool_dir = spool_dir
        self._manifests: dict[FileKey, Manifest] = {}
        """Of those that are known to be good: a few."""
        self._bad: set[FileKey] = set()
        self._closed: set[FileKey] = set()
        """Of those that are encrypted, and that no key here opens."""
        self._whose: dict[FileKey, Whose] = {}
        self._identity = Identity()
        self._reads: int | None = None

    def begin(self, there: Iterable[Backup], reads: int | None) -> None:
        """Forget what is not there any more, and allow this many files to be read. None: all of them."""
        keys = {file_key(backup) for backup in there}
        self._manifests = {key: manifest for key, manifest in self._manifests.items() if key in keys}
        self._whose = {key: whose for key, whose in self._whose.items() if key in keys}
        self._bad &= keys
        self._closed &= keys
        self._reads = reads

    def add(self, backup: Backup, manifest: Manifest) -> None:
        """Note a backup that was just made and verified."""
        self._manifests[file_key(backup)] = manifest

    def good(self, backup: Backup, heartbeat: Heartbeat) -> Manifest | None:
        """The manifest of a backup that passes all checks of a restore. None if it does not.

        Raises:
            ToolError: it cannot be fetched.
        """
        key = file_key(backup)
        if not any(key in known for known in (self._manifests, self._bad, self._closed)):
            point = RestorePoint(self._store.location, backup.name)
            try:
                with fetched(point, self._store, self._spool_dir, heartbeat) as path:
                    self._manifests[key] = verify(point, path, heartbeat)
            except BackupEncrypted as error:
                self._closed.add(key)
                log.info("a backup cannot be verified here, because %s", error.message)
            except (ArchiveCorrupt, ArchiveUnsupported) as error:
                self._bad.add(key)
                log.warning("%s cannot be restored: %s", backup.uri, error, extra={"backup": backup.uri})
        return self._manifests.get(key)

    def identity(self, backup: Backup) -> Identity:
        """Which cluster a backup is of that is known to be good."""
        return Identity.parse(self._manifests[file_key(backup)].identity)

    @property
    def restored_from(self) -> str:
        """The restore point of the cluster that files are compared with. Empty if it was not restored."""
        return self._identity.restored.point if self._identity.restored else ""

    def compare_with(self, identity: Identity) -> None:
        """Set the identity of the cluster that files are compared with."""
        if identity != self._identity:
            self._identity = identity
            self._whose.clear()

    def whose(self, backup: Backup) -> Whose:
        """Whose a file is.

        Raises:
            OutOfReads: it is not known, and no more files are read this time.
            ToolError: it cannot be read.
        """
        key = file_key(backup)
        if key in self._bad:
            return Whose.NO_BACKUP
        if key not in self._whose:
            self._whose[key] = self._of(self._manifests[key]) if key in self._manifests else self._read(backup)
        return self._whose[key]

    def _read(self, backup: Backup) -> Whose:
        if self._reads is not None:
            if not self._reads:
                raise OutOfReads
            self._reads -= 1
        try:
            return self._of(read_manifest(self._store, backup))
        except ArchiveCorrupt:
            return Whose.NO_BACKUP
        except ArchiveUnsupported:
            return Whose.LATER_VERSION
        except (ObjectArchived, BackupEncrypted, BackupMissing, BucketDenied):
            return Whose.UNREADABLE

    def _of(self, manifest: Manifest) -> Whose:
        if manifest.origin is not None:
            return Whose.DERIVED
        if not same_cluster(Identity.parse(manifest.identity), self._identity):
            return Whose.OTHER_CLUSTER
        return Whose.OURS
