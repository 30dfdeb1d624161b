"""Old backups are deleted, by command and by the service, and a bucket that forbids it does no harm."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool import backup
from metadata_tool.catalog import BackupName
from metadata_tool.errors import BucketDenied, SettingError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.prune_plan import Planner, PrunePlan
from metadata_tool.pruner import Pruned, Pruner
from metadata_tool.retention import Retention
from metadata_tool.settings import Settings
from metadata_tool.store import Store, open_store
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.credentials import Keys
from metadata_tool.store.limits import TransferLimits
from support import seed
from support.backups import TIMESTAMP, location, make_backup
from support.proxy import proxy
from support.s3 import ACCESS_KEY, SECRET_KEY, Bucket, S3Server, new_bucket, s3_server
from support.tool import Service, assert_refused, run, succeed
from support.zookeeper import ZooKeeper, client, standalone

USER = ("keeper", "a-secret-of-the-keeper")
LIST, GET, PUT, DELETE = "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"
ALL = (LIST, GET, PUT, DELETE, "s3:AbortMultipartUpload")
COUNT = 6
NAMES = [str(BackupName("pulsar", TIMESTAMP - hours * 3_600_000)) for hours in range(COUNT)]
"""The newest first."""


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A ZooKeeper with a small tree."""
    with standalone(NEWEST, tmp_path_factory.mktemp("zookeeper")) as server:
        with client(server.address) as source:
            seed.pulsar(source, 3)
        yield server


@pytest.fixture(scope="module")
def user(s3: S3Server) -> tuple[str, str]:
    """A user who has the rights that a bucket's policy gives, and their secret."""
    s3.add_user(*USER)
    return USER


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """A folder with backups, an hour apart."""
    folder = tmp_path / "archives"
    folder.mkdir()
    for hours in range(COUNT):
        make_backup(folder, timestamp=TIMESTAMP - hours * 3_600_000)
    return folder


@pytest.fixture
def filled(archives: Path, bucket: Bucket) -> Bucket:
    """A bucket with these backups."""
    return fill(bucket, archives)


def fill(bucket: Bucket, archives: Path) -> Bucket:
    """Put backups into a bucket."""
    owner = bucket.server.client()
    for path in archives.iterdir():
        owner.put_object(Bucket=bucket.name, Key=f"team/prod/{path.name}", Body=path.read_bytes())
    return bucket


def left(bucket: Bucket) -> list[str]:
    """The names in a bucket, the newest first."""
    return sorted((key.rpartition("/")[2] for key in bucket.objects()), reverse=True)


def store_of(bucket: Bucket, endpoint: str = "", keys: Keys | None = None) -> Store:
    """A bucket as a store, with hardly any patience."""
    options = StoreOptions(
        "us-east-1",
        endpoint or bucket.server.endpoint,
        keys or Keys(ACCESS_KEY, SECRET_KEY),
        limits=TransferLimits(read=5, pauses=(0.0, 0.01)),
    )
    return open_store(Settings(bucket.settings).store().location, options)


def planned(store: Store, tmp_path: Path) -> PrunePlan:
    """What is planned there if the last three are kept."""
    return Planner(Retention(last=3), store, "pulsar", tmp_path).plan(Heartbeat())


def pruned(store: Store, tmp_path: Path) -> Pruned:
    """What is deleted then."""
    return Pruner(store).prune(planned(store, tmp_path), Heartbeat())


def test_command(archives: Path) -> None:
    """`prune` only shows what it would delete. With --delete it does that, once."""
    settings = {"BUCKET": str(location(archives)), "BACKUP_PREFIX": "pulsar", "RETENTION": "last=4"}
    shown = succeed("prune", settings=settings).splitlines()
    assert COUNT == len(list(archives.iterdir()))
    assert ["keep"] * 4 + ["delete"] * 2 == [line.split()[0] for line in shown[:COUNT]]
    assert "4 backups would be kept, 2 deleted. Nothing was deleted. To delete, add --delete" == shown[-1]
    for action in ("deleted", None):
        found = json.loads(succeed("prune", "--delete", "--json", settings=settings))
        assert ("last=4", False) == (found["rules"], found["dryRun"])
        assert (
            {NAMES[4], NAMES[5]}
            if action
            else set() == {each["name"] for each in found["backups"] if each["action"] == "deleted"}
        )
        assert sorted(NAMES[:4]) == sorted(path.name for path in archives.iterdir())


