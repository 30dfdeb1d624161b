"""What the service must know later of its own encrypted backups, readable for the holder of the signing key alone.

The service has no private key of age, so it cannot read its backups. It seals a part of each manifest for itself: which
cluster the tree is of, its zxid and its size, but no coverage and no names of namespaces.
"""

import os
from collections.abc import Sequence
from dataclasses import replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from metadata_tool.manifest import FORMAT_VERSION, Manifest

_NONCE = 12
_PURPOSE = b"metadata-tool sealed manifest 1"


def seal(manifest: Manifest, key: Ed25519PrivateKey) -> bytes:
    """The sealed part of a manifest."""
    origin = manifest.origin and {"kind": manifest.origin.get("kind")}  # the rest of it has names of namespaces
    part = replace(manifest, coverage=None, summary=None, broker=None, origin=origin, format_version=FORMAT_VERSION)
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(key).encrypt(nonce, part.encode(), _PURPOSE)


def unseal(sealed: bytes, keys: Sequence[Ed25519PrivateKey]) -> bytes | None:
    """The text of the part of a manifest. None if none of these keys has sealed it."""
    for key in keys:
        try:
            return _cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], _PURPOSE)
        except (InvalidTag, ValueError):
            continue
    return None


def _cipher(key: Ed25519PrivateKey) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(SHA256(), 32, None, _PURPOSE).derive(key.private_bytes_raw()))
