"""What a restore puts into a tree, asked for in tree order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.broker_metadata.records import Hole, Position, SavedCursor
from metadata_tool.broker_metadata.restorable import Hold, InTreeOrder, Restorable
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


def test_hold() -> None:
    """What happens to the settings of a namespace is read as it was written, on one line."""
    hold = Hold("t/\u00fc\n", {"a": None, "b": {"c": [1]}}, {"d": False}, noted=False)
    assert (hold, 1) == (Hold.decode(hold.encode()), hold.encode().count(b"\n"))


def test_counts() -> None:
    """Subscriptions with their saved position are counted, and what of their holes did not fit."""
    hole = Hole(Position(1, 2), Position(1, 3))
    restorable = Restorable()
    for kept in (3, 1, 0):
        restorable.note(SavedCursor("a", 7, Position(1, 1), (hole,) * 3), kept)
    assert (3, 2, 5) == (restorable.positions, restorable.shortened, restorable.holes_left_out)


def test_nothing_is_known() -> None:
    """Without broker metadata, nothing is put into a tree."""
    assert (None, None) == (Restorable().cursor(b"t/n/persistent/a/s"), Restorable().hold(b"t/n"))