@pytest.mark.parametrize(
    ("arguments", "retention", "said"),
    [(["--delete"], "", "RETENTION is empty"), ([], "daily", "RETENTION is not valid, a rule is one of")],
)
def test_command_without_rules(arguments: list[str], retention: str, said: str, archives: Path) -> None:
    """Without rules, or with wrong ones, nothing is deleted."""
    settings = {"BUCKET": str(location(archives)), "BACKUP_PREFIX": "pulsar", "RETENTION": retention}
    assert_refused(SettingError, said, run("prune", *arguments, settings=settings))
    assert COUNT == len(list(archives.iterdir()))


def test_bucket(filled: Bucket, tmp_path: Path) -> None:
    """In a bucket, the same backups are deleted, and no other objects."""
    owner = filled.server.client()
    others = ("team/prod/pulsar-reconciled-1.tar.gz", "team/pulsar-1.tar.gz", "team/prod/README")
    for key in others:
        owner.put_object(Bucket=filled.name, Key=key, Body=b"x")
    done = pruned(store_of(filled), tmp_path)
    assert NAMES[:2:-1] == [str(each.name) for each in done.deleted]
    assert sorted([*others, *(f"team/prod/{name}" for name in NAMES[:3])]) == filled.objects()


@pytest.mark.usefixtures("user")
@pytest.mark.fault("Backups in the bucket", "a policy forbids to delete old backups")
def test_policy_forbids(filled: Bucket) -> None:
    """With credentials that may not delete, the command shows that, and ends with the exit code of that."""
    filled.allow(USER[0], LIST, GET, PUT)
    keys = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), USER, strict=True))
    settings = {**filled.settings, **keys, "BACKUP_PREFIX": "pulsar", "RETENTION": "last=3"}
    outcome = run("prune", "--delete", settings=settings)
    assert BucketDenied.exit_code == outcome.exit_code, outcome.said
    assert "the object store denied DeleteObject" in outcome.error
    assert "check the object lock, legal holds and the policy of the bucket" in outcome.error
    assert ["keep"] * 3 + ["failed"] * 3 == [line.split()[0] for line in outcome.output.splitlines()[:COUNT]]
    assert NAMES == left(filled)


def locked(s3: S3Server, name: str) -> Bucket:
    """A bucket in which each object is locked for a day."""
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    lock: Any = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.client().put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    return Bucket(s3, name)


@pytest.mark.fault("Backups in the bucket", "old backups are locked")
def test_object_lock(s3: S3Server, archives: Path, tmp_path: Path) -> None:
    """A locked bucket without versions refuses to delete, and nothing else happens."""
    bucket = fill(locked(s3, "locked"), archives)
    done = pruned(store_of(bucket), tmp_path)
    assert ([], 3) == (done.deleted, done.failures)
    assert "object lock" in str(done.denied)
    assert NAMES == left(bucket)


def test_versions(archives: Path, tmp_path: Path) -> None:
    """In a bucket with versions, locked or not, a deleted backup is not listed, and its version stays."""
    (tmp_path / "s3").mkdir()
    with s3_server(tmp_path / "s3", versions=True) as server:
        versioned = new_bucket(server)
        server.client().put_bucket_versioning(Bucket=versioned.name, VersioningConfiguration={"Status": "Enabled"})
        for bucket in (versioned, locked(server, "locked")):
            done = pruned(store_of(fill(bucket, archives)), tmp_path)
            assert ([3, 0], NAMES[:3]) == ([len(done.deleted), done.failures], left(bucket))
            versions = server.client().list_object_versions(Bucket=bucket.name)["Versions"]
            assert set(NAMES) == {version["Key"].rpartition("/")[2] for version in versions}


