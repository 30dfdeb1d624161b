"""The running service: backups at an interval, the admin port to the contract's letter, and a clean stop."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ci.parts.go import promlint
from ci.parts.zookeeper import NEWEST
from metadata_tool.errors import PortUnavailable, SettingError, StoreFailed
from support import seed
from support.contract import METRICS
from support.processes import free_port
from support.proxy import proxy
from support.s3 import SECRET_KEY, Bucket
from support.secrets import assert_untold
from support.tool import Service, assert_refused, run, succeed
from support.watcher import SECRET, watching
from support.zookeeper import SUPERUSER, ZooKeeper, client, standalone

TOKEN = "zq7secret-zq7secret"


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A ZooKeeper with a small tree, and 9 MB that do not compress."""
    with standalone(NEWEST, tmp_path_factory.mktemp("zookeeper")) as server:
        with client(server.address) as source:
            seed.pulsar(source)
            for number in range(10):
                source.create(f"/incompressible-{number}", os.urandom(900_000))
        yield server


@pytest.fixture
def settings(zookeeper: ZooKeeper, bucket: Bucket, tmp_path: Path) -> dict[str, str]:
    """A service of a test's own, with an interval of a second."""
    (tmp_path / "spool").mkdir()
    return {
        **bucket.settings,
        "ZOOKEEPER_SERVERS": zookeeper.address,
        "BACKUP_INTERVAL": "1",
        "BACKUP_PREFIX": "pulsar-backup",
        "SPOOL_DIR": str(tmp_path / "spool"),
    }


