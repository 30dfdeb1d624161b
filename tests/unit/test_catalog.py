import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.catalog import LATEST_TIMESTAMP, Backup, BackupName, RestorePoint, Series, backups, rfc3339, sound
from metadata_tool.location import Location
from metadata_tool.store import parse_location
from support.trees import PATIENT

timestamps = st.integers(0, LATEST_TIMESTAMP)
prefixes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", fullmatch=True)
EPOCH = datetime.fromtimestamp(0, UTC)


class Folder:
    """A store with these files. Each has as many bytes as its name."""

    def __init__(self, *names: str) -> None:
        self.location = parse_location("s3a://bucket/team")
        self._names = names

    def list(self, prefix: str) -> dict[str, int]:
        """Names and sizes."""
        return {name: len(name) for name in self._names if name.startswith(prefix)}


def found(prefix: str, *names: str) -> list[str]:
    """The names of the backups of a prefix among these files."""
    return [str(backup.name) for backup in backups(Folder(*names), prefix)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pulsar-backup-1623721488825.tar.gz", BackupName("pulsar-backup", 1623721488825)),
        ("a-1.tar.gz", BackupName("a", 1)),
        ("a-0.tar.gz", BackupName("a", 0)),
        ("a-1-2.tar.gz", BackupName("a-1", 2)),
        ("a--2.tar.gz", BackupName("a-", 2)),
        ("A.b_c-99999999999999.tar.gz", BackupName("A.b_c", LATEST_TIMESTAMP)),
        (f"{'p' * 200}-1.tar.gz", BackupName("p" * 200, 1)),
        (f"{'p' * 200}-suspect-1.tar.gz", BackupName(f"{'p' * 200}-suspect", 1)),
    ],
)
def test_name_is_read(text: str, expected: BackupName) -> None:
    """The name of a backup has its prefix and the start of the backup."""
    assert expected == BackupName.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.tar.gz",
        "a-.tar.gz",
        "-1.tar.gz",
        "1.tar.gz",
        "a-01.tar.gz",
        "a-00.tar.gz",
        "a-+1.tar.gz",
        "a-1.5.tar.gz",
        "a-1e3.tar.gz",
        "a-0x1.tar.gz",
        "a- 1.tar.gz",
        "a-\u0661.tar.gz",
        "a-100000000000000.tar.gz",
        "a-1.tar",
        "a-1.tgz",
        "a-1.tar.gz ",
        "a-1.tar.gz\n",
        "a-1.tar.gz.partial",
        "a-1.TAR.GZ",
        "a-1xtar.gz",
        ".a-1.tar.gz",
        "_a-1.tar.gz",
        "a b-1.tar.gz",
        "ä-1.tar.gz",
        "dir/a-1.tar.gz",
        f"{'p' * 201}-1.tar.gz",
    ],
)
def test_other_names(text: str) -> None:
    """Only the exact form is the name of a backup."""
    assert BackupName.parse(text) is None


@given(prefixes, timestamps)
@PATIENT
def test_name_comes_back(prefix: str, timestamp: int) -> None:
    """Every prefix and time make a name that is read back as the same prefix and time."""
    name = BackupName(prefix, timestamp)
    assert name == BackupName.parse(str(name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3a://bucket/p-1.tar.gz", "s3a://bucket/p-1.tar.gz"),
        ("s3://bucket/p-1.tar.gz", "s3a://bucket/p-1.tar.gz"),
        ("s3://bucket/team/prod/p-1.tar.gz", "s3a://bucket/team/prod/p-1.tar.gz"),
        ("file:///var/backups/p-1.tar.gz", "file:///var/backups/p-1.tar.gz"),
    ],
)
def test_restore_point_is_read(text: str, expected: str) -> None:
    """A restore point is a backup's address. s3:// is accepted where s3a:// is."""
    point = RestorePoint.parse(text)
    assert expected == str(point)
    assert point == RestorePoint.parse(expected)


def test_restore_point_has_its_parts() -> None:
    """A restore point has a folder and a file."""
    point = RestorePoint.parse("s3a://bucket/team/pulsar-backup-5.tar.gz")
    assert Location("s3a", "bucket", "team") == point.location
    assert BackupName("pulsar-backup", 5) == point.name


@pytest.mark.parametrize(
    "text",
    ["", "p-1.tar.gz", "/p-1.tar.gz", "s3a://p-1.tar.gz", "s3a://bucket/", "s3a://bucket/p-01.tar.gz", "s3a://bucket"],
)
def test_wrong_restore_point_is_refused(text: str) -> None:
    """Any other address is refused."""
    with pytest.raises(ValueError, match=r"\w"):
        RestorePoint.parse(text)