@pytest.mark.parametrize(
    ("status", "code", "deleted", "failures"),
    [(503, "SlowDown", 0, 1), (405, "MethodNotAllowed", 0, 3), (404, "NoSuchKey", 3, 0)],
)
@pytest.mark.fault("Object store", "deletions fail")
def test_answers(status: int, code: str, *, deleted: int, failures: int, filled: Bucket, tmp_path: Path) -> None:
    """A failing store is asked no further, a refusal is asked a few times, and what is gone counts as deleted."""
    with proxy(filled.server.port) as (endpoint, faults):
        store = store_of(filled, endpoint)
        faults.refuse = lambda method, _: (status, code, "no") if method == "DELETE" else None
        done = pruned(store, tmp_path)
        assert (deleted, failures) == (len(done.deleted), done.failures)
        assert NAMES == left(filled)
        faults.refuse = None
        assert 3 == len(pruned(store, tmp_path).deleted)
    assert NAMES[:3] == left(filled)


def test_service(zookeeper: ZooKeeper, bucket: Bucket, user: tuple[str, str], tmp_path: Path) -> None:
    """A service that may not delete goes on, tells it once and counts it. With the right, it deletes."""
    bucket.allow(USER[0], LIST, GET, PUT)
    settings = {
        **bucket.settings,
        **dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), user, strict=True)),
        "ZOOKEEPER_SERVERS": zookeeper.address,
        "BACKUP_INTERVAL": "1",
        "BACKUP_PREFIX": "pulsar",
        "RETENTION": "last=3",
    }
    service = Service(settings, tmp_path / "log")
    try:
        service.wait_for("backup_retention_failures_total", 2)
        assert (1, 0, 0) == tuple(
            service.metric(name)
            for name in ("backup_retention_denied", "backup_retention_deleted_total", "backup_failure_count")
        )
        assert len(bucket.objects()) >= 5
        bucket.allow(USER[0], *ALL)
        service.wait_for("backup_retention_deleted_total", 4)
        assert (0, 0) == (service.metric("backup_retention_denied"), service.metric("backup_failure_count"))
        service.process.wait_until(lambda: service.metric("backup_retention_expired") == 0)
        assert len([name for name in bucket.objects() if name.endswith(".tar.gz")]) <= 4  # three, and one just made
        listed = [entry["name"] for entry in service.json("/backup/list")]
        assert service.metric("backup_size_total") < 6 * max(entry["size"] for entry in service.json("/backup/list"))
        assert 200 == service.get("/backup/latest")[0]
        assert len(listed) <= 4
    finally:
        assert 0 == service.process.stop()
    said = service.process.output()
    assert (1, 1) == (said.count("old backups cannot be deleted"), said.count("old backups are deleted again"))
    assert "Traceback" not in said


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    ("missing", "fails", "objects"),
    [
        (DELETE, False, 1),
        ("s3:AbortMultipartUpload", False, 1),
        (LIST, True, 0),
        (PUT, True, 0),
        (GET, True, 1),  # it arrived, but cannot be verified
    ],
)
@pytest.mark.fault("Backups in the bucket", "a right is missing")
def test_rights(
    missing: str, *, fails: bool, objects: int, zookeeper: ZooKeeper, bucket: Bucket, tmp_path: Path
) -> None:
    """What a backup does without each of its rights, as docs/retention.md says."""
    bucket.allow(USER[0], *(right for right in ALL if right != missing))
    environment = {**bucket.settings, "ZOOKEEPER_SERVERS": zookeeper.address, "SPOOL_DIR": str(tmp_path)}
    job, store = Settings(environment).job(), store_of(bucket, keys=Keys(*USER))
    with pytest.raises(BucketDenied, match=missing) if fails else nullcontext():
        backup.run(job, store, Heartbeat())
    assert objects == len([name for name in bucket.objects() if name.endswith(".tar.gz")])
    assert (not fails) == bool(store_of(bucket).list(f"{job.prefix}-"))
