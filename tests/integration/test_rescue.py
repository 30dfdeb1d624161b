"""`metadata-tool rescue` on a real S3 server."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from metadata_tool import errors
from support.offload import Offloaded, offload
from support.s3 import Bucket, S3Server, new_bucket
from support.tool import assert_refused, run, succeed

TOPICS = ["shop/orders/persistent/parts-partition-0", "shop/orders/persistent/parts-partition-1", "a/b/persistent/t"]


@pytest.fixture
def offloads(s3: S3Server) -> Bucket:
    """The bucket of tiered storage, with nine ledgers of three topics."""
    made = new_bucket(s3)
    offload(made, *(Offloaded(UUID(int=number), number, TOPICS[number % 3]) for number in range(9)), cluster="c1")
    return made


@pytest.fixture
def settings(bucket: Bucket, offloads: Bucket, tmp_path: Path) -> dict[str, str]:
    """The settings of a rescue."""
    own = {"BACKUP_PREFIX": "pulsar", "SPOOL_DIR": str(tmp_path), "TIERED_STORAGE_BUCKET": offloads.name}
    return {**bucket.settings, **own}


def test_a_restore_point(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """A bucket alone gives an ordinary backup, which is listed, verified, scrubbed and restored."""
    output = succeed("rescue", settings=settings)
    made = output.splitlines()[-1]
    assert made.startswith(f"s3a://{bucket.name}/team/prod/pulsar-rescued-")
    assert ["shop/orders", "2", "1", "6", "30000"] in [line.split() for line in output.splitlines()]
    assert made in succeed("list", settings=settings | {"BACKUP_PREFIX": "pulsar-rescued"})
    assert "" == succeed("list", "--json", settings=settings).strip("[]")
    succeed("verify", made, settings=settings)
    found = json.loads(succeed("inspect", made, "--json", settings=settings))
    assert ([], "rescued") == (found["findings"], found["manifest"]["origin"]["kind"])
    assert 9 == json.loads(succeed("scrub", made, "--json", settings=settings))["total"]["proven"]["ledgers"]
    data = tmp_path / "data"
    data.mkdir()
    restoring = {"ZOOKEEPER_DATA_DIR": str(data), "RESTORE_POINT": made, "CLUSTER_NAME": "c1"}
    succeed("restore", settings=settings | restoring)
    report = json.loads(next(data.glob("version-2/restore-report.json")).read_text())
    assert 9 * 5000 == report["coverage"]["total"]["recoverableBytes"]


def test_only_a_part(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """A tenant or a namespace may be chosen, a dry run saves nothing, and a folder needs no BUCKET."""
    found = json.loads(succeed("rescue", "--only", "a", "--dry-run", "--json", settings=settings))
    assert (None, 1, 6) == (found["uri"], found["total"]["topics"], found["notTaken"]["not among what is wanted"])
    assert [] == bucket.objects()
    without = {name: value for name, value in settings.items() if name != "BUCKET"}
    folder = tmp_path / "kept"
    folder.mkdir()
    succeed("rescue", "--only", "a/b", "--to", f"file://{folder}", settings=without)
    assert 1 == len(list(folder.iterdir()))


@pytest.mark.parametrize(
    ("changes", "arguments", "error", "naming"),
    [
        ({"TIERED_STORAGE_BUCKET": ""}, [], errors.SettingError, "TIERED_STORAGE_BUCKET"),
        ({"TIERED_STORAGE_BUCKET": "s3a://x"}, [], errors.SettingError, "TIERED_STORAGE_BUCKET"),
        ({"TIERED_STORAGE_BUCKET": "gone-for-good"}, [], errors.BucketMissing, "gone-for-good"),
        ({"TIERED_STORAGE_DRIVER": "azureblob"}, [], errors.SettingError, "TIERED_STORAGE_DRIVER"),
        ({"BUCKET": ""}, [], errors.SettingError, "BUCKET"),
        ({}, ["--cluster", "c2"], errors.SettingError, "CLUSTER_NAME"),
    ],
)
def test_refused(
    changes: dict[str, str],
    arguments: list[str],
    error: type[errors.ToolError],
    naming: str,
    settings: dict[str, str],
) -> None:
    """Wrong settings and buckets are one clear line."""
    assert_refused(error, naming, run("rescue", *arguments, settings=settings | changes))


def test_wrong_part(settings: dict[str, str]) -> None:
    """What is neither a tenant nor a namespace is refused."""
    outcome = run("rescue", "--only", "a//b", settings=settings)
    assert (2, True) == (outcome.exit_code, "'a//b' is neither a tenant nor tenant/namespace" in outcome.said)
