"""Restores on real disks that are full, read-only or another user's, on other file systems, and two at once."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from metadata_tool.errors import DataDirNotEmpty, DataDirUnusable, SpoolFailed
from support import backups, large
from support.faults import Fault, Nursery, contents, nursery
from support.processes import free_port
from support.tool import Outcome, assert_refused

STRANGER = 10001
"""A user without files here. Only root can become this user."""
ZNODES = 400
ENOUGH = 64 << 20
PAGE = 4096
TOGETHER, TOGETHER_IN_A_SOAK = 15, 2000

Content = dict[str, bytes | None] | None


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Runs the program in a mount namespace. On a machine that forbids it, the tests fail here."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    with nursery(tmp_path_factory.mktemp("nursery") / "said", *unshare) as made:
        yield made


@pytest.fixture(scope="module")
def point(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A backup of some hundred KB."""
    directory = tmp_path_factory.mktemp("backups")
    written = large.make_snapshot(directory / "snapshot", ZNODES)
    return str(large.make_backup(directory, directory / "snapshot", written))


@pytest.fixture
def settings(point: str, tmp_path: Path) -> dict[str, str]:
    """Settings that restore it into an empty directory. No member runs."""
    for name in ("spool", "volume"):
        (tmp_path / name).mkdir()
    return {
        "RESTORE_POINT": point,
        "SPOOL_DIR": str(tmp_path / "spool"),
        "ZOOKEEPER_DATA_DIR": str(tmp_path / "volume"),
        "ZOOKEEPER_SERVERS": f"127.0.0.1:{free_port()}",
    }


@pytest.fixture
def volume(settings: dict[str, str]) -> Path:
    """The data directory."""
    return Path(settings["ZOOKEEPER_DATA_DIR"])


@pytest.fixture(scope="module")
def whole(point: str, born: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Content]:
    """The content of `version-2` afterwards, by RESTORE_VERSION."""
    found = {}
    for version in ("1", "2"):
        own = {"RESTORE_POINT": point, "RESTORE_VERSION": version, "SPOOL_DIR": str(tmp_path_factory.mktemp("spool"))}
        found[version] = restored(born, own, tmp_path_factory.mktemp("undisturbed"))
    return found


def restored(born: Nursery, settings: Mapping[str, str], directory: Path) -> Content:
    """The content of `version-2` after a restore into an empty directory."""
    directory.mkdir(exist_ok=True)
    ending = born.run("restore", settings={**settings, "ZOOKEEPER_DATA_DIR": str(directory)})
    assert 0 == ending.outcome.exit_code, ending.outcome.said
    return contents(directory / "version-2")