@pytest.fixture
def service(settings: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    """A running service."""
    running = Service(settings, tmp_path / "log")
    yield running
    running.process.stop()


def test_backs_up_at_every_interval(service: Service, bucket: Bucket) -> None:
    """The bucket fills with `<prefix>-<epoch ms>.tar.gz`, and nothing else. The service is alive and ready."""
    service.wait_for("backup_count", 3)
    assert (200, 200, 404) == tuple(service.get(path)[0] for path in ("/healthz", "/readyz", "/nothing"))
    keys = bucket.objects()
    assert [] == [key for key in keys if not re.fullmatch(r"team/prod/pulsar-backup-\d{13}\.tar\.gz", key)]
    assert len(keys) >= 3


def test_admin_port_answers_by_the_contract(
    service: Service, bucket: Bucket, settings: dict[str, str], tmp_path: Path
) -> None:
    """`/backup/latest` and `/backup/list`, as curl shows them, equal the content of the bucket.

    The `uri` of `/backup/latest` is a RESTORE_POINT.
    """
    service.wait_for("backup_count", 2)
    service.process.send(signal.SIGSTOP)  # so that no backup is added during the comparison
    expected = json.loads(succeed("list", "--json", settings=settings))
    service.process.send(signal.SIGCONT)
    listed = json.loads(curl(f"{service.url}/backup/list"))
    assert expected == listed[-len(expected) :]
    latest = json.loads(curl(f"{service.url}/backup/latest"))
    promised = {"name", "uri", "size", "time", "timestamp"}
    assert (
        promised <= latest.keys() <= promised | {"clusters", "coverage", "findings", "migration"}
    )  # no more while another one has just arrived
    assert f"s3a://{bucket.name}/team/prod/{latest['name']}" == latest["uri"]
    assert f"pulsar-backup-{latest['timestamp']}.tar.gz" == latest["name"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", latest["time"])
    assert bucket.server.client().head_object(Bucket=bucket.name, Key=f"team/prod/{latest['name']}")[
        "ContentLength"
    ] == int(latest["size"])
    restore = {"RESTORE_POINT": latest["uri"], "ZOOKEEPER_DATA_DIR": str(tmp_path / "data")}
    (tmp_path / "data").mkdir()
    restore["ZOOKEEPER_SERVERS"] = ""  # it runs, and would be found
    restore["ALLOW_OLDER"] = "true"  # the service goes on, and may have made another backup
    assert succeed("restore", settings={**settings, **restore}).startswith(str(tmp_path / "data" / "version-2"))


def test_backup_on_demand(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """A request with the token starts a backup. The status has its result, and HEARTBEAT_URL gets a request."""
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with watching() as watcher:
        more = {"BACKUP_INTERVAL": "3600", "ADMIN_TOKEN_FILE": str(token), "HEARTBEAT_URL": watcher.url}
        backs_up_on_demand(Service({**settings, **more}, tmp_path / "log"), bucket)
        assert 2 == len(watcher.asked)


def backs_up_on_demand(service: Service, bucket: Bucket) -> None:
    """Ask for one backup."""
    try:
        service.wait_for("backup_count", 1)
        assert [401, 401, 202] == [post(service, given) for given in ("", "wrong", TOKEN)]
        service.wait_for("backup_count", 2)
        service.wait_for("backup_heartbeat_last_success_timestamp_seconds", 1)
        service.process.wait_until(lambda: service.json("/backup/status")["state"] == "waiting")
        status = service.json("/backup/status")
        assert [None, "sound"] == [status["phase"], status["last"]["outcome"]]
        assert service.json("/backup/latest")["uri"] == status["last"]["backup"]
        assert "<h1>Backups are sound</h1>" in service.get("/")[1]
        assert 2 == len(bucket.objects())
    finally:
        assert 0 == service.process.stop()
    assert "a backup was requested by 127.0.0.1" in service.process.output()
    assert_untold({"HEARTBEAT_URL": SECRET, "ADMIN_TOKEN": TOKEN}, "the log", service.process.output())


def post(service: Service, token: str) -> int:
    """The status of a request for a backup."""
    request = urllib.request.Request(
        f"{service.url}/backup", method="POST", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_recorded_drills_are_shown(service: Service, bucket: Bucket, settings: dict[str, str]) -> None:
    """A drill of another process is known after the next backup, and its record is not listed as a backup."""
    service.wait_for("backup_count", 1)
    assert 0 == service.metric("backup_drill_last_success_timestamp_seconds")
    found = json.loads(succeed("drill", "--record", "--json", settings=settings))
    service.wait_for("backup_drill_last_success_timestamp_seconds", 1)
    assert found["backup"] == service.json("/backup/latest")["drill"]["passed"]["backup"]
    assert found["servingSeconds"] == service.metric("backup_drill_serving_seconds")
    assert 0 == service.metric("backup_drill_failed")
    assert ["pulsar-backup-drill-passed-"] == [
        re.sub(r"\d+\.json$", "", key.rpartition("/")[2]) for key in bucket.objects() if "drill" in key
    ]
    assert not any("drill" in backup["name"] for backup in service.json("/backup/list"))


def test_metrics_are_those_of_the_contract(service: Service, bucket: Bucket) -> None:
    """Prometheus' parser finds the nine names with their types, once each, with the values of the last backup.

    `promtool check metrics` parses the text, and objects only to promised names.
    """
    service.wait_for("backup_count", 1)
    text = curl(f"{service.url}/metrics")
    assert METRICS.items() <= {family.name: family.type for family in text_string_to_metric_families(text)}.items()
    assert [] == [name for name, kind in METRICS.items() if text.count(f"# TYPE {name} {kind}\n") != 1]
    samples = re.findall(r"^(backup_[a-z_]+) (\S+)$", text, re.MULTILINE)
    values = {name: float(value) for name, value in samples}
    assert (len(samples), METRICS.keys() - values.keys()) == (len(values), set())
    assert 0 == values["backup_failure_count"]
    assert values["backup_size_non_compressed"] > values["backup_size_compressed"] > 9_000_000
    assert values["backup_size_total"] >= values["backup_size_compressed"]
    parts = [values[f"backup_execution_time_{part}"] for part in ("prepare", "compression", "upload")]
    assert all(seconds > 0 for seconds in parts)
    assert values["backup_execution_time_total"] == pytest.approx(sum(parts))
    assert bucket.objects()
    done = subprocess.run([promlint()], input=text, capture_output=True, text=True, check=True)
    expected = {
        'backup_count: counter metrics should have "_total" suffix',
        'backup_failure_count: counter metrics should have "_total" suffix',
        'backup_count: non-histogram and non-summary metrics should not have "_count" suffix',
        'backup_failure_count: non-histogram and non-summary metrics should not have "_count" suffix',
        'backup_size_total: non-counter metrics should not have "_total" suffix',
        'backup_execution_time_total: non-counter metrics should not have "_total" suffix',
    }
    assert expected == set(done.stdout.splitlines())


def test_no_backup_yet_is_a_404(bucket: Bucket, tmp_path: Path) -> None:
    """Before the first backup `/backup/latest` is a JSON error, `/backup/list` is empty, and the process is healthy."""
    settings = {**bucket.settings, "ZOOKEEPER_SERVERS": f"127.0.0.1:{free_port()}"}
    waiting = Service(settings, tmp_path / "log")
    try:
        waiting.process.wait_until(lambda: waiting.get("/healthz")[0] == 200)
        assert 404 == waiting.get("/backup/latest")[0]
        assert {"error": "there is no backup yet"} == waiting.json("/backup/latest")
        assert [] == waiting.json("/backup/list")
    finally:
        assert 0 == waiting.process.stop()


def test_failed_backups_are_counted_and_tried_again(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """While the store fails, the service counts failures and logs why. Once the store is back, so are the backups."""
    with proxy(bucket.server.port) as (endpoint, faults):
        faults.status = 503
        service = Service({**settings, "AWS_ENDPOINT_URL_S3": endpoint, "AWS_MAX_ATTEMPTS": "1"}, tmp_path / "log")
        try:
            service.wait_for("backup_failure_count", 2)
            assert (502, 200) == (service.get("/backup/latest")[0], service.get("/healthz")[0])
            faults.status = 0
            service.process.wait_until(lambda: service.metric("backup_count") > service.metric("backup_failure_count"))
            assert bucket.objects()
        finally:
            assert 0 == service.process.stop()
    assert "backup failed: the object store failed" in service.process.output()
    assert "Traceback" not in service.process.output()


@pytest.mark.fault("Service", "ZooKeeper is not there yet at the start")
def test_waits_for_a_zookeeper_that_is_not_there_yet(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """A service that starts before ZooKeeper makes its first backup as soon as ZooKeeper serves."""
    late = ZooKeeper(NEWEST, tmp_path / "late")
    service = Service({**settings, "ZOOKEEPER_SERVERS": late.address, "BACKUP_INTERVAL": "600"}, tmp_path / "log")
    try:
        service.process.wait_until(lambda: service.get("/healthz")[0] == 200)
        assert [] == bucket.objects()
        late.start()
        service.wait_for("backup_count", 1)
        assert 0 == service.metric("backup_failure_count")
    finally:
        assert 0 == service.process.stop()
        late.stop()


def test_unreachable_zookeeper_is_counted_at_the_interval(settings: dict[str, str], tmp_path: Path) -> None:
    """If ZooKeeper never answers, the backup fails by the next interval, and the log has the address."""
    nowhere = f"127.0.0.1:{free_port()}"
    service = Service({**settings, "ZOOKEEPER_SERVERS": nowhere}, tmp_path / "log")
    try:
        service.wait_for("backup_failure_count", 2)
        assert f"no ZooKeeper server answered at {nowhere}" in service.process.output()
    finally:
        assert 0 == service.process.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.fault("Process", "SIGTERM or SIGINT during an upload")
def test_stops_in_mid_upload_and_leaves_nothing_half(
    number: signal.Signals, settings: dict[str, str], bucket: Bucket, tmp_path: Path
) -> None:
    """A stop during an upload ends the service with 0, and leaves no object, no unfinished upload and no spool."""
    with proxy(bucket.server.port) as (endpoint, faults):
        faults.upload_pause = 0.02
        service = Service({**settings, "AWS_ENDPOINT_URL_S3": endpoint}, tmp_path / "log")
        try:
            assert faults.uploading.wait(60)
            service.process.send(number)
            assert 0 == service.process.wait()
        finally:
            service.process.kill()
    assert ([], 0) == (bucket.objects(), bucket.unfinished_uploads())
    assert [] == list((tmp_path / "spool").iterdir())


def test_keeps_what_it_knows_in_the_spool_directory(service: Service, tmp_path: Path) -> None:
    """Between two backups, the spool directory has the ACLs of the last one. SIGTERM ends the service with 0, and then
    it is empty.
    """
    spool = tmp_path / "spool"
    service.wait_for("backup_count", 2)
    assert 1 == len(list(spool.glob("*/known")))
    assert 0 == service.process.stop()
    assert [] == list(spool.iterdir())
    assert "Traceback" not in service.process.output()


@pytest.mark.fault("Process", "the admin port is taken")
def test_port_in_use_is_one_line(settings: dict[str, str]) -> None:
    """A taken admin port is an error of one line, with its own exit code."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = run("serve", settings={**settings, "WEB_SERVER_PORT": port})
    assert_refused(PortUnavailable, f"port {port} is in use", outcome)


@pytest.mark.parametrize("interval", ["0", "-1", "abc"])
def test_bad_interval_is_one_line(interval: str, settings: dict[str, str]) -> None:
    """An invalid interval ends `serve` before it starts."""
    outcome = run("serve", settings={**settings, "BACKUP_INTERVAL": interval})
    assert_refused(SettingError, f"BACKUP_INTERVAL is '{interval}'", outcome)


def test_secrets_never_reach_the_log(settings: dict[str, str], zookeeper: ZooKeeper, tmp_path: Path) -> None:
    """Neither keys nor logins appear in the log or in answers."""
    secrets = {"ZOOKEEPER_AUTH": f"digest:{SUPERUSER}", "ZOOKEEPER_SERVERS": zookeeper.address}
    service = Service({**settings, **secrets}, tmp_path / "log")
    try:
        service.wait_for("backup_count", 1)
        page = "".join(service.get(path)[1] for path in ("/metrics", "/backup/list", "/healthz"))
    finally:
        service.process.stop()
    assert not [secret for secret in (SECRET_KEY, SUPERUSER) if secret in service.process.output() + page]


LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) \S.*")
ITS_LIFE = ("Starting gunicorn", "Booting worker", "GET /healthz 200", "backup done", "Shutting down")


def logged(log_format: str, level: str, settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> list[str]:
    """All that a service writes from its start to its stop, with failed backups and good ones."""
    with proxy(bucket.server.port) as (endpoint, faults):
        faults.status = 503
        changes = {"LOG_FORMAT": log_format, "LOG_LEVEL": level, "AWS_ENDPOINT_URL_S3": endpoint}
        service = Service({**settings, **changes, "AWS_MAX_ATTEMPTS": "1"}, tmp_path / "log")
        try:
            service.wait_for("backup_failure_count", 1)
            service.get("/healthz")
            faults.status = 0
            service.process.wait_until(lambda: service.metric("backup_count") > service.metric("backup_failure_count"))
        finally:
            assert 0 == service.process.stop()
    return service.process.output().splitlines()


def test_log_is_json(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """With LOG_FORMAT=json, each line is a JSON object, gunicorn's too. The lines of a backup have its fields."""
    lines = [json.loads(line) for line in logged("json", "debug", settings, bucket, tmp_path)]
    assert [] == [line for line in lines if not {"time", "level", "logger", "message"} <= line.keys()]
    assert [] == [life for life in ITS_LIFE if not any(life in line["message"] for line in lines)]
    done = next(line for line in lines if line.get("phase") == "backup" and "backup" in line)
    phases = [line for line in lines if line.get("backup") == done["backup"] and "seconds" in line]
    assert ["capture", "compress", "upload", "backup"] == [line["phase"] for line in phases]
    assert done["seconds"] == pytest.approx(sum(line["seconds"] for line in phases[:-1]), abs=0.01)
    assert (phases[0]["zxid"], phases[0]["znodes"]) == (done["zxid"], done["znodes"])
    assert f"team/prod/{done['backup'].rpartition('/')[2]}" in bucket.objects()
    failed = next(line for line in lines if "error" in line)
    expected = ("error", "backup", "StoreFailed", StoreFailed.exit_code)
    assert expected == tuple(failed[name] for name in ("level", "phase", "error", "exitCode"))


def test_log_is_text(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """As text, each line has the same form, gunicorn's too."""
    lines = logged("text", "debug", settings, bucket, tmp_path)
    assert [] == [line for line in lines if not LINE.fullmatch(line)]
    assert [] == [life for life in ITS_LIFE if not any(life in line for line in lines)]


def test_log_level(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """With LOG_LEVEL=error only errors are logged."""
    lines = [json.loads(line) for line in logged("json", "error", settings, bucket, tmp_path)]
    assert {"error"} == {line["level"] for line in lines}


def test_error_is_json(settings: dict[str, str]) -> None:
    """The error that ends a command is its last JSON line, with the exit code."""
    outcome = run("serve", settings={**settings, "LOG_FORMAT": "json", "SPOOL_DIR": "/no/such/directory"})
    found = json.loads(outcome.error)
    assert (outcome.exit_code, "SpoolFailed") == (found["exitCode"], found["error"])
    assert [] == [line for line in outcome.said.splitlines() if not line.startswith("{")]


def curl(url: str) -> str:
    """The output of curl."""
    program = shutil.which("curl")
    assert program, "curl is missing: apt-get install curl"
    return subprocess.run([program, "--silent", "--fail", url], capture_output=True, text=True, check=True).stdout
