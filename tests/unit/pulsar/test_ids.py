"""Ledger ids and their counters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.ids import MARGIN, MAX_SKIP, Counter, counter_at, last_allocated, ledger_id, next_counter
from support.trees import PATIENT

LAST_SHORT = (1 << 31) - 2
highest_ids = st.integers(-1, LAST_SHORT) | st.builds(
    lambda high, low: (high << 32) + low, st.integers(1, 1000), st.integers(0, LAST_SHORT)
)
skips = st.integers(0, MAX_SKIP)


@PATIENT
@given(highest_ids, st.booleans())
def test_next_id_is_above_all(highest: int, long: bool) -> None:
    """The placeholder is above all ids by a margin, and the next id is above the placeholder."""
    counter = next_counter(highest, long=long or highest > LAST_SHORT)
    assert counter.next_id == last_allocated(counter.high, counter.next) + 1
    assert highest + MARGIN < counter.placeholder_id < counter.next_id


@PATIENT
@given(highest_ids, skips)
def test_counter_has_room(highest: int, skip: int) -> None:
    """A counter is never set to a value at which Pulsar would have to use the next counter."""
    counter = next_counter(highest, long=highest > LAST_SHORT, skip=skip)
    assert 0 < counter.next <= LAST_SHORT


@PATIENT
@given(highest_ids, st.booleans(), skips, skips)
def test_skipped_ids(highest: int, long: bool, fewer: int, more: int) -> None:
    """A counter that skips more ids continues later, by at least as many."""
    fewer, more = sorted((fewer, more))
    first, second = (next_counter(highest, long=long or highest > LAST_SHORT, skip=each) for each in (fewer, more))
    assert second.next_id - first.next_id >= more - fewer


@pytest.mark.parametrize(
    ("highest", "long", "expected"),
    [
        (-1, False, Counter(None, MARGIN + 1)),
        (41, False, Counter(None, MARGIN + 43)),
        (LAST_SHORT, False, Counter(1, 2)),
        (41, True, Counter(1, 2)),
        (LAST_SHORT - 1 - MARGIN, False, Counter(None, LAST_SHORT + 1)),
        (LAST_SHORT - MARGIN, False, Counter(1, 2)),
        ((7 << 32) + 5, True, Counter(7, MARGIN + 7)),
        ((7 << 32) + LAST_SHORT - 1 - MARGIN, True, Counter(7, LAST_SHORT + 1)),
        ((7 << 32) + LAST_SHORT - MARGIN, True, Counter(8, 2)),
        ((7 << 32) + LAST_SHORT, True, Counter(8, 2)),
    ],
)
def test_next_counter(highest: int, *, long: bool, expected: Counter) -> None:
    """The counter that Pulsar uses is raised. If it is used up, the next counter starts."""
    assert expected == next_counter(highest, long=long)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"00/0000/L0000", 0),
        (b"00/0012/L3456", 123456),
        (b"000/0000/0042/9496/L7296", 4294967296),
        (b"00a/0012/L3456", 123456),
        (b"9a/9999/9999/9999/L1234567890123456789", 1234567890123456789),
    ],
)
def test_ledger_id(path: bytes, expected: int) -> None:
    """The path of a ledger below /ledgers/ has its id."""
    assert expected == ledger_id(path)


@pytest.mark.parametrize(
    ("high", "cversion", "expected"),
    [(None, 0, -1), (None, 5, 4), (0, 5, 4), (1, 0, (1 << 32) - 1), (7, 3, (7 << 32) + 2)],
)
def test_last_of_a_counter(high: int | None, cversion: int, expected: int) -> None:
    """The last id that a counter allocated is one less than the next."""
    assert expected == last_allocated(high, cversion)


@pytest.mark.parametrize(
    ("counter", "expected"), [(Counter(None, 5), 4), (Counter(7, 5), (7 << 32) + 4), (Counter(1, 2), (1 << 32) + 1)]
)
def test_placeholder(counter: Counter, expected: int) -> None:
    """The placeholder is the id before the next one."""
    assert expected == counter.placeholder_id


@pytest.mark.parametrize(
    ("counter", "path"),
    [(Counter(None, 1), "/ledgers/idgen"), (Counter(7, 1), "/ledgers/idgen-long/HOB-0000000007")],
)
def test_path_of_a_counter(counter: Counter, path: str) -> None:
    """A counter has the path of BookKeeper's znode."""
    assert path == counter.path


@PATIENT
@given(st.integers(0, (1 << 60) - 1) | highest_ids.filter(lambda highest: highest >= 0))
def test_counter_at(highest: int) -> None:
    """A counter that is set at an id has allocated it, and no higher one. If none can have, it is above the id."""
    counter = counter_at(highest)
    last = last_allocated(counter.high, counter.next)
    low = highest if counter.high is None else highest & 0xFFFF_FFFF
    possible = highest <= LAST_SHORT or (highest >> 32 and low <= LAST_SHORT)
    assert last == highest if possible else last >= highest
    assert 0 <= counter.next <= LAST_SHORT + 1
