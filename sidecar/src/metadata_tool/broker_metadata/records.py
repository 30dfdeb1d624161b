"""The lines of `broker.json` in a backup: one record each, as a JSON object. docs/format.md describes the fields.

Records of one kind are in the order of the tree, so they can be merged with a tree that is read once.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

MAX_LINE = 8 << 20
"""Bytes of the longest line that is read. Decoding a malicious line takes 40 times its size in memory."""

T = TypeVar("T")


class RecordError(ValueError):
    """A line that is not a record. The message says why."""


class Position(NamedTuple):
    """An entry of a ledger. An entry of -1 is the place before the ledger's first."""

    ledger: int
    entry: int


class Hole(NamedTuple):
    """Entries acknowledged after the mark-delete position: those after `after`, up to and including `last`."""

    after: Position
    last: Position


@dataclass(frozen=True)
class SchemaVersion:
    """One version of a topic's schema. `sha256` is the hash in the locator, empty for a tombstone.

    `type`, `data` and `properties` are what the broker gave out. They are None for a tombstone and for all versions
    before one, which brokers do not give out.
    """

    version: int
    sha256: bytes
    type: str | None = None
    data: str | None = None
    properties: Mapping[str, str] | None = None
    timestamp: int = 0
    """When it was registered, in epoch ms."""

    @property
    def readable(self) -> bool:
        """Whether the broker gave it out."""
        return self.type is not None


@dataclass(frozen=True)
class SavedSchemas:
    """All versions of a topic's schema, from 0 on. `topic` is the path below `/schemas`, `mzxid` is of the locator."""

    topic: str
    time: int
    mzxid: int
    versions: tuple[SchemaVersion, ...]


@dataclass(frozen=True)
class SavedCursor:
    """The position of a subscription. `path` is that of its znode, below the managed ledgers."""

    path: str
    time: int
    mark_delete: Position
    holes: tuple[Hole, ...] = ()


@dataclass(frozen=True)
class PolicySchema:
    """A version of the Avro schema of a namespace's `__change_events`, by which its policies are encoded."""

    namespace: str
    time: int
    version: int
    data: str
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedPolicies:
    """The policies of a topic: the newest event of a key in `__change_events` of its namespace.

    `version` is that of the schema by which the event is encoded, None if the event has none. `published` is when the
    event was sent, in epoch ms.
    """

    namespace: str
    time: int
    key: str
    published: int
    event: bytes
    version: int | None = None


@dataclass(frozen=True)
class NotSaved:
    """Something that the broker did not give out: `kind` is that of the record, `name` its topic, path or namespace."""

    kind: str
    name: str
    time: int
    why: str


Record = SavedSchemas | SavedCursor | PolicySchema | SavedPolicies | NotSaved
SCHEMAS, CURSOR, POLICY_SCHEMA, POLICIES, NOT_SAVED = "schemas", "cursor", "policySchema", "topicPolicies", "notSaved"
"""The kinds of records. `time` is when the broker was asked, in epoch ms."""


