"""What a backup has to put back, by namespace: an index of its `broker.json`, and the settings for schemas."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from metadata_tool import archive
from metadata_tool.broker_metadata.records import (
    NotSaved,
    PolicySchema,
    Record,
    SavedPolicies,
    SavedSchemas,
    decode,
)
from metadata_tool.broker_metadata.topic_policies import GLOBAL_KEY
from metadata_tool.catalog import RestorePoint
from metadata_tool.fetch import verify
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.holds import ACCEPTS_ALL, STRATEGY, decode_note
from metadata_tool.pulsar.paths import MANAGED_LEDGERS, Layout
from metadata_tool.pulsar.tree_facts import NAMESPACE, V1_NAMESPACE
from metadata_tool.put_back import limits
from metadata_tool.put_back.held_namespaces import SchemaSettings
from metadata_tool.put_back.registry import namespace_of, topic_path
from metadata_tool.restore_marker import HELD
from metadata_tool.zookeeper.snapshot import Node


def policies_topic(record: SavedPolicies) -> str:
    """The path below `/schemas` of the topic that has these policies."""
    return topic_path(record.key.removeprefix(GLOBAL_KEY))


@dataclass
class SavedNamespace:
    """Where the records of a namespace are in the file, in bytes from its start, and what its policies were."""

    name: str
    settings: SchemaSettings = field(default_factory=SchemaSettings)
    topics: list[int] = field(default_factory=list)
    policies: list[int] = field(default_factory=list)
    policy_schemas: list[int] = field(default_factory=list)


class SavedMetadata:
    """The records of a `broker.json`. Its index takes memory for a number per record."""

    def __init__(
        self,
        file: Path | None,
        settings: Mapping[str, SchemaSettings],
        heartbeat: Callable[[], None],
        managed_ledger_path: str = MANAGED_LEDGERS,
    ) -> None:
        """Read all records of a verified file, none if the backup has no such file."""
        self.managed_ledger_path = managed_ledger_path
        self.namespaces: dict[str, SavedNamespace] = {}
        self.not_saved: Counter[str] = Counter()
        self.first_not_saved: list[NotSaved] = []
        self._file, self._settings = file, settings
        for offset, record in self._records(heartbeat):
            self._add(offset, record)

    @property
    def topics(self) -> int:
        """How many topics have schemas."""
        return sum(len(namespace.topics) for namespace in self.namespaces.values())

    def topic_paths(self) -> Iterator[str]:
        """The paths below `/schemas` of all topics that have schemas or policies. Some come twice."""
        for namespace in self.namespaces.values():
            yield from (record.topic for record in self.schemas(namespace))
            yield from (policies_topic(record) for record in self.policies(namespace))

    def schemas(self, namespace: SavedNamespace) -> Iterator[SavedSchemas]:
        """The schemas of its topics."""
        for record in self._at(namespace.topics):
            assert isinstance(record, SavedSchemas)
            yield record

    def policies(self, namespace: SavedNamespace) -> list[SavedPolicies]:
        """The policies of its topics."""
        return [record for record in self._at(namespace.policies) if isinstance(record, SavedPolicies)]

    def policy_schemas(self, namespace: SavedNamespace) -> dict[int, PolicySchema]:
        """The schemas of its policies, by version."""
        found = [record for record in self._at(namespace.policy_schemas) if isinstance(record, PolicySchema)]
        return {record.version: record for record in found}

    def _add(self, offset: int, record: Record | None) -> None:
        match record:
            case SavedSchemas():
                self._of(namespace_of(record.topic)).topics.append(offset)
            case SavedPolicies():
                self._of(record.namespace).policies.append(offset)
            case PolicySchema():
                self._of(record.namespace).policy_schemas.append(offset)
            case NotSaved():
                self.not_saved[record.kind] += 1
                if len(self.first_not_saved) < limits.KEPT:
                    self.first_not_saved.append(record)

    def _of(self, name: str) -> SavedNamespace:
        found = self.namespaces.get(name)
        if found is None:
            found = self.namespaces[name] = SavedNamespace(name, self._settings.get(name, SchemaSettings()))
        return found

    def _records(self, heartbeat: Callable[[], None]) -> Iterator[tuple[int, Record | None]]:
        if self._file is None:
            return
        offset = 0
        with self._file.open("rb") as file:
            for line in file:
                heartbeat()
                yield offset, decode(line)
                offset += len(line)

    def _at(self, offsets: list[int]) -> Iterator[Record | None]:
        if self._file is None:
            return
        with self._file.open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                yield decode(file.readline())


def saved_metadata(
    point: RestorePoint, path: Path, chroot: str, directory: Path, heartbeat: Heartbeat
) -> SavedMetadata:
    """What a fetched backup has to put back. All of the backup is verified.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: the backup must not be used.
        OSError: `directory` cannot be written.
    """
    collector = _Settings(Layout(chroot))
    manifest = verify(point, path, heartbeat, collector.add)
    file = directory / "broker.json"
    has_file = archive.extract_broker(path, file, heartbeat)
    return SavedMetadata(file if has_file else None, collector.found, heartbeat, manifest.managed_ledger_path)


class _Settings:
    """Collects the settings for schemas of namespaces, where they are not the default.

    If a put-back ran during the backup, it had changed a strategy for a while. Its notes come later in the tree.
    """

    def __init__(self, layout: Layout) -> None:
        self.found: dict[str, SchemaSettings] = {}
        self._start = layout.absolute("/admin/policies/").encode()
        self._patterns = [layout.compile(pattern) for pattern in (NAMESPACE, V1_NAMESPACE)]

    def add(self, node: Node) -> None:
        path = node.path
        if path.startswith(HELD):
            self._add_note(path[len(HELD) + 1 :], node.data)
        if not path.startswith(self._start) or not any(pattern.fullmatch(path) for pattern in self._patterns):
            return
        settings = SchemaSettings.of(node.data or b"")
        if settings != SchemaSettings():
            self.found[path[len(self._start) :].decode(errors="surrogateescape")] = settings

    def _add_note(self, name: bytes, data: bytes | None) -> None:
        note, namespace = decode_note(data), name.decode(errors="surrogateescape")
        settings = self.found.get(namespace)
        if STRATEGY in note and settings and settings.strategy == ACCEPTS_ALL:
            before = SchemaSettings.of_fields(note)
            self.found[namespace] = replace(settings, strategy=before.strategy)
