"""A copy of a backup: the same file, under the same name, in another place."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from metadata_tool.catalog import BackupName
from metadata_tool.encryption.keyed_store import raw_store
from metadata_tool.errors import ArchiveCorrupt, StoreFailed
from metadata_tool.files import sha256
from metadata_tool.lifecycle import Heartbeat, interruptible
from metadata_tool.manifest import Manifest
from metadata_tool.store import Store
from metadata_tool.workspace import explained


@dataclass(frozen=True)
class BackupFile:
    """The file of a backup on this machine: its name, and the SHA-256 that it had when it was made."""

    path: Path
    name: BackupName
    sha256: bytes


@dataclass(frozen=True)
class Finished(BackupFile):
    """A backup that is in BUCKET, with its manifest."""

    manifest: Manifest


def save_copy(store: Store, made: BackupFile, directory: Path, heartbeat: Heartbeat, *, again: bool = False) -> None:
    """Keep a verified copy of this backup in a store. If the store has it already, it is compared.

    `again`: an earlier call for this backup failed, and may have left a file there that is not verified. It is
    replaced. `directory` is for work in progress.

    Raises:
        StoreFailed: another file has this name, and stays as it is.
        ToolError: the store cannot be used, or does not keep what it was given.
    """
    name = str(made.name)
    if name in interruptible(partial(store.list, name), heartbeat):
        _compare(store, made, directory, heartbeat)
        return
    try:
        store.save(made.path, made.sha256, name, heartbeat)
    except StoreFailed:
        if not again:
            raise
        store.delete(name)
        store.save(made.path, made.sha256, name, heartbeat)


def fetch_again(store: Store, name: BackupName, digest: bytes, target: Path, heartbeat: Heartbeat) -> BackupFile:
    """The file of a backup from BUCKET, exactly as it was made.

    Raises:
        ArchiveCorrupt: it is not the file that was made, and no local file is left.
        ToolError: the store cannot be used.
    """
    with explained(target.parent):
        raw_store(store).fetch(str(name), target, heartbeat)
        if sha256(target) != digest:
            target.unlink()
            raise ArchiveCorrupt(
                f"{store.location.uri(str(name))} is not the file that this service made",
                "Find out who writes there, and do not restore this backup",
            )
    return BackupFile(target, name, digest)


def _compare(store: Store, made: BackupFile, directory: Path, heartbeat: Heartbeat) -> None:
    fetched = directory / f"{made.name}.there"
    with explained(directory):
        raw_store(store).fetch(str(made.name), fetched, heartbeat)
        found = sha256(fetched)
        fetched.unlink()
    if found != made.sha256:
        raise StoreFailed(
            f"{store.location.uri(str(made.name))} exists already with another content, and was not overwritten",
            "Check which program writes there, and give the copies of each service a place of their own",
        )
