"""Ed25519 keys in PEM files: who signs backups, and whose signatures a restore accepts."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from metadata_tool.encryption.key_file_error import KeyFileError

_OTHER_KIND = "one of its keys is not an Ed25519 key"
_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)


def private_keys(path: Path) -> list[Ed25519PrivateKey]:
    """The private keys of a file. The first one signs, and the others are those from before a rotation.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a PEM file of such keys.
    """
    found = _loaded(path, lambda pem: load_pem_private_key(pem, None))
    keys = [key for key in found if isinstance(key, Ed25519PrivateKey)]
    if len(keys) < len(found):
        raise KeyFileError(_OTHER_KIND)
    return keys


def public_keys(path: Path) -> list[Ed25519PublicKey]:
    """The public keys of a file. Each is accepted. Raises as `private_keys`."""
    found = _loaded(path, load_pem_public_key)
    keys = [key for key in found if isinstance(key, Ed25519PublicKey)]
    if len(keys) < len(found):
        raise KeyFileError(_OTHER_KIND)
    return keys


def _loaded(path: Path, load: Callable[[bytes], object]) -> list[object]:
    pems = _PEM.findall(path.read_bytes())
    if not pems:
        raise KeyFileError("it has no key in PEM form")
    try:
        return [load(pem) for pem in pems]
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a password
        raise KeyFileError("one of its keys cannot be read, or has a password") from None


def is_signed(text: bytes, signature: bytes, keys: Sequence[Ed25519PublicKey]) -> bool:
    """Whether this is the signature of a text by the holder of one of these keys."""
    for key in keys:
        try:
            key.verify(signature, text)
        except InvalidSignature:
            continue
        return True
    return False
