"""JSON objects compared field by field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.tree_diff.fields import ABSENT, FieldChange, field_changes
from support.trees import PATIENT

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
objects = st.recursive(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), scalars, max_size=3),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner | scalars, max_size=3),
    max_leaves=6,
)


@PATIENT
@given(objects, objects)
def test_changes_lead_from_one_to_the_other(old: dict[str, object], new: dict[str, object]) -> None:
    """The fields that differ, set in the old object, make the new one."""
    made = json.loads(json.dumps(old))
    for change in field_changes(json.dumps(old).encode(), json.dumps(new).encode()):
        *above, last = change.field.split(".")
        place = made
        for name in above:
            place = place[name]
        if change.after is ABSENT:
            del place[last]
        else:
            place[last] = change.after
    assert new == made


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"", b"{}", []),
        (b'{"a":1}', b"", ["a: 1 -> (not set)"]),
        (b'{"a":{"b":7}}', b'{"a":{"b":1}}', ["a.b: 7 -> 1"]),
        (b'{"a":true}', b'{"a":1}', ["a: true -> 1"]),
        (b"x", b"x", []),
        (b"x", b"yy", ['data: "1 bytes" -> "2 bytes"']),
        (None, b"yy", ['data: "null" -> "2 bytes"']),
        (b"[" * 100_000, b"{}", ['data: "100000 bytes" -> "2 bytes"']),
    ],
)
def test_as_text(before: bytes | None, after: bytes, expected: list[str]) -> None:
    """Fields are shown with their values. Data that is not a JSON object is compared as a whole."""
    assert expected == [str(change) for change in field_changes(before, after)]


def test_as_json() -> None:
    """A value that is not there is left out, and null is one that is there."""
    assert {"field": "a", "before": None} == FieldChange("a", None, ABSENT).to_json()
