"""The age format (age-encryption.org/v1) by pyrage, in the memory of one chunk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from metadata_tool.encryption.key_file_error import KeyFileError
from metadata_tool.errors import ArchiveCorrupt, BackupEncrypted
from metadata_tool.manifest import USE_ANOTHER

if TYPE_CHECKING:
    from pyrage import x25519

_NO_KEY = "No matching keys found"
"""What pyrage says if no identity opens the file."""


def recipients(texts: Sequence[str]) -> "list[x25519.Recipient]":
    """Public keys, `age1…`.

    Raises:
        ValueError: one is not valid. It is not repeated, as it may be a private one by mistake.
    """
    import pyrage

    found = []
    for number, text in enumerate(texts, 1):
        try:
            found.append(pyrage.x25519.Recipient.from_str(text))
        except pyrage.RecipientError:
            raise KeyFileError(f"key {number} is not a public key of age, which starts with age1") from None
    return found


def identities(path: Path) -> "list[x25519.Identity]":
    """The private keys in a file as `age-keygen` writes it: one a line, with comments.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not a private key, or there is none.
    """
    import pyrage

    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        text = line.decode("ascii", "replace").strip()
        if not text or text.startswith("#"):
            continue
        try:
            found.append(pyrage.x25519.Identity.from_str(text))
        except pyrage.IdentityError:
            raise KeyFileError(
                f"line {number} is not a private key of age, which starts with AGE-SECRET-KEY-1"
            ) from None
    if not found:
        raise KeyFileError("it has no private key")
    return found


class _Stream:
    """A file for pyrage, which turns errors into texts. This keeps the first one."""

    def __init__(self, file: BinaryIO, heartbeat: Callable[[], None]) -> None:
        self._file = file
        self._heartbeat = heartbeat
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            self._heartbeat()
            return self._file.read(size)
        except BaseException as error:
            self.error = self.error or error
            raise

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except BaseException as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self._file.flush()


def encrypt(
    source: BinaryIO, target: BinaryIO, keys: "Sequence[x25519.Recipient]", heartbeat: Callable[[], None]
) -> None:
    """Encrypt what is left of a file for the holders of these keys.

    Raises:
        OSError: a file cannot be read or written.
    """
    import pyrage

    reader, writer = _Stream(source, heartbeat), _Stream(target, heartbeat)
    try:
        pyrage.encrypt_io(reader, writer, keys)
    except (pyrage.EncryptError, OSError) as error:
        raise reader.error or writer.error or error from None


def decrypt(
    source: BinaryIO, target: BinaryIO, keys: "Sequence[x25519.Identity]", heartbeat: Callable[[], None]
) -> None:
    """Decrypt what is left of a file. What is written before an error is a part of the content.

    Raises:
        BackupEncrypted: none of the keys opens it.
        ArchiveCorrupt: it is damaged.
        OSError: a file cannot be read or written.
    """
    import pyrage

    reader, writer = _Stream(source, heartbeat), _Stream(target, heartbeat)
    try:
        pyrage.decrypt_io(reader, writer, keys)
    except (pyrage.DecryptError, OSError) as error:
        if own := reader.error or writer.error:
            raise own from None
        if str(error) == _NO_KEY:
            raise BackupEncrypted(
                "it is encrypted, and no key in ENCRYPTION_IDENTITY_FILE opens it",
                "Add the private key that belonged to ENCRYPTION_RECIPIENT when the backup was made. "
                "A file may have several keys, one a line",
            ) from None
        raise ArchiveCorrupt("its encrypted content is damaged, cut off, or not of age's format", USE_ANOTHER) from None
