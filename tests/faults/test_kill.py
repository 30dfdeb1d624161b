"""SIGKILL at every step of a restore that touches files, and at any time. Then the restore is run again."""

import random
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from support import large, seed
from support.comparison import Tree, differences, read_tree
from support.faults import Fault, Nursery, contents, nursery
from support.processes import free_port
from support.tool import Outcome, succeed
from support.trees import small_tree, snapshot_bytes
from support.zookeeper import client, standalone

LEAST = 200
"""Points at which a restore is killed, in the short form."""
ZNODES, ZNODES_OF_A_LARGE_ONE = 2000, 110_000
"""A large backup is verified by a process of its own."""
ROUNDS, ROUNDS_OF_A_SOAK, ROUNDS_OF_A_LARGE_ONE = 40, 4000, 100
CHAIN = 5
"""How many times in a row a restore is killed, before one may finish."""
SITUATIONS = ("new volume", "earlier restore", "earlier restore, logs elsewhere", "data of unknown origin")

Content = dict[str, bytes | None]


@dataclass(frozen=True)
class Source:
    """A backup, settings that restore it, and the saved tree as a client read it."""

    settings: Mapping[str, str]
    tree: Tree


@dataclass(frozen=True)
class Volume:
    """A member's volume, with its earlier content of `version-2`, and of the log directory's if that is another one."""

    root: Path
    settings: Mapping[str, str]
    old: Content | None = None
    old_logs: Content | None = None

    @property
    def data(self) -> Path:
        """ZooKeeper's dataDir."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """ZooKeeper's dataLogDir, if it is another directory."""
        return self.root / "logs"

    def copy(self, root: Path) -> "Volume":
        """Another volume with the same content."""
        shutil.copytree(self.root, root)
        directories = {"ZOOKEEPER_DATA_DIR": root / "data", "SPOOL_DIR": root / "spool"}
        if self.old_logs is not None:
            directories["ZOOKEEPER_DATA_LOG_DIR"] = root / "logs"
        paths = {name: str(path) for name, path in directories.items()}
        return Volume(root, {**self.settings, **paths}, self.old, self.old_logs)

    def assert_sound(self, whole: Content) -> None:
        """ZooKeeper would read the complete new tree or the complete old one, and the old one is kept."""
        current = contents(self.data / "version-2")
        kept = [contents(path) for path in self.data.glob("version-2.*")]
        assert current in (None, whole, self.old)
        assert ([] if self.old is None or current == self.old else [self.old]) == kept
        assert names(self.data) <= {"myid", "version-2", *(path.name for path in self.data.glob("version-2.*"))}
        if self.old_logs is not None:
            assert [self.old_logs] == [contents(path) for path in self.logs.iterdir()]
            found = current, contents(self.logs / "version-2")
            assert found in [(self.old, self.old_logs), (None, self.old_logs), (None, None), (whole, None)]

    def assert_restored(self, outcome: Outcome, whole: Content) -> None:
        """The run succeeded: the new tree is complete, the old one is moved aside once, and no other file is left."""
        assert 0 == outcome.exit_code, outcome.said
        self.assert_sound(whole)
        assert whole == contents(self.data / "version-2")
        aside = [path.name for path in self.data.iterdir() if path.name.startswith("version-2.replaced-by-restore-")]
        assert (0 if self.old is None else 1) == len(aside)
        assert {"myid", "version-2", *aside} == {path.name for path in self.data.iterdir()}
        if self.old_logs is not None:
            assert ["version-2.replaced-by-restore-2"] == [path.name.rpartition(".")[0] for path in self.logs.iterdir()]


