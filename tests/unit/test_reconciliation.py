"""What a backup that is made of another one takes from it."""

from pathlib import Path

from metadata_tool import archive
from metadata_tool.broker_metadata.records import Position, Record, SavedCursor, SavedSchemas, encode
from metadata_tool.derived_backup import derived_name
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.reconciliation import ReconcileJob, reconcile
from support.backups import make_backup
from support.offload import MemoryBucket
from support.policy_events import saved


def test_broker_metadata(tmp_path: Path) -> None:
    """A restore point has the broker metadata of its backup."""
    records: list[Record] = [
        *(SavedSchemas(f"t/n/{name}", 7, 8, ()) for name in "ab"),
        *(saved("t/n", name) for name in "abc"),
        SavedCursor("t/n/persistent/a/s", 7, Position(3, 4)),
    ]
    source, directory = make_backup(tmp_path, records=records), tmp_path / "work"
    directory.mkdir()
    path = tmp_path / str(source.name)
    job = ReconcileJob(source, path, directory, 3, lambda _: MemoryBucket())
    _, made = reconcile(job, derived_name(source.name, "reconciled"), Heartbeat())
    assert made
    with archive.opened(path) as opened:
        assert (2, opened.manifest.broker) == (made.manifest.format_version, made.manifest.broker)
    assert archive.extract_broker(made.path, tmp_path / "broker.json", Heartbeat())
    assert b"".join(map(encode, records)) == (tmp_path / "broker.json").read_bytes()
    assert made.manifest.coverage == made.coverage.to_json(9)
    counts = made.coverage.namespaces["t/n"]
    assert (2, 1, 3) == (counts.schemas_saved, counts.cursors_saved, counts.topic_policies_saved)
