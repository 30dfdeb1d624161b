"""Makes the keys of encrypted backups, in the files that age-keygen and OpenSSL would write."""

import os
from contextlib import suppress
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from metadata_tool.errors import SettingError
from metadata_tool.files import sync_directory

IDENTITY, SIGNING, ACCEPTED = "identity.txt", "signing.pem", "signing.pub"


def make_keys(directory: Path) -> str:
    """Write a new private key of age, and a new pair that signs. Returns the public key of age.

    Nobody else may read the files. If one of them exists, or cannot be written, none is there afterwards.

    Raises:
        SettingError: the directory cannot be used, or has one of the files.
    """
    identity, signing = pyrage.x25519.Identity.generate(), Ed25519PrivateKey.generate()
    recipient = str(identity.to_public())
    public = signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write(
        directory,
        {
            IDENTITY: f"# public key: {recipient}\n{identity}\n".encode(),
            SIGNING: signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            ACCEPTED: public,
        },
    )
    return recipient


def _write(directory: Path, files: dict[str, bytes]) -> None:
    written: list[Path] = []
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        for path in (directory / name for name in files):
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                written.append(path)
                file.write(files[path.name])
                file.flush()
                os.fsync(file.fileno())
        sync_directory(directory)
    except FileExistsError as error:
        _remove(written)
        raise SettingError(
            f"{error.filename} exists already, and was not overwritten", "Name a directory without keys"
        ) from error
    except OSError as error:
        _remove(written)
        raise SettingError(
            f"{directory} cannot have new keys ({error.strerror})", "Name a directory that you may write"
        ) from error
    except BaseException:
        _remove(written)
        raise


def _remove(written: list[Path]) -> None:
    for path in written:
        with suppress(OSError):
            path.unlink()
