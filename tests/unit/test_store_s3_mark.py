"""Which objects a listing shows."""

from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.store.s3_mark import SUFFIX, verified

names = st.sampled_from(["a", "a-1.tar.gz", "b-1.tar.gz", ""])


@given(st.dictionaries(names, st.integers(0, 9)), st.dictionaries(names, st.integers(0, 2)))
def test_marked_objects_are_not_listed(objects: dict[str, int], marks: dict[str, int]) -> None:
    """An empty mark hides what it marks. A mark with a text does not, and none is listed itself."""
    listed = objects | {f"{name}{SUFFIX}": size for name, size in marks.items()}
    expected = {name: size for name, size in objects.items() if marks.get(name) != 0}
    assert expected == verified(listed)