def names(directory: Path) -> set[str]:
    """The content of a directory without hidden files, which ZooKeeper ignores."""
    return {path.name for path in directory.iterdir() if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Runs the program."""
    with nursery(tmp_path_factory.mktemp("nursery") / "said") as made:
        yield made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A backup of a real server."""
    directory = tmp_path_factory.mktemp("source")
    (directory / "backups").mkdir()
    where = {"BUCKET": f"file://{directory}/backups"}
    with standalone(NEWEST, directory) as server, client(server.address) as saved:
        seed.pulsar(saved, topics=10)
        uri = succeed("backup", settings={**where, "ZOOKEEPER_SERVERS": server.address})
        tree = read_tree(saved)
    return Source({"RESTORE_POINT": uri, "RESTORE_SCOPE": "bookies-kept"}, tree)


def prepared(situation: str, settings: Mapping[str, str], root: Path, born: Nursery) -> Volume:
    """A volume in this situation."""
    for name in ("data", "logs", "spool"):
        (root / name).mkdir(parents=True)
    (root / "data" / "myid").write_bytes(b"1\n")
    nobody = {"ZOOKEEPER_SERVERS": f"127.0.0.1:{free_port()}"}
    volume = Volume(root, {**settings, **nobody, "ZOOKEEPER_DATA_DIR": f"{root}/data", "SPOOL_DIR": f"{root}/spool"})
    logs = "logs" if situation.endswith("logs elsewhere") else ""
    if situation.startswith("earlier restore"):
        first = {"RESTORE_VERSION": "1", **({"ZOOKEEPER_DATA_LOG_DIR": f"{root}/logs"} if logs else {})}
        assert 0 == born.run("restore", settings={**volume.settings, **first}).outcome.exit_code
        (root / (logs or "data") / "version-2").mkdir(exist_ok=True)
        (root / (logs or "data") / "version-2" / "log.700000001").write_bytes(b"written since")
        more = {"RESTORE_VERSION": "2"}
    elif situation == "data of unknown origin":
        (root / "data" / "version-2").mkdir()
        (root / "data" / "version-2" / "snapshot.500000064").write_bytes(snapshot_bytes(small_tree()))
        more = {"OVERWRITE_EXISTING": "true"}
    else:
        more = {}
    old, old_logs = contents(volume.data / "version-2"), contents(volume.logs / "version-2")
    return Volume(root, {**volume.settings, **more}, old, old_logs)


def undisturbed(volume: Volume, root: Path, born: Nursery) -> tuple[Content, int]:
    """The volume after an undisturbed restore, and how many moments the restore has."""
    copy = volume.copy(root)
    ending = born.run("restore", settings=copy.settings)
    whole = contents(copy.data / "version-2")
    assert whole
    assert {"restore.json", "restore-report.json"} < whole.keys(), ending.outcome.said
    copy.assert_restored(ending.outcome, whole)
    return whole, ending.moments


@pytest.mark.fault("Process", "a restore is killed at any of its steps")
def test_at_every_step(source: Source, born: Nursery, tmp_path: Path, *, soak: bool) -> None:
    """After a kill before or after any step, the volume is valid. A second run completes it, and ZooKeeper serves.

    The short form kills at a random half of the moments.
    """
    points, started = 0, random.sample(SITUATIONS, len(SITUATIONS) if soak else 2)
    for number, situation in enumerate(SITUATIONS):
        directory = tmp_path / str(number)
        volume = prepared(situation, source.settings, directory / "before", born)
        whole, moments = undisturbed(volume, directory / "undisturbed", born)
        tried = range(moments) if soak else sorted(random.sample(range(moments), moments // 2))
        for moment in tried:
            copy = volume.copy(directory / str(moment))
            assert born.run("restore", settings=copy.settings, fault=Fault(at=moment)).killed
            copy.assert_sound(whole)
            copy.assert_restored(born.run("restore", settings=copy.settings).outcome, whole)
        points += moments
        print(f"{situation}: killed at {len(tried)} of {moments} points")
        if situation in started:
            assert_serves(directory / str(random.choice(tried)), volume, source.tree)
    assert points >= LEAST


def assert_serves(root: Path, volume: Volume, saved: Tree) -> None:
    """A real server starts with the volume."""
    logs = {} if volume.old_logs is None else {"dataLogDir": str(root / "logs")}
    with standalone(NEWEST, root, logs) as server, client(server.address) as reading:
        assert [] == list(differences(saved, read_tree(reading)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Situations and sizes. The long form has more and larger ones."""
    if "znodes" in metafunc.fixturenames:
        soak = metafunc.config.getoption("--soak")
        rounds = ROUNDS_OF_A_SOAK if soak else ROUNDS
        cases = [("new volume", ZNODES, rounds), ("earlier restore", ZNODES, rounds)]
        cases += [("earlier restore", ZNODES_OF_A_LARGE_ONE, ROUNDS_OF_A_LARGE_ONE)] if soak else []
        metafunc.parametrize(("situation", "znodes", "rounds"), cases)


@pytest.mark.fault("Process", "a restore is killed again and again")
def test_at_any_time(situation: str, znodes: int, rounds: int, born: Nursery, tmp_path: Path) -> None:
    """After kills from outside at any time, again and again, the volume is valid. A last run completes it."""
    number = random.randrange(1 << 32)
    print(f"seed {number}")
    dice = random.Random(number)
    written = large.make_snapshot(tmp_path / "snapshot", znodes)
    settings = {"RESTORE_POINT": str(large.make_backup(tmp_path, tmp_path / "snapshot", written))}
    volume = prepared(situation, settings, tmp_path / "before", born)
    begin = time.monotonic()
    whole, _ = undisturbed(volume, tmp_path / "undisturbed", born)
    duration = time.monotonic() - begin
    killed = 0
    for number in range(rounds // CHAIN):
        copy = volume.copy(tmp_path / str(number))
        for _ in range(CHAIN):
            begin = time.monotonic()
            run = born.run("restore", settings=copy.settings, fault=Fault(seconds=dice.uniform(0, duration)))
            killed += run.killed
            if not run.killed:  # the first run may have been slower than the others
                duration = min(duration, time.monotonic() - begin)
            copy.assert_sound(whole)
        copy.assert_restored(born.run("restore", settings=copy.settings).outcome, whole)
        shutil.rmtree(copy.root)
    print(f"{situation}: killed {killed} times within {duration:.2f} s")
    assert killed > rounds / 10
