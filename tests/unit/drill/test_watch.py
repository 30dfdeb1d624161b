"""What the service knows of drills."""

import logging
from collections.abc import Callable

import pytest

from metadata_tool.drill.records import Record, Records
from metadata_tool.drill.watch import DrillWatch
from metadata_tool.errors import StoreUnreachable
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.metrics import Metrics

PASSED = Records(Record("a", 1, 1.0))


def reading(answers: list[Records | Exception]) -> Callable[[], Records]:
    """What gives or raises each of these once."""

    def read() -> Records:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return read


@pytest.mark.parametrize("error", [StoreUnreachable("the store is away", "Wait"), OSError("no")])
def test_unreadable_records_change_nothing(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """If the records cannot be read, one line says so, and what was known stays."""
    metrics = Metrics()
    watch = DrillWatch(reading([PASSED, error]), metrics)
    caplog.set_level(logging.WARNING)
    watch(Heartbeat())
    shown = [line for line in metrics.exposition().splitlines() if b"backup_drill" in line]
    watch(Heartbeat())
    assert PASSED == watch.last
    assert shown == [line for line in metrics.exposition().splitlines() if b"backup_drill" in line]
    assert 1 == len(caplog.messages)
    assert caplog.messages[0].startswith("the records of drills cannot be read, because ")


def test_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Records that stay unreadable are told once, and again only after they could be read."""
    away = StoreUnreachable("the store is away", "Wait")
    answers: list[Records | Exception] = [away, away, away, PASSED, away]
    watch = DrillWatch(reading(answers), Metrics())
    told = []
    while answers:
        watch(Heartbeat())
        told.append(len(caplog.messages))
    assert [1, 1, 1, 1, 2] == told
