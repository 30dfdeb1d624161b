"""A service that scrubs its backups by itself."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ci.parts.zookeeper import NEWEST
from support import seed
from support.offload import Offloaded, offload, path_of, topic_value
from support.processes import eventually
from support.proxy import Faults, proxy
from support.s3 import Bucket, S3Server, new_bucket
from support.tool import Service
from support.zookeeper import ZooKeeper, client, standalone

TOPIC = "public/default/persistent/t1"
LEDGERS = [Offloaded(UUID(int=number), number, TOPIC) for number in range(1, 8)]
OFFLOADS = "offloads"


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A ZooKeeper whose tree calls seven ledgers offloaded."""
    with standalone(NEWEST, tmp_path_factory.mktemp("zookeeper")) as server:
        with client(server.address) as source:
            seed.pulsar(source)
            source.create(path_of(TOPIC), topic_value(LEDGERS, OFFLOADS), makepath=True)
        yield server


@pytest.fixture
def offloads(s3: S3Server) -> Bucket:
    """A bucket with these ledgers."""
    made = new_bucket(s3)
    offload(made, *LEDGERS)
    return made


@pytest.fixture
def faults(offloads: Bucket) -> Iterator[tuple[str, Faults]]:
    """A proxy before the server of tiered storage: its endpoint, and what goes wrong there."""
    with proxy(offloads.server.port) as found:
        yield found


@pytest.fixture
def settings(
    zookeeper: ZooKeeper, bucket: Bucket, offloads: Bucket, faults: tuple[str, Faults], tmp_path: Path
) -> dict[str, str]:
    """A service that makes and scrubs a backup every second."""
    (tmp_path / "spool").mkdir()
    return {
        **bucket.settings,
        "ZOOKEEPER_SERVERS": zookeeper.address,
        "BACKUP_INTERVAL": "1",
        "SPOOL_DIR": str(tmp_path / "spool"),
        "SCRUB_INTERVAL": "1",
        "TIERED_STORAGE_BUCKETS": f"{OFFLOADS}={offloads.name}",
        "TIERED_STORAGE_ENDPOINT_URL": faults[0],
        "AWS_MAX_ATTEMPTS": "1",
    }


@pytest.fixture
def service(settings: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    """A running service."""
    running = Service(settings, tmp_path / "log")
    yield running
    running.process.stop()


def total(service: Service) -> dict[str, Any]:
    """The total of the coverage, or nothing before the first backup."""
    status, text = service.get("/backup/coverage")
    return dict(json.loads(text)["total"]) if status == 200 else {}


def wait_for_ledgers(service: Service, **counts: int) -> None:
    """Wait until a scrub has found this many ledgers in each state."""
    service.process.wait_until(lambda: counts.items() <= total(service).items())


def reads(faults: Faults) -> int:
    """How many objects of tiered storage were read."""
    return sum(method == "GET" and "-index" in path for method, path, _ in faults.seen)


def test_object_deleted_behind_its_back(service: Service, offloads: Bucket, faults: tuple[str, Faults]) -> None:
    """The next scrub shows an object that was deleted, in coverage, metrics and log, and reads no index again."""
    wait_for_ledgers(service, provenLedgers=7, missingLedgers=0)
    assert 7 == reads(faults[1])
    offloads.server.client().delete_object(Bucket=offloads.name, Key=LEDGERS[2].data_key)
    wait_for_ledgers(service, provenLedgers=6, missingLedgers=1, damagedLedgers=0, notCheckedLedgers=0)
    wait_for_ledgers(service, confirmedLostLedgers=1)
    assert 7 == reads(faults[1])
    found = service.json("/backup/coverage?namespace=public/default")
    assert (1, "index") == (found["missingLedgers"], found["scrubMethod"])
    assert [{"topic": TOPIC, "ledger": 3, "state": "missing", "why": "no data object"}] == found["lostLedgers"]
    samples = [
        f'backup_{name}_ledgers{{pulsar_namespace="public/default"}} {count}'
        for name, count in {"proven": 6, "missing": 1, "confirmed_lost": 1}.items()
    ]
    assert set(samples) <= set(service.get("/metrics")[1].splitlines())
    assert service.metric("backup_scrub_last_success_timestamp_seconds") > time.time() - 3600
    assert "ledgers proven 6, missing 1, damaged 0, not checked 0" in service.process.output()
    assert (0, 0) == (service.metric("backup_failure_count"), service.metric("backup_scrub_failures_total"))


def test_bucket_that_cannot_be_read(service: Service, faults: tuple[str, Faults]) -> None:
    """A scrub that fails is shown and counted, while backups succeed and the service is ready. Later scrubs succeed."""
    wait_for_ledgers(service, provenLedgers=7)
    faults[1].status = 403
    service.wait_for("backup_scrub_failures_total", 2)
    coverage = service.json("/backup/coverage")
    assert "(403)" in coverage["scrubError"]
    assert 7 == coverage["total"]["provenLedgers"]
    assert (200, 200) == (service.get("/healthz")[0], service.get("/readyz")[0])
    done = service.metric("backup_count")
    service.wait_for("backup_count", done + 2)
    assert 0 == service.metric("backup_failure_count")
    faults[1].status = 0
    service.process.wait_until(lambda: "scrubError" not in service.json("/backup/coverage"))
    output = service.process.output()
    assert "scrub failed: " in output
    assert "Traceback" not in output


def test_list_only(settings: dict[str, str], faults: tuple[str, Faults], tmp_path: Path) -> None:
    """With SCRUB_LIST_ONLY no index is read."""
    service = Service(settings | {"SCRUB_LIST_ONLY": "true"}, tmp_path / "log")
    try:
        wait_for_ledgers(service, provenLedgers=7)
        assert ("list", 0) == (service.json("/backup/coverage")["scrubMethod"], reads(faults[1]))
    finally:
        assert 0 == service.process.stop()


def test_stop_during_a_scrub(settings: dict[str, str], faults: tuple[str, Faults], tmp_path: Path) -> None:
    """Backups go on while a scrub hangs. A stop ends it cleanly, and leaves neither files nor processes."""
    faults[1].cut, faults[1].cut_by = 0, "silence"
    service = Service(settings, tmp_path / "log")
    try:
        service.wait_for("backup_count", 3)
        service.process.wait_until(lambda: bool(faults[1].seen))
        children = descendants(service.process.pid)
    finally:
        assert 0 == service.process.stop()
    assert [] == list((tmp_path / "spool").iterdir())
    eventually("all processes end", lambda: not [pid for pid in children if Path(f"/proc/{pid}").exists()], 60)
    assert "Traceback" not in service.process.output()


def descendants(pid: int) -> list[int]:
    """The processes below this one, parents first."""
    tasks = Path(f"/proc/{pid}/task")
    own = [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    return [*own, *(below for child in own for below in descendants(child))]
