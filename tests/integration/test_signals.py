"""SIGTERM and SIGINT end every command soon and cleanly, even if a server hangs."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool import limits
from metadata_tool.errors import HelperKilled, SpoolFailed, Stopped
from support.processes import Process
from support.s3 import Bucket
from support.tool import Service, assert_refused, environment, run
from support.zookeeper import ZooKeeper, standalone

SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def silent_store(bucket: Bucket) -> Iterator[dict[str, str]]:
    """Settings for an object store that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        yield {**bucket.settings, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{silent.getsockname()[1]}"}


@pytest.fixture
def zookeeper(tmp_path: Path) -> Iterator[ZooKeeper]:
    """A ZooKeeper."""
    with standalone(NEWEST, tmp_path / "zookeeper") as server:
        yield server


def start(*arguments: str, settings: dict[str, str], log: Path) -> Process:
    """A command that runs."""
    return Process([sys.executable, "-m", "metadata_tool", *arguments], log, environment(settings))


def connected(process: Process) -> bool:
    """Whether a process has an established connection."""
    sockets = set()
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed while the test reads it
            sockets.add(link.readlink().name)
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(f"socket:[{line[9]}]" in sockets and line[3] == "01" for line in lines)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("verb", ["list", "backup"])
@pytest.mark.fault("Process", "a signal while the object store hangs")
def test_store_hangs(verb: str, number: signal.Signals, silent_store: dict[str, str], tmp_path: Path) -> None:
    """A command that waits for an object store ends at once, with one line."""
    settings = {**silent_store, "ZOOKEEPER_SERVERS": "127.0.0.1:1"}
    process = start(verb, settings=settings, log=tmp_path / "log")
    process.wait_until(lambda: connected(process))
    process.send(number)
    assert (Stopped.exit_code, "error: stopped before the work was done") == (process.wait(), process.output().strip())


@pytest.mark.fault("Process", "SIGTERM while ZooKeeper hangs")
def test_zookeeper_hangs(bucket: Bucket, zookeeper: ZooKeeper, tmp_path: Path) -> None:
    """A backup that waits for a hanging ZooKeeper ends, and nothing is in the bucket."""
    settings = {**bucket.settings, "ZOOKEEPER_SERVERS": zookeeper.address}
    zookeeper.send(signal.SIGSTOP)
    try:
        process = start("backup", settings=settings, log=tmp_path / "log")
        process.wait_until(lambda: connected(process))
        process.send(signal.SIGTERM)
        assert Stopped.exit_code == process.wait()
    finally:
        zookeeper.send(signal.SIGCONT)
    assert "error: stopped before the work was done" == process.output().strip()
    assert [] == bucket.objects()


@pytest.mark.fault("Process", "the object store hangs, and all requests of the admin port with it")
def test_service_whose_store_hangs(silent_store: dict[str, str], zookeeper: ZooKeeper, tmp_path: Path) -> None:
    """However many requests wait for the store, others are answered. SIGTERM reaches the loop before they end."""
    service = Service({**silent_store, "ZOOKEEPER_SERVERS": zookeeper.address}, tmp_path / "log")
    try:
        service.process.wait_until(lambda: service.get("/healthz")[0] == 200)
        askers = [threading.Thread(target=service.get, args=("/backup/latest",)) for _ in range(12)]
        for asker in askers:
            asker.start()
        assert [200] * 3 == [service.get(path)[0] for path in ("/healthz", "/readyz", "/metrics")]
        assert 503 == service.get("/backup/list")[0]
        service.process.send(signal.SIGTERM)
        assert 0 == service.process.wait()
    finally:
        service.process.kill()
        for asker in askers:
            asker.join()
    assert "Traceback" not in service.process.output()


@pytest.mark.fault("Process", "SIGTERM while the first listing hangs")
def test_service_stops_while_its_first_listing_hangs(silent_store: dict[str, str], tmp_path: Path) -> None:
    """SIGTERM during a listing that hangs ends the service long before the listing would end, with 0 and a line."""
    service = Service({**silent_store, "ZOOKEEPER_SERVERS": "127.0.0.1:1"}, tmp_path / "log")
    try:
        service.process.wait_until(lambda: service.get("/healthz")[0] == 200)
        began = time.monotonic()
        service.process.send(signal.SIGTERM)
        assert 0 == service.process.wait()
        took = time.monotonic() - began
    finally:
        service.process.kill()
    assert took < limits.LAST_BACKUP
    assert "the backup loop has ended" in service.process.output()


@pytest.mark.fault("Process", "the worker of the service is killed")
def test_killed_worker_ends_the_service(bucket: Bucket, tmp_path: Path) -> None:
    """If the worker process is killed, the service ends with a line and a code, so that what restarts it notices."""
    service = Service({**bucket.settings, "ZOOKEEPER_SERVERS": "127.0.0.1:1"}, tmp_path / "log")
    try:
        service.process.wait_until(lambda: service.get("/healthz")[0] == 200)
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert HelperKilled.exit_code == service.process.wait()
    finally:
        service.process.kill()
    assert "the worker process was killed by signal 9" in service.process.output()
    assert 1 == service.process.output().count("Booting worker")


@pytest.mark.parametrize("verb", ["serve", "backup"])
@pytest.mark.fault("Disk", "SPOOL_DIR is missing at the start")
def test_spool_directory_is_missing(verb: str, bucket: Bucket, zookeeper: ZooKeeper) -> None:
    """A missing spool directory is an error of one line, before anything starts."""
    settings = {**bucket.settings, "ZOOKEEPER_SERVERS": zookeeper.address, "SPOOL_DIR": "/no/such/directory"}
    assert_refused(SpoolFailed, "SPOOL_DIR /no/such/directory", run(verb, settings=settings))
