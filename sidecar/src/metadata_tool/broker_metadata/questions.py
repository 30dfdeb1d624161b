"""What brokers are asked for a backup, derived from its tree: one file of lines for each kind, in tree order."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from metadata_tool.broker_metadata.broker_file import order
from metadata_tool.broker_metadata.limits import CURSORS_ASKED_AT_ONCE
from metadata_tool.broker_metadata.records import CURSOR, POLICIES, SCHEMAS
from metadata_tool.pulsar import schema_locator
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.schema_locator import SCHEMA, V1_SCHEMA, LocatedVersion
from metadata_tool.pulsar.topics import COMPACTION, Cursor, Topic, Undecodable
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import MZXID

KINDS = (SCHEMAS, POLICIES, CURSOR)
"""In the order in which brokers are asked. What a restore would lose for good comes first."""
CHANGE_EVENTS = "__change_events"
_PARTITION = f"{CHANGE_EVENTS}-partition-"
_BROKER = "/loadbalance/brokers/<broker>"


@dataclass(frozen=True)
class SchemaQuestion:
    """The schemas of a topic: its path below `/schemas`, and the versions in its locator (None: undecodable)."""

    topic: str
    mzxid: int
    versions: tuple[LocatedVersion, ...] | None


@dataclass(frozen=True)
class PolicyQuestion:
    """The policies of a namespace's topics. `topics` are the managed ledgers of its `__change_events`."""

    namespace: str
    topics: tuple[str, ...]


@dataclass(frozen=True)
class CursorQuestion:
    """Positions of subscriptions. `topic` is the path of the managed ledger, `cursors` are names of its znodes."""

    topic: str
    cursors: tuple[str, ...]

    @property
    def is_segment(self) -> bool:
        """Whether the topic is a segment of a scalable topic."""
        return self.topic.split("/")[2] == "segment"


Question = SchemaQuestion | PolicyQuestion | CursorQuestion


class QuestionWriter:
    """Takes every znode of a tree in tree order, and writes the questions to files below a new directory.

    `asked` counts what is asked for, by kind: topics with schemas, namespaces with policies, subscriptions.
    `brokers` are the hosts of the brokers that are registered in ZooKeeper.
    """

    def __init__(self, layout: Layout, directory: Path) -> None:
        directory.mkdir()
        self.asked: Counter[str] = Counter()
        self.brokers: set[str] = set()
        self.directory = directory
        self._schemas = f"{layout.chroot}/schemas/".encode()
        self._schema = [layout.compile(pattern) for pattern in (SCHEMA, V1_SCHEMA)]
        self._broker = layout.compile(_BROKER)
        self._files = ExitStack()
        self._file = {kind: self._files.enter_context((directory / kind).open("xb")) for kind in KINDS}
        self._topic: Topic | None = None
        self._cursors: list[str] = []
        self._policies: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add_ephemeral(self, path: bytes) -> None:
        """Take the path of an ephemeral znode."""
        if match := self._broker.fullmatch(path):
            host = match["broker"].decode(errors="replace").rpartition(":")[0]
            self.brokers.add(host.strip("[]").lower())

    def add_other(self, node: Node) -> None:
        """Take a znode that is neither a topic nor a cursor."""
        path = node.path
        if path.startswith(self._schemas) and node.data and any(each.fullmatch(path) for each in self._schema):
            self._ask_schemas(path[len(self._schemas) :].decode(), int.from_bytes(node.stat[MZXID]), node.data)

    def _ask_schemas(self, topic: str, mzxid: int, locator: bytes) -> None:
        try:
            versions = schema_locator.versions(locator)
        except UndecodableError:
            versions = None
        self._write(SCHEMAS, {"topic": topic, "mzxid": mzxid, "versions": _encoded(versions)})
        self.asked[SCHEMAS] += 1

    def add(self, found: Topic | Cursor | Undecodable) -> None:
        """Take a topic or a cursor. A cursor belongs to the topic before it."""
        if not isinstance(found, Cursor):
            self._end_topic()
            self._topic = found if isinstance(found, Topic) and not found.is_health_check else None
            if self._topic and (self._topic.name == CHANGE_EVENTS or self._topic.name.startswith(_PARTITION)):
                self._policies.setdefault(self._topic.namespace, []).append(self._topic.managed_ledger)
        elif self._topic and found.info.cursorsLedgerId >= 0 and found.name != COMPACTION:
            self._cursors.append(found.name.decode())
            if len(self._cursors) >= CURSORS_ASKED_AT_ONCE:
                self._ask_cursors(self._topic)

    def finish(self) -> None:
        """Write the last questions. Call it at the end of the tree."""
        self._end_topic()
        for namespace in sorted(
            self._policies, key=order
        ):  # a V1 namespace may come before the V2 one that it begins with
            self._write(POLICIES, {"namespace": namespace, "topics": self._policies[namespace]})
        self.asked[POLICIES] = len(self._policies)
        for file in self._file.values():
            file.flush()

    def _end_topic(self) -> None:
        if self._topic and self._cursors:
            self._ask_cursors(self._topic)

    def _ask_cursors(self, topic: Topic) -> None:
        self._write(CURSOR, {"topic": topic.managed_ledger, "cursors": self._cursors})
        self.asked[CURSOR] += len(self._cursors)
        self._cursors = []

    def _write(self, kind: str, question: dict[str, object]) -> None:
        self._file[kind].write(json.dumps(question, separators=(",", ":")).encode() + b"\n")


def _encoded(versions: tuple[LocatedVersion, ...] | None) -> list[tuple[int, str]] | None:
    return None if versions is None else [(version.version, version.sha256.hex()) for version in versions]


def schema_questions(directory: Path) -> Iterator[SchemaQuestion]:
    """The questions for schemas."""
    with (directory / SCHEMAS).open("rb") as file:
        for fields in _lines(file):
            found = fields["versions"]
            versions = None if found is None else tuple(LocatedVersion(it, bytes.fromhex(hash_)) for it, hash_ in found)
            yield SchemaQuestion(fields["topic"], fields["mzxid"], versions)


def policy_questions(directory: Path) -> Iterator[PolicyQuestion]:
    """The questions for policies of topics."""
    with (directory / POLICIES).open("rb") as file:
        for fields in _lines(file):
            yield PolicyQuestion(fields["namespace"], tuple(fields["topics"]))


def cursor_questions(directory: Path) -> Iterator[CursorQuestion]:
    """The questions for positions of subscriptions."""
    with (directory / CURSOR).open("rb") as file:
        for fields in _lines(file):
            yield CursorQuestion(fields["topic"], tuple(fields["cursors"]))


def _lines(file: BinaryIO) -> Iterator[dict[str, Any]]:
    return map(json.loads, file)
