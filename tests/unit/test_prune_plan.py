"""Which backups may be deleted: only those of this cluster that no rule keeps, and only if that is sure."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.catalog import LATEST_TIMESTAMP, Backup, BackupName
from metadata_tool.errors import (
    BackupMissing,
    BucketDenied,
    ObjectArchived,
    StoreFailed,
    StoreUnreachable,
    ToolError,
)
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import ALWAYS_KEPT
from metadata_tool.location import Location
from metadata_tool.manifest import Manifest
from metadata_tool.prune_plan import Planner, PrunePlan
from metadata_tool.pruner import Pruner
from metadata_tool.retention import Retention
from metadata_tool.store.directory import DirectoryStore
from support.backups import TIMESTAMP, location, make_backup
from support.damage import damage
from support.trees import PATIENT, manifest_of

HOUR = 3_600_000
NOW = TIMESTAMP + HOUR
LAST_3 = Retention(last=3)
OURS = {"instanceId": "a", "clusters": ["demo"]}
THEIRS = {"instanceId": "b", "clusters": ["demo"]}


@dataclass
class Watched(DirectoryStore):
    """A directory that notes what is read. With an error, nothing can be read or listed."""

    location: Location
    unreadable: ToolError | None = None
    unlisted: ToolError | None = None
    hidden: str = ""
    """A file that is not listed."""
    faults: dict[str, ToolError] = field(default_factory=dict)
    """What happens if a file is read."""
    read: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open it."""
        super().__init__(self.location)

    def list(self, prefix: str) -> dict[str, int]:
        """See `Store.list`."""
        if self.unlisted:
            raise self.unlisted
        return {name: size for name, size in super().list(prefix).items() if name != self.hidden}

    def read_start(self, name: str, limit: int) -> bytes:
        """See `Store.read_start`."""
        if self.unreadable:
            raise self.unreadable
        self.read.append(name)
        if name in self.faults:
            raise self.faults[name]
        return super().read_start(name, limit)

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """See `Store.fetch`."""
        self.fetched.append(name)
        if name in self.faults:
            raise self.faults[name]
        super().fetch(name, target, heartbeat)


class Folder:
    """A folder of backups, the newest at TIMESTAMP and the others before it, an hour apart."""

    def __init__(self, folder: Path, spool_dir: Path) -> None:
        self.path, self.store, self._spool_dir = folder, Watched(location(folder)), spool_dir

    def add(self, *hours: float, **manifest: Any) -> None:
        """Add backups so many hours before TIMESTAMP."""
        for each in hours:
            make_backup(self.path, timestamp=self.at(each), **{"identity": OURS, **manifest})

    def file(self, hours: float, *, suspect: bool = False) -> Path:
        """The file of a backup."""
        name = BackupName("pulsar", self.at(hours))
        return self.path / str(name.as_suspect if suspect else name)

    def made(self, hours: float, **manifest: Any) -> tuple[Backup, Manifest]:
        """The backup as the service knows it that has just made it."""
        path = self.file(hours)
        described = manifest_of(b"", 0, timestamp=self.at(hours), **{"identity": OURS, **manifest})
        name = BackupName("pulsar", self.at(hours))
        return Backup(name, self.store.location.uri(path.name), path.stat().st_size), described

    def planner(self, retention: Retention = LAST_3, now: int = NOW) -> Planner:
        """What a service that was just started plans with."""
        return Planner(retention, self.store, "pulsar", self._spool_dir, lambda: now)

    def plan(self, retention: Retention = LAST_3, now: int = NOW, **options: Any) -> PrunePlan:
        """What a command plans."""
        return self.planner(retention, now).plan(Heartbeat(), **options)

    @staticmethod
    def at(hours: float) -> int:
        """The time of a backup."""
        return TIMESTAMP - round(hours * HOUR)


def deleted(plan: PrunePlan) -> list[float]:
    """How many hours before TIMESTAMP those were that may be deleted."""
    return [(TIMESTAMP - backup.name.timestamp) / HOUR for backup in plan.to_delete]


def reasons(plan: PrunePlan) -> dict[float, list[str]]:
    """Why each backup stays, by its hours before TIMESTAMP."""
    return {(TIMESTAMP - backup.name.timestamp) / HOUR: why for backup, why in plan.reasons.items()}


