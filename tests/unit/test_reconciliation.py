"""What a backup that is made of another one takes from it."""

from pathlib import Path

from metadata_tool import archive
from metadata_tool.broker_metadata.records import SavedSchemas, encode
from metadata_tool.derived_backup import derived_name
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.reconciliation import ReconcileJob, reconcile
from support.backups import make_backup
from support.offload import MemoryBucket


def test_broker_metadata(tmp_path: Path) -> None:
    """A restore point has the broker metadata of its backup."""
    schemas = SavedSchemas("t/n/a", 7, 8, ())
    source, directory = make_backup(tmp_path, records=[schemas]), tmp_path / "work"
    directory.mkdir()
    path = tmp_path / str(source.name)
    job = ReconcileJob(source, path, directory, 3, lambda _: MemoryBucket())
    _, made = reconcile(job, derived_name(source.name, "reconciled"), Heartbeat())
    assert made
    with archive.opened(path) as saved:
        assert (2, saved.manifest.broker) == (made.manifest.format_version, made.manifest.broker)
    assert archive.extract_broker(made.path, tmp_path / "broker.json", Heartbeat())
    assert encode(schemas) == (tmp_path / "broker.json").read_bytes()
