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
    SavedSchemas,
    SchemaVersion,
)
from metadata_tool.broker_metadata.restorable import Hold
from metadata_tool.from_brokers import FromBrokers, Source, prepare
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.holds import AUTO_UPDATE, OF_DATA, RETENTION
from metadata_tool.pulsar.holds import HELD as HELD_VALUES
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import Scope
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, tree_key
from support import policy_events
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
    *,
    infinite_retention: bool = False,
    **changes: Any,
) -> FromBrokers:
    """What is taken from a backup of this tree and these records."""
    work = directory / "work"
    work.mkdir()
    nodes = tree({chroot + path if path.startswith("/admin") else path: data for path, data in content.items()})
    manifest = make_archive(directory / "backup", nodes, records=records, **changes)
    source = Source(directory / "backup", manifest, Layout(chroot), scope, infinite_retention)
    return prepare(source, work, Heartbeat())


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
    policy_events.schema("shop/plain"),
    policy_events.saved("shop/plain", "t", maxConsumerPerTopic=7),
    NotSaved("schemas", "shop/plain/t", 7, "HTTP 500"),
]


def without_registration(namespace: str, before: bool | None) -> Hold:
    """A namespace in which clients may no longer register schemas."""
    return Hold(namespace, {AUTO_UPDATE: before}, {AUTO_UPDATE: False})


WAITING = [
    without_registration("shop/a", None),
    without_registration("shop/b", True),
    Hold("shop/off", {}, {}),
    without_registration("shop/us-west", None),
    without_registration("shop/us-west/v1", None),
]


@pytest.mark.parametrize("chroot", ["", "/pulsar", "/pulsar-1"])
def test_namespaces_that_wait_for_their_schemas(chroot: str, tmp_path: Path) -> None:
    """Clients may register no schemas where any are saved, unless they could not before. All others stay as they were.

    Namespaces with V1 names, which are not in the same order as their topics, are among them.
    """
    assert WAITING == list(taken(tmp_path, POLICIES, RECORDS, chroot=chroot).holds())


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
    assert ([], []) == (list(found.holds()), list(found.held_nodes(1, 2, 3)))


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
        f"{HELD}/shop/a": as_json(is_allow_auto_update_schema=None),
        f"{HELD}/shop/b": as_json(is_allow_auto_update_schema=True),
        f"{HELD}/shop/off": b"{}",
        f"{HELD}/shop/us-west": as_json(is_allow_auto_update_schema=None),
        f"{HELD}/shop/us-west/v1": as_json(is_allow_auto_update_schema=None),
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
    assert [namespace.decode() for namespace in waiting] == [change.namespace for change in found.holds()]
    paths = [node.path for node in found.held_nodes(1, 2, 3)]
    assert sorted({*paths}, key=tree_key) == paths
    assert {path.rpartition(b"/")[0] for path in paths} <= {*paths, b"/metadata-backup"}


RETAINED = {"retentionTimeInMinutes": 60, "retentionSizeInMB": 5}
QUOTAS = {"message_age": {"limitTime": 9, "policy": "consumer_backlog_eviction"}}
DELETING = {
    "/admin/policies/lab/a": as_json(retention_policies=RETAINED, message_ttl_in_seconds=7, backlog_quota_map=QUOTAS),
    "/admin/policies/lab/b": as_json(bundles=4),
    "/admin/policies/lab/c": as_json(message_ttl_in_seconds=0),
    "/admin/policies/lab/d": as_json(),
}
SIZE = {"retentionSizeInMB": 1, "retentionTimeInMinutes": 2}
OVERRIDDEN: list[Record] = [
    policy_events.schema("lab/a"),
    policy_events.saved("lab/a", "x", retentionPolicies=SIZE),
    policy_events.saved("lab/a", "y", messageTTLInSeconds=70, backLogQuotaMap={}),
    policy_events.schema("lab/b"),
    policy_events.saved("lab/b", "x", maxConsumerPerTopic=7),
    policy_events.saved(
        "lab/b", "y", inactiveTopicPolicies={"deleteWhileInactive": False, "maxInactiveDurationSeconds": 9}
    ),
    policy_events.schema("lab/c"),
    policy_events.saved("lab/c", "x", messageTTLInSeconds=70),
    policy_events.saved("lab/d", "x"),
]


def held(namespace: str, **before: Any) -> Hold:
    """A namespace with these settings held, which were something else at the backup."""
    return Hold(namespace, before, {name: HELD_VALUES[name] for name in before})


def test_what_topics_override(tmp_path: Path) -> None:
    """Exactly the settings that delete data and that a topic overrides are held, unless they delete nothing.

    An event that cannot be decoded may override all of them.
    """
    expected = [
        held("lab/a", retention_policies=RETAINED, message_ttl_in_seconds=7),
        held("lab/b", inactive_topic_policies=None),
        held("lab/d", **dict.fromkeys(OF_DATA.values())),
    ]
    assert expected == list(taken(tmp_path, DELETING, OVERRIDDEN).holds())


