from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from metadata_tool.agenda import Requested
from metadata_tool.backup import BackupResult
from metadata_tool.broker_metadata.collection import BrokerMetadata
from metadata_tool.broker_metadata.not_saved import Reason
from metadata_tool.catalog import Backup, BackupName
from metadata_tool.drill.records import Record, Records
from metadata_tool.errors import BucketDenied, StoreUnreachable, ToolError
from metadata_tool.metrics import Metrics
from metadata_tool.progress import Progress
from metadata_tool.pulsar.coverage import Coverage, CoverageCounts
from metadata_tool.pulsar.migration import Migration
from metadata_tool.runs import Runs
from metadata_tool.scrubber import ScrubReport
from metadata_tool.tiered_storage.claims import Claim
from metadata_tool.tiered_storage.scrub_result import ScrubResult, State
from metadata_tool.web import create_app
from support.backups import report

NEWER = Backup(BackupName("pulsar-backup", 1_623_721_488_825), "s3a://b/pulsar-backup-1623721488825.tar.gz", 77)
OLDER = Backup(BackupName("pulsar-backup", 1_623_721_000_000), "s3a://b/pulsar-backup-1623721000000.tar.gz", 66)
SUSPECT = Backup(
    BackupName("pulsar-backup-suspect", 1_623_721_100_000), "s3a://b/pulsar-backup-suspect-1623721100000.tar.gz", 5
)
ENDPOINTS = ["/backup/latest", "/backup/list", "/backup/status", "/metrics", "/healthz", "/readyz"]


@dataclass
class World:
    """What the admin port shows. `error` is raised when the bucket is listed."""

    found: list[Backup] = field(default_factory=list)
    error: Exception | None = None
    metrics: Metrics = field(default_factory=Metrics)
    alive: bool = True
    stopping: bool = False
    last_report: BackupResult | None = None
    last_suspect: BackupResult | None = None
    last_failure: str = ""
    bucket_changes: int = 0
    progress: Progress = field(default_factory=Progress)
    runs: Runs = field(default_factory=Runs)
    running: bool = False
    next_due: float | None = None

    def existing(self) -> list[Backup]:
        """The backups, newest first."""
        if self.error:
            raise self.error
        return self.found

    def request_backup(self) -> Requested:
        """Nobody asks."""
        raise AssertionError


@pytest.fixture
def world() -> World:
    """A service that runs, and two backups."""
    return World([NEWER, OLDER])


@pytest.fixture
def client(world: World) -> Iterator[FlaskClient]:
    """A client of the admin port."""
    with create_app(world.existing, world.metrics, world).test_client() as made:
        yield made


def answer(client: FlaskClient, path: str, method: str = "GET") -> tuple[int, Any]:
    """Status and content of an answer, which must be JSON."""
    response = client.open(path, method=method)
    assert "application/json" == response.content_type
    return response.status_code, response.get_json()


