import threading
import time
from collections.abc import Iterator
from functools import partial
from threading import Event

import pytest

from metadata_tool.errors import Stopped
from metadata_tool.lifecycle import Every, Heartbeat, interruptible

PATIENCE = 60.0
LONG = 3600.0


@pytest.fixture
def heartbeat() -> Iterator[Heartbeat]:
    """A heartbeat that is stopped after the test, so that no thread waits for it."""
    made = Heartbeat()
    yield made
    made.stop()


def test_every(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an interval of ten seconds, it is true once every ten seconds, however often it is called."""
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
    """`stopping` shows a stop, which may be repeated."""
    heartbeat.stop()
    heartbeat.stop()
    assert heartbeat.stopping


def test_age_grows_until_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The age grows until the next step."""
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    heartbeat = Heartbeat()
    clock[0] += 7.5
    assert 7.5 == heartbeat.age
    heartbeat()
    assert 0 == heartbeat.age


@pytest.mark.parametrize("seconds", [0.05, 0, -1])
def test_sleep_ends(seconds: float, heartbeat: Heartbeat) -> None:
    """A sleep without a stop returns false."""
    assert not heartbeat.sleep(seconds)


def test_sleep_is_no_sleep_after_a_stop(heartbeat: Heartbeat) -> None:
    """After a stop, sleeps end at once."""
    heartbeat.stop()
    assert [True] * 3 == [heartbeat.sleep(seconds) for seconds in (LONG, 0, -1)]


def test_stop_ends_a_sleep(heartbeat: Heartbeat) -> None:
    """A stop ends a sleep."""
    woken: list[bool] = []
    sleeper = threading.Thread(target=lambda: woken.append(heartbeat.sleep(LONG)), daemon=True)
    sleeper.start()
    heartbeat.stop()
    sleeper.join(PATIENCE)
    assert [True] == woken


def test_sleeper_is_alive() -> None:
    """A long sleep has heartbeats."""
    heartbeat = Heartbeat(every=0.05)
    wait, signs = threading.Event(), 0
    wait.wait(0.1)
    last = heartbeat.age
    threading.Thread(target=lambda: heartbeat.sleep(LONG), daemon=True).start()
    for _ in range(int(PATIENCE * 100)):
        age = heartbeat.age
        signs, last = signs + (age < last), age
        if signs == 2:
            break
        wait.wait(0.01)
    heartbeat.stop()
    assert 2 == signs


def test_interruptible_work() -> None:
    """Work in a thread gives its result or its error. After a stop, nobody waits for it."""
    heartbeat = Heartbeat()
    assert 7 == interruptible(lambda: 7, heartbeat)
    with pytest.raises(ValueError, match="seven"):
        interruptible(partial(int, "seven"), heartbeat)
    go = Event()
    heartbeat.stop()
    try:
        with pytest.raises(Stopped):
            interruptible(lambda: go.wait(60), heartbeat)
    finally:
        go.set()
