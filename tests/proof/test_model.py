"""Negative controls of the model: it notices if any one of these rules of the capture is missing."""

import time

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from support.broken_rules import WITHOUT, NeverForgets, ThrottledAreDropped, unchecked
from support.model_capture import StalledError
from support.model_machine import (
    CacheKeptError,
    CaptureOfAModel,
    WrongCaptureError,
    WrongDoubtError,
    WrongRefusalError,
    examples,
)

MOST = 20_000
"""At most this many examples. Most rules need some dozens."""
STEPS, LONG = 100_000, 50
"""Steps of the long form, and of one of its examples."""


def machine(name: str, **parts: object) -> type[CaptureOfAModel]:
    """The random test of a capture with other parts."""
    return type(name, (CaptureOfAModel,), parts)


def noticed(capture: type[CaptureOfAModel], *expected: type[AssertionError]) -> None:
    """The random test fails, and in one of these ways."""
    begin = time.process_time()
    once = settings(examples(MOST), phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(expected):
        run_state_machine_as_test(capture, settings=once)
    print(f"{capture.__name__}: noticed after {time.process_time() - begin:.2f} s")


@pytest.mark.parametrize("rule", [name for name in WITHOUT if name != "NoGrowth"])
def test_wrong(rule: str) -> None:
    """Without this rule, and without the checks that refuse a tree, a capture is wrong, or doubts what it need not."""
    noticed(machine(rule, kept=unchecked(rule)), WrongCaptureError, WrongDoubtError)


def test_refused() -> None:
    """A count that ignores later creates and deletes refuses trees that are complete."""
    noticed(machine("NoGrowth", kept=WITHOUT["NoGrowth"]), WrongRefusalError)


def test_stalled() -> None:
    """If throttled requests are not sent again, a capture never ends."""
    noticed(machine("ThrottledAreDropped", connection=ThrottledAreDropped), StalledError)


def test_cache_kept() -> None:
    """A cache that survives a broken connection is noticed."""
    noticed(machine("NeverForgets", cache=NeverForgets), CacheKeptError)


@pytest.mark.soak
def test_long() -> None:
    """In 2,000 examples of fifty steps, all captures are exact."""
    run_state_machine_as_test(CaptureOfAModel, settings=examples(STEPS // LONG, LONG))
