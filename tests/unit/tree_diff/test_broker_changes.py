"""What brokers gave out for two backups, compared."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from metadata_tool.broker_metadata.broker_file import Line
from metadata_tool.broker_metadata.records import (
    POLICIES,
    SCHEMAS,
    NotSaved,
    PolicySchema,
    Position,
    Record,
    SavedCursor,
    SavedSchemas,
    SchemaVersion,
    encode,
)
from metadata_tool.tree_diff.broker_changes import SAVED_SCHEMA, TOPIC_POLICIES, BrokerSide, broker_changes
from metadata_tool.tree_diff.kept_records import KeptRecords
from support.policy_events import EVENTS, TOPIC, schema, sent

NAMESPACE = "t1/n2"
HASHES = [bytes([number]) * 32 for number in range(4)]


def version(number: int, sha256: bytes | None = None, kind: str | None = "AVRO") -> SchemaVersion:
    """A version of a schema. A kind of None is not given out."""
    given = HASHES[number] if sha256 is None else sha256
    return SchemaVersion(number, given, kind, "{}", {}) if kind else SchemaVersion(number, given)


def schemas(*versions: SchemaVersion, topic: str = "public/default/a%2Fb") -> SavedSchemas:
    """The schemas of a topic."""
    return SavedSchemas(topic, 7, 8, versions)


class World:
    """Two backups."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.unknown: Counter[str] = Counter()

    def changes(
        self,
        old: Iterable[Record],
        new: Iterable[Record],
        lacks: Mapping[str, int] | None = None,
        had_not: Mapping[str, int] | None = None,
    ) -> list[str]:
        """The changes as text. The later backup lacks so many of each kind, or the earlier one."""
        before, after = self._side("from", old, had_not or {}), self._side("to", new, lacks or {})
        return [line for change in broker_changes(before, after, self.unknown) for line in change.lines()]

    def _side(self, name: str, records: Iterable[Record], not_saved: Mapping[str, int]) -> BrokerSide:
        folder = self.directory / name
        folder.mkdir()
        kept = KeptRecords(folder)
        for record in records:
            kept.add_line(Line(encode(record), record))
        return BrokerSide(kept.complete(), not_saved)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two backups."""
    return World(tmp_path)


def test_versions_of_schemas(world: World) -> None:
    """Versions that were added, deleted and replaced are told, with their types and the starts of their hashes."""
    old = schemas(version(0), version(1))
    new = schemas(version(0, HASHES[3], "JSON"), version(1, kind=None), version(2, b"", None), version(3))
    assert [
        "~ saved schema of topic public/default/a/b",
        '    version 0: "AVRO 000000000000" -> "JSON 030303030303"',
        '    version 1: "AVRO 010101010101" -> "deleted"',
        '    version 2: (not set) -> "deletes the schema"',
        '    version 3: (not set) -> "AVRO 030303030303"',
    ] == world.changes([old], [new])


def test_equal(world: World) -> None:
    """What is equal is not told, and neither are positions, which are of different moments."""
    kept: list[Record] = [schemas(version(0)), schema(NAMESPACE), sent("99 minutes")]
    moved = [SavedCursor("t/n/persistent/c/s", 7, Position(3, entry)) for entry in (4, 5)]
    assert [] == world.changes([*kept, moved[0]], [*kept, moved[1]])


def test_topics_of_one_backup_only(world: World) -> None:
    """Which topics have schemas is told by the tree, so they are no changes here."""
    records = [schemas(version(0), topic=f"public/default/{name}") for name in "abc"]
    assert [] == world.changes([records[0], records[2]], [records[1], records[2]])
    assert 0 == world.unknown.total()


def test_policies(world: World) -> None:
    """Policies are compared field by field, those of one cluster and of all on their own."""
    old: list[Record] = [schema(NAMESPACE), sent("99 minutes"), sent("7 consumers", f"{TOPIC}/gone")]
    new: list[Record] = [
        schema(NAMESPACE, 3),
        sent("99 minutes, TTL of 100 s", version=3),
        sent("7 consumers, global", f"__G__{TOPIC}", version=3),
    ]
    assert [
        f"~ policies of topic {TOPIC}",
        "    messageTTLInSeconds: (not set) -> 100",
        f"+ policies of topic {TOPIC} for all clusters",
        "    maxConsumerPerTopic: (not set) -> 7",
        f"- policies of topic {TOPIC}/gone",
        "    maxConsumerPerTopic: 7 -> (not set)",
    ] == world.changes(old, new)


def test_equal_keys_of_older_versions(world: World) -> None:
    """Before Pulsar 4.0, policies of one cluster and of all have one key, and are told apart all the same."""
    kept: list[Record] = [schema(NAMESPACE), sent("7 consumers, global")]
    expected = [f"~ policies of topic {TOPIC}", "    messageTTLInSeconds: (not set) -> 100"]
    assert expected == world.changes([*kept, sent("99 minutes")], [*kept, sent("99 minutes, TTL of 100 s")])


@pytest.mark.parametrize("schema", [None, PolicySchema(NAMESPACE, 7, 0, "{}")])
def test_policies_that_cannot_be_decoded(world: World, schema: PolicySchema | None) -> None:
    """Without a valid schema, it is told that policies differ, and nothing is told of those that do not."""
    kept: list[Record] = [schema] if schema else []
    same = sent("7 consumers", f"{TOPIC}/same")
    sizes = [len(EVENTS[what]) for what in ("99 minutes", "99 minutes, TTL of 100 s")]
    assert [f"~ policies of topic {TOPIC}", f'    data: "{sizes[0]} bytes" -> "{sizes[1]} bytes"'] == world.changes(
        [*kept, sent("99 minutes"), same], [*kept, sent("99 minutes, TTL of 100 s"), same]
    )


def test_namespaces_in_tree_order(world: World) -> None:
    """Namespaces that are in one backup only come where the tree has them."""
    groups: dict[str, list[Record]] = {
        name: [schema(name), sent("7 consumers", f"persistent://{name}/t", namespace=name)]
        for name in ("a/a", "a/b", "b")
    }
    told = world.changes([*groups["a/a"], *groups["b"]], [*groups["a/b"], *groups["b"]])
    assert ["- policies of topic persistent://a/a/t", "+ policies of topic persistent://a/b/t"] == told[::2]


NAMED = [NotSaved(POLICIES, NAMESPACE, 7, "HTTP 500"), NotSaved(SCHEMAS, "public/default/a%2Fb", 7, "HTTP 500")]


@pytest.mark.parametrize("not_saved", [NAMED, []])
def test_not_given_out(world: World, not_saved: list[Record]) -> None:
    """What brokers did not give out for one backup is not told as deleted or added, but counted."""
    full: list[Record] = [schemas(version(0)), schema(NAMESPACE), sent("99 minutes")]
    assert [] == world.changes(full, not_saved, lacks={POLICIES: 1, SCHEMAS: 1})
    expected = Counter({SAVED_SCHEMA: 1, TOPIC_POLICIES: 1})
    assert expected == world.unknown


def test_not_given_out_earlier(world: World) -> None:
    """The same, if it was the earlier backup."""
    assert [] == world.changes([], [schema(NAMESPACE), sent("99 minutes")], had_not={POLICIES: 1})
    assert 1 == world.unknown[TOPIC_POLICIES]


def test_not_given_out_for_others(world: World) -> None:
    """What brokers did not give out for other topics says nothing of these."""
    other = NotSaved(POLICIES, "t1/other", 7, "HTTP 500")
    told = world.changes([schema(NAMESPACE), sent("99 minutes")], [other], lacks={POLICIES: 1})
    assert (f"- policies of topic {TOPIC}", 0) == (told[0], world.unknown.total())
