"""Pruning beside the backups of the service: told once, counted, and never a failure of a backup."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from metadata_tool.catalog import Backup, BackupName
from metadata_tool.errors import BucketDenied, StoreUnreachable
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import PRUNED_AT_ONCE
from metadata_tool.manifest import Manifest
from metadata_tool.metrics import Metrics
from metadata_tool.prune_plan import Note, PrunePlan
from metadata_tool.pruner import Pruned
from metadata_tool.pruning import Pruning
from support.backups import report

OLD = Backup(BackupName("pulsar", 7), "s3a://bucket/pulsar-7.tar.gz", 7)
NOTHING = PrunePlan({}, [])
HELD = PrunePlan({}, [], 3, (Note("clock", "3 old backups stay, because of the clock"),))
FULL = PrunePlan({OLD: []}, [OLD])
DONE = Pruned(FULL, deleted=[OLD])
DENIED = Pruned(FULL, refused=[OLD], denied=BucketDenied("it denied DeleteObject", "Allow it"))
FAILED = Pruned(FULL, failure=StoreUnreachable("no answer", "Check the network"))


@dataclass
class Turns:
    """Planner and pruner in one, which give these results, one after the other."""

    turns: list[Pruned | Exception]
    asked: list[Any] = field(default_factory=list)

    def plan(self, heartbeat: Heartbeat, made: tuple[Backup, Manifest] | None = None, limit: int | None = None) -> Any:
        """The plan of the next result, or the error."""
        self.asked.append((made, limit))
        heartbeat()
        if isinstance(self.turns[0], Exception):
            raise self.turns.pop(0)  # type: ignore[misc]
        return self.turns[0]

    def prune(self, plan: Any, _: Heartbeat) -> Pruned:
        """The next result."""
        self.turns.pop(0)
        assert isinstance(plan, Pruned)
        return plan


def said(*turns: Pruned | Exception, metrics: Metrics | None = None, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of these turns, each after a backup."""
    both = Turns([*turns])
    pruning = Pruning(both, both, metrics or Metrics())  # type: ignore[arg-type]
    with caplog.at_level("INFO"):
        for _ in turns:
            pruning.after(report(), Heartbeat())
    assert [] == both.turns
    return [f"{record.levelname[0]} {record.getMessage()}" for record in caplog.records]


REFUSED = "W old backups cannot be deleted, which does no harm to new ones: it denied DeleteObject. Allow it"
CLOCK = "W 3 old backups stay, because of the clock"
UNREACHABLE = "W old backups are not deleted: no answer. Check the network. The next backup tries again"
AGAIN = "I old backups are deleted again"


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([NOTHING, DONE, NOTHING], []),
        ([DENIED, DENIED, NOTHING, DENIED], [REFUSED]),
        ([DENIED, DONE, DENIED], [REFUSED, AGAIN, REFUSED]),
        ([HELD, HELD, HELD], [CLOCK]),
        ([HELD, NOTHING, HELD], [CLOCK, CLOCK]),
        ([DENIED, HELD, HELD, DENIED], [REFUSED, CLOCK]),
        ([replace(DENIED, deleted=[OLD])], []),
        ([FAILED, FAILED], [UNREACHABLE, UNREACHABLE]),
        ([StoreUnreachable("no answer", "Check the network")], [UNREACHABLE]),
    ],
)
def test_told_once(
    turns: list[Pruned | PrunePlan | Exception], expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """What lasts is told once, and told again after it had changed. Failures are told each time."""
    results = [Pruned(turn) if isinstance(turn, PrunePlan) else turn for turn in turns]
    assert expected == said(*results, caplog=caplog)


def test_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Deletions, refusals and failures are counted, those of a plan and those of the program too."""
    metrics = Metrics()
    turns = (DONE, DENIED, FAILED, StoreUnreachable("no answer"), ZeroDivisionError("a fault"))
    said(*turns, metrics=metrics, caplog=caplog)
    text = metrics.exposition().decode().splitlines()
    assert {"backup_retention_deleted_total 1", "backup_retention_failures_total 4"} <= set(text)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info


def test_suspect_backup_deletes_nothing() -> None:
    """After a suspect backup nothing is even planned."""
    both = Turns([])
    Pruning(both, both, Metrics()).after(replace(report(), doubts=("smaller",)), Heartbeat())  # type: ignore[arg-type]
    assert [] == both.asked


def test_the_new_backup_must_be_there() -> None:
    """The plan is told of the new backup, and is bounded."""
    both, made = Turns([DONE]), report()
    Pruning(both, both, Metrics()).after(made, Heartbeat())  # type: ignore[arg-type]
    assert [((made.backup, made.manifest), PRUNED_AT_ONCE)] == both.asked


def test_stop(caplog: pytest.LogCaptureFixture) -> None:
    """A stop is no failure."""
    both, heartbeat, metrics = Turns([DONE]), Heartbeat(), Metrics()
    heartbeat.stop()
    Pruning(both, both, metrics).after(report(), heartbeat)  # type: ignore[arg-type]
    assert "backup_retention_failures_total 0" in metrics.exposition().decode().splitlines()
    assert [] == [record for record in caplog.records if record.levelno > logging.INFO]
