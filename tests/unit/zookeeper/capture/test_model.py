"""A capture is exact in any interleaving of writes, replies, events and faults. No server is needed to show it."""

from hypothesis.stateful import run_state_machine_as_test

from support.model_machine import CaptureOfAModel, examples


def test_every_capture_is_exact() -> None:
    """Whatever is written, delivered, throttled or lost, and in any order, a capture is the tree at its zxid."""
    run_state_machine_as_test(CaptureOfAModel, settings=examples(1000))
