"""Records of drills beside the backups: small objects by which the service knows when a drill last passed.

A record is `<prefix>-drill-passed-<epoch ms>.json` or `<prefix>-drill-failed-<epoch ms>.json`, which is never the name
of a backup. Only the newest of each kind is kept.
"""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from metadata_tool.catalog import RestorePoint
from metadata_tool.drill.limits import RECORD, RECORDS_TRIED
from metadata_tool.drill.result import DrillResult
from metadata_tool.errors import BackupMissing, ToolError
from metadata_tool.files import sha256
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store import Store

log = logging.getLogger(__name__)

_FORMAT = 1
_PASSED, _FAILED = "passed", "failed"


@dataclass(frozen=True)
class Record:
    """A drill that was done: its backup, its start in epoch milliseconds, seconds until the tree was there."""

    backup: str
    started: int
    seconds: float


@dataclass(frozen=True)
class Records:
    """The last drill that passed and the last one that failed, if any."""

    passed: Record | None = None
    failed: Record | None = None

    @property
    def last_failed(self) -> bool:
        """Whether no drill has passed since the last one that failed."""
        return self.failed is not None and (self.passed is None or self.passed.started < self.failed.started)


def save(result: DrillResult, point: RestorePoint, store: Store, directory: Path, heartbeat: Heartbeat) -> str:
    """Save the record of a drill beside its backup, and remove older ones of its kind. Returns its address.

    Older ones stay if the store does not let them be removed.

    Raises:
        ToolError: the record cannot be saved.
    """
    prefix = point.name.sound.prefix
    kind = _PASSED if result.passed else _FAILED
    name = f"{prefix}-drill-{kind}-{result.started}.json"
    path = directory / name
    path.write_bytes(json.dumps({"format": _FORMAT, "timestamp": result.started, **result.to_json()}).encode() + b"\n")
    store.save(path, sha256(path), name, heartbeat)
    try:
        for timestamp, older in _names(store, prefix, kind):
            if timestamp < result.started:
                store.delete(older)
    except ToolError as error:
        log.info("older records of drills stay, because %s", error)
    return store.location.uri(name)


class RecordReader:
    """Reads the newest records of a folder. Each is read once, and a damaged one is reported once."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._read: dict[str, Record | None] = {}

    def newest(self) -> Records:
        """The newest valid record of each kind. A few are tried.

        Raises:
            ToolError: the store cannot be listed or read.
        """
        known, self._read = self._read, {}
        found = {}
        for kind in (_PASSED, _FAILED):
            for _, name in _names(self._store, self._prefix, kind)[:RECORDS_TRIED]:
                self._read[name] = known[name] if name in known else self._parsed(name)
                if record := self._read[name]:
                    found[kind] = record
                    break
        return Records(found.get(_PASSED), found.get(_FAILED))

    def _parsed(self, name: str) -> Record | None:
        uri = self._store.location.uri(name)
        try:
            return parse(self._store.read_start(name, RECORD + 1), name)
        except BackupMissing:
            return None  # removed since the listing
        except ValueError as error:
            log.warning("%s is not the record of a drill, because %s. Remove it", uri, error)
            return None


def parse(content: bytes, name: str) -> Record:
    """The record in a file of this name.

    Raises:
        ValueError: what is wrong with it.
    """
    if len(content) > RECORD:
        raise ValueError(f"it has more than {RECORD} bytes")
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
        raise ValueError("it has another format")
    backup, started, seconds = (fields.get(key) for key in ("backup", "timestamp", "servingSeconds"))
    if not isinstance(backup, str) or not backup.isprintable():
        raise ValueError("it names no backup")
    if not isinstance(started, int) or not name.endswith(f"-{started}.json"):
        raise ValueError("it is of another drill than its name says")
    if not isinstance(seconds, int | float) or not 0 <= seconds < 1 << 31:
        raise ValueError("it has no duration")
    return Record(backup, started, float(seconds))


def _names(store: Store, prefix: str, kind: str) -> list[tuple[int, str]]:
    """Start and name of the records of a kind, newest first."""
    beginning = f"{prefix}-drill-{kind}-"
    pattern = re.compile(re.escape(beginning) + r"(0|[1-9][0-9]{0,13})\.json")
    found = ((pattern.fullmatch(name), name) for name in store.list(beginning))
    return sorted(((int(match[1]), name) for match, name in found if match), reverse=True)
