"""`metadata-tool scrub` on a real S3 server."""

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from metadata_tool import errors
from support import metadata
from support.offload import Offloaded, offload, path_of, topic_value
from support.s3 import Bucket, S3Server, new_bucket
from support.tool import assert_refused, run
from support.trees import make_archive

TOPIC = "public/default/persistent/t1"
LEDGERS = [Offloaded(UUID(int=number), number, TOPIC) for number in range(1, 8)]


@pytest.fixture
def offloads(s3: S3Server) -> Bucket:
    """The bucket of tiered storage, with seven ledgers of a topic."""
    made = new_bucket(s3)
    offload(made, *LEDGERS)
    return made


def put(bucket: Bucket, key: str, content: bytes) -> None:
    """Put an object there."""
    bucket.server.client().put_object(Bucket=bucket.name, Key=key, Body=content)


def back_up(bucket: Bucket, offloads: str, directory: Path, ledgers: Sequence[Offloaded] = LEDGERS) -> dict[str, str]:
    """Keep a backup of a tree that calls these ledgers offloaded. Returns the settings for it."""
    nodes = metadata.tree({path_of(TOPIC): topic_value(ledgers, offloads)})
    path = directory / "pulsar-1623721488825.tar.gz"
    make_archive(path, nodes, timestamp=1_623_721_488_825)
    put(bucket, f"team/prod/{path.name}", path.read_bytes())
    return {**bucket.settings, "BACKUP_PREFIX": "pulsar", "SPOOL_DIR": str(directory)}


@pytest.mark.parametrize("options", [[], ["--list-only"]])
def test_all_is_there(options: list[str], bucket: Bucket, offloads: Bucket, tmp_path: Path) -> None:
    """The newest backup is scrubbed if none is named, and every ledger is proven."""
    outcome = run("scrub", *options, "--json", settings=back_up(bucket, offloads.name, tmp_path))
    assert 0 == outcome.exit_code, outcome.said
    assert 7 == json.loads(outcome.output)["total"]["proven"]["ledgers"]


def test_what_is_missing_is_named(bucket: Bucket, offloads: Bucket, tmp_path: Path) -> None:
    """Missing and damaged ledgers are named, each with its reason, and the exit code says so. Orphans are listed."""
    client = offloads.server.client()
    client.delete_object(Bucket=offloads.name, Key=LEDGERS[2].data_key)
    put(offloads, LEDGERS[4].data_key, b"cut")
    orphan = Offloaded(UUID(int=99), 99, TOPIC)
    put(offloads, orphan.index_key, orphan.index())
    outcome = run("scrub", "--orphans", settings=back_up(bucket, offloads.name, tmp_path))
    assert errors.OffloadedLedgersLost.exit_code == outcome.exit_code, outcome.said
    assert outcome.error.startswith("error: 2 ledgers that s3a://")
    lines = outcome.output.splitlines()
    assert f"{TOPIC} ledger 3 missing: no data object" in lines
    assert f"{TOPIC} ledger 5 damaged: bytes in the data object 3, in the index 6000" in lines
    assert f"{offloads.name}/{orphan.index_key} {len(orphan.index())}" in lines
    assert 15 - 1 == len(offloads.objects())


def test_nothing_is_offloaded(bucket: Bucket, tmp_path: Path) -> None:
    """A tree that calls no ledger offloaded is told so, because nothing was looked for."""
    settings = back_up(bucket, "unused", tmp_path, ledgers=[])
    outcome = run("scrub", settings=settings)
    assert (0, True) == (outcome.exit_code, "calls no ledger offloaded" in outcome.said)


def test_bucket_that_moved(bucket: Bucket, offloads: Bucket, tmp_path: Path) -> None:
    """A bucket that does not exist is an error, until TIERED_STORAGE_BUCKETS names the one that it moved to."""
    settings = back_up(bucket, "old-offloads", tmp_path)
    assert_refused(errors.BucketMissing, "s3a://old-offloads", run("scrub", settings=settings))
    moved = {"TIERED_STORAGE_BUCKETS": f"old-offloads={offloads.name}"}
    outcome = run("scrub", settings=settings | moved)
    assert 0 == outcome.exit_code, outcome.said


def test_its_own_access(bucket: Bucket, offloads: Bucket, tmp_path: Path) -> None:
    """Tiered storage has an endpoint and keys of its own, and wrong ones are an error."""
    settings = back_up(bucket, offloads.name, tmp_path)
    own = {
        "TIERED_STORAGE_ENDPOINT_URL": offloads.server.endpoint,
        "TIERED_STORAGE_ACCESS_KEY_ID": settings["AWS_ACCESS_KEY_ID"],
        "TIERED_STORAGE_SECRET_ACCESS_KEY": settings["AWS_SECRET_ACCESS_KEY"],
    }
    assert 0 == run("scrub", settings=settings | own).exit_code
    wrong = own | {"TIERED_STORAGE_SECRET_ACCESS_KEY": "wrong"}
    assert_refused(errors.CredentialsRejected, f"s3a://{offloads.name}", run("scrub", settings=settings | wrong))
    half = {"TIERED_STORAGE_ACCESS_KEY_ID": "x"}
    refused = run("scrub", settings=settings | half)
    assert_refused(
        errors.SettingError, "TIERED_STORAGE_ACCESS_KEY_ID is set, but TIERED_STORAGE_SECRET_ACCESS_KEY is not", refused
    )


def test_keys_as_files(bucket: Bucket, offloads: Bucket, tmp_path: Path) -> None:
    """Keys of tiered storage may be files. A file that is missing, and wrong keys, are told with the setting's name."""
    settings = back_up(bucket, offloads.name, tmp_path)
    keys = tmp_path / "keys"
    keys.mkdir()
    own = settings | {"TIERED_STORAGE_CREDENTIALS_DIR": str(keys)}
    where = f"{keys}/AWS_ACCESS_KEY_ID (TIERED_STORAGE_CREDENTIALS_DIR)"
    assert_refused(errors.CredentialsRejected, where, run("scrub", settings=own))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        (keys / name).write_text(settings[name])
    assert 0 == run("scrub", settings=own).exit_code
    (keys / "AWS_SECRET_ACCESS_KEY").write_text("wrong")
    refused = run("scrub", settings=own)
    assert_refused(errors.CredentialsRejected, "TIERED_STORAGE_CREDENTIALS_DIR", refused)
    assert "S3_CREDENTIALS_DIR" not in refused.error.replace("TIERED_STORAGE_", "")


def test_more_than_a_page(bucket: Bucket, s3: S3Server, tmp_path: Path) -> None:
    """A bucket of more objects than a page of a listing has is listed completely."""
    big = new_bucket(s3)
    client = s3.client()
    for number in range(1_005):
        client.put_object(Bucket=big.name, Key=f"a-{number}", Body=b"")
    offload(big, *LEDGERS)
    outcome = run("scrub", "--json", settings=back_up(bucket, big.name, tmp_path))
    found = json.loads(outcome.output)
    assert (7, 1_005) == (found["total"]["proven"]["ledgers"], found["otherObjects"])
