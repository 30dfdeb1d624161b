"""Deleting by a plan: refusals and failures are counted, and leave the rest."""

from dataclasses import dataclass, field

import pytest

from metadata_tool.catalog import Backup, BackupName
from metadata_tool.errors import BucketDenied, Stopped, StoreFailed, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import DENIED_AT_ONCE
from metadata_tool.location import Location
from metadata_tool.prune_plan import PrunePlan
from metadata_tool.pruner import Pruned, Pruner, as_json, as_text
from metadata_tool.store import parse_location
from metadata_tool.store.directory import DirectoryStore
from support.backups import TIMESTAMP


def backup(number: int) -> Backup:
    """The backup with this number. Higher ones are newer."""
    name = BackupName("pulsar", TIMESTAMP + number)
    return Backup(name, f"s3a://bucket/{name}", 7)


def plan_of(*numbers: int, kept: int = 1) -> PrunePlan:
    """A plan that keeps one backup, and deletes these."""
    found = [backup(number) for number in numbers]
    reasons = {backup(100 + number): ["newest", "daily"] for number in range(kept)}
    return PrunePlan(reasons | {each: list[str]() for each in reversed(found)}, found)


@dataclass
class Store(DirectoryStore):
    """Notes what is deleted. Some backups cannot be."""

    location: Location = field(default_factory=lambda: parse_location("file:///nowhere"))
    faults: dict[Backup, ToolError] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        (number,) = [each for each in range(50) if str(backup(each).name) == name]
        self.asked.append(number)
        if error := self.faults.get(backup(number)):
            raise error


def test_deletes_all(caplog: pytest.LogCaptureFixture) -> None:
    """All of the plan is deleted in its order, and each file is a line in the log."""
    store = Store()
    with caplog.at_level("INFO"):
        done = Pruner(store).prune(plan_of(1, 2), Heartbeat())
    assert ([1, 2], [backup(1), backup(2)], 0, 0) == (store.asked, done.deleted, done.failures, done.expired)
    assert [f"deleted {backup(each).uri}, which no rule keeps" for each in (1, 2)] == caplog.messages


def test_all_are_refused() -> None:
    """A bucket that refuses all deletions is asked a few times, not once for each backup."""
    denied = BucketDenied("no right")
    store = Store(faults={backup(number): denied for number in range(9)})
    done = Pruner(store).prune(plan_of(*range(9)), Heartbeat())
    assert ([*range(DENIED_AT_ONCE)], denied, DENIED_AT_ONCE, 9) == (
        store.asked,
        done.denied,
        done.failures,
        done.expired,
    )


def test_some_are_locked() -> None:
    """Locked backups do not keep others from being deleted: those are tried first the next time."""
    locked = range(DENIED_AT_ONCE)
    store = Store(faults={backup(number): BucketDenied("locked") for number in locked})
    pruner = Pruner(store)
    assert [] == pruner.prune(plan_of(*range(9)), Heartbeat()).deleted
    done = pruner.prune(plan_of(*range(9)), Heartbeat())
    assert [backup(number) for number in range(DENIED_AT_ONCE, 9)] == done.deleted
    assert [backup(number) for number in locked] == done.refused


def test_some_in_the_middle_are_locked() -> None:
    """As long as some backups can be deleted, all are tried."""
    locked = [backup(number) for number in range(1, 1 + DENIED_AT_ONCE)]
    store = Store(faults=dict.fromkeys(locked, BucketDenied("locked")))
    done = Pruner(store).prune(plan_of(*range(9)), Heartbeat())
    assert (locked, 9 - DENIED_AT_ONCE) == (done.refused, len(done.deleted))


def test_store_fails() -> None:
    """A failure ends the work. The rest is tried again the next time."""
    store = Store(faults={backup(2): StoreFailed("503")})
    pruner = Pruner(store)
    done = pruner.prune(plan_of(1, 2, 3), Heartbeat())
    assert ([backup(1)], "503", 1, 2) == (done.deleted, str(done.failure), done.failures, done.expired)
    store.faults.clear()
    assert [backup(2), backup(3)] == pruner.prune(plan_of(2, 3), Heartbeat()).deleted


def test_stop() -> None:
    """A stop ends the work between two deletions."""
    store, heartbeat = Store(), Heartbeat()
    heartbeat.stop()
    with pytest.raises(Stopped):
        Pruner(store).prune(plan_of(1), heartbeat)
    assert [] == store.asked


def test_report() -> None:
    """The report names each backup, newest first, with what is done and why."""
    store = Store(faults={backup(2): StoreFailed("503")})
    plan = plan_of(1, 2)
    done = Pruner(store).prune(plan, Heartbeat())
    text = as_text(done, deleting=True).splitlines()
    assert ["keep", "failed", "deleted"] == [line.split()[0] for line in text[:3]]
    assert f"{backup(100).uri}  newest, daily" == text[0].partition("Z  ")[2]
    assert "2 backups kept, 1 deleted" == text[-1]
    found = as_json(done, "daily=3", deleting=True)
    assert ("daily=3", False, []) == (found["rules"], found["dryRun"], found["notes"])
    assert {"name": str(backup(100).name), "action": "keep", "reasons": ["newest", "daily"]}.items() <= found[
        "backups"
    ][0].items()


def test_report_of_an_empty_bucket() -> None:
    """Without backups, the report is one line."""
    assert "0 backups kept, 0 deleted" == as_text(Pruned(PrunePlan({}, [])), deleting=True)


def test_report_of_a_dry_run() -> None:
    """A dry run says that nothing was deleted, and how to."""
    text = as_text(Pruned(plan_of(1)), deleting=False).splitlines()
    assert ["keep", "delete"] == [line.split()[0] for line in text[:2]]
    assert "1 backup would be kept, 1 deleted. Nothing was deleted. To delete, add --delete" == text[-1]
    assert ["keep", "delete"] == [
        each["action"] for each in as_json(Pruned(plan_of(1)), "last=1", deleting=False)["backups"]
    ]
