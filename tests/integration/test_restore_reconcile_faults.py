"""A restore compares its backup with tiered storage that fails, is slow, or has many objects."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metadata_tool import errors
from support import metadata
from support.offload import path_of, topic_value
from support.offload_server import ledger, offload_server
from support.proxy import Faults, proxy
from support.s3 import Bucket
from support.tool import assert_refused, run
from support.trees import make_archive

TIME = 1_623_721_488_825
OF_THE_TOPIC = 600
"""Ledgers of the tree's only topic."""


@pytest.fixture
def faults(*, soak: bool) -> Iterator[tuple[str, Faults]]:
    """The endpoint of tiered storage with 1,200 objects, 10,000 in the long form, and what goes wrong there."""
    with (
        offload_server(5_000 if soak else OF_THE_TOPIC, OF_THE_TOPIC) as endpoint,
        proxy(int(endpoint.rpartition(":")[2])) as made,
    ):
        yield made


@pytest.fixture
def settings(bucket: Bucket, faults: tuple[str, Faults], tmp_path: Path) -> dict[str, str]:
    """A restore of a backup with two ledgers of the topic."""
    known = [ledger(number, OF_THE_TOPIC) for number in range(2)]
    pulsar = {"/admin/clusters/c1": b"{}", "/admin/policies/tenant/namespace-000": b"{}", "/ledgers/idgen": b""}
    path = tmp_path / f"pulsar-{TIME}.tar.gz"
    make_archive(
        path,
        metadata.tree({**pulsar, path_of(known[0].managed_ledger): topic_value(known, "offloads")}),
        timestamp=TIME,
    )
    bucket.server.client().upload_file(str(path), bucket.name, f"team/prod/{path.name}")
    (tmp_path / "data").mkdir()
    return {
        **bucket.settings,
        "RESTORE_POINT": f"{bucket.settings['BUCKET']}/{path.name}",
        "TIERED_STORAGE_RECONCILE": "true",
        "TIERED_STORAGE_ENDPOINT_URL": faults[0],
        "ZOOKEEPER_DATA_DIR": str(tmp_path / "data"),
    }


SAID = f"the backup promised 2 ledgers, {OF_THE_TOPIC - 2} were added, 0 left out"


def test_many_objects(settings: dict[str, str]) -> None:
    """All pages of a listing are read, and what belongs to the topics of the tree is added."""
    outcome = run("restore", settings=settings)
    assert (0, True) == (outcome.exit_code, SAID in outcome.said), outcome.said


def test_slow(settings: dict[str, str], faults: tuple[str, Faults]) -> None:
    """A slow store is waited for."""
    faults[1].download_pause = 0.002
    outcome = run("restore", settings=settings)
    assert (0, True) == (outcome.exit_code, SAID in outcome.said), outcome.said


@pytest.mark.parametrize("after", [0, 1, 12], ids=["at the first page", "at the second page", "at an index"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, errors.BucketDenied),
        (500, errors.StoreFailed),
        (503, errors.StoreFailed),
    ],
)
@pytest.mark.fault("Object store", "tiered storage fails during a restore that reads it")
def test_store_that_fails(  # noqa: PLR0917  # a case and its surroundings
    status: int,
    error: type[errors.ToolError],
    after: int,
    settings: dict[str, str],
    faults: tuple[str, Faults],
    bucket: Bucket,
) -> None:
    """Whenever the store fails, that is a clear error, and nothing is saved or placed."""
    faults[1].statuses = [*([0] * after), *([status] * 100_000)]
    assert_refused(error, "set TIERED_STORAGE_RECONCILE=false", run("restore", settings=settings))
    assert [] == list(Path(settings["ZOOKEEPER_DATA_DIR"]).iterdir())
    assert 1 == len(bucket.objects())


def test_without_reconcile(settings: dict[str, str], faults: tuple[str, Faults]) -> None:
    """Told so, a restore goes on without tiered storage, and does not ask it."""
    faults[1].status = 503
    without = {name: value for name, value in settings.items() if not name.startswith("TIERED_STORAGE")}
    assert 0 == run("restore", settings=without).exit_code
    assert 0 == faults[1].requests
