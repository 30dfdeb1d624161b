"""The commands `history` and `find`."""

import argparse
import json
import logging
import re
from collections.abc import Iterator

from metadata_tool.archive import Archive
from metadata_tool.argument_types import count, time
from metadata_tool.backup_cache import BackupSource, CachedBackups
from metadata_tool.catalog import LATEST_TIMESTAMP, Backup, backups, sound
from metadata_tool.encryption.open import open_keyed
from metadata_tool.errors import BackupMissing, SettingError
from metadata_tool.history import History
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.path_history import find, history, names, sightings
from metadata_tool.pulsar.paths import Layout
from metadata_tool.settings import Settings

log = logging.getLogger(__name__)


def add_options(looking_back: argparse.ArgumentParser, finding: argparse.ArgumentParser) -> None:
    """Add the options of both commands, without --json."""
    named = "persistent://tenant/namespace/topic, tenant/namespace, or a tenant"
    looking_back.add_argument("path", metavar="PATH", help=f"the path of a znode, {named}")
    looking_back.add_argument(
        "--reads", metavar="NUMBER", type=count, default=100, help="read this many backups at most (default: 100)"
    )
    finding.add_argument("pattern", metavar="PATTERN", help="the same as PATH of history, with `*`, `?` and `**`")
    finding.add_argument("--at", metavar="TIME", type=time, help="only in the newest backup of this time or earlier")
    for dated in (looking_back, finding):
        dated.add_argument("--since", metavar="TIME", type=time, help="only in backups of this time or later")


def history_lines(options: argparse.Namespace, settings: Settings) -> Iterator[str]:
    """What `history` prints.

    Raises:
        ToolError: there is no backup, or one cannot be read.
    """
    source, found = _source(settings), _series(settings, options.since, None)

    def look(backup: Backup) -> history.Seen:
        with source.opened(backup) as file:
            layout = file.manifest.layout
            path = _path(options.path, layout).rstrip(b"/")  # the path of the root is empty
            return history.Seen(backup, file.manifest.zxid, path, layout, sightings.sighting(file, path))

    result = history.history(found, look, options.reads)
    yield result.as_json() if options.json else result.as_text()


def find_lines(options: argparse.Namespace, settings: Settings) -> Iterator[str]:
    """What `find` prints.

    Raises:
        ToolError: there is no backup, or one cannot be read.
    """
    source, found = _source(settings), _series(settings, options.since, options.at)

    def pattern(file: Archive) -> re.Pattern[str]:
        return names.pattern(_path(options.pattern, file.manifest.layout).decode())

    result = find.find(pattern, found[-1:] if options.at else found, source.opened)
    if not result.matches:
        log.warning("no path matches %s. `*` does not match a slash, `**` does", options.pattern)
    if options.json:
        yield json.dumps(result.to_json(), indent=2)
    else:
        yield from result.lines()


def _source(settings: Settings) -> BackupSource:
    """Where a command gets the backups that it reads."""
    kept, cache = settings.store(), settings.cache()
    store, spool_dir, heartbeat = open_keyed(kept), settings.spool_dir(), Heartbeat()
    return CachedBackups(store, spool_dir, heartbeat, *cache) if cache else BackupSource(store, spool_dir, heartbeat)


def _series(settings: Settings, since: int | None, until: int | None) -> list[Backup]:
    """The sound backups from one time (epoch ms) to another, oldest first."""
    kept, prefix = settings.store(), settings.prefix()
    store = open_keyed(kept)
    newest_first = sound(History().genuine(store, backups(store, prefix)))
    latest = LATEST_TIMESTAMP if until is None else until
    found = [backup for backup in reversed(newest_first) if (since or 0) <= backup.name.timestamp <= latest]
    if not found:
        raise BackupMissing(
            f"there is no sound backup named {prefix}-<epoch ms>.tar.gz of that time in {store.location}",
            "List them with `metadata-tool list`",
        )
    return found


def _path(name: str, layout: Layout) -> bytes:
    try:
        return names.znode_path(name, layout).encode()
    except ValueError as error:
        raise SettingError(
            f"{name!a} is not valid, {error}",
            "Name a path such as /admin/policies/public, or a topic, a namespace or a tenant of Pulsar",
        ) from error