def told(plan: PrunePlan) -> str:
    """The one note of a plan."""
    (note,) = plan.notes
    return note.message


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with six backups."""
    for name in ("backups", "spool"):
        (tmp_path / name).mkdir()
    made = Folder(tmp_path / "backups", tmp_path / "spool")
    made.add(0, 1, 2, 3, 4, 5)
    return made


def test_the_oldest_first(folder: Folder) -> None:
    """What no rule keeps may be deleted, the oldest first, and each backup that stays has its rules."""
    plan = folder.plan(Retention(last=4))
    assert [5, 4] == deleted(plan)
    assert {0: ["newest", "last"], 1: ["newest", "last"], 2: ["newest", "last"], 3: ["last"], 4: [], 5: []} == reasons(
        plan
    )
    assert ((), 0) == (plan.notes, plan.waiting)


def test_nothing_is_read_if_nothing_expires(folder: Folder) -> None:
    """If the rules keep all backups, a plan costs one listing."""
    assert [] == folder.plan(Retention(last=6)).to_delete
    assert ([], []) == (folder.store.read, folder.store.fetched)


def test_newest_ones_are_read_to_their_end(folder: Folder) -> None:
    """The newest backups are fetched and verified once, except for those that were just made and verified."""
    planner, made = folder.planner(), folder.made(0)
    for _ in range(2):
        assert [5, 4, 3] == deleted(planner.plan(Heartbeat(), made))
    assert [folder.file(hours).name for hours in (1, 2)] == folder.store.fetched
    assert [folder.file(hours).name for hours in (1, 2, 5, 4, 3)] == folder.store.read


def test_damaged_newest_ones(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged backup is not one of the newest that stay: as many others stay that are good."""
    damage(folder.file(1), folder.file(1).stat().st_size - 6)  # in the last checksum
    plan = folder.plan()
    assert [5, 4] == deleted(plan)
    assert ["not-a-backup"] == reasons(plan)[1]
    assert f"{folder.file(1).name} cannot be restored" in caplog.text


def test_too_few_good_ones(folder: Folder) -> None:
    """If fewer of the newest backups are good than always stay, nothing is deleted."""
    for hours in range(1 + len(range(6)) - ALWAYS_KEPT):
        damage(folder.file(hours), folder.file(hours).stat().st_size // 2)
    plan = folder.plan(Retention(last=1))
    assert ([], 3) == (plan.to_delete, plan.waiting)
    assert {("unverified",)} == {tuple(why) for why in reasons(plan).values() if why[0] != "newest"}
    assert "3 old backups stay, because fewer than 3 of the newest backups are of this cluster" in told(plan)


def test_files_that_are_no_backups(folder: Folder) -> None:
    """Other files with names of backups stay, and take no place of a rule: neither the newest nor those between."""
    folder.file(-1).write_bytes(b"somebody else's")
    shutil.copy(folder.file(0), folder.file(1.5))
    (folder.path / f"pulsar-{LATEST_TIMESTAMP}.tar.gz").write_bytes(b"somebody else's")
    plan = folder.plan(Retention(last=4))
    assert [5, 4] == deleted(plan)
    assert [["not-a-backup"]] * 2 == [reasons(plan)[hours] for hours in (-1, 1.5)]


def test_old_files_that_are_no_backups(folder: Folder) -> None:
    """Nor are they deleted if they are old."""
    folder.file(9).write_bytes(b"somebody else's")
    plan = folder.plan(Retention(last=5))
    assert [5] == deleted(plan)
    assert ["not-a-backup"] == reasons(plan)[9]


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"identity": THEIRS}, "other-cluster"),
        ({"origin": {"kind": "reconciled"}}, "derived"),
        ({"format_version": 3}, "later-version"),
    ],
)
def test_backups_that_are_not_ours(manifest: dict[str, Any], why: str, folder: Folder) -> None:
    """Backups of another cluster, restore points that a command made, and those of later versions stay."""
    folder.add(4.5, **manifest)
    plan = folder.plan()
    assert [5, 4, 3] == deleted(plan)
    assert [why] == reasons(plan)[4.5]


@pytest.mark.parametrize(
    "error", [ObjectArchived("in an archive"), BucketDenied("another account's"), BackupMissing("deleted meanwhile")]
)
def test_single_files_that_cannot_be_read(error: ToolError, folder: Folder) -> None:
    """Files that cannot be read stay, and hold up nothing else: old ones, those that a rule keeps, and newer ones."""
    folder.add(-1, -10)
    folder.store.faults = {folder.file(hours).name: error for hours in (-10, -1, 3, 4)}
    for made in (folder.made(0), None):
        plan = folder.plan(Retention(last=6), now=NOW + 100 * HOUR, made=made)
        assert [5] == deleted(plan)
        assert [["last"], ["unreadable"]] == [reasons(plan)[hours] for hours in (3, 4)]


