"""A store whose backups are encrypted and signed. Everything else in it stays as it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metadata_tool import archive
from metadata_tool.catalog import BackupName
from metadata_tool.encryption import container
from metadata_tool.encryption.keys import NO_IDENTITY, NO_IDENTITY_HINT, BackupKeys
from metadata_tool.errors import ArchiveCorrupt, BackupEncrypted, BackupUnsigned, SettingError, ToolError
from metadata_tool.location import Location
from metadata_tool.store import Store
from metadata_tool.workspace import workspace


def raw_store(store: Store) -> Store:
    """The store with its files as they are, encrypted or not."""
    return store.raw if isinstance(store, KeyedStore) else store


@contextmanager
def readable(store: Store, name: str, path: Path, spool_dir: Path, heartbeat: Callable[[], None]) -> Iterator[Path]:
    """The backup in a file that was fetched from the raw store: the same file, or a new one, removed at the end.

    Raises as `KeyedStore.fetch`, and SpoolFailed.
    """
    if not isinstance(store, KeyedStore):
        yield path
        return
    with workspace(spool_dir) as directory:
        yield store.open_file(name, path, heartbeat, directory)


def protected(plain: Path, digest: bytes, keys: BackupKeys, heartbeat: Callable[[], None]) -> tuple[Path, bytes]:
    """The encrypted and signed file of a backup, beside it, and its SHA-256. See `protect`."""
    from metadata_tool.encryption.protect import protect

    target = plain.with_name(f"{plain.name}.encrypted")
    return target, protect(plain, digest, target, keys, heartbeat)


def is_encrypted(path: Path) -> bool:
    """Whether a file is an encrypted backup."""
    with path.open("rb") as file:
        return container.begins(file.read(container.MAGIC))


class KeyedStore:
    """A store that opens encrypted backups on the way in, and saves none that is not encrypted if they are to be."""

    def __init__(self, store: Store, keys: BackupKeys) -> None:
        self.raw = store
        """The store with the files as they are."""
        self._keys = keys

    @property
    def location(self) -> Location:
        """The folder."""
        return self.raw.location

    def save(
        self,
        source: Path,
        digest: bytes,
        name: str,
        heartbeat: Callable[[], None],
        *,
        sent: Callable[[int], None] = lambda _: None,
    ) -> None:
        """See `Store.save`. A backup that is not encrypted yet is encrypted first, if there is a key for that.

        Raises:
            SettingError: there is only a private key.
        """
        if BackupName.parse(name) is None or is_encrypted(source):
            self.raw.save(source, digest, name, heartbeat, sent=sent)
        elif self._keys.recipients:
            made, own_digest = protected(source, digest, self._keys, heartbeat)
            self.raw.save(made, own_digest, name, heartbeat, sent=sent)
        elif self._keys.identity_file:
            raise SettingError(
                "ENCRYPTION_IDENTITY_FILE is set, but ENCRYPTION_RECIPIENT is not, so a backup would be saved without "
                "encryption",
                "Set ENCRYPTION_RECIPIENT and SIGNING_KEY_FILE. Nothing was saved",
            )
        else:
            self.raw.save(source, digest, name, heartbeat, sent=sent)

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """See `Store.fetch`. The file is the backup itself, and its signature was checked if there is a key for that.

        Raises:
            BackupEncrypted: there is no key that opens it.
            BackupUnsigned: its signature is not accepted.
        """
        if BackupName.parse(name) is None:
            self.raw.fetch(name, target, heartbeat)
            return
        if self._keys.signing_file and not self._keys.identity_file:  # as in the service: do not fetch it in vain
            self._require_plain(name)
        self.raw.fetch(name, target, heartbeat)
        try:
            readable = self.open_file(name, target, heartbeat)
        except ToolError:
            target.unlink()
            raise
        if readable != target:
            readable.replace(target)

    def open_file(self, name: str, path: Path, heartbeat: Callable[[], None], directory: Path | None = None) -> Path:
        """The backup in a file that was fetched as it is: the same file, or if it is encrypted, a new one.

        The new file is in this directory, or beside the other one. Raises as `fetch`.
        """
        plain = (directory or path.parent) / f"{path.name}.plain"
        try:
            if is_encrypted(path):
                from metadata_tool.encryption.protect import unprotect

                unprotect(path, plain, self._keys, heartbeat)
                return plain
            if self._keys.accepted_file:
                raise BackupUnsigned(
                    "it is not signed",
                    "Use a backup that is. To use this one after you have looked at it, unset SIGNING_PUBLIC_KEY_FILE",
                )
        except (ToolError, OSError) as error:
            plain.unlink(missing_ok=True)
            if isinstance(error, BackupEncrypted | BackupUnsigned | ArchiveCorrupt):
                uri = self.location.uri(name)
                raise type(error)(f"{uri} cannot be used, {error.message}", error.hint) from error
            raise
        return path

    def _require_plain(self, name: str) -> None:
        if container.begins(self.raw.read_start(name, container.MAGIC)):
            uri = self.location.uri(name)
            raise BackupEncrypted(f"{uri} cannot be used, {NO_IDENTITY}", NO_IDENTITY_HINT)

    def read_start(self, name: str, limit: int) -> bytes:
        """See `Store.read_start`. Of an encrypted backup, the beginning of the backup, if there is a key that opens it.

        Otherwise, it is the beginning of a backup with the part of the manifest that the service has sealed.

        Raises:
            BackupEncrypted: no key here opens it, and none has sealed it.
        """
        start = self.raw.read_start(name, max(limit, container.START))
        if not container.begins(start):
            return start[:limit]
        from metadata_tool.encryption.protect import opened_start
        from metadata_tool.encryption.seal import unseal

        if self._keys.identity_file:
            whole = self.raw.read_start(name, container.START + limit)  # what is before the content is not in the limit
            if opened := opened_start(whole, self._keys):
                return opened
        text = unseal(container.read_sealed(start), self._keys.signing())
        if text is None:
            raise BackupEncrypted(
                f"{self.location.uri(name)} is encrypted, and no key opens it or has sealed its manifest",
                "Set ENCRYPTION_IDENTITY_FILE. In the service, add its keys from before a rotation to SIGNING_KEY_FILE",
            )
        return archive.beginning(text)

    def list(self, prefix: str) -> dict[str, int]:
        """See `Store.list`."""
        return self.raw.list(prefix)

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        self.raw.delete(name)
