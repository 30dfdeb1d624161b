"""Records of drills: never a backup, kept one of a kind, and harmless whatever is in them."""

import json
import logging
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.catalog import BackupName, RestorePoint, backups
from metadata_tool.drill.limits import RECORD
from metadata_tool.drill.records import Record, RecordReader, Records, parse, save
from metadata_tool.drill.result import DrillResult
from metadata_tool.errors import BucketDenied
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store import Store, open_store
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.directory import DirectoryStore
from support.backups import TIMESTAMP, location, make_backup
from support.trees import PATIENT

NAME = "pulsar-drill-passed-5.json"


def store_of(folder: Path) -> Store:
    """The folder as a store."""
    return open_store(location(folder), StoreOptions())


def record(folder: Path, started: int, failure: str = "", suspect: str = "") -> None:
    """Save the record of a drill of a backup."""
    point = RestorePoint(location(folder), BackupName(f"pulsar{suspect}", TIMESTAMP))
    result = DrillResult(str(point), started, {"fetch": 1.0, "restore": 0.5}, failure=failure)
    save(result, point, store_of(folder), folder.parent, Heartbeat())


def read(folder: Path) -> Records:
    """The newest records."""
    return RecordReader(store_of(folder), "pulsar").newest()


def test_newest_of_each_kind(folder: Path) -> None:
    """The newest record of each kind is read, older ones are removed, and no other file is touched."""
    others = {"pulsar-drill-passed-1.txt", "pulsar-drill-passed-x-1.json", "pulsar-drill-passed-01.json"}
    for other in others:
        (folder / other).touch()
    for started, failure in ((1, ""), (3, ""), (2, "damaged"), (4, "damaged")):
        record(folder, started, failure)
    point = f"file://{folder}/pulsar-{TIMESTAMP}.tar.gz"
    found = read(folder)
    assert Records(Record(point, 3, 1.5), Record(point, 4, 1.5)) == found
    assert found.last_failed
    kept = {"pulsar-drill-passed-3.json", "pulsar-drill-failed-4.json"}
    assert others | kept == {path.name for path in folder.iterdir()}


def test_record_is_no_backup(folder: Path) -> None:
    """No listing of backups has a record, whatever the prefix."""
    make_backup(folder)
    record(folder, 1)
    for prefix, count in (("pulsar", 1), ("pulsar-drill", 0), ("pulsar-drill-passed", 0)):
        assert count == len(backups(store_of(folder), prefix))
    assert BackupName.parse(NAME) is None


def test_drill_of_a_suspect_backup(folder: Path) -> None:
    """The drill of a suspect backup is recorded for its series."""
    record(folder, 1, suspect="-suspect")
    assert read(folder).passed


@pytest.mark.parametrize(("passed", "failed", "expected"), [(1, 2, True), (2, 1, False), (0, 1, True), (1, 0, False)])
def test_last_failed(passed: int, failed: int, expected: bool, folder: Path) -> None:
    """The last drill failed if none has passed since."""
    for started, failure in ((passed, ""), (failed, "damaged")):
        if started:
            record(folder, started, failure)
    assert expected == read(folder).last_failed


def test_damaged_record(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged record is reported once, and the one before it counts. So does a file that is too large."""
    record(folder, 5)
    for started, content in ((6, b"\0"), (7, b"[" * 70_000)):
        (folder / f"pulsar-drill-passed-{started}.json").write_bytes(content)
    reader = RecordReader(store_of(folder), "pulsar")
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        passed = reader.newest().passed
        assert passed
        assert 5 == passed.started
    assert 2 == len(caplog.messages)
    assert all("is not the record of a drill, because it " in each for each in caplog.messages)


class Reading(DirectoryStore):
    """A directory whose reads are counted, and which forbids deletions."""

    reads = 0

    def read_start(self, name: str, limit: int) -> bytes:
        """Count a read."""
        self.reads += 1
        return super().read_start(name, limit)

    def delete(self, name: str) -> None:
        """Forbid it."""
        raise BucketDenied(f"{name} may not be deleted", "Allow it")


def test_record_is_read_once(folder: Path) -> None:
    """A record is read once, however often it is asked for."""
    record(folder, 1)
    store = Reading(location(folder))
    reader = RecordReader(store, "pulsar")
    assert reader.newest() == reader.newest()
    assert 1 == store.reads


def test_old_records_may_stay(folder: Path, tmp_path: Path) -> None:
    """If the store forbids deletions, the record is saved all the same."""
    record(folder, 1)
    point = RestorePoint(location(folder), BackupName("pulsar", TIMESTAMP))
    save(DrillResult(str(point), 2), point, Reading(location(folder)), tmp_path, Heartbeat())
    passed = read(folder).passed
    assert passed
    assert 2 == passed.started


VALID = {"format": 1, "backup": "s3a://b/p-1.tar.gz", "timestamp": 5, "servingSeconds": 1.5}
values: st.SearchStrategy[object] = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([[]])


@settings(PATIENT, max_examples=40)
@given(st.dictionaries(st.sampled_from([*VALID]), values) | st.binary(max_size=50) | st.integers(RECORD, RECORD + 1))
def test_any_content_is_refused_or_read(content: object) -> None:
    """Whatever is in a record, it is refused by ValueError, or read as what it says."""
    if isinstance(content, dict):
        encoded = json.dumps({**VALID, **content}).encode()
    else:
        encoded = content if isinstance(content, bytes) else b" " * int(str(content))
    with suppress(ValueError):
        found = parse(encoded, NAME)
        assert (5, True, True) == (found.started, found.backup.isprintable(), 0 <= found.seconds)