def test_the_newest_is_of_another_cluster(folder: Folder) -> None:
    """A service compares with the backup that it has just made, even if another cluster made a newer one."""
    folder.add(-0.5, -0.25, identity=THEIRS)
    plan = folder.plan(made=folder.made(0))
    assert [5, 4, 3] == deleted(plan)


def test_after_a_restore(folder: Folder) -> None:
    """Backups from before a restore stay, and nothing is deleted until the new cluster has enough of its own."""
    point = folder.store.location.uri(folder.file(4).name)
    new = THEIRS | {"restored": {"version": "1", "point": point, "zxid": "0x1"}}
    folder.add(-0.5, -0.25, identity=new)
    assert [] == folder.plan(made=folder.made(-0.5, identity=new)).to_delete
    folder.add(-0.75, -0.8, identity=new)
    plan = folder.plan(made=folder.made(-0.8, identity=new))
    assert [-0.25] == deleted(plan)
    assert [["other-cluster"], ["restore-point"]] == [reasons(plan)[hours] for hours in (5, 4)]


def test_restore_point_of_the_same_identity(folder: Folder) -> None:
    """The backup that the cluster was restored from stays, even if the cluster kept its identity."""
    point = folder.store.location.uri(folder.file(4).name)
    restored = OURS | {"restored": {"version": "1", "point": point, "zxid": "0x1"}}
    folder.add(-0.5, identity=restored)
    plan = folder.plan(made=folder.made(-0.5, identity=restored))
    assert [5, 3, 2] == deleted(plan)
    assert ["restore-point"] == reasons(plan)[4]


def test_before_a_suspect_backup(folder: Folder) -> None:
    """What is older than a suspect backup stays until it was accepted or removed. Suspect backups stay always."""
    shutil.copy(folder.file(4), folder.file(2.5, suspect=True))
    folder.add(2.4, 2.3)
    plan = folder.plan()
    assert ([2.3, 2.4], 3) == (deleted(plan)[::-1], plan.waiting)
    assert [["suspect"], ["before-suspect"]] == [reasons(plan)[hours] for hours in (2.5, 5)]
    assert f"3 old backups stay, because {folder.store.location.uri(folder.file(2.5, suspect=True).name)}" in told(plan)
    folder.file(2.5, suspect=True).unlink()
    assert [5, 4, 3, 2.4, 2.3] == deleted(folder.plan())


def test_accepted_backup(folder: Folder) -> None:
    """An accepted backup stays as long as the suspect one that it was copied from. It holds nothing else."""
    folder.file(4, suspect=True).write_bytes(folder.file(4).read_bytes())
    plan = folder.plan()
    assert [5, 3] == deleted(plan)
    assert {("accepted",), ("suspect",)} >= {tuple(reasons(plan)[4])}
    assert () == plan.notes


@pytest.mark.parametrize("retention", [LAST_3, Retention(hours=1), Retention(yearly=1)])
def test_clock_was_ahead(retention: Retention, folder: Folder) -> None:
    """While the newest backup has a later time than the clock, the times of new ones say nothing, so all stay."""
    folder.add(-9000)
    plan = folder.plan(retention)
    assert [] == plan.to_delete
    assert "has a later time. Check the clock" in told(plan)
    assert deleted(folder.plan(retention, now=TIMESTAMP + 9001 * HOUR))


def test_new_backup_is_not_listed(folder: Folder) -> None:
    """If the store does not list the new backup, its list is not complete, and nothing is sure."""
    made = folder.made(0)
    folder.store.hidden = folder.file(0).name
    with pytest.raises(StoreFailed, match="the object store does not list it, so no old backup is deleted"):
        folder.plan(made=made)


@pytest.mark.parametrize("fault", ["unreadable", "unlisted"])
def test_store_fails(fault: str, folder: Folder) -> None:
    """If the store cannot be listed or read, there is no plan. The next one is made as if nothing had happened."""
    planner, made = folder.planner(), folder.made(0)
    setattr(folder.store, fault, StoreUnreachable("no answer"))
    with pytest.raises(StoreUnreachable):
        planner.plan(Heartbeat(), made)
    setattr(folder.store, fault, None)
    assert [5, 4, 3] == deleted(planner.plan(Heartbeat(), made))


def test_a_few_at_once(folder: Folder) -> None:
    """A plan with a limit reads no more files, and the next one goes on where it ended."""
    folder.file(9).write_bytes(b"somebody else's")
    planner, made, read = folder.planner(), folder.made(0), []
    for expected in ([], [], [], [5], [4], [3], []):
        plan = planner.plan(Heartbeat(), made, 1)
        assert expected == deleted(plan)
        read.append(len(folder.store.read))
        Pruner(folder.store).prune(plan, Heartbeat())
    assert [1, 2, 3, 4, 5, 6, 6] == read


