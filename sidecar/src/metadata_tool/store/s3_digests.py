"""SHA-256 of a file, as S3 writes it down for an object in one piece and for one in parts."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metadata_tool.store.limits import PART_SIZE

_SIZE = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Digests:
    """The SHA-256 of a file, and that of the SHA-256s of its parts, both in bytes."""

    of_file: bytes
    of_parts: bytes

    @classmethod
    def of(cls, path: Path) -> "Digests":
        """The digests of a local file, in parts of PART_SIZE."""
        of_file, digests = hashlib.sha256(), []
        with path.open("rb") as file:
            while part := file.read(PART_SIZE):
                of_file.update(part)
                digests.append(hashlib.sha256(part).digest())
        return cls(of_file.digest(), hashlib.sha256(b"".join(digests)).digest())


def sha256_of_answer(answer: Mapping[str, Any]) -> bytes | None:
    """The SHA-256 that a HEAD or GET tells. None if it tells none, or in a notation that is not known.

    S3 writes Base64, and for an object in parts appends `-<number of parts>`. Some stores leave that out, and others
    write hexadecimal digits.
    """
    text = str(answer.get("ChecksumSHA256") or "").partition("-")[0]
    try:
        found = bytes.fromhex(text) if len(text) == 2 * _SIZE else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return found if len(found) == _SIZE else None


def in_parts(answer: Mapping[str, Any]) -> bool:
    """Whether an object was uploaded in parts, whose sizes are not known. Its checksum is that of the parts."""
    composite = answer.get("ChecksumType") == "COMPOSITE"
    return composite or "-" in str(answer.get("ETag", "")) or "-" in str(answer.get("ChecksumSHA256", ""))
