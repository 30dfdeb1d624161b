"""manifest.json, the first member of every backup file. docs/format.md describes each field."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from metadata_tool.broker_metadata.broker_file import BROKER_JSON, KINDS, BrokerFile
from metadata_tool.catalog import LATEST_TIMESTAMP, rfc3339
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported
from metadata_tool.pulsar.paths import Layout
from metadata_tool.zookeeper.datadir import VERSION_2, snapshot_file

FORMAT_VERSION = 1
BROKER_FORMAT = 2
"""The format of a file that has a `broker.json`, and the newest one. All other files are of the first format."""
USE_ANOTHER = "Use another backup. `metadata-tool list` shows them"

_LAST_EPOCH = 0x7FFF_FFFF
"""A restore needs a later epoch than the backup's, and ZooKeeper reads a zxid as a signed 64-bit number."""

T = TypeVar("T")


@dataclass(frozen=True)
class SnapshotFile:
    """The snapshot in a backup file: its name, its size in bytes, and its SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.json.

    `timestamp` is in epoch ms. `data_bytes` is the data of all znodes. `chroot` is empty if there is none.
    """

    format_version: int
    tool_version: str
    prefix: str
    timestamp: int
    zookeeper_version: str
    zxid: int
    first_zxid: int
    nodes: int
    data_bytes: int
    ephemerals: int
    chroot: str
    managed_ledger_path: str
    snapshot: SnapshotFile
    unproven_acls: int | None = None
    """Znodes whose ACL could not be verified at `zxid`. None in backups older than this field."""
    coverage: dict[str, Any] | None = None
    """What a restore would bring back (Coverage.to_json). None in backups older than this field."""
    summary: dict[str, Any] | None = None
    """What a restore may assume before it has read the tree (TreeSummary.to_json). None in older backups."""
    origin: dict[str, Any] | None = None
    """How the file was made, if it was not captured from a ZooKeeper (docs/format.md). None otherwise."""
    identity: dict[str, Any] | None = None
    """Which cluster the tree is of (Identity.to_json). None in older backups."""
    predecessor: dict[str, Any] | None = None
    """The sound backup that this one was compared with (Tree.to_json). None if there was none."""
    suspect: tuple[str, ...] = ()
    """Why the backup may not continue its predecessor. Empty if it does."""
    broker: BrokerFile | None = None
    """The `broker.json` of the file. None if it has none."""

    def with_broker(self, broker: BrokerFile | None) -> "Manifest":
        """The same manifest, in the format of a file that has this `broker.json`, or none."""
        return replace(self, broker=broker, format_version=BROKER_FORMAT if broker else FORMAT_VERSION)

    @property
    def layout(self) -> Layout:
        """Where Pulsar's tree is, as the backup says."""
        return Layout(self.chroot, self.managed_ledger_path)

    def to_json(self) -> dict[str, Any]:
        """The fields of manifest.json. Zxids are in hex, as in ZooKeeper's logs and file names."""
        optional: dict[str, Any] = {
            "unprovenAcls": self.unproven_acls,
            "coverage": self.coverage,
            "outline": self.summary,
            "origin": self.origin,
            "identity": self.identity,
            "predecessor": self.predecessor,
            "suspect": list(self.suspect) or None,
            "brokerMetadata": _of_broker(self.broker) if self.broker else None,
        }
        return {
            "formatVersion": self.format_version,
            "toolVersion": self.tool_version,
            "prefix": self.prefix,
            "timestamp": self.timestamp,
            "time": rfc3339(self.timestamp),
            "zooKeeperVersion": self.zookeeper_version,
            "zxid": f"{self.zxid:#x}",
            "firstZxid": f"{self.first_zxid:#x}",
            "nodes": self.nodes,
            "bytes": self.data_bytes,
            "ephemeralsLeftOut": self.ephemerals,
            "chroot": self.chroot,
            "managedLedgerPath": self.managed_ledger_path,
            "snapshot": asdict(self.snapshot),
            **{name: value for name, value in optional.items() if value is not None},
        }

    def encode(self) -> bytes:
        """The bytes of manifest.json."""
        return json.dumps(self.to_json(), indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, text: bytes) -> "Manifest":
        """Parse manifest.json. Unknown fields are ignored.

        Raises:
            ArchiveUnsupported: it has a later format.
            ArchiveCorrupt: it is not a valid manifest.
        """
        try:
            fields = _Fields(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise _corrupt("it is not JSON") from error
        version = fields.number("formatVersion")
        if version > BROKER_FORMAT:
            raise ArchiveUnsupported(
                f"the backup has format {version}, but this metadata-tool reads formats up to {BROKER_FORMAT}",
                "Use the version of metadata-tool that wrote the backup, or a later one",
            )
        snapshot = fields.object("snapshot")
        manifest = cls(
            format_version=version,
            tool_version=fields.text("toolVersion"),
            prefix=fields.text("prefix"),
            timestamp=fields.number("timestamp"),
            zookeeper_version=fields.text("zooKeeperVersion"),
            zxid=fields.zxid("zxid"),
            first_zxid=fields.zxid("firstZxid"),
            nodes=fields.number("nodes"),
            data_bytes=fields.number("bytes"),
            ephemerals=fields.number("ephemeralsLeftOut"),
            chroot=fields.text("chroot"),
            managed_ledger_path=fields.text("managedLedgerPath"),
            snapshot=SnapshotFile(snapshot.text("name"), snapshot.number("size"), snapshot.text("sha256")),
            unproven_acls=fields.number("unprovenAcls") if fields.has("unprovenAcls") else None,
            coverage=fields.optional("coverage"),
            summary=fields.optional("outline"),
            origin=fields.optional("origin"),
            identity=fields.optional("identity"),
            predecessor=fields.optional("predecessor"),
            suspect=fields.texts("suspect"),
            broker=_broker(fields.object("brokerMetadata")) if version == BROKER_FORMAT else None,
        )
        manifest._check()
        return manifest

    def _check(self) -> None:
        if self.format_version < 1:
            raise _corrupt(f"formatVersion is {self.format_version}")
        if self.timestamp > LATEST_TIMESTAMP:
            raise _corrupt("timestamp is out of range")
        if self.zxid >> 32 >= _LAST_EPOCH:
            raise _corrupt("zxid is in the last epoch")
        if self.snapshot.name != snapshot_name(self.zxid):
            raise _corrupt("the name of its snapshot does not match zxid")
        if self.first_zxid > self.zxid:
            raise _corrupt("firstZxid is later than zxid")


def _of_broker(broker: BrokerFile) -> dict[str, Any]:
    file = {"name": broker.name, "size": broker.size, "sha256": broker.sha256}
    return {**file, "saved": dict(broker.saved), "notSaved": dict(broker.not_saved)}


def _broker(fields: "_Fields") -> BrokerFile:
    if fields.text("name") != BROKER_JSON:
        raise _corrupt(f"brokerMetadata.name is not {BROKER_JSON}")
    saved, not_saved = (fields.object(key).numbers(KINDS) for key in ("saved", "notSaved"))
    return BrokerFile(fields.number("size"), fields.text("sha256"), saved, not_saved)


def snapshot_name(zxid: int) -> str:
    """The path of the snapshot at this zxid, relative to ZooKeeper's data directory."""
    return f"{VERSION_2}/{snapshot_file(zxid)}"


class _Fields:
    """Typed access to a JSON object of unknown content. Raises ArchiveCorrupt for missing or invalid fields."""

    def __init__(self, value: object, where: str = "") -> None:
        if not isinstance(value, dict):
            raise _corrupt(f"{where.removesuffix('.') or 'it'} is not a JSON object")
        self._value = value
        self._where = where

    def text(self, key: str) -> str:
        value = self._get(key, str)
        if not value.isprintable():
            raise _corrupt(f"{self._where}{key} is not printable text")
        return value

    def number(self, key: str) -> int:
        return self._in_range(key, self._get(key, int))

    def numbers(self, keys: Iterable[str]) -> dict[str, int]:
        """Those of these fields that there are."""
        return {key: self.number(key) for key in keys if self.has(key)}

    def zxid(self, key: str) -> int:
        try:
            return self._in_range(key, int(self._get(key, str), 16))
        except ValueError as error:
            raise _corrupt(f"{self._where}{key} is not a zxid") from error

    def has(self, key: str) -> bool:
        return key in self._value

    def object(self, key: str) -> "_Fields":
        return _Fields(self._get(key, dict), f"{self._where}{key}.")

    def optional(self, key: str) -> dict[str, Any] | None:
        return self._get(key, dict) if self.has(key) else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, without those that cannot be printed. Empty if it is absent or something else."""
        found = self._value.get(key)
        return tuple(str(text) for text in found if str(text).isprintable()) if isinstance(found, list) else ()

    def _in_range(self, key: str, value: int) -> int:
        if not 0 <= value < 1 << 63:
            raise _corrupt(f"{self._where}{key} is out of range")
        return value

    def _get(self, key: str, kind: type[T]) -> T:
        value = self._value.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _corrupt(f"{self._where}{key} is missing or of the wrong type")
        return value


def _corrupt(what: str) -> ArchiveCorrupt:
    return ArchiveCorrupt(f"the backup's manifest.json is damaged, {what}", USE_ANOTHER)
