"""Negative controls of the model: without any one rule of the capture, it finds a wrong capture within seconds."""

import time

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from support.broken_rules import WITHOUT, NeverForgets, ThrottledAreDropped
from support.model_machine import CaptureOfAModel, examples

MOST = 20_000
"""Examples until a wrong capture is found. Most rules need some dozens."""
STEPS, LONG = 100_000, 50
"""Steps of a soak, and of one of its examples."""
BROKEN: dict[str, type[CaptureOfAModel]] = {
    **{name: type(name, (CaptureOfAModel,), {"kept": rules}) for name, rules in WITHOUT.items()},
    "ThrottledAreDropped": type("ThrottledAreDropped", (CaptureOfAModel,), {"connection": ThrottledAreDropped}),
    "NeverForgets": type("NeverForgets", (CaptureOfAModel,), {"cache": NeverForgets}),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_without(rule: str) -> None:
    """Without this rule, the model finds a wrong capture."""
    until_one_fails = settings(examples(MOST), phases=[Phase.generate], report_multiple_bugs=False)
    begin = time.process_time()
    with pytest.raises(AssertionError):
        run_state_machine_as_test(BROKEN[rule], settings=until_one_fails)
    print(f"{rule}: found after {time.process_time() - begin:.2f} s")


@pytest.mark.soak
def test_long() -> None:
    """A hundred thousand steps, fifty in each capture and those after it, and all captures are exact."""
    run_state_machine_as_test(CaptureOfAModel, settings=examples(STEPS // LONG, LONG))