def test_infinite_retention(tmp_path: Path) -> None:
    """If the operator wants infinite retention, it is not held, so that a put-back does not end it."""
    found = list(taken(tmp_path, DELETING, OVERRIDDEN, infinite_retention=True).holds())
    assert held("lab/a", message_ttl_in_seconds=7) == found[0]
    assert [] == [hold for hold in found if RETENTION in hold.before]


def test_infinite_retention_again(tmp_path: Path) -> None:
    """Infinite retention is not that of an earlier hold, so the retention before that is in the report."""
    found = list(taken(tmp_path, HELD_BEFORE, None, KEPT, infinite_retention=True, identity=RESTORED).holds())
    assert Hold("shop/a", {AUTO_UPDATE: None}, {RETENTION: RETAINED}) == found[0]


def note(**before: Any) -> bytes:
    """What an earlier restore has noted."""
    return as_json(**before)


INFINITE = HELD_VALUES[RETENTION]
HELD_BEFORE = {
    "/admin/policies/shop/a": as_json(is_allow_auto_update_schema=False, retention_policies=INFINITE),
    "/admin/policies/shop/b": as_json(is_allow_auto_update_schema=False),
    "/admin/policies/shop/c": as_json(is_allow_auto_update_schema=False),
    "/admin/policies/shop/done": as_json(),
    "/admin/policies/shop/since": as_json(is_allow_auto_update_schema=False, message_ttl_in_seconds=7),
    "/admin/policies/shop/strategy": as_json(schema_compatibility_strategy="ALWAYS_COMPATIBLE"),
    "/metadata-backup": b"{}",
    f"{HELD}/shop/a": note(is_allow_auto_update_schema=None, retention_policies=RETAINED),
    f"{HELD}/shop/b": note(is_allow_auto_update_schema=True),
    f"{HELD}/shop/c": b"damaged",
    f"{HELD}/shop/done": note(is_allow_auto_update_schema=None),
    f"{HELD}/shop/since": note(message_ttl_in_seconds=5),
    f"{HELD}/shop/strategy": note(schema_compatibility_strategy="FULL"),
}
"""A tree that was restored before.

Nothing was put back yet into the namespaces a and b, and a put-back ran in `strategy`.
"""
STRATEGY = Hold("shop/strategy", {}, {"schema_compatibility_strategy": "FULL"}, noted=False)
FREED = [
    Hold("shop/a", {}, {AUTO_UPDATE: None, RETENTION: RETAINED}, noted=False),
    Hold("shop/b", {}, {AUTO_UPDATE: True}, noted=False),
    STRATEGY,
]


@pytest.mark.parametrize("chroot", ["", "/pulsar"])
@pytest.mark.parametrize(
    ("records", "scope", "expected"),
    [
        pytest.param(
            [schemas("shop/a/t")],
            LOST,
            [Hold("shop/a", {AUTO_UPDATE: None}, {RETENTION: RETAINED}), *FREED[1:]],
            id="one has schemas",
        ),
        pytest.param(
            [policy_events.schema("shop/a"), policy_events.saved("shop/a", "t", retentionPolicies=SIZE)],
            LOST,
            [Hold("shop/a", {RETENTION: RETAINED}, {AUTO_UPDATE: None}), *FREED[1:]],
            id="one has policies",
        ),
        pytest.param(None, LOST, FREED, id="none has any"),
        pytest.param(
            None,
            KEPT,
            [
                Hold("shop/a", {AUTO_UPDATE: None, RETENTION: RETAINED}, {}),
                Hold("shop/b", {AUTO_UPDATE: True}, {}),
                STRATEGY,
            ],
            id="bookies kept",
        ),
    ],
)
def test_restored_again(
    records: list[Record] | None, scope: Scope, expected: list[Hold], chroot: str, tmp_path: Path
) -> None:
    """A namespace that waits since an earlier restore goes on waiting, or is freed if there is nothing to wait for.

    What its settings were before that restore is not forgotten, also not the strategy that a put-back had changed for a
    while. What waits no more, what somebody has changed since, and what is damaged, is as in any tree.
    """
    found = taken(tmp_path, HELD_BEFORE, records, scope, chroot, identity=RESTORED)
    assert expected == list(found.holds())
    notes = {f"{HELD}/{hold.namespace}": json.dumps(hold.before) for hold in expected if hold.noted}
    nodes = {node.path.decode(): node.data for node in found.held_nodes(1, 2, 3)}
    assert notes == {path: json.dumps(json.loads(data)) for path, data in nodes.items() if data}
