"""Keys of encrypted backups, as operators make them, and files with them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from metadata_tool.encryption.keys import BackupKeys


@dataclass(frozen=True)
class KeySet:
    """A pair of age, and a pair that signs, in files of a directory."""

    directory: Path

    @cached_property
    def recipient(self) -> str:
        """The public key of age."""
        identity = pyrage.x25519.Identity.generate()
        self._write("identity", f"# created: today\n# public key: {identity.to_public()}\n{identity}\n")
        return str(identity.to_public())

    @cached_property
    def identity_file(self) -> Path:
        """A file with the private key, as age-keygen writes it."""
        assert self.recipient
        return self.directory / "identity"

    @cached_property
    def signing_file(self) -> Path:
        """A file with the private key that signs."""
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self._write("signing.pub", public.decode())
        return self._write("signing", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())

    @cached_property
    def accepted_file(self) -> Path:
        """A file with its public key."""
        return self.signing_file.with_name("signing.pub")

    @property
    def of_service(self) -> BackupKeys:
        """The keys of a service."""
        return BackupKeys((self.recipient,), signing_file=self.signing_file)

    @property
    def of_operator(self) -> BackupKeys:
        """The keys that open backups, and tell who wrote them."""
        return BackupKeys(identity_file=self.identity_file, accepted_file=self.accepted_file)

    @property
    def serve(self) -> dict[str, str]:
        """The settings of a service."""
        return {"ENCRYPTION_RECIPIENT": self.recipient, "SIGNING_KEY_FILE": str(self.signing_file)}

    @property
    def read(self) -> dict[str, str]:
        """The settings of an operator."""
        return {
            "ENCRYPTION_IDENTITY_FILE": str(self.identity_file),
            "SIGNING_PUBLIC_KEY_FILE": str(self.accepted_file),
        }

    def _write(self, name: str, text: str) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / name
        path.write_text(text)
        return path


def joined(path: Path, *files: Path) -> Path:
    """A file with the keys of several."""
    path.write_bytes(b"".join(file.read_bytes() for file in files))
    return path
