"""When a service scrubs: a model, and the cases that operators ask about."""

from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.scrub_schedule import ScrubSchedule
from support.trees import PATIENT

GOOD, NEW_LOSSES, FAILED = "good", "new losses", "failed"


def scrubs(backups: list[float], interval: float, early: float, outcomes: list[str]) -> list[float]:
    """The times of those backups that are scrubbed. After the last outcome, all are good."""
    schedule, found, left = ScrubSchedule(interval, early), list[float](), iter(outcomes)
    for now in backups:
        if schedule.is_due(now):
            found.append(now)
            schedule.begin(now)
            outcome = next(left, GOOD)
            if outcome == FAILED:
                schedule.failed()
            else:
                schedule.succeeded(new_losses=outcome == NEW_LOSSES)
    return found


EVERY_TEN_MINUTES = [5 + 600.0 * number + (-1) ** number for number in range(200)]
"""When backups end, a second too early or too late."""


def test_each_backup() -> None:
    """With the interval of the backups, or a shorter one, each backup is scrubbed."""
    for interval in (1, 600):
        assert EVERY_TEN_MINUTES == scrubs(EVERY_TEN_MINUTES, interval, 300, [])


def test_once_a_day() -> None:
    """With a longer interval, the backup nearest to its end is scrubbed."""
    assert [6.0, 86406.0] == scrubs(EVERY_TEN_MINUTES, 86400, 300, [])


def test_new_losses_are_looked_at_again() -> None:
    """The backup after one with new losses is scrubbed, too, once. The interval counts from the first of the two."""
    expected = [EVERY_TEN_MINUTES[number] for number in (0, 1, 144)]
    assert expected == scrubs(EVERY_TEN_MINUTES, 86400, 300, [NEW_LOSSES, NEW_LOSSES])


def test_failed_scrub_is_repeated() -> None:
    """After a failed scrub the next backup is scrubbed, until a scrub succeeds. The interval counts from that one."""
    expected = [EVERY_TEN_MINUTES[number] for number in (0, 1, 2, 146)]
    assert expected == scrubs(EVERY_TEN_MINUTES, 86400, 300, [FAILED, FAILED])


@PATIENT
@given(
    st.lists(st.integers(1, 2000), min_size=1, max_size=60),
    st.integers(1, 5000),
    st.integers(0, 1000),
    st.lists(st.sampled_from([GOOD, NEW_LOSSES, FAILED]), min_size=60, max_size=60),
)
def test_any_schedule(pauses: list[int], interval: int, early: int, outcomes: list[str]) -> None:
    """The first backup is scrubbed, the one after a failure, and any after the interval. Others need a reason."""
    backups = [float(sum(pauses[:number])) for number in range(len(pauses))]
    found = scrubs(backups, interval, early, outcomes)
    assert backups[0] == found[0]
    for number, before in enumerate(found):
        after = found[number + 1] if number + 1 < len(found) else float("inf")
        skipped = [each for each in backups if before < each < after]
        assert [] == [each for each in skipped if each - before >= interval - early or outcomes[number] == FAILED]
        if [GOOD, GOOD] == outcomes[number - 1 : number + 1]:
            assert after - before >= interval - early
