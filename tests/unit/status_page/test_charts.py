from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.coverage import Coverage, CoverageCounts
from metadata_tool.status_page.charts import HEIGHT, WIDTH, Value, parts, series
from metadata_tool.status_page.coverage_bars import SHOWN, bars
from metadata_tool.status_page.units import duration, moment, size

times = st.integers(0, 10**14)
amounts = st.integers(0, 10**18)


@given(st.lists(st.builds(Value, times, amounts), min_size=2, max_size=30))
def test_points_are_in_the_picture(values: list[Value]) -> None:
    """Whatever the values are, each is a point in the picture, in the order of time, and greater ones are higher."""
    found = series(values, str, str)
    assert found
    assert len(values) == len(found.points)
    assert all(0 <= point.x <= WIDTH and 0 <= point.y <= HEIGHT for point in found.points)
    assert sorted(point.x for point in found.points) == [point.x for point in found.points]
    for value, point in zip(sorted(values), found.points, strict=True):
        for other, place in zip(sorted(values), found.points, strict=True):
            assert value.value < other.value or point.y <= place.y


def test_no_picture_of_one_value() -> None:
    """One value shows no change."""
    assert [None, None] == [series(values, str, str) for values in ([], [Value(1, 1)])]


@given(st.dictionaries(st.sampled_from(["proven", "claimed", "lost"]), amounts))
def test_parts_fill_the_bar(found: dict[str, int]) -> None:
    """The parts of a bar follow each other, and fill it, unless there is nothing."""
    made = parts(found)
    assert [kind for kind, amount in found.items() if amount] == [part.kind for part in made]
    assert not made or abs(made[-1].start + made[-1].width - 100) < 0.05
    assert all(abs(a.start + a.width - b.start) < 0.05 for a, b in pairwise(made))


@given(st.lists(st.tuples(amounts, amounts), max_size=2 * SHOWN + 5))
def test_bars_add_up(found: list[tuple[int, int]]) -> None:
    """The bars of namespaces add up to the first one, of all together."""
    coverage = Coverage()
    for number, (kept, lost) in enumerate(found):
        coverage.add_topic(f"t/{number}", "a", CoverageCounts(topics=1, recoverable_bytes=kept, lost_bytes=lost))
    made = bars(coverage, None)
    assert bool(made) == bool(found)
    if made:
        total, *others = made
        assert (total.claimed, total.lost) == (sum(bar.claimed for bar in others), sum(bar.lost for bar in others))
        assert len(others) <= SHOWN + 1


def test_units() -> None:
    """Sizes, durations and times are short."""
    assert ["0 B", "999 B", "1.0 kB", "28.7 kB", "123 MB", "2.5 TB"] == [
        size(count) for count in (0, 999, 1000, 28_678, 123_400_000, 2_500_000_000_000)
    ]
    assert ["0.0 s", "9.9 s", "12 s", "2 min", "90 min", "3 h", "4 days"] == [
        duration(seconds) for seconds in (0, 9.9, 12, 120, 5400, 10_800, 345_600)
    ]
    assert "2021-06-15 01:44 UTC" == moment(1_623_721_488_825)
