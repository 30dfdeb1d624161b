"""A restore that compares its backup with tiered storage: one member makes the restore point, all restore it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from metadata_tool import errors
from support import metadata
from support.offload import Offloaded, offload, path_of, topic_value
from support.processes import Process
from support.s3 import Bucket, S3Server, new_bucket
from support.tool import assert_refused, environment, run, succeed
from support.trees import make_archive
from support.zookeeper import Ensemble, ZooKeeper

TOPIC, TIME = "public/default/persistent/t1", 1_623_721_488_825
LEDGERS = [Offloaded(UUID(int=number), number, TOPIC) for number in range(1, 6)]
Start = Callable[..., Process]


@pytest.fixture
def offloads(s3: S3Server) -> Bucket:
    """The bucket of tiered storage."""
    made = new_bucket(s3)
    offload(made, *LEDGERS)
    return made


@pytest.fixture
def settings(bucket: Bucket, offloads: Bucket, tmp_path: Path) -> dict[str, str]:
    """The settings of all members, for a backup with two of the ledgers."""
    pulsar = {"/admin/clusters/c1": b"{}", "/admin/policies/public/default": b"{}", "/ledgers/idgen": b""}
    nodes = metadata.tree({**pulsar, path_of(TOPIC): topic_value(LEDGERS[:2], offloads.name)})
    path = tmp_path / f"pulsar-{TIME}.tar.gz"
    make_archive(path, nodes, timestamp=TIME)
    bucket.server.client().upload_file(str(path), bucket.name, f"team/prod/{path.name}")
    return {
        **bucket.settings,
        "RESTORE_POINT": f"{bucket.settings['BUCKET']}/{path.name}",
        "BACKUP_PREFIX": "pulsar",
        "TIERED_STORAGE_RECONCILE": "true",
    }


@pytest.fixture
def start(settings: dict[str, str], ensemble: Ensemble, tmp_path: Path) -> Iterator[Start]:
    """Starts the restore of a member."""
    started: list[Process] = []
    shared = {"ZOOKEEPER_SERVERS": ensemble.address, "ZOOKEEPER_ADMIN_PORT": str(ensemble.admin_port)}

    def started_one(server: ZooKeeper, **more: str) -> Process:
        own = {"ZOOKEEPER_DATA_DIR": str(server.data_dir), "ZOOKEEPER_ADMIN_ADDRESS": server.host}
        command = [sys.executable, "-m", "metadata_tool", "restore"]
        log = tmp_path / f"restore-{len(started)}.log"
        started.append(Process(command, log, environment({**settings, **shared, **own, **more})))
        return started[-1]

    yield started_one
    for process in started:
        process.kill()


def assert_done(*restores: Process) -> None:
    """Wait until all restores succeed."""
    for process in restores:
        assert 0 == process.wait(), process.output()


def placed(data_dir: Path) -> tuple[str, bytes, dict[str, int]]:
    """The name and the bytes of the snapshot that was placed, and the ledgers by kind in the report."""
    (snapshot,) = (data_dir / "version-2").glob("snapshot.*")
    report = json.loads((data_dir / "version-2" / "restore-report.json").read_text())
    counts = {kind: count["ledgers"] for kind, count in report["origin"]["total"].items() if count["ledgers"]}
    return snapshot.name, snapshot.read_bytes(), counts


def alone(settings: dict[str, str], data: Path) -> dict[str, str]:
    """The settings of a server without an ensemble."""
    data.mkdir(exist_ok=True)
    return {**settings, "ZOOKEEPER_DATA_DIR": str(data)}


@pytest.mark.parametrize("wanted", ["", "latest"])
def test_equal_bytes(wanted: str, ensemble: Ensemble, offloads: Bucket, start: Start) -> None:
    """Three members place the same bytes, although objects appear between their restores, and they serve."""
    point = {"RESTORE_POINT": wanted} if wanted else {}
    first, second, third = ensemble.servers
    waiting = [start(third, **point)]
    waiting[0].wait_until(lambda: "waiting for" in waiting[0].output())
    waiting += [start(first, **point), start(second, **point)]
    waiting[1].wait_until(lambda: "saved s3a://" in waiting[1].output())
    offload(offloads, Offloaded(UUID(int=90), 90, TOPIC))
    assert_done(*waiting)
    found = [placed(server.data_dir) for server in ensemble.servers]
    assert [found[0]] * 3 == found
    assert {"promised": 2, "added": 3} == found[0][2]
    assert 1 == sum("saved s3a://" in each.output() for each in waiting)
    ensemble.start()
    restart = start(second, **point)
    assert_done(restart)
    assert "There is nothing to do" in restart.output()
    assert "WARNING" not in restart.output()


def test_point_that_exists(settings: dict[str, str], offloads: Bucket, bucket: Bucket, tmp_path: Path) -> None:
    """A member that comes later takes what was made, though the bucket has changed. Another version makes its own."""
    succeed("restore", settings=alone(settings, tmp_path / "a"))
    offload(offloads, Offloaded(UUID(int=90), 90, TOPIC))
    later = run("restore", settings=alone(settings, tmp_path / "b"))
    assert (0, True) == (later.exit_code, "was made before" in later.said)
    assert placed(tmp_path / "a") == placed(tmp_path / "b")
    assert 2 == len(bucket.objects())
    succeed("restore", settings=alone(settings | {"RESTORE_VERSION": "2"}, tmp_path / "c"))
    assert {"promised": 2, "added": 4} == placed(tmp_path / "c")[2]


def test_rehearsal(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """A dry run shows what was promised, added and left out, and saves nothing."""
    outcome = run("restore", "--dry-run", settings=alone(settings, tmp_path / "a"))
    assert 0 == outcome.exit_code, outcome.said
    assert "public/default: the backup promised 2 ledgers, 3 were added, 0 left out" in outcome.said
    assert 1 == len(bucket.objects())
    assert [] == list((tmp_path / "a").iterdir())


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_bucket_that_cannot_be_read(
    options: list[str], settings: dict[str, str], offloads: Bucket, bucket: Bucket, tmp_path: Path
) -> None:
    """If tiered storage cannot be read, nothing is placed and saved. The operator may go on without it."""
    gone = {"TIERED_STORAGE_BUCKETS": f"{offloads.name}=gone-for-good"}
    refused = run("restore", *options, settings=alone(settings | gone, tmp_path / "a"))
    assert_refused(errors.BucketMissing, "s3a://gone-for-good", refused)
    assert "set TIERED_STORAGE_RECONCILE=false" in refused.error
    assert [] == list((tmp_path / "a").iterdir())
    assert 1 == len(bucket.objects())
    without = settings | gone | {"TIERED_STORAGE_RECONCILE": "false"}
    assert 0 == run("restore", *options, settings=alone(without, tmp_path / "a")).exit_code


def test_newer_backup(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """A backup that is newer than the one that is compared is noticed before anything is made."""
    client = bucket.server.client()
    client.copy_object(
        Bucket=bucket.name,
        Key=f"team/prod/pulsar-{TIME + 1}.tar.gz",
        CopySource=f"{bucket.name}/team/prod/pulsar-{TIME}.tar.gz",
    )
    assert_refused(errors.NewerBackups, f"{TIME + 1}", run("restore", settings=alone(settings, tmp_path / "a")))
    assert 2 == len(bucket.objects())
