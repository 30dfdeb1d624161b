"""Accepts a suspect backup: a copy under the name of a sound one, with which the next backups are compared."""

import logging
from pathlib import Path

from metadata_tool.catalog import RestorePoint, backups, sound
from metadata_tool.encryption.keyed_store import KeyedStore, raw_store
from metadata_tool.errors import SettingError
from metadata_tool.fetch import fetched, verify
from metadata_tool.files import sha256
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store import Store

log = logging.getLogger(__name__)


def accept(point: RestorePoint, store: Store, spool_dir: Path, heartbeat: Heartbeat) -> str:
    """The address of the copy. It has the same bytes and the same time, and the suspect backup stays.

    Raises:
        SettingError: the backup is not suspect.
        StoreFailed: it was accepted before.
        ToolError: the backup is damaged, or cannot be copied. Nothing was changed.
    """
    if not point.name.suspect:
        raise SettingError(f"{point} is not suspect", "Copy the address of a suspect backup from `metadata-tool list`")
    name = point.name.sound
    raw = raw_store(store)
    with fetched(point, raw, spool_dir, heartbeat) as path:
        digest = sha256(path)
        readable = store.open_file(str(point.name), path, heartbeat) if isinstance(store, KeyedStore) else path
        manifest = verify(point, readable, heartbeat)
        raw.save(path, digest, str(name), heartbeat)  # an encrypted file is kept as it is
    for doubt in manifest.suspect:
        log.info("accepted although %s", doubt)
    newest = sound(backups(store, name.prefix))[0]
    if newest.name != name:
        log.warning("%s is newer, so the accepted backup is not the latest", newest.uri)
    return store.location.uri(str(name))