def test_newest_comes_first() -> None:
    """Backups are ordered by their times as numbers, in any order of the store."""
    names = ["p-9.tar.gz", "p-1000.tar.gz", "p-10.tar.gz", "p-99.tar.gz"]
    assert ["p-1000.tar.gz", "p-99.tar.gz", "p-10.tar.gz", "p-9.tar.gz"] == found("p", *names)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("a", ["a-4.tar.gz", "a-1.tar.gz"]), ("a-b", ["a-b-3.tar.gz"]), ("a-1", ["a-1-2.tar.gz"]), ("b", [])],
)
def test_prefixes_do_not_mix(prefix: str, expected: list[str]) -> None:
    """Prefixes that start alike do not share backups."""
    assert expected == found(prefix, "a-1.tar.gz", "a-1-2.tar.gz", "a-b-3.tar.gz", "a-4.tar.gz", "aa-5.tar.gz")


def test_other_files_are_ignored() -> None:
    """Other files in the bucket are ignored."""
    others = ["p-", "p-x.tar.gz", "p-01.tar.gz", "p-2.tar.gz.partial", "p-2.zip", "README", ".p-2.tar.gz"]
    assert ["p-1.tar.gz"] == found("p", *others, "p-1.tar.gz")


def test_backup_has_its_address_and_size() -> None:
    """A backup has the address that `restorePoint` takes, and its size."""
    (backup,) = backups(Folder("p-1.tar.gz"), "p")
    assert Backup(BackupName("p", 1), "s3a://bucket/team/p-1.tar.gz", len("p-1.tar.gz")) == backup


def test_json_has_exactly_the_fields() -> None:
    """The JSON of a backup is name, uri, size, time and timestamp."""
    name = BackupName("pulsar-backup", 1_623_721_488_825)
    assert {
        "name": "pulsar-backup-1623721488825.tar.gz",
        "uri": "s3a://my-backuprestore/pulsar-backup-1623721488825.tar.gz",
        "size": 7,
        "time": "2021-06-15T01:44:48.825Z",
        "timestamp": 1_623_721_488_825,
    } == Backup(name, f"s3a://my-backuprestore/{name}", 7).as_json()


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (7, "1970-01-01T00:00:00.007Z"),
        (1_769_903_999_123, "2026-01-31T23:59:59.123Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
    ],
)
def test_time_is_rfc3339(timestamp: int, expected: str) -> None:
    """Times are in UTC with milliseconds, three digits always."""
    assert expected == rfc3339(timestamp)


@given(timestamps)
@PATIENT
def test_time_is_the_timestamp(timestamp: int) -> None:
    """The time and the timestamp are the same instant to the millisecond."""
    assert timestamp == (datetime.fromisoformat(rfc3339(timestamp)) - EPOCH) // timedelta(milliseconds=1)


@given(prefixes, timestamps)
@PATIENT
def test_suspect_name(prefix: str, timestamp: int) -> None:
    """The name of a suspect backup is another, is read as it is written, and leads back to that of a sound one."""
    sound = BackupName(prefix, timestamp).sound
    suspect = sound.as_suspect
    assert (False, True) == (sound.suspect, suspect.suspect)
    assert suspect == BackupName.parse(str(suspect)) == suspect.as_suspect
    assert sound == suspect.sound == sound.sound


def test_suspect_backups_are_among_the_others() -> None:
    """Suspect backups are listed by time. Of the same time, a sound one comes first. `sound` leaves them out."""
    names = ["p-1.tar.gz", "p-suspect-2.tar.gz", "p-2.tar.gz", "p-suspect-3.tar.gz", "q-suspect-4.tar.gz"]
    listed = backups(Folder(*names), "p")
    assert ["p-suspect-3", "p-2", "p-suspect-2", "p-1"] == [str(each.name).removesuffix(".tar.gz") for each in listed]
    assert ["p-2.tar.gz", "p-1.tar.gz"] == [str(each.name) for each in sound(listed)]


def test_series() -> None:
    """A series is a prefix in a folder, has the backups of that prefix, and is written as it is read."""
    series = Series.parse("s3a://bucket/team/pulsar")
    assert "s3a://bucket/team/pulsar" == str(series)
    assert RestorePoint.parse("s3a://bucket/team/pulsar-1.tar.gz") in series
    for other in ("s3a://bucket/team/other-1.tar.gz", "s3a://bucket/pulsar-1.tar.gz"):
        assert RestorePoint.parse(other) not in series
    with pytest.raises(ValueError, match=r"^the last part is not a prefix of backups$"):
        Series.parse("s3a://bucket/team/")


def test_time_is_the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are in UTC, wherever the program runs."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert "1970-01-01T00:00:00.007Z" == rfc3339(7)
    finally:
        monkeypatch.undo()
        time.tzset()
