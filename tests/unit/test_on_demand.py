from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from metadata_tool.admin_token import AdminToken
from metadata_tool.agenda import Requested
from metadata_tool.metrics import Metrics
from metadata_tool.progress import Progress
from metadata_tool.runs import Run, Runs
from metadata_tool.web import create_app
from support.backups import report

TOKEN = "zq7secret-zq7secret"
ALLOWED = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Service:
    """A service that answers requests for a backup as it is told."""

    outcome: Requested = Requested.ACCEPTED
    requests: int = 0
    progress: Progress = field(default_factory=Progress)
    runs: Runs = field(default_factory=Runs)
    running: bool = False
    next_due: float | None = None
    alive: bool = True
    stopping: bool = False
    last_report: Any = None
    last_suspect: Any = None
    bucket_changes: int = 0
    last_failure: str = ""

    def request_backup(self) -> Requested:
        """Count it."""
        self.requests += 1
        return self.outcome


@pytest.fixture
def service() -> Service:
    """A service that does nothing now."""
    return Service()


def client_of(service: Service, token: AdminToken | None) -> FlaskClient:
    """A client of its admin port."""
    return create_app(list, Metrics(), service, token=token).test_client()


@pytest.fixture
def client(service: Service) -> Iterator[FlaskClient]:
    """A client of an admin port with a token."""
    with client_of(service, AdminToken(TOKEN)) as made:
        yield made


def test_backup_is_requested(client: FlaskClient, service: Service) -> None:
    """A request with the token starts a backup. The answer is 202, and says where to look."""
    answer = client.post("/backup", headers=ALLOWED)
    assert (202, {"status": "/backup/status"}, "/backup/status", 1) == (
        answer.status_code,
        answer.get_json(),
        answer.headers["Location"],
        service.requests,
    )


@pytest.mark.fault("Service", "a backup is requested while one runs, or while the service stops")
@pytest.mark.parametrize(
    ("outcome", "status", "told"),
    [(Requested.ALREADY, 409, "a backup is running already"), (Requested.STOPPING, 503, "the service is stopping")],
)
def test_backup_cannot_start(outcome: Requested, status: int, told: str, client: FlaskClient, service: Service) -> None:
    """While one runs, and while the service stops, none is started, and the answer says why."""
    service.outcome = outcome
    answer = client.post("/backup", headers=ALLOWED)
    assert status == answer.status_code
    assert told in answer.get_json()["error"]


@pytest.mark.fault("Service", "a backup is requested without the right token")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
def test_wrong_token(headers: dict[str, str], client: FlaskClient, service: Service) -> None:
    """Without the token the answer is 401, names what is needed, and nothing is started."""
    answer = client.post("/backup", headers=headers)
    assert (401, "Bearer", 0) == (answer.status_code, answer.headers["WWW-Authenticate"], service.requests)
    assert "ADMIN_TOKEN" in answer.get_json()["error"]
    assert "wrong" not in answer.text


@pytest.mark.parametrize("token", [None, AdminToken()])
def test_without_a_token_it_is_off(token: AdminToken | None, service: Service) -> None:
    """If no token is set, nobody can start a backup, and the answer says what to set."""
    answer = client_of(service, token).post("/backup", headers={"Authorization": "Bearer "})
    assert (403, 0) == (answer.status_code, service.requests)
    assert "ADMIN_TOKEN is not set. Set it" in answer.get_json()["error"]


@pytest.mark.fault("Service", "the file of ADMIN_TOKEN is missing")
def test_token_file_is_missing(service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the token's file cannot be read, requests are refused, and the answer and the log say why."""
    answer = client_of(service, AdminToken(file=tmp_path / "token")).post("/backup", headers=ALLOWED)
    assert (403, 0) == (answer.status_code, service.requests)
    for text in (answer.get_json()["error"], caplog.text):
        assert "(ADMIN_TOKEN_FILE) cannot be read (No such file or directory). Put a token there" in text


@pytest.mark.fault("Service", "a request for a backup has a large body")
@pytest.mark.parametrize("body", [{"data": b"x" * 4097}, {"headers": {**ALLOWED, "Transfer-Encoding": "chunked"}}])
def test_large_body(body: dict[str, Any], client: FlaskClient, service: Service) -> None:
    """A request with a body that is not read starts nothing."""
    answer = client.post("/backup", **{"headers": ALLOWED, **body})
    assert (413, 0) == (answer.status_code, service.requests)


def test_small_body(client: FlaskClient, service: Service) -> None:
    """A small body does no harm: clients send one by habit."""
    assert 202 == client.post("/backup", headers=ALLOWED, json={}).status_code
    assert 1 == service.requests


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods(method: str, client: FlaskClient) -> None:
    """Only POST starts a backup."""
    answer = client.open("/backup", method=method, headers=ALLOWED)
    assert (405, "OPTIONS, POST") == (answer.status_code, ", ".join(sorted(answer.headers["Allow"].split(", "))))


def test_status_before_the_first_backup(client: FlaskClient) -> None:
    """A service that has just started has nothing to tell. Reading needs no token."""
    nothing = dict.fromkeys(("phase", "percent", "secondsLeft", "nextDue", "last"))
    assert {"state": "waiting", **nothing} == client.get("/backup/status").get_json()


def test_status_of_a_running_backup(client: FlaskClient, service: Service) -> None:
    """The status has phase, percent and time left of the running backup, when the next is due, and the last one."""
    service.progress.begin("capture")
    service.progress.end({"capture": 8.0, "compress": 1.0, "upload": 1.0})
    service.progress.begin("capture", 200)
    service.progress.at(50)
    service.running, service.next_due = True, 1_623_721_488.825
    service.runs.add(Run(1000, 1.5, report().backup))
    assert {
        "state": "running",
        "phase": "capture",
        "percent": 25,
        "secondsLeft": 8.0,
        "znodes": 50,
        "nextDue": "2021-06-15T01:44:48.825Z",
        "last": {
            "outcome": "sound",
            "started": "1970-01-01T00:00:01.000Z",
            "seconds": 1.5,
            "backup": report().backup.uri,
        },
    } == client.get("/backup/status").get_json()
