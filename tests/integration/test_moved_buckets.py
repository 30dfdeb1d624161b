"""A restore whose buckets of tiered storage have moved, on a real S3 server."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest

from metadata_tool import errors
from metadata_tool.pulsar.codec import managed_ledger
from metadata_tool.pulsar.moved_buckets import ledger_buckets
from metadata_tool.zookeeper.snapshot import SnapshotReader
from support.metadata import as_json, tree
from support.offload import Offloaded, offload, path_of, topic_value
from support.s3 import Bucket, S3Server, new_bucket
from support.tool import Outcome, assert_refused, run
from support.trees import make_archive

TOPIC = "public/default/persistent/t1"
LEDGERS = [Offloaded(UUID(int=number), number, TOPIC) for number in range(1, 8)]
POLICIES = "/admin/policies/public/default"
TREE = {
    "/admin/clusters/c1": as_json(),
    POLICIES: as_json(offload_policies={"s3ManagedLedgerOffloadBucket": "old-offloads"}),
    "/ledgers/idgen": b"",
    path_of(TOPIC): topic_value(LEDGERS, "old-offloads"),
}


@pytest.fixture
def offloads(s3: S3Server) -> Bucket:
    """The bucket of tiered storage, in which the topic's ledgers are."""
    made = new_bucket(s3)
    offload(made, *LEDGERS)
    return made


