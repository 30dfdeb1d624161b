"""How reads are shared out to requests."""

from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.zookeeper.reads import REPLY_BYTES, portions
from support.trees import PATIENT

sized = st.lists(st.tuples(st.integers(), st.integers(1, 300), st.integers(0, 2 * REPLY_BYTES)), max_size=30)


@PATIENT
@given(sized, st.integers(1, 10))
def test_portions(items: list[tuple[int, int, int]], most: int) -> None:
    """All are read, in their order; no request or reply is larger than its bound, unless it is of one alone."""
    made = list(portions(((item, *item[1:]) for item in items), most, 1000))
    assert items == [item for portion in made for item in portion]
    for portion in made:
        assert 1 <= len(portion) <= most
        within = sum(item[1] for item in portion) <= 1000 and sum(item[2] for item in portion) <= REPLY_BYTES
        assert within or len(portion) == 1