def encode(record: Record) -> bytes:
    """The line of a record, with its line end."""
    return json.dumps(_fields(record), separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Record | None:
    """The record of a line. None if its kind is not known, because a later version wrote it.

    Raises:
        RecordError: it is not a record.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordError("it is not JSON") from error
    if not isinstance(found, dict):
        raise RecordError("it is not a JSON object")
    fields = _Fields(found)
    read = _READERS.get(fields.of("record", str))
    return read(fields) if read else None


def records(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of lines whose kinds are known.

    Raises:
        RecordError: as `decode` does, with the number of the line.
    """
    for number, line in enumerate(lines, 1):
        try:
            found = decode(line)
        except RecordError as error:
            raise RecordError(f"line {number}: {error}") from error
        if found:
            yield found


def _fields(record: Record) -> dict[str, Any]:
    own: dict[str, Any]
    match record:
        case SavedSchemas():
            versions = [_version(version) for version in record.versions]
            own = {"record": SCHEMAS, "topic": record.topic, "mzxid": f"{record.mzxid:#x}", "versions": versions}
        case SavedCursor():
            holes = [[*hole.after, *hole.last] for hole in record.holes]
            own = {"record": CURSOR, "path": record.path, "markDelete": list(record.mark_delete), "holes": holes}
        case PolicySchema():
            own = {"record": POLICY_SCHEMA, "namespace": record.namespace, "version": record.version}
            own |= {"data": record.data, "properties": dict(record.properties)}
        case SavedPolicies():
            own = {"record": POLICIES, "namespace": record.namespace, "key": record.key, "version": record.version}
            own |= {"published": record.published, "event": base64.b64encode(record.event).decode()}
        case NotSaved():
            own = {"record": NOT_SAVED, "kind": record.kind, "name": record.name, "why": record.why}
    return own | {"time": record.time}


def _version(version: SchemaVersion) -> dict[str, Any]:
    own: dict[str, Any] = {"version": version.version, "sha256": version.sha256.hex()}
    if not version.readable:
        return own
    given = {"type": version.type, "timestamp": version.timestamp, "data": version.data}
    return own | given | {"properties": dict(version.properties or {})}


class _Fields:
    """The fields of a JSON object, checked as they are read. Lists are checked item by item, to save memory."""

    __slots__ = ("_value",)

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value

    def of(self, key: str, kind: type[T]) -> T:
        value = self._value.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RecordError(f"{key} is missing or of the wrong type")
        return value

    def number(self, key: str) -> int:
        return _in_range(key, self.of(key, int))

    def has(self, key: str) -> bool:
        return self._value.get(key) is not None

    def hexadecimal(self, key: str) -> bytes:
        try:
            return bytes.fromhex(self.of(key, str))
        except ValueError as error:
            raise RecordError(f"{key} is not hexadecimal") from error

    def zxid(self, key: str) -> int:
        try:
            return _in_range(key, int(self.of(key, str), 16))
        except ValueError as error:
            raise RecordError(f"{key} is not a zxid") from error

    def encoded(self, key: str) -> bytes:
        try:
            return base64.b64decode(self.of(key, str), validate=True)
        except (binascii.Error, ValueError) as error:
            raise RecordError(f"{key} is not base64") from error

    def numbers(self, key: str, count: int) -> list[int]:
        return _numbers(key, self._value.get(key), count)

    def lists(self, key: str, count: int) -> Iterator[list[int]]:
        for value in self.of(key, list):
            yield _numbers(key, value, count)

    def texts(self, key: str) -> dict[str, str]:
        value = self.of(key, dict)
        if not all(isinstance(text, str) for text in value.values()):
            raise RecordError(f"{key} has values that are not text")
        return value

    def objects(self, key: str) -> "Iterator[_Fields]":
        for item in self.of(key, list):
            if not isinstance(item, dict):
                raise RecordError(f"{key} has items that are not objects")
            yield _Fields(item)


def _numbers(key: str, value: object, count: int) -> list[int]:
    if not (isinstance(value, list) and len(value) == count and all(type(number) is int for number in value)):
        raise RecordError(f"{key} is not a list of {count} numbers")
    return [_in_range(key, number) for number in value]


def _in_range(key: str, value: int) -> int:
    if not -1 <= value < 1 << 63:
        raise RecordError(f"{key} is out of range")
    return value


def _read_version(fields: _Fields) -> SchemaVersion:
    version, sha256 = fields.number("version"), fields.hexadecimal("sha256")
    if not fields.has("type"):
        return SchemaVersion(version, sha256)
    data, properties = fields.of("data", str), fields.texts("properties")
    return SchemaVersion(version, sha256, fields.of("type", str), data, properties, fields.number("timestamp"))


def _read_schemas(fields: _Fields) -> SavedSchemas:
    versions = tuple(_read_version(version) for version in fields.objects("versions"))
    return SavedSchemas(fields.of("topic", str), fields.number("time"), fields.zxid("mzxid"), versions)


def _read_cursor(fields: _Fields) -> SavedCursor:
    holes = tuple(Hole(Position(*hole[:2]), Position(*hole[2:])) for hole in fields.lists("holes", 4))
    position = Position(*fields.numbers("markDelete", 2))
    return SavedCursor(fields.of("path", str), fields.number("time"), position, holes)


def _read_policy_schema(fields: _Fields) -> PolicySchema:
    version, data, properties = fields.number("version"), fields.of("data", str), fields.texts("properties")
    return PolicySchema(fields.of("namespace", str), fields.number("time"), version, data, properties)


def _read_policies(fields: _Fields) -> SavedPolicies:
    return SavedPolicies(
        namespace=fields.of("namespace", str),
        time=fields.number("time"),
        key=fields.of("key", str),
        published=fields.number("published"),
        event=fields.encoded("event"),
        version=fields.number("version") if fields.has("version") else None,
    )


def _read_not_saved(fields: _Fields) -> NotSaved:
    return NotSaved(fields.of("kind", str), fields.of("name", str), fields.number("time"), fields.of("why", str))


_READERS: dict[str, Callable[[_Fields], Record]] = {
    SCHEMAS: _read_schemas,
    CURSOR: _read_cursor,
    POLICY_SCHEMA: _read_policy_schema,
    POLICIES: _read_policies,
    NOT_SAVED: _read_not_saved,
}