def mounted(born: Nursery, path: Path, options: str) -> Path:
    """Mount a new, empty file system. Returns its path as seen from here."""
    born.command("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path))
    return born.seen(path)


def sizes(born: Nursery, settings: Mapping[str, str], where: Path, option: str, step: int) -> list[Outcome]:
    """Restores on larger and larger file systems at a path, until one succeeds. Each failed one changes nothing."""
    volume, spool = (born.seen(Path(settings[name])) for name in ("ZOOKEEPER_DATA_DIR", "SPOOL_DIR"))
    found: list[Outcome] = []
    while not found or found[-1].exit_code:
        mounted(born, where, option.format((len(found) + 1) * step))
        found.append(born.run("restore", settings=settings).outcome)
        assert {} == contents(spool)
        if found[-1].exit_code:
            assert {} == contents(volume)
            born.command("umount", str(where))
    return found


@pytest.mark.fault("Disk", "SPOOL_DIR is too small for a restore")
def test_spool_is_full(settings: dict[str, str], born: Nursery, whole: dict[str, Content]) -> None:
    """If the spool directory is too small, by any amount, the error is one line, and the data directory stays empty."""
    outcomes = sizes(born, settings, Path(settings["SPOOL_DIR"]), "size={}", PAGE)
    for outcome in outcomes[:-1]:
        assert_refused(SpoolFailed, "No space left on device", outcome)
    assert whole["1"] == contents(Path(settings["ZOOKEEPER_DATA_DIR"]) / "version-2")
    print(f"the spool was full at {len(outcomes) - 1} sizes")
    assert len(outcomes) > 2


@pytest.mark.fault("Disk", "the volume of the restore is too small")
def test_volume_is_too_small(settings: dict[str, str], volume: Path, born: Nursery, whole: dict[str, Content]) -> None:
    """A volume without room for the tree is an error before any write. The size that the error names is enough."""
    outcomes = sizes(born, settings, volume, "size={}", 1 << 20)
    for outcome in outcomes[:-1]:
        assert_refused(DataDirUnusable, "bytes free and needs", outcome)
    assert whole["1"] == contents(born.seen(volume) / "version-2")
    print(f"the volume was too small at {len(outcomes) - 1} sizes")
    assert len(outcomes) > 3


@pytest.mark.fault("Disk", "the volume of the restore has no room for another file")
def test_volume_has_no_inodes(settings: dict[str, str], volume: Path, born: Nursery, whole: dict[str, Content]) -> None:
    """If the volume has no room for another file, at any file of the restore, the error is one line."""
    outcomes = sizes(born, settings, volume, "nr_inodes={}", 1)
    for outcome in outcomes[:-1]:
        assert_refused(DataDirUnusable, "No space left on device", outcome)
    assert whole["1"] == contents(born.seen(volume) / "version-2")
    assert len(outcomes) > 3


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.fault("Disk", "the volume fills up during a restore")
def test_volume_fills_up(
    version: str, settings: dict[str, str], volume: Path, born: Nursery, whole: dict[str, Content]
) -> None:
    """If the volume fills up before or after any step, the new tree is complete, or the directory is unchanged."""
    own = {**settings, "ZOOKEEPER_DATA_DIR": str(volume / "data")}
    seen = mounted(born, volume, f"size={ENOUGH}")
    (seen / "data").mkdir()
    if version == "2":
        assert 0 == born.run("restore", settings=own).outcome.exit_code
    before, own["RESTORE_VERSION"] = contents(seen / "data"), version
    said = []
    for moment in range(_moments(born, own)):
        shutil.copytree(seen / "data", seen / "kept")
        ending = born.run("restore", settings=own, fault=Fault(at=moment, fill=str(volume / "filler")))
        if ending.outcome.exit_code:
            assert_refused(DataDirUnusable, "", ending.outcome)
            assert before == contents(seen / "data"), ending.outcome.said
        else:
            assert whole[version] == contents(seen / "data" / "version-2")
        said.append(ending.outcome.error)
        (seen / "filler").unlink()
        shutil.rmtree(seen / "data")
        (seen / "kept").rename(seen / "data")
    full = [text for text in said if "No space left on device" in text]
    print(f"filled at {len(said)} moments, {len(full)} times in the middle of it")
    assert len(full) > len(said) / 5


def _moments(born: Nursery, settings: Mapping[str, str]) -> int:
    """How many moments such a restore has. Afterwards the directory is unchanged."""
    volume = born.seen(Path(settings["ZOOKEEPER_DATA_DIR"]))
    kept = volume.with_name("kept")
    shutil.copytree(volume, kept)
    ending = born.run("restore", settings=settings)
    assert 0 == ending.outcome.exit_code, ending.outcome.said
    shutil.rmtree(volume)
    kept.rename(volume)
    return ending.moments


@pytest.mark.parametrize(
    ("name", "error"), [("ZOOKEEPER_DATA_DIR", DataDirUnusable), ("SPOOL_DIR", SpoolFailed)], ids=["data", "spool"]
)
@pytest.mark.fault("Disk", "the volume is read-only")
def test_read_only(
    name: str, error: type[DataDirUnusable | SpoolFailed], settings: dict[str, str], volume: Path, born: Nursery
) -> None:
    """A read-only volume is named, and nothing is done."""
    mounted(born, Path(settings[name]), "ro")
    assert_refused(error, f"{settings[name]} cannot be used: Read-only", born.run("restore", settings=settings).outcome)
    assert {} == contents(born.seen(volume))


@pytest.mark.parametrize("name", ["ZOOKEEPER_DATA_DIR", "ZOOKEEPER_DATA_LOG_DIR"])
@pytest.mark.fault("Disk", "the volume has become read-only since a restore")
def test_read_only_with_an_earlier_restore(
    name: str, settings: dict[str, str], volume: Path, born: Nursery, tmp_path: Path
) -> None:
    """If the data or log directory has become read-only, the earlier restore stays in place."""
    (tmp_path / "logs" / "version-2").mkdir(parents=True)
    (tmp_path / "logs" / "version-2" / "log.1").write_bytes(b"precious")
    own = {**settings, "ZOOKEEPER_DATA_LOG_DIR": str(tmp_path / "logs")}
    assert 0 == born.run("restore", settings=settings).outcome.exit_code
    before = contents(volume), contents(tmp_path / "logs")
    born.command("mount", "--bind", own[name], own[name])
    born.command("mount", "-o", "remount,bind,ro", own[name])
    outcome = born.run("restore", settings={**own, "RESTORE_VERSION": "2"}).outcome
    assert_refused(DataDirUnusable, f"{own[name]} cannot be used: Read-only", outcome)
    assert before == (contents(volume), contents(tmp_path / "logs"))


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can reach, unlike pytest's own."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("mode", [0o555, 0o000])
@pytest.mark.fault("Disk", "the data directory is of another user")
def test_of_another_user(mode: int, public: Path, born: Nursery) -> None:
    """A data directory that this user cannot write or read is named, and stays unchanged."""
    volume, spool = public / "volume", public / "spool"
    volume.mkdir(mode)
    spool.mkdir()
    spool.chmod(0o777)
    point = backups.make_backup(public)
    (public / str(point.name)).chmod(0o644)
    own = {"RESTORE_POINT": str(point), "ZOOKEEPER_DATA_DIR": str(volume), "SPOOL_DIR": str(spool)}
    fault = Fault(user=STRANGER if os.geteuid() == 0 else None)
    outcome = born.run("restore", settings=own, fault=fault).outcome
    assert_refused(DataDirUnusable, f"the data directory {volume} cannot be used: Permission denied", outcome)
    volume.chmod(0o755)
    assert ({}, {}) == (contents(volume), contents(spool))


def test_for_another_user(settings: dict[str, str], volume: Path, born: Nursery) -> None:
    """Files that root restores get the owner and the mode of the data directory."""
    if os.geteuid() != 0:
        print("NOT TESTED: only root gives files away")
        return
    os.chown(volume, STRANGER, STRANGER)
    volume.chmod(0o700)
    assert 0 == born.run("restore", settings=settings).outcome.exit_code
    found = {(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o077) for path in volume.rglob("*")}
    assert {(STRANGER, STRANGER, 0)} == found


def test_other_file_systems(
    settings: dict[str, str], volume: Path, born: Nursery, whole: dict[str, Content], tmp_path: Path
) -> None:
    """Data, logs and spool may each be on a file system of its own, also when data is replaced."""
    (tmp_path / "logs").mkdir()
    own = {**settings, "ZOOKEEPER_DATA_LOG_DIR": str(tmp_path / "logs")}
    for name in ("ZOOKEEPER_DATA_DIR", "ZOOKEEPER_DATA_LOG_DIR", "SPOOL_DIR"):
        mounted(born, Path(own[name]), f"size={ENOUGH}")
    data, logs = born.seen(volume), born.seen(tmp_path / "logs")
    assert 0 == born.run("restore", settings=own).outcome.exit_code
    assert ["version-2"] == [path.name for path in data.iterdir()]
    (logs / "version-2").mkdir()
    (logs / "version-2" / "log.1").write_bytes(b"precious")
    assert 0 == born.run("restore", settings={**own, "RESTORE_VERSION": "2"}).outcome.exit_code
    assert whole["2"] == contents(data / "version-2")
    assert [whole["1"]] == [contents(path) for path in data.glob("version-2.replaced-by-restore-2.*")]
    assert [{"log.1": b"precious"}] == [contents(path) for path in logs.iterdir()]


@pytest.mark.fault("Disk", "the volume is mounted one level too deep")
def test_version_2_is_a_file_system(settings: dict[str, str], volume: Path, born: Nursery) -> None:
    """A volume that is mounted one level too deep is refused, and stays unchanged even with OVERWRITE_EXISTING."""
    (volume / "version-2").mkdir()
    seen = mounted(born, volume / "version-2", f"size={ENOUGH}").parent
    (seen / "version-2" / "log.1").write_bytes(b"")
    before = contents(seen)
    assert_refused(DataDirNotEmpty, "it holds version-2", born.run("restore", settings=settings).outcome)
    outcome = born.run("restore", settings={**settings, "OVERWRITE_EXISTING": "true"}).outcome
    assert_refused(DataDirUnusable, f"the data directory {volume} cannot be used", outcome)
    assert before == contents(seen)


@pytest.mark.parametrize("together", [("1", "1"), ("2", "2"), ("2", "3")])
@pytest.mark.fault("Disk", "two restores run on one volume")
def test_two_at_once(
    together: tuple[str, str],
    settings: dict[str, str],
    volume: Path,
    born: Nursery,
    tmp_path: Path,
    *,
    soak: bool,
) -> None:
    """Of two restores of one volume, one restores, and the other finds it done or fails. Trees are never mixed."""
    wholes = {
        version: restored(born, {**settings, "RESTORE_VERSION": version}, tmp_path / version) for version in together
    }
    old = None if "1" in together else restored(born, settings, volume)
    before = tmp_path / "before"
    shutil.copytree(volume, before)
    both = [{**settings, "RESTORE_VERSION": version} for version in together]
    told = 0
    for _ in range(TOGETHER_IN_A_SOAK if soak else TOGETHER):
        endings = born.run_together("restore", settings=both)
        refused = [ending.outcome for ending in endings if ending.outcome.exit_code]
        for outcome in refused:
            assert_refused(DataDirUnusable, "another process", outcome)
        told += len(refused)
        assert len(refused) < len(endings)
        assert contents(volume / "version-2") in wholes.values()
        kept = [contents(path) for path in volume.glob("version-2.*")]
        assert (0 if old is None else 1) == kept.count(old)
        assert {volume / "version-2", *volume.glob("version-2.*")} == set(volume.iterdir())
        shutil.rmtree(volume)
        shutil.copytree(before, volume)
    print(f"{together}: {told} were told that there is another")
