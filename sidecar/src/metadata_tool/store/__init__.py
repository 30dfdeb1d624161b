"""Where files are kept: S3 and whatever speaks its protocol, or a directory. Four verbs: save, fetch, list, delete."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from metadata_tool.errors import BackupMissing, StoreFailed, UploadUnverified
from metadata_tool.location import Location


class Store(Protocol):
    """One folder of files. A file appears under its name whole, and counts once `save` has returned."""

    @property
    def location(self) -> Location:
        """The folder."""

    def save(self, source: Path, digest: bytes, name: str, heartbeat: Callable[[], None]) -> None:
        """Keep a copy of a local file, and prove that what is kept has this SHA-256: that of what was made.

        Raises:
            StoreFailed: there is a file of this name already; it is left as it is.
            UploadUnverified: what arrived, or was read, was something else; it was removed again.
            ToolError: the store cannot be used; the type says how.
        """

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """Copy a file to a local path, and say every few seconds how far it is.

        A connection that breaks is made again, and goes on where it was. What a process left half done is not gone
        on with by the next: nothing tells whether it is sound.

        Raises:
            BackupMissing: there is no such file.
            ToolError: the store cannot be used.
        """

    def list(self, prefix: str) -> dict[str, int]:
        """Names that begin with the prefix, in this folder alone, and their sizes in bytes.

        Raises:
            ToolError: the store cannot be used.
        """

    def delete(self, name: str) -> None:
        """Remove a file; no matter if there is none.

        Raises:
            ToolError: the store cannot be used.
        """


def open_store(
    location: Location,
    region: str | None = None,
    addressing_style: str = "auto",
    credentials_dir: Path | None = None,
) -> Store:
    """The store of a location. The other settings matter to S3 alone. Nothing is asked of it yet.

    Raises:
        SettingError: boto3's own settings are wrong.
    """
    if location.scheme == "file":
        from metadata_tool.store.directory import DirectoryStore

        return DirectoryStore(location)
    from metadata_tool.store.s3 import S3Store  # boto3 takes a second to load

    return S3Store(location, region, addressing_style, credentials_dir)


def already_there(location: Location, name: str) -> StoreFailed:
    """The error for a name that is taken."""
    return StoreFailed(f"{location.uri(name)} is there already", "It was left as it is; is another backup running?")


def changed_meanwhile(location: Location, name: str) -> UploadUnverified:
    """The error for a local file that is not what was made."""
    return UploadUnverified(
        f"the file for {location.uri(name)} has changed since it was made",
        "Nothing of it was kept; look after the disk of SPOOL_DIR, and for who else writes there",
    )


def no_such_backup(location: Location, name: str) -> BackupMissing:
    """The error for a file that is not there."""
    return BackupMissing(
        f"there is no {location.uri(name)}",
        f"`metadata-tool list` with BUCKET={location} and its prefix shows which there are",
    )