def refusal(client: FlaskClient, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and message of an answer, which must be a JSON error."""
    status, content = answer(client, path, method)
    assert ["error"] == list(content)
    return status, content["error"]


def test_latest_is_the_newest(client: FlaskClient) -> None:
    """The newest backup comes with what `restorePoint` takes, its bytes, and its time in both notations."""
    status, content = answer(client, "/backup/latest")
    assert 200 == status
    assert {
        "name": "pulsar-backup-1623721488825.tar.gz",
        "uri": "s3a://b/pulsar-backup-1623721488825.tar.gz",
        "size": 77,
        "time": "2021-06-15T01:44:48.825Z",
        "timestamp": 1_623_721_488_825,
    } == content


def test_time_and_timestamp_agree(client: FlaskClient) -> None:
    """The time in an answer, read as RFC 3339, is its timestamp."""
    _, content = answer(client, "/backup/latest")
    assert content["timestamp"] == round(datetime.fromisoformat(content["time"]).timestamp() * 1000)


def test_latest_without_a_backup(client: FlaskClient, world: World) -> None:
    """Without a backup, the latest is a 404 with the reason."""
    world.found = []
    assert (404, "there is no backup yet") == refusal(client, "/backup/latest")


def test_latest_stays_with_the_sound_one(client: FlaskClient, world: World) -> None:
    """A newer suspect backup is not the latest, which names it, with the reasons if this service made it."""
    world.found = [SUSPECT, OLDER]
    assert {**OLDER.as_json(), "suspectBackup": SUSPECT.as_json()} == answer(client, "/backup/latest")[1]
    world.last_suspect = replace(report(), backup=SUSPECT, doubts=("it is smaller",))
    expected = {**OLDER.as_json(), "suspectBackup": {**SUSPECT.as_json(), "reasons": ["it is smaller"]}}
    assert expected == answer(client, "/backup/latest")[1]
    world.found = [NEWER, SUSPECT, OLDER]
    assert NEWER.as_json() == answer(client, "/backup/latest")[1]


def test_latest_is_never_suspect(client: FlaskClient, world: World) -> None:
    """If all backups are suspect, the latest is a 404 that names one."""
    world.found = [SUSPECT]
    assert (404, f"all backups are suspect, such as {SUSPECT.uri}") == refusal(client, "/backup/latest")


def test_list_marks_suspect_ones(client: FlaskClient, world: World) -> None:
    """Suspect backups are listed among the others, and marked."""
    world.found = [SUSPECT, OLDER]
    assert [True, None] == [entry.get("suspect") for entry in answer(client, "/backup/list")[1]]


def test_list_has_all_newest_first(client: FlaskClient) -> None:
    """All backups are listed, newest first, with the fields of the latest."""
    assert (200, [NEWER.as_json(), OLDER.as_json()]) == answer(client, "/backup/list")
    assert answer(client, "/backup/latest")[1] == answer(client, "/backup/list")[1][0]


def pages(client: FlaskClient, path: str) -> Iterator[list[str]]:
    """The names on each page, from this one on."""
    while path:
        response = client.get(path)
        yield [backup["name"] for backup in response.get_json()]
        path = response.headers.get("Link", "").partition(">")[0].removeprefix("<")


def test_pages_are_the_list(client: FlaskClient, world: World) -> None:
    """All pages together are the list, suspect backups among them, and also if new backups arrive in between."""
    world.found = [NEWER, SUSPECT, OLDER]
    whole = [str(backup.name) for backup in world.found]
    for limit in (1, 2, 3, 4):
        read: list[str] = []
        for number, names in enumerate(pages(client, f"/backup/list?limit={limit}")):
            read += names
            arrived = Backup(BackupName("pulsar-backup", NEWER.name.timestamp + 1 + number), "s3a://b/new", 1)
            world.found = [arrived, *world.found]
        assert whole == read
        world.found = [NEWER, SUSPECT, OLDER]


def test_page_after_a_deleted_backup(client: FlaskClient, world: World) -> None:
    """A page follows after a name, whether its file is still there or not."""
    world.found = [OLDER]
    assert [[OLDER.name.timestamp]] == [
        [backup["timestamp"] for backup in client.get(f"/backup/list?before={NEWER.name}").get_json()]
    ]
    assert [] == client.get(f"/backup/list?before={OLDER.name}").get_json()


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "before=", "before=../x"])
def test_wrong_pages(query: str, client: FlaskClient) -> None:
    """A wrong parameter is named, with what it must be."""
    status, told = refusal(client, f"/backup/list?{query}")
    assert (400, query.partition("=")[0]) == (status, told.split()[0])
    assert "It must be" in told


def test_long_parameter_is_not_repeated(client: FlaskClient) -> None:
    """An error repeats the start of a wrong parameter."""
    _, told = refusal(client, f"/backup/list?before={'x' * 4000}")
    assert len(told) < 200


def test_list_may_be_empty(client: FlaskClient, world: World) -> None:
    """Without a backup, the list is empty."""
    world.found = []
    assert (200, []) == answer(client, "/backup/list")


def test_each_answer_lists_the_bucket(client: FlaskClient, world: World) -> None:
    """A new backup is in the next answer."""
    world.found = [OLDER]
    assert OLDER.as_json() == answer(client, "/backup/latest")[1]
    world.found = [NEWER, OLDER]
    assert NEWER.as_json() == answer(client, "/backup/latest")[1]


@pytest.mark.parametrize("error", [StoreUnreachable("no answer", "check the network"), BucketDenied("denied", "ask")])
@pytest.mark.parametrize("path", ["/backup/latest", "/backup/list"])
def test_store_error(path: str, error: ToolError, client: FlaskClient, world: World) -> None:
    """If the store fails, the answer is a 502 with the error and what to do."""
    world.error = error
    assert (502, str(error)) == refusal(client, path)


@pytest.mark.parametrize("path", ["/backup/latest", "/backup/list"])
def test_fault_has_no_details(path: str, client: FlaskClient, world: World) -> None:
    """A fault in the program is a 500 in JSON, without details."""
    world.error = RuntimeError("s3cr3t detail")
    status, message = refusal(client, path)
    assert 500 == status
    assert "s3cr3t" not in message


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_health_is_not_the_stores(path: str, client: FlaskClient, world: World) -> None:
    """Metrics and health do not depend on the bucket."""
    world.error = StoreUnreachable("no answer")
    assert 200 == client.get(path).status_code


@pytest.mark.parametrize(
    ("alive", "stopping", "expected"),
    [(True, False, (200, 200)), (True, True, (200, 503)), (False, False, (503, 503)), (False, True, (503, 503))],
)
def test_health_is_the_loops(
    alive: bool, stopping: bool, expected: tuple[int, int], client: FlaskClient, world: World
) -> None:
    """A service is healthy while its loop runs, and ready until it is asked to stop."""
    world.alive, world.stopping = alive, stopping
    for path, status in zip(("/healthz", "/readyz"), expected, strict=True):
        found, content = answer(client, path)
        assert status == found
        assert ["status" if status == 200 else "error"] == list(content)


def test_failed_backup_is_not_ready(client: FlaskClient, world: World) -> None:
    """After a failed backup the service is healthy but not ready, and says why, until one succeeds."""
    world.last_failure = "the object store refused the credentials. Check them."
    expected = "the last backup failed: the object store refused the credentials. Check them."
    assert (503, expected) == refusal(client, "/readyz")
    assert [200] * 5 == [client.get(path).status_code for path in ENDPOINTS if path != "/readyz"]
    world.last_failure = ""
    assert 200 == client.get("/readyz").status_code


def test_metrics_are_prometheus(client: FlaskClient, world: World) -> None:
    """The metrics come as they are, as Prometheus' text format 0.0.4."""
    world.metrics.failed()
    response = client.get("/metrics")
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (response.status_code, response.content_type)
    assert "backup_count 1" in response.text.splitlines()


@pytest.mark.parametrize("path", ["/index.html", "/backup/", "/backup/latest/", "/backup/list/1", "/metric", "/%00"])
def test_unknown_path(path: str, client: FlaskClient) -> None:
    """An unknown path is a 404 in JSON."""
    assert (404, "not found") == refusal(client, path)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_wrong_method(path: str, method: str, client: FlaskClient) -> None:
    """These endpoints are read only: any other method is a 405 in JSON."""
    assert (405, "method not allowed") == refusal(client, path, method)


def test_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    """A 405 names the methods that are allowed, as HTTP demands."""
    assert "GET" in client.post("/backup/list").headers.get("Allow", "")


@pytest.mark.parametrize("ask", [FlaskClient.head, FlaskClient.options])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_reading_methods(path: str, ask: Callable[[FlaskClient, str], Any], client: FlaskClient) -> None:
    """Methods that change nothing are answered without content."""
    response = ask(client, path)
    assert (200, b"") == (response.status_code, response.data)


def covered(name: BackupName) -> BackupResult:
    """A backup that covers one namespace and loses something of another."""
    coverage = Coverage()
    coverage.add_topic("shop/orders", "kept", CoverageCounts(topics=1, recoverable_bytes=70))
    coverage.add_topic("shop/carts", "lost", CoverageCounts(topics=1, lost_bytes=7, lost_entries=3))
    return replace(report(coverage=coverage), backup=Backup(name, f"s3a://b/{name}", 77))


def test_latest_has_its_coverage(client: FlaskClient, world: World) -> None:
    """The newest backup has its coverage and its findings only if this service made it."""
    assert not {"coverage", "findings"} & set(answer(client, "/backup/latest")[1])
    world.last_report = covered(NEWER.name)
    found = answer(client, "/backup/latest")[1]
    assert (70, 7) == (found["coverage"]["recoverableBytes"], found["coverage"]["lostBytes"])
    assert ["the tree has no Pulsar in it"] == found["findings"]
    world.last_report = covered(OLDER.name)
    assert "coverage" not in answer(client, "/backup/latest")[1]


def test_move_to_another_store(client: FlaskClient, world: World) -> None:
    """The newest backup and the coverage say whether Pulsar's metadata moved to another store."""
    for migration, expected in (
        (None, None),
        (Migration("COPYING", "oxia://x"), {"phase": "COPYING", "targetUrl": "oxia://x"}),
    ):
        world.last_report = replace(covered(NEWER.name), migration=migration)
        for path in ("/backup/latest", "/backup/coverage"):
            assert expected == answer(client, path)[1]["migration"]


@pytest.mark.parametrize("clusters", [[], ["demo"]])
def test_latest_names_the_clusters_in_it(client: FlaskClient, world: World, clusters: list[str]) -> None:
    """The answer names the Pulsar clusters of the tree. A tree that was never initialised has none."""
    made = covered(NEWER.name)
    world.last_report = replace(made, manifest=replace(made.manifest, summary={"clusters": clusters}))
    assert clusters == answer(client, "/backup/latest")[1]["clusters"]


def test_coverage(client: FlaskClient, world: World) -> None:
    """The last backup's coverage: all of it, its tenants, its namespaces, and the topics of one namespace."""
    world.last_report = covered(NEWER.name)
    status, found = answer(client, "/backup/coverage")
    assert (200, str(NEWER.name)) == (status, found["backup"])
    assert ["shop/carts", "shop/orders"] == list(found["namespaces"])
    assert (2, 7) == (found["tenants"]["shop"]["topics"], found["total"]["lostBytes"])
    status, found = answer(client, "/backup/coverage?namespace=shop/carts")
    assert (200, ["lost"], 3) == (status, [topic["topic"] for topic in found["topics"]], found["lostEntries"])


def test_coverage_that_is_not_there(client: FlaskClient, world: World) -> None:
    """Before the first backup, and for an unknown namespace, the answer is a 404 with the reason."""
    assert (404, "there is no successful backup since the service started") == refusal(client, "/backup/coverage")
    world.last_report = covered(NEWER.name)
    assert (404, "the last backup does not have this namespace. Name it as tenant/namespace") == refusal(
        client, "/backup/coverage?namespace=shop"
    )


@dataclass
class Scrubs:
    """The scrubs of a service."""

    last_report: ScrubReport | None = None
    last_failure: str = ""


SCRUB_FIELDS = ("provenLedgers", "missingLedgers", "damagedLedgers", "notCheckedLedgers", "confirmedLostLedgers")


def scrub_report(*, list_only: bool = False) -> ScrubReport:
    """A scrub of an older backup, in which a namespace has lost a ledger."""
    result = ScrubResult(list_only=list_only)
    for number, (namespace, state) in enumerate([("shop/carts", State.MISSING), ("shop/gone", State.PROVEN)], 1):
        claim = Claim(namespace, f"{namespace}/persistent/a", number, UUID(int=number), 5, 50, "offloads")
        result.add(claim, state, "no index" if state is State.MISSING else "", confirmed=state is State.MISSING)
    return ScrubReport(str(OLDER.name), 1_623_721_500_123, result)


@pytest.fixture
def scrubs() -> Scrubs:
    """Scrubs that are on, and have not begun."""
    return Scrubs()


@pytest.fixture
def scrubbing(world: World, scrubs: Scrubs) -> Iterator[FlaskClient]:
    """A client of a service that scrubs, and has made a backup."""
    world.last_report = covered(NEWER.name)
    with create_app(world.existing, world.metrics, world, scrubs).test_client() as made:
        yield made


def test_no_scrub_yet(scrubbing: FlaskClient) -> None:
    """Before the first scrub, coverage says nothing of scrubs."""
    for path in ("/backup/coverage", "/backup/coverage?namespace=shop/carts"):
        text = scrubbing.get(path).text
        assert [] == [name for name in (*SCRUB_FIELDS, "lostLedgers", "scrub") if name in text]


@pytest.mark.parametrize(("list_only", "method"), [(False, "index"), (True, "list")])
def test_coverage_of_a_scrub(list_only: bool, method: str, scrubbing: FlaskClient, scrubs: Scrubs) -> None:
    """Coverage says which backup was scrubbed, when and how, and what was found in total and by namespace."""
    before = answer(scrubbing, "/backup/coverage")[1]
    scrubs.last_report = scrub_report(list_only=list_only)
    found = answer(scrubbing, "/backup/coverage")[1]
    about = {"scrubbedAt": "2021-06-15T01:45:00.123Z", "scrubbedBackup": str(OLDER.name), "scrubMethod": method}
    total, carts = (
        dict(zip(SCRUB_FIELDS, (1, 1, 0, 0, 1), strict=True)),
        dict(zip(SCRUB_FIELDS, (0, 1, 0, 0, 1), strict=True)),
    )
    before["total"] |= total
    before["namespaces"]["shop/carts"] |= carts
    assert {**before, **about} == found


def test_ledgers_of_a_namespace(scrubbing: FlaskClient, scrubs: Scrubs) -> None:
    """The answer for one namespace names its lost ledgers. A namespace that the scrub has not seen has no counts."""
    scrubs.last_report = scrub_report()
    found = answer(scrubbing, "/backup/coverage?namespace=shop/carts")[1]
    lost = [{"topic": "shop/carts/persistent/a", "ledger": 1, "state": "missing", "why": "no index"}]
    assert (lost, 1, ["lost"]) == (
        found["lostLedgers"],
        found["missingLedgers"],
        [topic["topic"] for topic in found["topics"]],
    )
    unseen = answer(scrubbing, "/backup/coverage?namespace=shop/orders")[1]
    assert not {*SCRUB_FIELDS, "lostLedgers"} & unseen.keys()


def test_failed_scrub(scrubbing: FlaskClient, scrubs: Scrubs) -> None:
    """A failed scrub is an error in the coverage, beside the last good one. Health and readiness stay."""
    scrubs.last_failure = "the object store refused access. Check the policy."
    found = answer(scrubbing, "/backup/coverage")[1]
    assert (scrubs.last_failure, False) == (found["scrubError"], "scrubbedAt" in found)
    scrubs.last_report = scrub_report()
    found = answer(scrubbing, "/backup/coverage")[1]
    assert (scrubs.last_failure, True) == (found["scrubError"], "scrubbedAt" in found)
    assert [200, 200] == [scrubbing.get(path).status_code for path in ("/healthz", "/readyz")]


@dataclass
class Drilled:
    """Drills with these records."""

    last: Records


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (Records(), None),
        (Records(Record("a", 0, 1.5)), ["passed"]),
        (Records(Record("a", 0, 1.5), Record("b", 1, 2.5)), ["passed", "failed"]),
    ],
)
def test_latest_tells_of_drills(records: Records, expected: list[str] | None, world: World) -> None:
    """The newest backup comes with the last drills, whatever they have drilled. Without a record, nothing is said."""
    with create_app(world.existing, world.metrics, world, None, Drilled(records)).test_client() as client:
        found = answer(client, "/backup/latest")[1].get("drill")
    assert expected == (list(found) if found else None)
    if found:
        assert {"backup": "a", "time": "1970-01-01T00:00:00.000Z", "servingSeconds": 1.5} == found["passed"]


