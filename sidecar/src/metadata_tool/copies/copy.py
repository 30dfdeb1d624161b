"""A copy of a backup: the same file, under the same name, in another place."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from metadata_tool.catalog import BackupName
from metadata_tool.encryption.keyed_store import raw_store
from metadata_tool.errors import StoreFailed
from metadata_tool.files import sha256
from metadata_tool.lifecycle import Heartbeat, interruptible
from metadata_tool.manifest import Manifest
from metadata_tool.store import Store
from metadata_tool.workspace import explained


@dataclass(frozen=True)
class Finished:
    """A backup that is in BUCKET: its file on this machine, its name, the file's SHA-256, and its manifest."""

    path: Path
    name: BackupName
    sha256: bytes
    manifest: Manifest


def save_copy(store: Store, finished: Finished, directory: Path, heartbeat: Heartbeat, *, again: bool = False) -> None:
    """Keep a verified copy of this backup in a store. If the store has it already, it is compared.

    `again`: an earlier call for this backup failed, and may have left a file there that is not verified. It is
    replaced. `directory` is for work in progress.

    Raises:
        StoreFailed: another file has this name, and stays as it is.
        ToolError: the store cannot be used, or does not keep what it was given.
    """
    name = str(finished.name)
    if name in interruptible(partial(store.list, name), heartbeat):
        _compare(store, finished, directory, heartbeat)
        return
    try:
        store.save(finished.path, finished.sha256, name, heartbeat)
    except StoreFailed:
        if not again:
            raise
        store.delete(name)
        store.save(finished.path, finished.sha256, name, heartbeat)


def _compare(store: Store, finished: Finished, directory: Path, heartbeat: Heartbeat) -> None:
    fetched = directory / f"{finished.name}.there"
    with explained(directory):
        raw_store(store).fetch(str(finished.name), fetched, heartbeat)
        found = sha256(fetched)
        fetched.unlink()
    if found != finished.sha256:
        raise StoreFailed(
            f"{store.location.uri(str(finished.name))} exists already with another content, and was not overwritten",
            "Check which program writes there, and give the copies of each service a place of their own",
        )
