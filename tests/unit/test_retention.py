"""Which backups are kept."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.catalog import LATEST_TIMESTAMP
from metadata_tool.limits import ALWAYS_KEPT
from metadata_tool.retention import EXAMPLE, Retention
from support.trees import PATIENT

NEWEST = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
"""A Saturday."""
RULES = [field.name for field in fields(Retention)]

retentions = st.builds(Retention, *[st.integers(0, 6)] * len(RULES))
times = st.lists(st.integers(0, 400).map(lambda hours: ago(hours=hours * 7)), unique=True)


def ago(**before: float) -> int:
    """The name of a backup so long before the newest, in epoch milliseconds."""
    return int((NEWEST - timedelta(**before)).timestamp() * 1000)


def kept(retention: Retention, timestamps: list[int]) -> list[int]:
    """What is left, newest first."""
    return list(retention.kept(timestamps))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("last=1", [0, 1, 2]),
        ("last=5", [0, 1, 2, 3, 4]),
        ("hours=3", [0, 1, 2]),
        ("hours=6", [0, 1, 2, 3, 4, 5]),
        ("daily=3", [0, 1, 2, 13, 37]),
        ("weekly=2", [0, 1, 2, 6 * 24 - 11]),
        ("monthly=2", [0, 1, 2, 28 * 24 - 11]),
        ("yearly=1", [0, 1, 2]),
        ("hourly=4,daily=2", [0, 1, 2, 3, 13]),
    ],
)
def test_rules(text: str, expected: list[int]) -> None:
    """Of a backup an hour for 60 days, each rule keeps those of its newest periods."""
    hourly = [ago(hours=hours) for hours in range(60 * 24)]
    assert [ago(hours=hours) for hours in expected] == kept(Retention.parse(text), hourly)


def test_all_of_an_hour_or_the_last() -> None:
    """`hours` keeps every backup of its hours, and `hourly` the last one of each."""
    often = [ago(minutes=minutes) for minutes in range(0, 180, 10)]
    assert [ago(minutes=minutes) for minutes in range(0, 100, 10)] == kept(Retention(hours=2), often)
    assert [ago(minutes=minutes) for minutes in (0, 10, 20, 40)] == kept(Retention(hourly=2), often)


def test_reasons() -> None:
    """Each backup that is kept has all rules that keep it."""
    found = Retention(last=1, hours=1, daily=2, yearly=2).kept([ago(hours=hours) for hours in range(30)])
    assert [["newest", "last", "hours", "daily", "yearly"], ["newest"], ["newest"], ["daily"]] == list(found.values())


@PATIENT
@given(retentions, times)
def test_newest_stay(retention: Retention, timestamps: list[int]) -> None:
    """The newest backups stay, whatever the rules are, and nothing is kept that is not there."""
    newest_first = sorted(timestamps, reverse=True)
    left = kept(retention, timestamps)
    assert newest_first[:ALWAYS_KEPT] == left[:ALWAYS_KEPT]
    assert [each for each in newest_first if each in left] == left


@PATIENT
@given(retentions, times)
def test_after_each_backup_or_at_once(retention: Retention, timestamps: list[int]) -> None:
    """To expire backups after each new one leaves the same as to do it once, after the last."""
    left: list[int] = []
    for timestamp in sorted(timestamps):
        left = kept(retention, [*left, timestamp])
    assert kept(retention, timestamps) == left


@PATIENT
@given(retentions, times, times)
def test_what_expired_stays_expired(retention: Retention, timestamps: list[int], later: list[int]) -> None:
    """What expires by an older listing expires by a newer one too, so two services delete no more than one."""
    newest = max(timestamps, default=0)
    more = [*timestamps, *(each for each in later if each > newest)]
    assert set(timestamps) & set(kept(retention, more)) <= set(kept(retention, timestamps))


@PATIENT
@given(retentions, times)
def test_nothing_expires_without_a_new_backup(retention: Retention, timestamps: list[int]) -> None:
    """What was kept is kept as long as there is no newer backup: to expire twice is to expire once."""
    left = kept(retention, timestamps)
    assert left == kept(retention, left)


@PATIENT
@given(retentions, times, st.sampled_from(RULES), st.integers(1, 5))
def test_more_keeps_more(retention: Retention, timestamps: list[int], rule: str, more: int) -> None:
    """A larger number of a rule keeps all that a smaller one keeps."""
    larger = Retention(**{**vars(retention), rule: getattr(retention, rule) + more})
    assert set(kept(retention, timestamps)) <= set(kept(larger, timestamps))


@PATIENT
@given(retentions, times, st.integers(ago(hours=-400 * 24), LATEST_TIMESTAMP))
def test_clock_that_jumps(retention: Retention, timestamps: list[int], ahead: int) -> None:
    """A backup of a clock that was ahead takes one place of each rule, and no more."""
    fewer = Retention(**{rule: max(0, number - 1) for rule, number in vars(retention).items()})
    place = sorted(timestamps, reverse=True)[ALWAYS_KEPT - 1 : ALWAYS_KEPT]
    assert set(kept(fewer, timestamps)) - set(place) <= set(kept(retention, [*timestamps, ahead]))


def test_clock_that_was_ahead() -> None:
    """A backup of the far future does not expire those of the present."""
    timestamps = [LATEST_TIMESTAMP, *(ago(hours=hours) for hours in range(60 * 24))]
    expected = [LATEST_TIMESTAMP, *(ago(hours=hours) for hours in (0, 1, 2, 13))]
    assert expected == kept(Retention(last=4, daily=3, hours=3), timestamps)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a rule is one of last, hours"),
        ("daily", "a rule is one of"),
        ("daily=-1", "a rule is one of"),
        ("daily=1.5", "a rule is one of"),
        ("daily=1234567", "a rule is one of"),
        ("nightly=3", "a rule is one of"),
        ("daily=3,,", "a rule is one of"),
        ("daily=3,daily=4", "daily comes twice"),
        ("daily=0,hours=0", "every rule is 0"),
    ],
)
def test_not_valid(text: str, why: str) -> None:
    """Rules that are not understood are refused with a reason."""
    with pytest.raises(ValueError, match=why):
        Retention.parse(text)


@PATIENT
@given(retentions.filter(lambda retention: bool(str(retention))))
def test_round_trip(retention: Retention) -> None:
    """Rules are written as they are read."""
    assert retention == Retention.parse(str(retention))


def test_blanks() -> None:
    """Blanks around rules have no meaning."""
    assert Retention(hours=48, daily=14) == Retention.parse(" hours=48 , daily=14")


def test_example() -> None:
    """The example that documents and messages give is valid."""
    assert EXAMPLE == str(Retention.parse(EXAMPLE))
