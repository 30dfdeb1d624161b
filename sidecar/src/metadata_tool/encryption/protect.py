"""Makes an encrypted and signed file of a finished backup, and the other way round."""

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from metadata_tool import archive
from metadata_tool.encryption import container, seal, signing
from metadata_tool.encryption.keys import NO_IDENTITY, NO_IDENTITY_HINT, BackupKeys
from metadata_tool.errors import ArchiveCorrupt, BackupEncrypted, BackupUnsigned, CaptureUnsound, SettingError
from metadata_tool.files import sha256


def protect(plain: Path, digest: bytes, target: Path, keys: BackupKeys, heartbeat: Callable[[], None]) -> bytes:
    """Write the encrypted and signed file of a verified backup. Returns the SHA-256 of the new file.

    `digest` is the SHA-256 of the backup. The new file is opened again by a key that is made for that and forgotten,
    and must have the same content, because the service does not have the private key.

    Raises:
        SettingError: a key is missing or wrong.
        CaptureUnsound: the new file has another content.
        OSError: a file cannot be read or written.
    """
    import pyrage

    from metadata_tool.encryption import age

    own = pyrage.x25519.Identity.generate()
    signers = keys.signing()
    if not signers:
        raise SettingError("SIGNING_KEY_FILE is not set, but ENCRYPTION_RECIPIENT is", "Set both, or neither")
    receivers = [*age.recipients(keys.recipients), own.to_public()]
    with archive.opened(plain, heartbeat) as backup, plain.open("rb") as source, target.open("xb") as file:
        signature = signers[0].sign(backup.manifest_text)
        container.write(
            file,
            seal.seal(backup.manifest, signers[0]),
            signature,
            lambda content: age.encrypt(source, content, receivers, heartbeat),
            backup.manifest.timestamp // 1000,
        )
    made = sha256(target)
    hashing = _Hashing()
    with target.open("rb") as file:
        head = container.read_head(file)
        age.decrypt(_content(file, head), cast("BinaryIO", hashing), [own], heartbeat)
    if hashing.digest.digest() != digest:
        raise CaptureUnsound(
            "the encrypted backup has another content than the backup",
            "Check the disk of SPOOL_DIR. If the disk works, report this bug. Nothing was uploaded",
        )
    return made


def unprotect(path: Path, target: Path, keys: BackupKeys, heartbeat: Callable[[], None]) -> None:
    """Write the backup of an encrypted file. Its signature is checked if there are keys whose signature is accepted.

    Raises:
        BackupEncrypted: there is no private key, or none that opens it.
        BackupUnsigned: the signature is of none of the keys that are accepted.
        ArchiveCorrupt: the file is damaged.
        SettingError: a file of keys is wrong.
        OSError: a file cannot be read or written.
    """
    from metadata_tool.encryption import age

    identities, accepted = keys.identities(), keys.accepted()
    if not identities:
        raise BackupEncrypted(NO_IDENTITY, NO_IDENTITY_HINT)
    with path.open("rb") as file, target.open("xb") as plain:
        head = container.read_head(file)
        age.decrypt(_content(file, head), plain, identities, heartbeat)
        container.require_end(file, head.size)
    if accepted:
        with archive.opened(target, heartbeat) as backup:
            if not signing.is_signed(backup.manifest_text, head.signature, accepted):
                raise BackupUnsigned(
                    "its signature is of no key in SIGNING_PUBLIC_KEY_FILE",
                    "Add the public key of the service that wrote it, or do not use this backup: another wrote it",
                )


def opened_start(start: bytes, keys: BackupKeys) -> bytes:
    """The beginning of a backup, from the first bytes of its encrypted file. Empty if no key opens it.

    Raises:
        ArchiveCorrupt: the file is damaged.
        SettingError: the file of keys is wrong.
    """
    from metadata_tool.encryption import age

    found = io.BytesIO()
    file = io.BytesIO(start)
    head = container.read_head(file)
    with suppress(ArchiveCorrupt, BackupEncrypted):  # the end may be missing
        age.decrypt(_content(file, head), found, keys.identities(), lambda: None)
    return found.getvalue()


def _content(file: BinaryIO, head: container.Head) -> BinaryIO:
    return cast("BinaryIO", container.Content(file, head.size))


class _Hashing:
    """A file that keeps only the SHA-256 of what is written to it."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return len(content)

    def flush(self) -> None:
        pass
