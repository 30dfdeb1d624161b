"""What a restore puts into a tree, asked for in tree order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.broker_metadata.records import Hole, Position, SavedCursor
from metadata_tool.broker_metadata.restorable import AutoUpdate, InTreeOrder, Restorable
from support.trees import EXAMPLES, PATIENT, in_tree_order, names

paths = st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=12).map(
    lambda found: in_tree_order(path.encode() for path in found)
)


@settings(PATIENT, max_examples=EXAMPLES // 4)
@given(paths, paths, st.data())
def test_in_tree_order(known: list[bytes], asked: list[bytes], data: st.DataObject) -> None:
    """Whatever is known and asked, each path gets its own value, also if it is asked twice."""
    asked = in_tree_order([*asked, *data.draw(st.lists(st.sampled_from(known)) if known else st.just([]))])
    values = InTreeOrder((path, path.hex()) for path in known)
    twice = [path for path in asked for _ in range(2)]
    assert [path.hex() if path in known else None for path in twice] == [values.get(path) for path in twice]


@pytest.mark.parametrize("before", [None, True, False])
@pytest.mark.parametrize("after", [None, True, False])
def test_auto_update(before: bool | None, after: bool | None) -> None:
    """What becomes of a namespace is read as it was written, on one line."""
    change = AutoUpdate("t/\u00fc\n", before, after)
    assert (change, 1) == (AutoUpdate.decode(change.encode()), change.encode().count(b"\n"))


def test_held() -> None:
    """A namespace is held if its clients may not register schemas after the restore."""
    assert [True, False, False] == [AutoUpdate("t/n", None, after).held for after in (False, None, True)]


def test_counts() -> None:
    """Subscriptions with their saved position are counted, and what of their holes did not fit."""
    hole = Hole(Position(1, 2), Position(1, 3))
    restorable = Restorable()
    for kept in (3, 1, 0):
        restorable.note(SavedCursor("a", 7, Position(1, 1), (hole,) * 3), kept)
    assert (3, 2, 5) == (restorable.positions, restorable.shortened, restorable.holes_left_out)


def test_nothing_is_known() -> None:
    """Without broker metadata, nothing is put into a tree."""
    assert (None, None) == (Restorable().cursor(b"t/n/persistent/a/s"), Restorable().auto_update(b"t/n"))
