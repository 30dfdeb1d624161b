"""Which znodes are topics, and which are cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import CURSORS, TOPICS, Cursor, Topic, TopicDecoder
from support.metadata import cursor, ledgers
from support.trees import PATIENT

KINDS = {Topic: (TOPICS, ledgers((1, True))), Cursor: (CURSORS, cursor(3))}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("t/n/persistent/a", (Topic, "t/n", "a")),
        ("t/n/persistent/a/s", (Cursor, "t/n", "s")),
        ("t/c/n/persistent/a", (Topic, "t/c/n", "a")),
        ("t/c/n/persistent/a/s", (Cursor, "t/c/n", "s")),
        ("t/persistent/persistent/a", (Topic, "t/persistent", "a")),
        ("persistent/n/persistent/persistent", (Topic, "persistent/n", "persistent")),
        ("t/n/segment/a/0000-7fff-1", (Topic, "t/n", "a/0000-7fff-1")),
        ("t/n/segment/a/0000-7fff-1/s", (Cursor, "t/n", "s")),
        ("t/n/segment/persistent/0000-7fff-1", (Topic, "t/n", "persistent/0000-7fff-1")),
        ("t/n/segment/persistent/0000-7fff-1/s", (Cursor, "t/n", "s")),
        ("t/c/segment/persistent/a", (Topic, "t/c/segment", "a")),
        ("t/c/segment/persistent/a/s", (Cursor, "t/c/segment", "s")),
        ("t/n/persistent/segment/a", (Cursor, "t/n", "a")),
        ("t/segment/persistent/a", (Topic, "t/segment", "a")),
        ("segment/segment/segment/segment/8000-ffff-2", (Topic, "segment/segment", "segment/8000-ffff-2")),
    ],
)
def test_topics_and_cursors(path: str, expected: tuple[type, str, str]) -> None:
    """Topics and cursors with V1 and V2 names are found, and segments of scalable topics and their cursors."""
    data = KINDS[Topic if expected[0] is Topic else Cursor][1]
    found = TopicDecoder(Layout()).decode(f"/managed-ledgers/{path}".encode(), data)
    assert isinstance(found, Topic | Cursor)
    assert data == found.info.SerializeToString()
    name = found.name if isinstance(found, Topic) else found.name.decode()
    namespace = found.namespace if isinstance(found, Topic) else expected[1]
    assert expected == (type(found), namespace, name)


@PATIENT
@given(st.lists(st.sampled_from(["t", "0000-ffff-0", "persistent", "non-persistent", "segment"]), max_size=8))
def test_decoder_and_patterns_agree(names: list[str]) -> None:
    """The decoder finds the znodes that the patterns match."""
    path = "/".join(["/managed-ledgers", *names]).encode()
    matches = [any(Layout().compile(pattern).fullmatch(path) for pattern in patterns) for patterns, _ in KINDS.values()]
    # The value may be of the wrong kind: it is only tested whether the znode is a topic or a cursor.
    found = TopicDecoder(Layout()).decode(path, cursor(3))
    assert any(matches) == (found is not None)
    assert any(matches) == TopicDecoder(Layout()).understands(path) or len(names) == 0


@PATIENT
@given(st.lists(st.sampled_from(["t", "0000-ffff-0", "persistent", "segment"]), min_size=4, max_size=6))
def test_managed_ledger_is_the_path(names: list[str]) -> None:
    """The name of a topic's managed ledger is its path below the managed ledgers."""
    path = "/".join(names)
    found = TopicDecoder(Layout()).decode(f"/managed-ledgers/{path}".encode(), b"")
    assert not isinstance(found, Topic) or path == found.managed_ledger


@pytest.mark.parametrize(
    "path",
    [
        "/managed-ledgerz/t/n/persistent/a",
        "/managed-ledgers/t/n/persistent/a/s/x",
        "/managed-ledgers/t/c/n/persistent/a/s/x",
        "/managed-ledgers/t/n/persistent",
        "/managed-ledgers/t/n/segment/a",
        "/managed-ledgers/t/n/segment/a/0000-7fff-1/s/x",
        "/managed-ledgers/t/n/topic/a",
    ],
)
def test_neither(path: str) -> None:
    """A znode elsewhere, above a topic or below a cursor is neither."""
    assert TopicDecoder(Layout()).decode(path.encode(), cursor(3)) is None


@pytest.mark.parametrize("data", [None, b""])
def test_topic_without_data(data: bytes | None) -> None:
    """A topic without data has no ledgers, and nothing else."""
    expected = Topic("t/n", "a", ManagedLedgerInfo())
    assert expected == TopicDecoder(Layout()).decode(b"/managed-ledgers/t/n/persistent/a", data)


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("pulsar/old/broker-0:8080", "healthcheck", True),
        ("pulsar/old", "healthcheck", True),
        ("pulsar/old/broker-0:8080", "healthchecks", False),
        ("pulsars/old", "healthcheck", False),
        ("public/pulsar/", "healthcheck", False),
    ],
)
def test_health_check(namespace: str, name: str, *, expected: bool) -> None:
    """Brokers check their health by a topic of this name, in a namespace of the tenant `pulsar`."""
    assert expected == Topic(namespace, name, ManagedLedgerInfo()).is_health_check
