"""The keys of encrypted backups, as settings name them. Files are read at every use, so that keys rotate."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from metadata_tool.encryption.key_file_error import KeyFileError
from metadata_tool.errors import SettingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from pyrage import x25519

T = TypeVar("T")


NO_IDENTITY = "it is encrypted, and there is no key"
NO_IDENTITY_HINT = "Set ENCRYPTION_IDENTITY_FILE to the file with the private key of ENCRYPTION_RECIPIENT"


@dataclass(frozen=True)
class BackupKeys:
    """Which keys there are. Without any, backups are neither encrypted nor signed, and encrypted ones stay closed.

    `recipients` are public keys of age. The files hold private keys of age, private keys that sign, and public keys
    whose signatures are accepted.
    """

    recipients: tuple[str, ...] = ()
    identity_file: Path | None = None
    signing_file: Path | None = None
    accepted_file: Path | None = None

    def checked(self) -> "BackupKeys":
        """The same, if backups can be encrypted and signed with it.

        Raises:
            SettingError: a public key of age is not valid, or there is no key that signs.
        """
        if not self.recipients:
            return self
        from metadata_tool.encryption.age import recipients

        if not self.signing_file:
            raise SettingError(
                "ENCRYPTION_RECIPIENT is set, but SIGNING_KEY_FILE is not",
                "Set SIGNING_KEY_FILE to a private Ed25519 key in PEM form, because encrypted backups are signed, too",
            )
        try:
            recipients(self.recipients)
        except KeyFileError as error:
            raise SettingError(
                f"ENCRYPTION_RECIPIENT is not valid, {error}",
                "Set it to public keys, as `metadata-tool make-keys` prints them",
            ) from None
        self.signing()
        return self

    def identities(self) -> "list[x25519.Identity]":
        """The private keys of age. Empty if there are none.

        Raises:
            SettingError: the file cannot be read, or is wrong.
        """
        from metadata_tool.encryption.age import identities

        return _read(self.identity_file, identities, "ENCRYPTION_IDENTITY_FILE")

    def signing(self) -> "list[Ed25519PrivateKey]":
        """The private keys that sign and seal, the current one first. Empty if there are none. Raises the same."""
        from metadata_tool.encryption.signing import private_keys

        return _read(self.signing_file, private_keys, "SIGNING_KEY_FILE")

    def accepted(self) -> "list[Ed25519PublicKey]":
        """The public keys whose signatures are accepted. Empty: any or none is. Raises the same."""
        from metadata_tool.encryption.signing import public_keys

        return _read(self.accepted_file, public_keys, "SIGNING_PUBLIC_KEY_FILE")


NO_KEYS = BackupKeys()
"""Backups are neither encrypted nor signed, and encrypted ones stay closed."""


def _read(path: Path | None, read: Callable[[Path], list[T]], name: str) -> list[T]:
    if not path:
        return []
    hint = "Set it to a file with keys, as `metadata-tool make-keys` writes it"
    try:
        return read(path)
    except OSError as error:
        raise SettingError(f"{name} {path} cannot be read ({error.strerror})", hint) from error
    except KeyFileError as error:
        raise SettingError(f"{name} {path} is not valid, {error}", hint) from None
