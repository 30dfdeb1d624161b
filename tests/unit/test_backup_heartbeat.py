import logging
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from metadata_tool.backup_heartbeat import BackupHeartbeat, each_of
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.metrics import Metrics
from support.backups import report
from support.certificates import Authority
from support.forward_proxy import forward_proxy
from support.watcher import PATIENCE, SECRET, watching


def values(metrics: Metrics) -> tuple[bool, int]:
    """Whether a heartbeat succeeded, and how many failed."""
    lines = dict(line.split(" ") for line in metrics.exposition().decode().splitlines() if line.startswith("backup_h"))
    last = float(lines["backup_heartbeat_last_success_timestamp_seconds"])
    return last > 0, int(lines["backup_heartbeat_failures_total"])


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of the log, none of which has the secret or a traceback."""
    records = [record for record in caplog.records if record.levelno >= logging.INFO]
    for record in records:
        assert SECRET not in record.getMessage()
        assert record.exc_info is None
    return [record.getMessage() for record in records]


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of a new service."""
    return Metrics()


def test_address_is_asked(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """After a good backup the address is asked once, with its path and query. A body that never ends is not read."""
    with watching() as server:
        BackupHeartbeat(server.url, metrics)(report(), Heartbeat())
        assert [f"/{SECRET}?a=b"] == server.asked
    assert ((True, 0), []) == (values(metrics), warned(caplog))


def test_suspect_backup_is_not_good(metrics: Metrics) -> None:
    """After a suspect backup nothing is asked."""
    with watching() as server:
        BackupHeartbeat(server.url, metrics)(replace(report(), doubts=("it is smaller",)), Heartbeat())
        assert [] == server.asked
    assert (False, 0) == values(metrics)


@pytest.mark.fault("Service", "HEARTBEAT_URL answers with an error or a redirect")
@pytest.mark.parametrize(
    ("status", "why"),
    [
        (404, "the answer was 404 (Not Found)"),
        (500, "the answer was 500 (Internal Server Error)"),
        (302, "the answer was 302 (Found) and its redirects are not followed"),
        (599, "the answer was 599"),
    ],
)
def test_other_answers(status: int, why: str, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """Any other answer is one warning that says what to do, and a failure in the metrics. No redirect is followed."""
    with watching() as server:
        server.status = status
        BackupHeartbeat(server.url, metrics)(report(), Heartbeat())
        assert 1 == len(server.asked)
    assert [f"the heartbeat after a backup failed, because {why}. Check HEARTBEAT_URL"] == warned(caplog)
    assert (False, 1) == values(metrics)


@pytest.mark.fault("Service", "the server of HEARTBEAT_URL cannot be reached")
def test_nobody_is_there(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A server that cannot be reached is one warning, and neither that nor anything else shows the address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    BackupHeartbeat(f"http://127.0.0.1:{port}/{SECRET}", metrics)(report(), Heartbeat())
    BackupHeartbeat(f"http://{SECRET}.invalid/", metrics)(report(), Heartbeat())
    first, second = warned(caplog)
    assert "because the server cannot be reached (Connection refused). Check" in first
    assert "because the server cannot be reached (" in second
    assert (False, 2) == values(metrics)


@pytest.mark.fault("Service", "the server of HEARTBEAT_URL does not answer")
def test_no_answer(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A server that does not answer costs a bounded time, and is not asked again before that request has ended."""
    with watching() as server:
        server.go.clear()
        heartbeat = BackupHeartbeat(server.url, metrics, within=0.2)
        heartbeat(report(), Heartbeat())
        assert 1 == len(server.asked)
    assert "because " in warned(caplog)[0]
    assert (False, 1) == values(metrics)


@pytest.mark.fault("Service", "a request to HEARTBEAT_URL hangs")
def test_one_request_at_a_time(
    metrics: Metrics, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that hangs for longer than it may, such as for a name, delays one backup, and no more are sent."""
    go, hung = threading.Event(), threading.Semaphore(0)

    def hang(*_: object, **__: object) -> None:
        hung.release()
        go.wait(PATIENCE)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    heartbeat = BackupHeartbeat("http://watcher.invalid/", metrics, within=0.1)
    for _ in range(3):
        heartbeat(report(), Heartbeat())
    go.set()
    first, *others = warned(caplog)
    assert "no answer came within 0.1 s" in first
    assert all("the last request has not ended yet" in other for other in others)
    assert [True, False] == [hung.acquire(blocking=False) for _ in range(2)]
    assert (False, 3) == values(metrics)


@pytest.mark.fault("Service", "the certificate of HEARTBEAT_URL is not trusted")
def test_tls(
    metrics: Metrics, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose certificate is not trusted gets no request. The warning tells it from one without TLS."""
    authority = Authority(tmp_path / "ca")
    made = authority.issue("watcher")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.cert, made.key)
    with watching(context) as server:
        BackupHeartbeat(server.url, metrics)(report(), Heartbeat())
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        BackupHeartbeat(server.url, metrics)(report(), Heartbeat())
        assert 1 == len(server.asked)
    with watching() as server:
        BackupHeartbeat(server.url.replace("http:", "https:"), metrics)(report(), Heartbeat())
    first, second = warned(caplog)
    assert "its certificate is not trusted" in first
    assert "does not speak TLS" in second
    assert (True, 2) == values(metrics)


def test_proxy(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is used, as for the object store."""
    with watching() as server, forward_proxy() as (proxy, asked):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        BackupHeartbeat(server.url, metrics)(report(), Heartbeat())
        assert 1 == len(asked)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        BackupHeartbeat(server.url, metrics)(report(), Heartbeat())
        assert (1, 2) == (len(asked), len(server.asked))


@pytest.mark.fault("Service", "the service stops during a request to HEARTBEAT_URL")
def test_stop(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A service that stops does not wait for the answer, and counts nothing."""
    stopping = Heartbeat()
    with watching() as server:
        server.go.clear()
        threading.Timer(0.1, stopping.stop).start()
        BackupHeartbeat(server.url, metrics)(report(), stopping)
    assert ((False, 0), []) == (values(metrics), warned(caplog))


def test_fault_has_no_details(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """A fault in the program is a warning without details, which could show the address."""
    BackupHeartbeat(f"http://[{SECRET}", metrics)(report(), Heartbeat())
    assert 1 == len(warned(caplog))
    assert (False, 1) == values(metrics)


def test_steps_follow_each_other() -> None:
    """Of several steps after a backup, those that are there are done in their order."""
    done: list[int] = []
    steps = [lambda *_, number=number: done.append(number) for number in range(2)]
    each_of(steps[0], None, steps[1])(report(), Heartbeat())
    assert [0, 1] == done
