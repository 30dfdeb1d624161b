import threading
import time
from collections.abc import Iterator

import pytest

from metadata_tool.errors import Stopped
from metadata_tool.lifecycle import Every, Heartbeat

PATIENCE = 60.0
LONG = 3600.0


@pytest.fixture
def heartbeat() -> Iterator[Heartbeat]:
    """A checkpoint, stopped in the end so that no thread is left that waits on it."""
    made = Heartbeat()
    yield made
    made.stop()


def test_every(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said every ten seconds is said after ten, and not again before ten more, however often it is asked."""
    asked = [100.0, 109.0, 110.0, 111.0, 119.0, 121.0, 122.0]
    clock = iter([100.0, *asked])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    every = Every(10.0)
    said = [now for now in asked if every()]
    assert [110.0, 121.0] == said


def test_work_goes_on(heartbeat: Heartbeat) -> None:
    """Work that nobody stops passes every step."""
    for _ in range(3):
        heartbeat()
    assert not heartbeat.stopping


def test_stop_takes_effect_at_the_next_step(heartbeat: Heartbeat) -> None:
    """Work that was stopped ends at its next step, and at every one after it."""
    heartbeat()
    heartbeat.stop()
    for _ in range(2):
        with pytest.raises(Stopped):
            heartbeat()


def test_stop_can_be_seen(heartbeat: Heartbeat) -> None:
    """Whoever asks learns of the stop, which may be said twice."""
    heartbeat.stop()
    heartbeat.stop()
    assert heartbeat.stopping


def test_age_grows_until_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work gets older as long as it takes no step; a step makes it young."""
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    heartbeat = Heartbeat()
    clock[0] += 7.5
    assert 7.5 == heartbeat.age
    heartbeat()
    assert 0 == heartbeat.age


@pytest.mark.parametrize("seconds", [0.05, 0, -1])
def test_sleep_ends(seconds: float, heartbeat: Heartbeat) -> None:
    """A sleep that nobody ends early ends, and says so."""
    assert not heartbeat.sleep(seconds)


def test_sleep_is_no_sleep_after_a_stop(heartbeat: Heartbeat) -> None:
    """After a stop nothing sleeps, however short or long."""
    heartbeat.stop()
    assert [True] * 3 == [heartbeat.sleep(seconds) for seconds in (LONG, 0, -1)]


def test_stop_ends_a_sleep(heartbeat: Heartbeat) -> None:
    """A stop wakes whoever sleeps."""
    woken: list[bool] = []
    sleeper = threading.Thread(target=lambda: woken.append(heartbeat.sleep(LONG)), daemon=True)
    sleeper.start()
    heartbeat.stop()
    sleeper.join(PATIENCE)
    assert [True] == woken


def test_sleeper_is_alive(heartbeat: Heartbeat) -> None:
    """A long sleep is no stall: it shows signs of life again and again."""
    threading.Thread(target=lambda: heartbeat.sleep(LONG), daemon=True).start()
    wait, last, signs = threading.Event(), heartbeat.age, 0
    for _ in range(int(PATIENCE * 100)):
        age = heartbeat.age
        signs, last = signs + (age < last), age
        if signs == 2:
            break
        wait.wait(0.01)
    assert 2 == signs