def test_latest_tells_what_brokers_gave_out(client: FlaskClient, world: World) -> None:
    """The newest backup says what brokers gave out for it, and why something is missing."""
    missing = {("cursor", Reason.LATE): 1, ("cursor", Reason.DENIED): 2}
    broker = BrokerMetadata(0.5, saved={"t/a": {"schemas": 2}}, not_saved=missing, why=("it was late",))
    world.last_report = replace(report(), backup=NEWER, broker=broker)
    expected = {
        "saved": {"schemas": 2, "cursor": 0, "topicPolicies": 0},
        "notSaved": {"schemas": 0, "cursor": 3, "topicPolicies": 0},
        "reasons": ["it was late"],
        "seconds": 0.5,
    }
    assert expected == answer(client, "/backup/latest")[1]["brokerMetadata"]


@dataclass
class Place:
    """Another place of backups."""

    place: str
    newest: BackupName | None = None
    last_failure: str = ""
    missing: int = 0


def test_latest_has_the_copies(world: World) -> None:
    """The answer has the newest backup of each other place, and why the last one is not there."""
    places = [Place("s3a://a", NEWER.name, missing=2), Place("file:///b", OLDER.name, "it is full"), Place("s3a://c")]
    with create_app(world.existing, world.metrics, world, copies=places).test_client() as client:
        copies = answer(client, "/backup/latest")[1]["copies"]
    assert [
        {"place": "s3a://a", "newest": str(NEWER.name), "missing": 2},
        {"place": "file:///b", "newest": str(OLDER.name), "error": "it is full"},
        {"place": "s3a://c", "newest": None},
    ] == copies
