"""Which znodes are topics, and which are cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import CURSORS, TOPICS, Cursor, Reader, Topic
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
    ],
)
def test_topics_and_cursors(path: str, expected: tuple[type, str, str]) -> None:
    """Both versions of names are known."""
    data = KINDS[Topic if expected[0] is Topic else Cursor][1]
    found = Reader(Layout()).read(f"/managed-ledgers/{path}".encode(), data)
    assert isinstance(found, Topic | Cursor)
    name = found.name if isinstance(found, Topic) else found.name.decode()
    namespace = found.namespace if isinstance(found, Topic) else expected[1]
    assert expected == (type(found), namespace, name)


@PATIENT
@given(st.lists(st.sampled_from(["t", "n", "persistent", "non-persistent"]), max_size=8))
def test_it_is_what_the_patterns_say(names: list[str]) -> None:
    """The reader and the rules mean the same znodes."""
    path = "/".join(["/managed-ledgers", *names]).encode()
    fits = [any(Layout().compile(pattern).fullmatch(path) for pattern in patterns) for patterns, _ in KINDS.values()]
    # Every cursor is a list of ledgers to the decoder, and the other way round: only the kind is looked at.
    found = Reader(Layout()).read(path, cursor(3))
    assert any(fits) == (found is not None)
