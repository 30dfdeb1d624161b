"""Names of backups that were not captured from a ZooKeeper."""

from pathlib import Path

import pytest

from metadata_tool.catalog import BackupName, Series, backups
from metadata_tool.derived_backup import derived_name, free_name, stems_from
from metadata_tool.errors import SettingError
from metadata_tool.store import open_store
from metadata_tool.store.base import StoreOptions
from support.backups import location, make_backup


@pytest.mark.parametrize(
    ("source", "expected"),
    [("pulsar", "pulsar-reconciled"), ("pulsar-reconciled", "pulsar-reconciled"), ("a-1", "a-1-reconciled")],
)
def test_name(source: str, expected: str) -> None:
    """What is made of a backup has a prefix of its own, and the time of the backup, because the tree is no newer."""
    assert BackupName(expected, 7) == derived_name(BackupName(source, 7), "reconciled")


def test_prefix_that_is_too_long() -> None:
    """A prefix that leaves no room is refused."""
    with pytest.raises(SettingError, match="leaves no room for -reconciled"):
        derived_name(BackupName("a" * 195, 7), "reconciled")


def test_it_is_not_the_newest_backup(tmp_path: Path) -> None:
    """It is no backup of the source's prefix, so neither `latest` nor a check for newer backups finds it."""
    source = make_backup(tmp_path)
    store = open_store(source.location, StoreOptions())
    make_backup(tmp_path, "pulsar-reconciled", timestamp=source.name.timestamp)
    assert [source.name] == [each.name for each in backups(store, "pulsar")]
    assert Series(source.location, "pulsar-reconciled").prefix == derived_name(source.name, "reconciled").prefix


def test_free_name(tmp_path: Path) -> None:
    """A name that is taken is left, so that the one that is made later is the newer one."""
    store = open_store(location(tmp_path), StoreOptions())
    name = BackupName("pulsar-reconciled", 7)
    assert name == free_name(store, name)
    make_backup(tmp_path, "pulsar-reconciled", timestamp=7)
    make_backup(tmp_path, "pulsar-reconciled", timestamp=8)
    assert BackupName("pulsar-reconciled", 9) == free_name(store, name)


def test_stems_from() -> None:
    """Of a series are its sound and its suspect backups, and what commands make of them, but nothing else."""
    series = Series.parse("s3a://bucket/team/pulsar")
    for own in ("pulsar", "pulsar-suspect", "pulsar-reconciled", "pulsar-suspect-reconciled-0af9", "pulsar-rescued"):
        assert stems_from(series, f"s3://bucket/team/{own}-1.tar.gz")
    for other in (
        "s3a://bucket/pulsar-1.tar.gz",
        "s3a://bucket/team/pulsar-reconciledx-1.tar.gz",
        "s3a://bucket/team/pulsar-a-1.tar.gz",
        "pulsar-1.tar.gz",
        "",
        "x/y",
    ):
        assert not stems_from(series, other)
