"""The admin port of a running service answers, whatever clients do."""

import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support import hostile
from support.backups import make_backup
from support.processes import Process, free_port
from support.tool import Service

ROOT = Path(__file__).parents[2]
VALUES = yaml.load((ROOT / "charts" / "pulsar" / "values.yaml").read_text(), yaml.CSafeLoader)
PROBE_TIMEOUT = VALUES["zookeeper"]["customTools"]["backup"]["probe"]["liveness"]["timeoutSeconds"]
PROBE_FAILURES = VALUES["zookeeper"]["customTools"]["backup"]["probe"]["liveness"]["failureThreshold"]
ATTACK, ATTACK_IN_A_SOAK = 4, 10
"""Seconds of an attack."""
MEMORY = 256 << 20
"""Bytes that the worker may take: 500 times the list of backups would be twice as much."""
SIGNALS = [getattr(signal, f"SIG{name}") for name in ("HUP", "USR1", "USR2", "WINCH", "TTIN", "TTOU")]
BACKUPS = 5_000
"""Their list is too large for the socket buffers of a client that does not read."""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """A service with many backups in a directory, whose ZooKeeper does not run."""
    (tmp_path / "backups").mkdir()
    make_backup(tmp_path / "backups", "metadata-backup")  # the newest: files at the head of a list must be backups
    for number in range(BACKUPS - 1):
        (tmp_path / "backups" / f"metadata-backup-{1_600_000_000_000 + number}.tar.gz").write_bytes(b"x")
    (tmp_path / "spool").mkdir()
    return {
        "BUCKET": f"file://{tmp_path / 'backups'}",
        "SPOOL_DIR": str(tmp_path / "spool"),
        "ZOOKEEPER_SERVERS": f"127.0.0.1:{free_port()}",
    }


@pytest.fixture
def service(settings: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    """A running service."""
    running = Service(settings, tmp_path / "log")
    try:
        running.process.wait_until(lambda: running.get("/healthz")[0] == 200)
        yield running
    finally:
        running.process.stop()


def ask(service: Service, path: str) -> float:
    """Seconds until a probe's question is answered with 200. It waits as long as the chart's probe."""
    began = time.monotonic()
    with urllib.request.urlopen(service.url + path, timeout=PROBE_TIMEOUT) as reply:
        assert 200 == reply.status
        reply.read()
    return time.monotonic() - began


def workers(process: Process) -> list[int]:
    """The worker processes of a service."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def wait_for_list(service: Service) -> None:
    """Wait until the list of backups is complete: listings that were asked for earlier may still run."""
    service.process.wait_until(lambda: len(service.json("/backup/list")) == BACKUPS)


@pytest.mark.fault("Service", "500 hostile clients at once")
def test_health_is_answered_whatever_clients_do(service: Service, tmp_path: Path, *, soak: bool) -> None:
    """While 500 hostile clients of every kind come again and again, each health check is answered in time."""
    attack = hostile.start(service.port, 500, tmp_path / "hostile")
    try:
        until, seconds = time.monotonic() + (ATTACK_IN_A_SOAK if soak else ATTACK), []
        while time.monotonic() < until:
            seconds += [ask(service, path) for path in ("/healthz", "/readyz")]
        assert attack.running, attack.output()
        assert 200 == service.get("/metrics")[0]
    finally:
        attack.kill()
    (worker,) = workers(service.process)
    status = Path(f"/proc/{worker}/status").read_text()
    memory = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) << 10
    print(f"at most {memory >> 20} MB, {len(seconds)} answers, the slowest within {max(seconds):.3f} s")
    assert memory < MEMORY
    wait_for_list(service)
    assert 0 == service.process.stop()
    assert "Traceback" not in service.process.output()


@pytest.mark.fault("Service", "the service may open few files")
def test_few_files(settings: dict[str, str], tmp_path: Path) -> None:
    """With a low limit, enough open files are left for backups. Health checks never fail as often as a probe may."""
    service = Service(settings, tmp_path / "log", files=64)
    try:
        service.process.wait_until(lambda: service.get("/healthz")[0] == 200)
        attack = hostile.start(service.port, 100, tmp_path / "hostile")
        try:
            before = workers(service.process)
            failed = 0
            for _ in range(100):  # one may be closed, as the connection that has waited longest of the few that may be
                failed = 0 if service.get("/healthz")[0] == 200 else failed + 1
                assert failed < PROBE_FAILURES
        finally:
            attack.kill()
        wait_for_list(service)
        assert before == workers(service.process)
    finally:
        assert 0 == service.process.stop()
    assert "Traceback" not in service.process.output()
    assert "Too many open files" not in service.process.output()


@pytest.mark.parametrize("to_worker", [False, True], ids=["main process", "worker"])
@pytest.mark.fault("Process", "signals that a server would take for commands")
def test_other_signals_are_ignored(to_worker: bool, service: Service) -> None:
    """Signals by which gunicorn would reload or start workers change nothing."""
    (worker,) = workers(service.process)
    for number in SIGNALS:
        os.kill(worker if to_worker else service.process.pid, number)
        time.sleep(1.2)  # gunicorn acts on a signal within a second
        ask(service, "/healthz")
        assert [worker] == workers(service.process), number.name
    assert 0 == service.process.stop()
    assert "Traceback" not in service.process.output()


@pytest.mark.parametrize(
    "variables",
    [
        {"WEB_CONCURRENCY": "many"},
        {"GUNICORN_PID": "x", "GUNICORN_FD": "y"},
        {"LISTEN_PID": "x", "LISTEN_FDS": "y"},
        {"SCRIPT_NAME": "/elsewhere"},
        {"SENDFILE": "x", "FORWARDED_ALLOW_IPS": "x", "PORT": "x"},
    ],
    ids="+".join,
)
def test_gunicorns_variables_have_no_effect(
    variables: dict[str, str], settings: dict[str, str], tmp_path: Path
) -> None:
    """Variables that gunicorn reads for itself neither stop the service nor change its paths."""
    service = Service({**settings, **variables}, tmp_path / "log")
    try:
        service.process.wait_until(lambda: service.get("/healthz")[0] == 200)
        assert 1 == len(workers(service.process))
    finally:
        service.process.stop()
    assert "Traceback" not in service.process.output()
