"""Names what a changed znode is in Pulsar: a tenant, a namespace, a topic, a subscription, and so on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

from metadata_tool.pulsar import schema_locator
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.schema_locator import SCHEMA, V1_SCHEMA
from metadata_tool.pulsar.topics import Cursor, Topic, TopicDecoder, Undecodable, place_of
from metadata_tool.pulsar.tree_facts import NAMESPACE, V1_NAMESPACE
from metadata_tool.tree_diff.changes import Change
from metadata_tool.tree_diff.fields import ABSENT, FieldChange, field_changes
from metadata_tool.tree_diff.ledgers import NO_LEDGERS, LedgerChanges, ledger_changes
from metadata_tool.zookeeper.snapshot import Node, escaped, printable


class How(StrEnum):
    """What happened to an object."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


SIGNS = {How.ADDED: "+", How.REMOVED: "-", How.CHANGED: "~"}
POSITION = "position"
"""The field with the position of a subscription in ZooKeeper, which changes often."""
BUNDLES, UNDECODABLE = "bundles of namespace", "znode that cannot be decoded"


@dataclass(frozen=True)
class ObjectChange:
    """A change of an object of Pulsar, by its kind, such as `topic`, and its name."""

    how: How
    kind: str
    name: str
    fields: tuple[FieldChange, ...] = ()
    ledgers: LedgerChanges = NO_LEDGERS

    @property
    def only_moved(self) -> bool:
        """Whether it is a subscription of which only the position changed."""
        return self.how is How.CHANGED and [change.field for change in self.fields] == [POSITION]

    def lines(self) -> list[str]:
        """The change for people: one line, and one for each field."""
        details = [*map(str, self.fields), *([f"ledgers {self.ledgers}"] if any(self.ledgers) else [])]
        return [escaped(f"{SIGNS[self.how]} {self.kind} {self.name}"), *(escaped(f"    {text}") for text in details)]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        found: dict[str, Any] = {"change": self.how.value, "kind": self.kind, "name": self.name}
        if self.fields:
            found["fields"] = [change.to_json() for change in self.fields]
        if any(self.ledgers):
            found["ledgers"] = self.ledgers.to_json()
        return found


_JSON_OBJECTS = (
    ("/admin/clusters/<cluster>", "cluster", "{cluster}"),
    ("/admin/policies/<tenant>", "tenant", "{tenant}"),
    (NAMESPACE, "namespace", "{tenant}/{namespace}"),
    (V1_NAMESPACE, "namespace", "{tenant}/{cluster}/{namespace}"),
    ("/admin/local-policies/<tenant>/<namespace>", BUNDLES, "{tenant}/{namespace}"),
    (
        "/admin/partitioned-topics/<tenant>/<namespace>/<domain>/<topic>",
        "partitioned topic",
        "{domain}://{tenant}/{namespace}/{topic}",
    ),
)
"""Patterns of paths whose data is JSON, the kind of the object, and how its name is made."""


class ObjectNamer:
    """Names the objects of trees with this layout. Takes changes in tree order."""

    def __init__(self, layout: Layout) -> None:
        self._topics = TopicDecoder(layout)
        self._json = [(layout.compile(pattern), kind, name) for pattern, kind, name in _JSON_OBJECTS]
        self._schemas = [layout.compile(pattern) for pattern in (SCHEMA, V1_SCHEMA)]
        self._schema_root = f"{layout.chroot}/schemas/".encode()
        self._admin = f"{layout.chroot}/admin/".encode()

    def named(self, change: Change) -> ObjectChange | None:
        """The change of an object. None if the znode is of no object, or nothing of the object has changed."""
        path = change.path
        if path.startswith(self._topics.root):
            return self._of_topic(change)
        if path.startswith(self._schema_root):
            return self._of_schema(change) if any(pattern.fullmatch(path) for pattern in self._schemas) else None
        return self._of_json(change) if path.startswith(self._admin) else None

    def _of_json(self, change: Change) -> ObjectChange | None:
        for pattern, kind, name in self._json:
            if match := pattern.fullmatch(change.path):
                parts = {part: _decoded_name(value) for part, value in match.groupdict().items()}
                return _described(change, kind, name.format(**parts), _fields(change))
        return None

    def _of_topic(self, change: Change) -> ObjectChange | None:
        old, new = (node and self._topics.decode(change.path, node.data) for node in (change.before, change.after))
        if isinstance(old, Undecodable) or isinstance(new, Undecodable):
            return _described(change, UNDECODABLE, printable(change.path), (FieldChange("data", ABSENT, ABSENT),))
        names = change.path[len(self._topics.root) :].split(b"/")
        if isinstance(old, Topic) or isinstance(new, Topic):
            was, now = (each.info if isinstance(each, Topic) else ManagedLedgerInfo() for each in (old, new))
            return _described(change, "topic", _topic(names), _terminated(was, now), ledger_changes(was, now))
        if old or new:
            was_at, is_at = (_position(each) if isinstance(each, Cursor) else ABSENT for each in (old, new))
            moved = (FieldChange(POSITION, was_at, is_at),) if was_at != is_at else ()
            return _described(change, "subscription", f"{_decoded_name(names[-1])} of {_topic(names)}", moved)
        return None

    def _of_schema(self, change: Change) -> ObjectChange | None:
        name = _decoded_name(change.path[len(self._schema_root) :])
        was, now = _versions(change.before), _versions(change.after)
        return _described(change, "schema of topic", name, (FieldChange("versions", was, now),) if was != now else ())


def _described(
    change: Change, kind: str, name: str, fields: tuple[FieldChange, ...], ledgers: LedgerChanges = NO_LEDGERS
) -> ObjectChange | None:
    """The change of an object that one znode stands for. None if nothing of the object has changed."""
    if change.before is None:
        return ObjectChange(How.ADDED, kind, name, (), ledgers)
    if change.after is None:
        return ObjectChange(How.REMOVED, kind, name, (), ledgers)
    return ObjectChange(How.CHANGED, kind, name, fields, ledgers) if fields or any(ledgers) else None


def _fields(change: Change) -> tuple[FieldChange, ...]:
    if not (change.before and change.after):
        return ()
    return field_changes(change.before.data, change.after.data)


def _topic(names: list[bytes]) -> str:
    """The name of the topic in the path of a topic or a cursor."""
    place = place_of(names)
    assert place
    *namespace, domain = (_decoded_name(name) for name in names[: place.namespace + 1])
    topic = "/".join(_decoded_name(name) for name in names[place.namespace + 1 : place.topic])
    return f"{domain}://{'/'.join(namespace)}/{topic}"


def _decoded_name(name: bytes) -> str:
    """A name in a path, as clients write it (Codec.decode)."""
    return unquote_plus(name.decode(errors="backslashreplace"))


def _terminated(old: ManagedLedgerInfo, new: ManagedLedgerInfo) -> tuple[FieldChange, ...]:
    was, now = old.HasField("terminatedPosition"), new.HasField("terminatedPosition")
    return (FieldChange("terminated", was, now),) if was != now else ()


def _position(cursor: Cursor) -> str:
    """The position of a subscription in ZooKeeper."""
    info = cursor.info
    return f"{info.markDeleteLedgerId}:{info.markDeleteEntryId}"


def _versions(node: Node | None) -> Any:
    try:
        return len(schema_locator.versions(node.data or b"")) if node else ABSENT
    except UndecodableError:
        return "not decoded"
