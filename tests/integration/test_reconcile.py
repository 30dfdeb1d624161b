"""`metadata-tool reconcile` on a real S3 server."""

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from metadata_tool import errors
from support import metadata
from support.offload import Offloaded, offload, path_of, topic_value
from support.s3 import Bucket, S3Server, new_bucket
from support.tool import assert_refused, run, succeed
from support.trees import make_archive

TOPIC = "public/default/persistent/t1"
LEDGERS = [Offloaded(UUID(int=number), number, TOPIC) for number in range(1, 8)]
SOURCE, MADE = "pulsar-1623721488825.tar.gz", "pulsar-reconciled-1623721488825.tar.gz"


@pytest.fixture
def offloads(s3: S3Server) -> Bucket:
    """The bucket of tiered storage, with seven ledgers of a topic."""
    made = new_bucket(s3)
    offload(made, *LEDGERS, cluster="c1")
    return made


def back_up(
    bucket: Bucket, offloads: str, directory: Path, ledgers: Sequence[Offloaded] = LEDGERS[:3]
) -> dict[str, str]:
    """Keep a backup of a tree that calls these ledgers offloaded. Returns the settings for it."""
    pulsar = {"/admin/clusters/c1": b"{}", "/admin/policies/public/default": b"{}", "/ledgers/idgen": b""}
    nodes = metadata.tree({**pulsar, path_of(TOPIC): topic_value(ledgers, offloads)})
    path = directory / SOURCE
    make_archive(path, nodes, timestamp=1_623_721_488_825)
    bucket.server.client().upload_file(str(path), bucket.name, f"team/prod/{path.name}")
    return {**bucket.settings, "BACKUP_PREFIX": "pulsar", "SPOOL_DIR": str(directory)}


def test_a_restore_point(bucket: Bucket, offloads: Bucket, tmp_path: Path) -> None:
    """What was offloaded since the backup is in an ordinary backup, which is verified, listed and restored."""
    offload(offloads, Offloaded(UUID(int=50), 50, TOPIC), cluster="staging")
    settings = back_up(bucket, offloads.name, tmp_path)
    source = f"s3a://{bucket.name}/team/prod/{SOURCE}"
    output = succeed("reconcile", source, settings=settings)
    made = f"s3a://{bucket.name}/team/prod/{MADE}"
    assert made == output.splitlines()[-1]
    assert ["public/default", "3", "0", "4", "20000"] in [line.split() for line in output.splitlines()]
    assert "not taken, written by another cluster: 1" in output.splitlines()
    succeed("verify", made, settings=settings)
    assert made in succeed("list", settings=settings | {"BACKUP_PREFIX": "pulsar-reconciled"})
    assert made not in succeed("list", settings=settings)
    assert "reconciled" in succeed("inspect", made, settings=settings)
    assert 7 == json.loads(succeed("scrub", made, "--json", settings=settings))["total"]["proven"]["ledgers"]
    data = tmp_path / "data"
    data.mkdir()
    restoring = {"ZOOKEEPER_DATA_DIR": str(data), "RESTORE_POINT": made}
    succeed("restore", settings=settings | restoring)
    report = json.loads(next(data.glob("version-2/restore-report.json")).read_text())
    assert 7 * 5000 == report["coverage"]["total"]["recoverableBytes"]


def test_dry_run_and_folder(bucket: Bucket, offloads: Bucket, tmp_path: Path) -> None:
    """A dry run saves nothing, and another folder may be named."""
    settings = back_up(bucket, offloads.name, tmp_path)
    found = json.loads(succeed("reconcile", "latest", "--dry-run", "--json", settings=settings))
    assert (None, 4) == (found["uri"], found["total"]["added"]["ledgers"])
    assert [f"team/prod/{SOURCE}"] == bucket.objects()
    folder = f"s3a://{bucket.name}/elsewhere"
    found = json.loads(succeed("reconcile", "latest", "--to", folder, "--json", settings=settings))
    assert f"{folder}/{MADE}" == found["uri"]
    assert_refused(errors.SettingError, "--to", run("reconcile", "latest", "--to", "nowhere", settings=settings))


def test_the_same_tree(bucket: Bucket, offloads: Bucket, tmp_path: Path) -> None:
    """The same backup and the same bucket give the same tree, and the second file does not replace the first."""
    settings = back_up(bucket, offloads.name, tmp_path)
    made = [succeed("reconcile", "latest", settings=settings).splitlines()[-1] for _ in range(2)]
    assert made[0] != made[1]
    digests = [json.loads(succeed("inspect", each, "--json", settings=settings)) for each in made]
    assert digests[0]["manifest"]["snapshot"] == digests[1]["manifest"]["snapshot"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            {"TIERED_STORAGE_SECRET_ACCESS_KEY": "wrong", "TIERED_STORAGE_ACCESS_KEY_ID": "x"},
            errors.CredentialsRejected,
        ),
        ({"TIERED_STORAGE_ENDPOINT_URL": "http://127.0.0.1:1"}, errors.StoreUnreachable),
        ({"TIERED_STORAGE_BUCKETS": "gone=gone-for-good"}, errors.BucketMissing),
    ],
)
def test_bucket_that_cannot_be_read(
    changes: dict[str, str], error: type[errors.ToolError], bucket: Bucket, tmp_path: Path
) -> None:
    """If a bucket cannot be read, that is an error, and nothing is saved."""
    assert_refused(error, "", run("reconcile", "latest", settings=back_up(bucket, "gone", tmp_path) | changes))
    assert [f"team/prod/{SOURCE}"] == bucket.objects()


def test_no_bucket_is_named(bucket: Bucket, tmp_path: Path) -> None:
    """A tree that names no bucket is told so."""
    outcome = run("reconcile", "latest", settings=back_up(bucket, "unused", tmp_path, ledgers=[]))
    assert (0, True) == (outcome.exit_code, "names no bucket of tiered storage" in outcome.said)
