"""What a backup has to put back."""

from pathlib import Path

import pytest

from metadata_tool.broker_metadata.records import (
    CURSOR,
    NotSaved,
    PolicySchema,
    Position,
    Record,
    SavedCursor,
    SavedPolicies,
)
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.put_back.held_namespaces import SchemaSettings
from metadata_tool.put_back.saved_metadata import SavedMetadata, saved_metadata
from support.backups import make_backup
from support.broker_model import saved, schema

RECORDS: list[Record] = [
    saved("t/c/v1/x", schema(0, "x0")),
    saved("t/ns/a", schema(0, "a0")),
    saved("t/ns/b", schema(0, "b0"), schema(1, "ä" * 1000)),
    PolicySchema("t/ns", 1, 0, "{}"),
    PolicySchema("t/ns", 1, 1, "{ }"),
    SavedPolicies("t/ns", 1, "k", 1, b"event", 1),
    SavedCursor("t/ns/persistent/a/s", 1, Position(1, 2)),
    NotSaved(CURSOR, "t/ns/persistent/b/s", 1, "404"),
]
TREE: dict[bytes, bytes | None] = {
    b"": None,
    b"/admin": b"",
    b"/admin/policies": b"",
    b"/admin/policies/t": b"{}",
    b"/admin/policies/t/c": b"",
    b"/admin/policies/t/c/v1": b'{"is_allow_auto_update_schema":true}',
    b"/admin/policies/t/ns": b'{"schema_compatibility_strategy":"FULL"}',
}


def read(directory: Path, tree: dict[bytes, bytes | None] = TREE, chroot: str = "") -> SavedMetadata:
    """What a backup of this tree with these records has."""
    point = make_backup(directory, tree=tree, records=RECORDS)
    return saved_metadata(point, directory / str(point.name), chroot, directory, Heartbeat())


def test_records_by_namespace(tmp_path: Path) -> None:
    """Schemas and policies are found by namespace, with the namespace's settings in the backup."""
    found = read(tmp_path)
    assert ["t/c/v1", "t/ns"] == list(found.namespaces)
    v1, namespace = found.namespaces.values()
    assert RECORDS[:1] == list(found.schemas(v1))
    assert RECORDS[1:3] == list(found.schemas(namespace))
    assert [RECORDS[5]] == found.policies(namespace)
    assert {0: RECORDS[3], 1: RECORDS[4]} == found.policy_schemas(namespace)
    assert (SchemaSettings(auto_update=True), SchemaSettings("FULL")) == (v1.settings, namespace.settings)
    assert ({CURSOR: 1}, 3) == (dict(found.not_saved), found.topics)


@pytest.mark.parametrize(
    ("policies", "note", "expected"),
    [
        (b'{"schema_compatibility_strategy":"ALWAYS_COMPATIBLE"}', b'{"schema_compatibility_strategy":"FULL"}', "FULL"),
        (
            b'{"schema_compatibility_strategy":"ALWAYS_COMPATIBLE"}',
            b'{"message_ttl_in_seconds":7}',
            "ALWAYS_COMPATIBLE",
        ),
        (b'{"schema_compatibility_strategy":"BACKWARD"}', b'{"schema_compatibility_strategy":"FULL"}', "BACKWARD"),
        (b"{}", b'{"schema_compatibility_strategy":"FULL"}', "UNDEFINED"),
    ],
    ids=["changed for a while", "not changed", "set back", "none"],
)
def test_backup_during_a_put_back(policies: bytes, note: bytes, expected: str, tmp_path: Path) -> None:
    """If a put-back had changed the strategy of a namespace for a while, the one before counts."""
    held = dict.fromkeys((b"/metadata-backup", b"/metadata-backup/held", b"/metadata-backup/held/t"), b"")
    tree = TREE | {b"/admin/policies/t/ns": policies} | held | {b"/metadata-backup/held/t/ns": note}
    assert expected == read(tmp_path, tree).namespaces["t/ns"].settings.strategy


def test_chroot(tmp_path: Path) -> None:
    """The settings of namespaces are those below the chroot."""
    tree: dict[bytes, bytes | None] = {b"": None, b"/pulsar": b""}
    tree |= {b"/pulsar" + path: data for path, data in TREE.items() if path}
    assert SchemaSettings("FULL") == read(tmp_path, tree, "/pulsar").namespaces["t/ns"].settings


def test_backup_without_broker_metadata(tmp_path: Path) -> None:
    """A backup without what brokers give out has nothing to put back."""
    point = make_backup(tmp_path)
    found = saved_metadata(point, tmp_path / str(point.name), "", tmp_path, Heartbeat())
    assert ({}, 0) == (found.namespaces, found.topics)
