"""What a backup gets from the process that asks brokers, even if that fails."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

from metadata_tool.broker_metadata.access import BrokerAccess, BrokerSettings
from metadata_tool.broker_metadata.broker_file import BrokerFile
from metadata_tool.broker_metadata.collect_job import CollectJob
from metadata_tool.broker_metadata.collection import BrokerMetadata, collected
from metadata_tool.broker_metadata.not_saved import Reason
from metadata_tool.broker_metadata.questions import QuestionWriter
from metadata_tool.broker_metadata.records import (
    NotSaved,
    Position,
    Record,
    SavedCursor,
    SavedPolicies,
    SavedSchemas,
    encode,
)
from metadata_tool.errors import BrokerUnreachable, HelperKilled, Stopped
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.pulsar.tree_scan import TreeScan
from support.broker_trees import cursor, locator, topic
from support.trees import node

UNUSED = BrokerSettings(BrokerAccess("http://127.0.0.1:1"), 60, 2, 1000)
SCHEMAS = [SavedSchemas(f"t/ns/{name}", 1, 9, ()) for name in "abc"]
CURSOR = SavedCursor("t/ns/persistent/a/s", 1, Position(3, 1))
POLICIES = SavedPolicies("t/ns", 1, "key", 1, b"event")


def questions(tmp_path: Path, *, empty: bool = False) -> QuestionWriter:
    """Three topics with schemas, one with an open subscription, and a namespace with policies."""
    version = LocatedVersion(0, hashlib.sha256(b"d").digest())
    nodes = [
        topic("t/ns/persistent/__change_events"),
        topic("t/ns/persistent/a"),
        cursor("t/ns/persistent/a/s", 5),
        *(node(f"/schemas/t/ns/{name}".encode(), locator([version])) for name in "abc"),
    ]
    with QuestionWriter(Layout(), tmp_path / "questions") as writer:
        scan = TreeScan(Layout(), observer=writer)
        for each in nodes if not empty else []:
            scan.add(each)
        writer.finish()
    return writer


def process(
    monkeypatch: pytest.MonkeyPatch, records: list[Record], error: Exception, after: bytes | None = b""
) -> None:
    """Let the process write these records, and end with an error."""

    @contextmanager
    def ends(heartbeat: Callable[[], None], _work: object, job: CollectJob) -> Iterator[Callable[[], NoReturn]]:
        heartbeat()
        if after is not None:
            job.target.write_bytes(b"".join(map(encode, records)) + after)

        def result() -> NoReturn:
            raise error

        yield result

    monkeypatch.setattr("metadata_tool.broker_metadata.collection.in_subprocess", ends)


def collect(tmp_path: Path, settings: BrokerSettings = UNUSED, **changes: Any) -> BrokerMetadata:
    """Ask for the questions above."""
    return collected(settings, questions(tmp_path), tmp_path, Heartbeat(), **changes)


def test_nothing_to_ask(tmp_path: Path) -> None:
    """A tree without topics needs no broker, and its backup no `broker.json`."""
    found = collected(UNUSED, questions(tmp_path, empty=True), tmp_path, Heartbeat())
    assert BrokerMetadata() == found
    assert not (tmp_path / "broker.json").exists()


@pytest.mark.fault("Brokers", "the process that asks is killed")
@pytest.mark.parametrize("after", [b"", b'{"record":"sche', b"x" * 200_000])
def test_killed_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bytes) -> None:
    """The complete lines of a process that was killed are kept, and everything else counts as not saved."""
    unnamed = NotSaved("schemas", "t/ns/b", 1, "why")
    process(monkeypatch, [SCHEMAS[0], unnamed, POLICIES], HelperKilled("a helper process was killed"), after)
    found = collect(tmp_path)
    assert found.path
    assert BrokerFile.of(found.path, {"schemas": 2, "cursor": 1}) == found.file
    assert {("schemas", Reason.FAILED): 2, ("cursor", Reason.FAILED): 1} == found.not_saved
    assert "a helper process was killed" in found.why[0]


@pytest.mark.parametrize("error", [BrokerUnreachable("no"), RuntimeError("a fault")])
def test_process_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A process that ends before it writes makes an empty file."""
    process(monkeypatch, [], error, None)
    found = collect(tmp_path)
    assert 5 == sum(found.not_saved.values())
    assert found.file
    assert (0, {}) == (found.file.size, found.file.saved)


@pytest.mark.parametrize("damage", [b"{}\n", b"\xff\n", encode(SCHEMAS[1]) + encode(SCHEMAS[0])])
def test_invalid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    """A file that a restore would refuse is not kept, so that it cannot cost the backup."""
    process(monkeypatch, [CURSOR], HelperKilled("killed"), damage)
    found = collect(tmp_path)
    assert found.file
    assert (0, {}) == (found.file.size, found.file.saved)
    assert 5 == sum(found.not_saved.values())


@pytest.mark.fault("Brokers", "the process that asks hangs")
def test_late_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not end in time is killed."""
    monkeypatch.setattr("metadata_tool.broker_metadata.collection.KILLED_AFTER", -60.0)
    found = collect(tmp_path)
    assert {
        ("schemas", Reason.LATE): 3,
        ("cursor", Reason.LATE): 1,
        ("topicPolicies", Reason.LATE): 1,
    } == found.not_saved


def test_stop(tmp_path: Path) -> None:
    """A backup that is stopped does not wait for brokers."""
    heartbeat = Heartbeat()
    heartbeat.stop()
    with pytest.raises(Stopped):
        collected(UNUSED, questions(tmp_path), tmp_path, heartbeat)


def test_schemas_are_kept_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What brokers gave out is kept, and a backup without any schemas does not replace it."""
    kept = tmp_path / "kept"
    kept.mkdir()
    for number, records in enumerate([SCHEMAS, [], SCHEMAS[:2]]):
        process(monkeypatch, [*records], HelperKilled("killed"))
        work = tmp_path / str(number)
        work.mkdir()
        collect(work, kept=kept)
        expected = SCHEMAS if number < 2 else SCHEMAS[:2]
        assert b"".join(map(encode, expected)) == (kept / "broker.json").read_bytes()
        taken = {path.stat().st_ino for path in (kept / "broker.json", work / "broker.json")}
        assert (1 if records else 2) == len(taken), "what is kept must take no more room while a backup is made"


@pytest.mark.fault("Brokers", "the disk has no room to keep schemas for the next backup")
def test_no_room_to_keep_schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is no room for a copy, the backup is made, and the next one asks for all schemas again."""
    process(monkeypatch, [*SCHEMAS], HelperKilled("killed"))
    assert {"t/ns": {"schemas": 3}} == collect(tmp_path, kept=tmp_path / "missing").saved


@pytest.mark.parametrize(("free", "saved"), [(10_000_000, 3), (999, 0)])
def test_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, saved: int) -> None:
    """If the rest of the backup would not fit on the disk, nothing is saved from brokers, and the reason is told."""
    process(monkeypatch, [*SCHEMAS, CURSOR], HelperKilled("killed", "Give it memory"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: DiskUsage(1 << 30, 1, free))
    found = collected(UNUSED, questions(tmp_path), tmp_path, Heartbeat(), needed=1000)
    assert saved == found.saved_of("schemas")
    assert found.file == BrokerFile.of(tmp_path / "broker.json", found.file.not_saved if found.file else None)
    assert (found.why == ("SPOOL_DIR does not have the room for it",)) == (not saved)


class DiskUsage(NamedTuple):
    """As shutil.disk_usage gives it."""

    total: int
    used: int
    free: int