@pytest.mark.parametrize("killed_after", range(3))
def test_kill_between_deletions(killed_after: int, folder: Folder) -> None:
    """After a kill between two deletions, the newer backups are there, and the next plan deletes the rest."""
    for backup in folder.plan().to_delete[:killed_after]:
        folder.store.delete(str(backup.name))
    assert [5, 4, 3][killed_after:] == deleted(folder.plan())


def test_two_services(folder: Folder) -> None:
    """Two services that plan at the same time delete no more than one. What is gone already is no failure."""
    plans = [folder.plan(made=folder.made(0)) for _ in range(2)]
    folder.add(-1)
    plans.append(folder.plan(made=folder.made(-1)))
    for plan in plans:
        assert 0 == Pruner(folder.store).prune(plan, Heartbeat()).failures
    assert [folder.file(hours).name for hours in (1, 0, -1)] == sorted(path.name for path in folder.path.iterdir())


def test_reader_beside_it(folder: Folder) -> None:
    """Whoever has listed the backups before can still read the newest ones afterwards."""
    listed = sorted(folder.store.list("pulsar-"), reverse=True)
    Pruner(folder.store).prune(folder.plan(Retention(last=1)), Heartbeat())
    assert [True] * ALWAYS_KEPT == [bool(folder.store.read_start(name, 9)) for name in listed[:ALWAYS_KEPT]]


def test_few_deletions_at_once(folder: Folder) -> None:
    """A plan with a limit deletes no more, even if all files are known."""
    planner = folder.planner()
    assert [5, 4, 3] == deleted(planner.plan(Heartbeat()))
    assert [5, 4] == deleted(planner.plan(Heartbeat(), limit=2))


def test_another_cluster_from_now_on(folder: Folder) -> None:
    """What is known of files is compared again if the service backs up another cluster."""
    planner = folder.planner()
    assert [5, 4, 3] == deleted(planner.plan(Heartbeat(), folder.made(0)))
    folder.add(-0.1, -0.2, -0.3, identity=THEIRS)
    assert [] == deleted(planner.plan(Heartbeat(), folder.made(-0.3, identity=THEIRS)))


def test_file_that_takes_the_place_of_another(folder: Folder) -> None:
    """What is known of a file is forgotten once the file is gone."""
    planner, old = folder.planner(), folder.file(4)
    assert [5, 4, 3] == deleted(planner.plan(Heartbeat()))
    size = old.stat().st_size
    old.unlink()
    assert [5, 3] == deleted(planner.plan(Heartbeat()))
    old.write_bytes(bytes(size))
    assert [5, 3] == deleted(planner.plan(Heartbeat()))


def test_other_prefixes(folder: Folder) -> None:
    """Files of other prefixes, such as those of restore points, are not even looked at."""
    for prefix in ("pulsar-reconciled", "pulsar-rescued", "pulsar-reconciled-0f", "other", "pulsar2"):
        make_backup(folder.path, prefix, TIMESTAMP - 4 * HOUR)
    (folder.path / "README").write_bytes(b"x")
    assert 6 == len(folder.plan().reasons)


@PATIENT
@given(
    hours=st.lists(st.integers(0, 60), unique=True, min_size=1, max_size=12),
    suspects=st.sets(st.integers(0, 60), max_size=2),
    retention=st.builds(Retention, *[st.integers(0, 3)] * 7),
)
def test_whatever_is_there(
    hours: list[int], suspects: set[int], retention: Retention, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is in a folder, to prune twice is to prune once, the newest stay, and so does all before a suspect."""
    path = tmp_path_factory.mktemp("any")
    (path / "backups").mkdir()
    folder = Folder(path / "backups", path)
    folder.add(*hours)
    for hour in suspects:
        folder.file(hour + 0.5, suspect=True).write_bytes(b"x")
    before = {name.name for name in folder.path.iterdir()}
    done = Pruner(folder.store).prune(folder.plan(retention), Heartbeat())
    after = {name.name for name in folder.path.iterdir()}
    newest = {folder.file(hour).name for hour in sorted(hours)[:ALWAYS_KEPT]}
    older = {folder.file(hour).name for hour in hours if suspects and hour > min(suspects)}
    assert newest | older | {name for name in before if "suspect" in name} <= after
    assert {str(backup.name) for backup in done.deleted} == before - after
    assert [] == folder.plan(retention).to_delete
