"""A restore point that is no longer the newest is restored only if that is allowed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metadata_tool.catalog import RestorePoint
from metadata_tool.errors import BackupMissing, BucketMissing, NewerBackups
from support.backups import TIMESTAMP, make_backup
from support.tool import Outcome, assert_refused, run, succeed

Restore = Callable[..., Outcome]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A new volume."""
    made = tmp_path / "volume"
    made.mkdir()
    return made


@pytest.fixture
def point(folder: Path) -> RestorePoint:
    """The backup to restore."""
    return make_backup(folder)


@pytest.fixture
def restore(volume: Path, point: RestorePoint) -> Restore:
    """Restores that backup, with further settings."""

    def restored(*arguments: str, **settings: str) -> Outcome:
        own = {"RESTORE_POINT": str(point), "ZOOKEEPER_DATA_DIR": str(volume)}
        return run("restore", *arguments, settings={**own, **settings})

    return restored


def newer(folder: Path, by: int = 1, prefix: str = "pulsar") -> RestorePoint:
    """A backup that was made later."""
    return make_backup(folder, prefix, TIMESTAMP + by)


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_newer_backups_are_refused(arguments: list[str], restore: Restore, folder: Path, volume: Path) -> None:
    """The refusal names the number of newer backups, the newest, and what to do. So does that of a dry run."""
    newer(folder)
    newest = newer(folder, by=10)  # in the order of numbers, not of text
    newer(folder, by=9)
    outcome = restore(*arguments)
    assert_refused(NewerBackups, f"3 backups are newer than file://{folder}/pulsar-{TIMESTAMP}.tar.gz", outcome)
    for text in (str(newest), "Nothing was touched", "latest", "ALLOW_OLDER=true"):
        assert text in outcome.error
    assert [] == list(volume.iterdir())


def test_only_backups_of_its_own_name_count(restore: Restore, folder: Path) -> None:
    """Backups of another prefix, empty files and other files do not stop a restore, nor do older backups."""
    newer(folder, by=-1)
    newer(folder, prefix="other")
    newer(folder, prefix="pulsar-2")
    (folder / f"pulsar-{TIMESTAMP + 1}.tar.gz").touch()
    (folder / f"pulsar-{TIMESTAMP + 2}.tar.gz.part").write_bytes(b"x")
    (folder / "pulsar-tomorrow.tar.gz").write_bytes(b"x")
    assert 0 == restore().exit_code


def test_suspect_backups_do_not_stop_a_restore(restore: Restore, folder: Path) -> None:
    """The sound backup before newer suspect ones is restored. Of a suspect one, newer ones of both kinds count."""
    suspects = []
    for by in (-2, 5, 9):
        made = make_backup(folder, timestamp=TIMESTAMP + by)
        suspects.append(RestorePoint(made.location, made.name.as_suspect))
        (folder / str(made.name)).rename(folder / str(made.name.as_suspect))
    assert 0 == restore("--dry-run").exit_code
    assert_refused(NewerBackups, f"3 backups are newer than {suspects[0]}", restore(RESTORE_POINT=str(suspects[0])))
    assert_refused(NewerBackups, f"1 backup is newer than {suspects[1]}", restore(RESTORE_POINT=str(suspects[1])))
    assert 0 == restore(RESTORE_POINT=str(suspects[2])).exit_code


def test_newer_backups_elsewhere(restore: Restore, tmp_path: Path, volume: Path) -> None:
    """Newer backups of the new cluster count too. The place may be the same as that of RESTORE_POINT."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = newer(elsewhere, prefix="nightly")
    assert_refused(NewerBackups, str(found), restore(NEWER_BACKUPS_IN=f"file://{elsewhere}/nightly"))
    assert [] == list(volume.iterdir())
    assert 0 == restore(NEWER_BACKUPS_IN=f"file://{tmp_path}/backups/pulsar").exit_code


def test_newer_backup_in_two_places(restore: Restore, folder: Path, tmp_path: Path) -> None:
    """A newer backup and its copy in the other place count as one."""
    (tmp_path / "copies").mkdir()
    newer(folder)
    newer(tmp_path / "copies")
    assert_refused(NewerBackups, "1 backup is newer", restore(NEWER_BACKUPS_IN=f"file://{tmp_path}/copies/pulsar"))


def test_place_that_cannot_be_listed(restore: Restore, volume: Path) -> None:
    """If newer backups cannot be listed, a restore is refused, unless older backups are allowed."""
    nowhere = {"NEWER_BACKUPS_IN": "file:///no/such/directory/pulsar"}
    outcome = restore(**nowhere)
    assert_refused(BucketMissing, "ALLOW_OLDER=true", outcome)
    assert [] == list(volume.iterdir())
    assert 0 == restore(ALLOW_OLDER="true", **nowhere).exit_code


def test_on_purpose(restore: Restore, folder: Path, volume: Path) -> None:
    """ALLOW_OLDER restores an older backup. A restart afterwards lists nothing."""
    newer(folder)
    assert 0 == restore(ALLOW_OLDER="true").exit_code
    folder.rename(folder.parent / "gone")
    assert "was restored here before" in restore().said
    assert (volume / "version-2" / "restore.json").exists()


@pytest.mark.usefixtures("point")
def test_verify_and_inspect_latest(folder: Path) -> None:
    """`latest` is an address for verify and inspect."""
    found = newer(folder)
    settings = {"BUCKET": f"file://{folder}", "BACKUP_PREFIX": "pulsar"}
    assert succeed("verify", "latest", settings=settings).startswith(str(found))
    assert str(found.name.timestamp) in succeed("inspect", "latest", settings=settings)


@pytest.mark.usefixtures("point")
@pytest.mark.parametrize("verb", [["verify", "latest"], ["restore"]])
def test_no_latest(verb: list[str], folder: Path, volume: Path) -> None:
    """If there is no backup of this prefix, the message names place and prefix."""
    own = {"RESTORE_POINT": "latest", "ZOOKEEPER_DATA_DIR": str(volume)}
    outcome = run(*verb, settings={**own, "BUCKET": f"file://{folder}", "BACKUP_PREFIX": "pulsar-2"})
    assert_refused(BackupMissing, f"named pulsar-2-<epoch ms>.tar.gz in file://{folder}", outcome)
    assert [] == list(volume.iterdir())