@pytest.fixture
def settings(bucket: Bucket, tmp_path: Path) -> dict[str, str]:
    """A backup of a tree that names the old bucket, and an empty data directory."""
    (tmp_path / "data").mkdir()
    name = "pulsar-1623721488825.tar.gz"
    make_archive(tmp_path / name, tree(TREE), timestamp=1_623_721_488_825)
    bucket.server.client().upload_file(str(tmp_path / name), bucket.name, f"team/prod/{name}")
    point = f"s3a://{bucket.name}/team/prod/{name}"
    return {**bucket.settings, "RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(tmp_path / "data")}


def restore(settings: dict[str, str], **more: str) -> Outcome:
    """Run it."""
    return run("restore", settings={**settings, **more})


def named(outcome: Outcome) -> tuple[set[str], str]:
    """The buckets of the ledgers and of the namespace in a restored tree."""
    assert 0 == outcome.exit_code, outcome.said
    with Path(outcome.output.strip()).open("rb") as file:
        nodes = {node.path.decode(): node.data or b"" for node in SnapshotReader(file).nodes()}
    info = managed_ledger(nodes[path_of(TOPIC)])
    policies = json.loads(nodes[POLICIES])["offload_policies"]
    return {name for each in info.ledgerInfo for name in ledger_buckets(each)}, policies["s3ManagedLedgerOffloadBucket"]


def access(offloads: Bucket) -> dict[str, str]:
    """Access to tiered storage, which makes a restore look at its buckets."""
    return {"TIERED_STORAGE_ENDPOINT_URL": offloads.server.endpoint}


def moved(offloads: Bucket) -> dict[str, str]:
    """The new name of the bucket."""
    return {"TIERED_STORAGE_BUCKETS": f"old-offloads={offloads.name}"}


@pytest.mark.parametrize("scope", ["bookies-lost", "bookies-kept"])
@pytest.mark.parametrize("looks", [False, True])
def test_new_name(scope: str, settings: dict[str, str], offloads: Bucket, *, looks: bool) -> None:
    """The restored tree has the new name, with access to the bucket and without, and the report says what changed."""
    more = access(offloads) if looks else {}
    outcome = restore(settings, RESTORE_SCOPE=scope, **moved(offloads), **more)
    assert ({offloads.name}, offloads.name) == named(outcome)
    warnings = re.findall(r"WARNING (.*)", outcome.said)
    assert [] == [line for line in warnings if not line.startswith("bookies delete the ledgers")]
    assert f"bucket old-offloads is now {offloads.name}" in outcome.said
    report = json.loads((Path(outcome.output.strip()).parent / "restore-report.json").read_text())
    assert {"old-offloads": offloads.name} == report["buckets"]
    assert (1, 1) == (report["changed"]["moved buckets"], report["changed"]["namespaces' buckets"])


def test_without_access(settings: dict[str, str]) -> None:
    """A restore that has no access to tiered storage places the tree as it is."""
    assert ({"old-offloads"}, "old-offloads") == named(restore(settings))


def test_bucket_that_cannot_be_listed(settings: dict[str, str], offloads: Bucket) -> None:
    """A bucket that does not exist is told with both ways out, before anything is placed, by a rehearsal too."""
    data = Path(settings["ZOOKEEPER_DATA_DIR"])
    for dry_run in ([], ["--dry-run"]):
        refused = run("restore", *dry_run, settings={**settings, **access(offloads)})
        assert_refused(errors.BucketMissing, "the bucket old-offloads should have 7 offloaded ledgers", refused)
        assert "If it has moved, set TIERED_STORAGE_BUCKETS (restore.tieredStorage.buckets)" in refused.error
        assert not (data / "version-2").exists()
    denied = {"TIERED_STORAGE_ACCESS_KEY_ID": "other", "TIERED_STORAGE_SECRET_ACCESS_KEY": "secret-of-other"}
    refused = restore(settings, **denied, **moved(offloads))
    assert_refused(errors.CredentialsRejected, offloads.name, refused)
    assert not (data / "version-2").exists()


def test_wrong_name(settings: dict[str, str], offloads: Bucket) -> None:
    """A name that the tree does not have is a mistake, because every topic would stay empty."""
    refused = restore(settings, TIERED_STORAGE_BUCKETS=f"old-offload={offloads.name}")
    assert_refused(
        errors.SettingError, "TIERED_STORAGE_BUCKETS has the bucket old-offload, but the tree names", refused
    )
    assert "old-offloads" in refused.error


def test_tree_that_has_the_new_name(settings: dict[str, str]) -> None:
    """A backup from after the move needs no new name, so a restore that stays configured goes on working."""
    outcome = restore(settings, TIERED_STORAGE_BUCKETS="ancient-offloads=old-offloads")
    assert ({"old-offloads"}, "old-offloads") == named(outcome)


def test_objects_that_are_not_there(settings: dict[str, str], offloads: Bucket, s3: S3Server) -> None:
    """A bucket without the ledgers that the tree says is a warning, which names one of them."""
    empty = new_bucket(s3)
    outcome = restore(settings, TIERED_STORAGE_BUCKETS=f"old-offloads={empty.name}", **access(offloads))
    assert ({empty.name}, empty.name) == named(outcome)
    expected = f"the bucket {empty.name} has no ledger of those that were looked for, such as ledger 7 of {TOPIC}."
    assert expected in outcome.said


def test_changed_names_are_noticed(settings: dict[str, str], offloads: Bucket) -> None:
    """A restore that was done without the new name is not done again, and says what to do."""
    named(restore(settings))
    again = restore(settings, **moved(offloads))
    assert (0, "") == (again.exit_code, again.output)
    assert "RESTORE_VERSION" in again.said


@pytest.mark.parametrize("name", ["bad name\x1b[1m", "b", "a/b", "x" * 300])
def test_name_that_no_bucket_can_have(name: str, settings: dict[str, str], offloads: Bucket, tmp_path: Path) -> None:
    """A tree with a name that no bucket can have is told in one printable line."""
    nodes = tree({**TREE, path_of(TOPIC): topic_value(LEDGERS, name)})
    make_archive(tmp_path / "odd-1623721488826.tar.gz", nodes, prefix="odd", timestamp=1_623_721_488_826)
    settings["RESTORE_POINT"] = f"file://{tmp_path}/odd-1623721488826.tar.gz"
    refused = restore(settings, **access(offloads))
    assert_refused(errors.BucketMissing, "offloaded ledgers of the tree, but no bucket can have that name", refused)
    assert refused.error.isprintable()
