"""What a restore takes from the broker metadata of a backup."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.broker_metadata.records import (
    NotSaved,
    Position,
    Record,
    SavedCursor,
    SavedPolicies,
    SavedSchemas,
    SchemaVersion,
)
from metadata_tool.broker_metadata.restorable import AutoUpdate
from metadata_tool.from_brokers import FromBrokers, Source, prepare
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import Scope
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, tree_key
from support.metadata import as_json, tree
from support.trees import EXAMPLES, PATIENT, in_tree_order, make_archive

RESTORED = {"restored": {"version": "1", "point": "s3a://b/p-1.tar.gz", "zxid": "0x100000000"}}
"""The identity of a cluster that was restored before."""
HELD = "/metadata-backup/held"
LOST, KEPT = Scope.BOOKIES_LOST, Scope.BOOKIES_KEPT


def schemas(topic: str, versions: int = 1) -> SavedSchemas:
    """The schemas of a topic."""
    return SavedSchemas(topic, 7, 8, tuple(SchemaVersion(number, b"") for number in range(versions)))


def taken(
    directory: Path,
    content: Mapping[str, bytes],
    records: Iterable[Record] | None,
    scope: Scope = LOST,
    chroot: str = "",
    **changes: Any,
) -> FromBrokers:
    """What is taken from a backup of this tree and these records."""
    work = directory / "work"
    work.mkdir()
    nodes = tree({chroot + path if path.startswith("/admin") else path: data for path, data in content.items()})
    manifest = make_archive(directory / "backup", nodes, records=records, **changes)
    return prepare(Source(directory / "backup", manifest, Layout(chroot), scope), work, Heartbeat())


POLICIES = {
    "/admin/policies/shop": b"{}",
    "/admin/policies/shop/a": as_json(bundles=4),
    "/admin/policies/shop/b": as_json(is_allow_auto_update_schema=True),
    "/admin/policies/shop/broken": b"[",
    "/admin/policies/shop/odd": as_json(is_allow_auto_update_schema="x"),
    "/admin/policies/shop/off": as_json(is_allow_auto_update_schema=False),
    "/admin/policies/shop/plain": as_json(),
    "/admin/policies/shop/us-west": as_json(is_allow_auto_update_schema=None),
    "/admin/policies/shop/us-west/v1": as_json(),
    "/managed-ledgers/shop": b"",
    "/pulsar/x": b"",
}
NAMED = ["a", "b", "broken", "gone", "odd", "off", "us-west", "us-west/v1"]
TOPICS = in_tree_order(f"shop/{name}/{topic}".encode() for name in NAMED for topic in ("t", "u"))
RECORDS: list[Record] = [
    *(schemas(topic.decode()) for topic in TOPICS),
    SavedPolicies("shop/plain", 7, "persistent://shop/plain/t", 8, b"event"),
    NotSaved("schemas", "shop/plain/t", 7, "HTTP 500"),
]
WAITING = [
    AutoUpdate("shop/a", None, False),
    AutoUpdate("shop/b", True, False),
    AutoUpdate("shop/us-west", None, False),
    AutoUpdate("shop/us-west/v1", None, False),
]


@pytest.mark.parametrize("chroot", ["", "/pulsar", "/pulsar-1"])
def test_namespaces_that_wait_for_their_schemas(chroot: str, tmp_path: Path) -> None:
    """Clients may register no schemas where any are saved, unless they could not before. All others stay as they were.

    Namespaces with V1 names, which are not in the same order as their topics, are among them.
    """
    assert WAITING == list(taken(tmp_path, POLICIES, RECORDS, chroot=chroot).auto_updates())


@pytest.mark.parametrize(
    ("records", "scope"),
    [
        pytest.param(None, LOST, id="no broker metadata"),
        pytest.param([], LOST, id="empty"),
        pytest.param([schemas("shop/a/t", versions=0)], LOST, id="no versions"),
        pytest.param([schemas("t")], LOST, id="no namespace"),
        pytest.param(RECORDS, KEPT, id="bookies kept"),
    ],
)
def test_no_namespace_waits(records: list[Record] | None, scope: Scope, tmp_path: Path) -> None:
    """Nothing is held where no schemas are to be put back."""
    found = taken(tmp_path, POLICIES, records, scope)
    assert ([], []) == (list(found.auto_updates()), list(found.held_nodes(1, 2, 3)))


def test_positions(tmp_path: Path) -> None:
    """Positions of subscriptions are taken, each time that a tree is read, unless the bookies were kept."""
    cursors = [SavedCursor(f"shop/a/persistent/t/{name}", 7, Position(3, 4)) for name in "xyz"]
    records: list[Record] = [cursors[0], schemas("shop/a/t"), *cursors[1:]]
    found = taken(tmp_path, POLICIES, records)
    for _ in range(2):
        restorable = found.restorable()
        assert cursors == [restorable.cursor(cursor.path.encode()) for cursor in cursors]
    (tmp_path / "kept").mkdir()
    kept = taken(tmp_path / "kept", POLICIES, records, KEPT).restorable()
    assert [None] * 3 == [kept.cursor(cursor.path.encode()) for cursor in cursors]


def test_held_namespaces_are_in_the_tree(tmp_path: Path) -> None:
    """What held namespaces allowed before is in znodes that a put-back may set, below read-only parents."""
    found = list(taken(tmp_path, POLICIES, RECORDS).held_nodes(9, 2, 3))
    expected = {
        HELD: b"",
        f"{HELD}/shop": b"",
        f"{HELD}/shop/a": b"null",
        f"{HELD}/shop/b": b"true",
        f"{HELD}/shop/us-west": b"null",
        f"{HELD}/shop/us-west/v1": b"null",
    }
    assert list(expected.items()) == [(node.path.decode(), node.data) for node in found]
    assert [OPEN_ACL_KEY if data else 9 for data in expected.values()] == [node.acl for node in found]


parts = st.sampled_from(["a", "a-", "b", "us-west"])
namespaces = st.lists(st.lists(parts, min_size=2, max_size=3).map("/".join), max_size=8)


@settings(PATIENT, max_examples=EXAMPLES // 4)
@given(namespaces, namespaces)
def test_any_namespaces(tmp_path_factory: pytest.TempPathFactory, existing: list[str], saved: list[str]) -> None:
    """Exactly the namespaces that exist and have saved schemas wait, and their znodes are a part of a tree."""
    topics = in_tree_order(f"{namespace}/t".encode() for namespace in saved)
    content = {f"/admin/policies/{namespace}": b"{}" for namespace in existing}
    found = taken(tmp_path_factory.mktemp("any"), content, [schemas(topic.decode()) for topic in topics])
    waiting = in_tree_order(namespace.encode() for namespace in {*existing} & {*saved})
    assert [namespace.decode() for namespace in waiting] == [change.namespace for change in found.auto_updates()]
    paths = [node.path for node in found.held_nodes(1, 2, 3)]
    assert sorted({*paths}, key=tree_key) == paths
    assert {path.rpartition(b"/")[0] for path in paths} <= {*paths, b"/metadata-backup"}


HELD_BEFORE = {
    "/admin/policies/shop/a": as_json(is_allow_auto_update_schema=False),
    "/admin/policies/shop/b": as_json(is_allow_auto_update_schema=False),
    "/admin/policies/shop/c": as_json(is_allow_auto_update_schema=False),
    "/admin/policies/shop/done": as_json(),
    "/metadata-backup": b"{}",
    f"{HELD}/shop/a": b"null",
    f"{HELD}/shop/b": b"true",
    f"{HELD}/shop/c": b"damaged",
    f"{HELD}/shop/done": b"null",
    "/admin/policies/shop/since": as_json(is_allow_auto_update_schema=False),
    f"{HELD}/shop/since": b"false",
}
"""A tree that was restored before. Nothing was put back yet into the namespaces a and b."""


@pytest.mark.parametrize("chroot", ["", "/pulsar"])
@pytest.mark.parametrize(
    ("records", "scope", "expected"),
    [
        pytest.param(
            [schemas("shop/a/t")],
            LOST,
            [AutoUpdate("shop/a", None, False), AutoUpdate("shop/b", True, True)],
            id="one has schemas",
        ),
        pytest.param(
            None, LOST, [AutoUpdate("shop/a", None, None), AutoUpdate("shop/b", True, True)], id="none has schemas"
        ),
        pytest.param(
            None, KEPT, [AutoUpdate("shop/a", None, False), AutoUpdate("shop/b", True, False)], id="bookies kept"
        ),
    ],
)
def test_restored_again(
    records: list[Record] | None, scope: Scope, expected: list[AutoUpdate], chroot: str, tmp_path: Path
) -> None:
    """A namespace that still waits since an earlier restore goes on waiting, or is freed if its schemas are lost.

    What it allowed before that restore is not forgotten. What waits no more, and what is damaged, is as in any tree.
    """
    found = taken(tmp_path, HELD_BEFORE, records, scope, chroot, identity=RESTORED)
    assert expected == list(found.auto_updates())
    held = {f"{HELD}/{change.namespace}": json.dumps(change.before).encode() for change in expected if change.held}
    nodes = {node.path.decode(): node.data for node in found.held_nodes(1, 2, 3)}
    assert held == {path: data for path, data in nodes.items() if data}
