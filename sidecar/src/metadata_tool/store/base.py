"""What every store promises, how a scheme is registered, and the errors that all stores share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from metadata_tool.errors import BackupMissing, StoreFailed, UploadUnverified
from metadata_tool.location import Location
from metadata_tool.store.credentials import Keys
from metadata_tool.store.limits import DEFAULT, TransferLimits


def ignored(_sent: int) -> None:
    """Ignore the progress of an upload."""


class Store(Protocol):
    """One folder of files. `tests/support/store_contract.py` checks every store against each promise below."""

    @property
    def location(self) -> Location:
        """The folder."""

    def save(
        self,
        source: Path,
        digest: bytes,
        name: str,
        heartbeat: Callable[[], None],
        *,
        sent: Callable[[int], None] = ignored,
    ) -> None:
        """Keep a copy of a local file under this name, and verify that the copy has this SHA-256.

        A listing shows the copy completely and verified, or not at all. An existing file is never overwritten. A
        failed or stopped save leaves nothing behind. `heartbeat` is called often, and ends the save by raising.
        `sent` gets the number of bytes that were sent so far, from any thread.

        Raises:
            StoreFailed: a file of this name exists already.
            UploadUnverified: the local file, or the stored copy, does not have this SHA-256.
            BucketMissing: the folder's bucket or directory does not exist.
            ToolError: the store cannot be used. The type says why.
        """

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """Copy a file to a local path, and log the progress every few seconds.

        A broken connection is opened again, and the transfer continues at the missing byte. A file that exists at the
        local path is replaced, and nothing of it is reused.

        Raises:
            BackupMissing: there is no file of this name. No local file is made.
            BucketMissing: the folder's bucket or directory does not exist.
            ToolError: the store cannot be used. The type says why.
        """

    def read_start(self, name: str, limit: int) -> bytes:
        """The first bytes of a file, `limit` at most. The rest of the file is not transferred.

        Raises:
            BackupMissing: there is no file of this name.
            BucketMissing: the folder's bucket or directory does not exist.
            ToolError: the store cannot be used. The type says why.
        """

    def list(self, prefix: str) -> dict[str, int]:
        """Names in this folder that start with the prefix, and their sizes in bytes. Subfolders are not included.

        Raises:
            BucketMissing: the folder's bucket or directory does not exist.
            ToolError: the store cannot be used. The type says why.
        """

    def delete(self, name: str) -> None:
        """Remove a file. If the file does not exist, nothing happens.

        Raises:
            BucketMissing: the folder's bucket or directory does not exist.
            ToolError: the store cannot be used. The type says why.
        """


@dataclass(frozen=True)
class UploadOptions:
    """What a bucket demands of uploads, in S3's words. Empty texts are not sent."""

    server_side_encryption: str = ""
    kms_key_id: str = ""
    storage_class: str = ""
    object_acl: str = ""


_NOTHING = UploadOptions()


@dataclass(frozen=True)
class StoreOptions:
    """How to reach an object store, and what its bucket demands. A directory needs only the limits.

    `variables.py` says what each field means. Empty texts are not sent. Without `endpoint_url` and `keys`, boto3 finds
    them. Messages call `credentials_dir` by the name of its setting.
    """

    region: str | None = None
    endpoint_url: str = ""
    keys: Keys | None = None
    addressing_style: str = "auto"
    credentials_dir: Path | None = None
    credentials_setting: str = "S3_CREDENTIALS_DIR"
    checksums: str = "auto"
    verify: str = "full"
    expected_bucket_owner: str = ""
    requester_pays: bool = False
    upload: UploadOptions = _NOTHING
    limits: TransferLimits = DEFAULT


@dataclass(frozen=True)
class Scheme:
    """One kind of address, and the store behind it.

    `parse` reads what follows `://`, and raises ValueError with a reason that does not repeat the address. `open`
    makes no request. It raises SettingError if the store's own settings are wrong.
    """

    name: str
    examples: tuple[str, ...]
    parse: Callable[[str], Location]
    open: Callable[[Location, StoreOptions], Store]


def already_there(location: Location, name: str) -> StoreFailed:
    """The error for a name that is taken."""
    return StoreFailed(
        f"{location.uri(name)} exists already, and was not overwritten",
        "Check whether another backup with this prefix is running",
    )


def source_changed(location: Location, name: str) -> UploadUnverified:
    """The error for a local file that has changed since it was made."""
    return UploadUnverified(
        f"the local file for {location.uri(name)} has changed since it was made, and was not kept",
        "Check the disk of SPOOL_DIR, and whether another program writes there",
    )


def no_such_backup(location: Location, name: str) -> BackupMissing:
    """The error for a file that does not exist."""
    return BackupMissing(
        f"{location.uri(name)} does not exist",
        f"Run `metadata-tool list` with BUCKET={location} and its prefix to see which backups exist",
    )
