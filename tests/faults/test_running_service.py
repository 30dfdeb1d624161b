"""One service lives through one fault after the other. What it depends on breaks, and comes back by itself."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from _pytest.mark.structures import ParameterSet

from ci.parts.zookeeper import NEWEST
from metadata_tool.archive import verify
from support import seed
from support.proxy import Faults, proxy
from support.relay import Meddling, relay
from support.s3 import Bucket, new_bucket, s3_server
from support.tool import Service
from support.zookeeper import ZooKeeper, client, standalone

STATUSES = (301, 403, 404, 503)
MORE_STATUSES = (302, 307, 400, 411, 413, 429, 500, 501, 507)
CODES = [(400, "ExpiredToken"), (403, "AccessDenied"), (403, "RequestTimeTooSkewed")]
MORE_CODES = [
    (403, "InvalidAccessKeyId"),
    (403, "QuotaExceeded"),
    (403, "SignatureDoesNotMatch"),
    (404, "NoSuchBucket"),
]
"""What a service takes like one of the others, as unit tests of the store's faults show, runs in the long form."""

Fault = Callable[["World"], AbstractContextManager[None]]
"""What breaks, from the beginning to the end of the context."""


@dataclass
class World:
    """What a service depends on, and the service that faults happen to."""

    settings: dict[str, str]
    zookeeper: ZooKeeper
    bucket: Bucket
    store: Faults
    """What the proxy before the object store does."""
    ensemble: Meddling
    """What the relay before ZooKeeper does."""
    directory: Path
    service: Service
    verified: set[str] = field(default_factory=set)
    """Backups that were found to be good."""

    @property
    def spool(self) -> Path:
        """SPOOL_DIR."""
        return Path(self.settings["SPOOL_DIR"])

    def assert_all_good(self, service: Service) -> None:
        """Each backup that a service lists passes all checks."""
        listed = {backup["name"] for backup in service.json("/backup/list")}
        assert listed
        for name in listed - self.verified:
            file = self.directory / "fetched"
            self.bucket.server.client().download_file(self.bucket.name, f"team/prod/{name}", str(file))
            assert verify(file, lambda: None).nodes > 0
            self.verified.add(name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A ZooKeeper with a small tree, an object store, something before each that makes faults, and a service."""
    directory = tmp_path_factory.mktemp("service")
    (directory / "spool").mkdir()
    with ExitStack() as stack:
        zookeeper = stack.enter_context(standalone(NEWEST, directory / "zookeeper"))
        with client(zookeeper.address) as source:
            seed.pulsar(source, topics=3)
        bucket = new_bucket(stack.enter_context(s3_server(directory / "s3")))
        endpoint, store = stack.enter_context(proxy(bucket.server.port))
        address, ensemble = stack.enter_context(relay(zookeeper.address))
        settings = {
            **bucket.settings,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "ZOOKEEPER_SERVERS": address,
            "ZOOKEEPER_CONNECT_TIMEOUT": "2",
            "BACKUP_INTERVAL": "1",
            "SPOOL_DIR": str(directory / "spool"),
        }
        service = Service(settings, directory / "service.log")
        stack.callback(service.process.stop)
        yield World(settings, zookeeper, bucket, store, ensemble, directory, service)


def succeeded(service: Service) -> float:
    """How many of its backups have succeeded."""
    return service.metric("backup_count") - service.metric("backup_failure_count")


def wait_for_backups(service: Service, more: int) -> None:
    """Wait until that many more backups have succeeded. Of two, one at least has begun since."""
    enough = succeeded(service) + more
    service.process.wait_until(lambda: succeeded(service) >= enough)


def store_does(**faults: object) -> Fault:
    """The proxy before the object store does this."""

    @contextmanager
    def fault(world: World) -> Iterator[None]:
        before = {name: getattr(world.store, name) for name in faults}
        for name, value in faults.items():
            setattr(world.store, name, value)
        yield
        for name, value in before.items():
            setattr(world.store, name, value)

    return fault


def store_refuses(method: str, status: int, code: str) -> Fault:
    """The object store refuses requests of one method."""

    def refusal(asked: str, _: Mapping[str, str]) -> tuple[int, str, str] | None:
        return (status, code, "refused by the test") if asked == method else None

    return store_does(refuse=refusal)


@contextmanager
def store_is_down(world: World) -> Iterator[None]:
    """The object store does not run."""
    world.bucket.server.stop()
    yield
    world.bucket.server.start()


@contextmanager
def bucket_is_gone(world: World) -> Iterator[None]:
    """Somebody took the bucket away, and puts it back with what was in it."""
    aside = world.directory / "aside"
    bucket = world.directory / "s3" / "buckets" / world.bucket.name
    bucket.rename(aside)
    yield
    aside.rename(bucket)


def zookeeper_ends(end: Callable[[ZooKeeper], None]) -> Fault:
    """ZooKeeper does not run."""

    @contextmanager
    def fault(world: World) -> Iterator[None]:
        end(world.zookeeper)
        yield
        world.zookeeper.start()
        world.zookeeper.wait()

    return fault


@contextmanager
def zookeeper_hangs(world: World) -> Iterator[None]:
    """ZooKeeper takes connections, and answers nothing."""
    world.zookeeper.send(signal.SIGSTOP)
    yield
    world.zookeeper.send(signal.SIGCONT)


@contextmanager
def zookeeper_throttles(world: World) -> Iterator[None]:
    """ZooKeeper refuses every third request for a moment."""
    numbers = count()
    world.ensemble.throttles = lambda _: next(numbers) % 3 == 1
    yield
    world.ensemble.throttles = lambda _: False


@contextmanager
def spool_is_gone(world: World) -> Iterator[None]:
    """The spool directory was moved away."""
    aside = world.directory / "spool-aside"
    world.spool.rename(aside)
    yield
    aside.rename(world.spool)


@contextmanager
def spool_is_a_file(world: World) -> Iterator[None]:
    """In place of the spool directory there is somebody's file, which stays as it is."""
    with spool_is_gone(world):
        world.spool.write_text("somebody's")
        yield
        assert world.spool.read_text() == "somebody's"
        world.spool.unlink()


def processes(service: Service) -> list[int]:
    """The service's processes."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    return [service.process.pid, *map(int, children.split())]


@contextmanager
def service_is_suspended(world: World) -> Iterator[None]:
    """The machine slept for some seconds."""
    for process in processes(world.service):
        os.kill(process, signal.SIGSTOP)
    time.sleep(3)
    for process in processes(world.service):
        os.kill(process, signal.SIGCONT)
    yield


def a_page(method: str, content: bytes) -> bytes:
    """What a login page looks like in place of a listing."""
    return b"<html><body>Please log in</body></html>" if method == "GET" else content


def case(what: str, fault: Fault, kind: object = "", *marks: pytest.MarkDecorator) -> ParameterSet:
    """A fault by what breaks. One of several kinds of it has a name of its own."""
    return pytest.param(fault, id=f"{what} {kind}".strip(), marks=[pytest.mark.fault("Service", what), *marks])


def answers(status: int, *marks: pytest.MarkDecorator) -> ParameterSet:
    """Each answer of the object store has this status."""
    return case("the object store answers only errors or redirects", store_does(status=status), status, *marks)


def refuses_uploads(status: int, code: str, *marks: pytest.MarkDecorator) -> ParameterSet:
    """Each upload is refused like this."""
    return case("the object store refuses uploads", store_refuses("PUT", status, code), code, *marks)


def fails_once(status: int, *marks: pytest.MarkDecorator) -> ParameterSet:
    """One answer of the object store has this status."""
    return case("the object store fails once", store_does(statuses=[status]), status, *marks)


FAILS = [
    *(answers(each) for each in STATUSES),
    *(answers(each, pytest.mark.soak) for each in MORE_STATUSES),
    *(refuses_uploads(*each) for each in CODES),
    *(refuses_uploads(*each, pytest.mark.soak) for each in MORE_CODES),
    case("the object store refuses the check after an upload", store_refuses("HEAD", 403, "AccessDenied")),
    case("the object store refuses to list", store_refuses("GET", 403, "AccessDenied")),
    case("a login page answers in place of the object store", store_does(damage=a_page)),
    case("the object store's answers are cut", store_does(cut=10)),
    case("the object store resets connections", store_does(cut=10, cut_by="reset")),
    case("the object store is down", store_is_down),
    case("the bucket is gone", bucket_is_gone),
    case("ZooKeeper is stopped", zookeeper_ends(ZooKeeper.stop)),
    case("ZooKeeper is killed", zookeeper_ends(ZooKeeper.kill)),
    case("ZooKeeper hangs", zookeeper_hangs),
    case("SPOOL_DIR is gone", spool_is_gone),
    case("SPOOL_DIR is somebody's file", spool_is_a_file),
]


@pytest.mark.parametrize("fault", FAILS)
def test_goes_on_afterwards(fault: Fault, world: World) -> None:
    """Each backup meanwhile fails with one line that says what to do. Then backups succeed, without a hand."""
    service = world.service
    wait_for_backups(service, 1)
    failed, said = service.metric("backup_failure_count"), len(service.process.output())
    with fault(world):
        service.wait_for("backup_failure_count", failed + 1)
        assert (200, "") == (service.get("/healthz")[0], service.process.output()[said:].partition("Traceback")[2])
    line = next(line for line in service.process.output()[said:].splitlines() if " ERROR " in line)
    assert re.fullmatch(r"\S+ ERROR backup failed: .+\. [A-Z].+", line)
    wait_for_backups(service, 2)
    world.assert_all_good(service)


SURVIVED = [
    fails_once(503),
    *(fails_once(each, pytest.mark.soak) for each in (429, 500)),
    case("the answer to an upload is lost", store_does(lost=[500])),
    case("the object store tells no checksums", store_does(hide_checksums=True)),
    case("an upload is slow", store_does(upload_pause=0.1)),
    case("an answer of the object store is cut once", store_does(cut=10, cuts=1)),
    case("ZooKeeper throttles requests", zookeeper_throttles),
    case("the machine sleeps", service_is_suspended),
]


@pytest.mark.fault("Service", "everything is down at the start")
def test_everything_is_down_at_the_start(world: World) -> None:
    """The first backups fail, and once everything is there, one succeeds."""
    with store_is_down(world), zookeeper_ends(ZooKeeper.stop)(world):
        late = Service({**world.settings, "BACKUP_PREFIX": "late"}, world.directory / "late.log")
        late.wait_for("backup_failure_count", 1)
    try:
        wait_for_backups(late, 1)
        world.assert_all_good(late)
        assert "Traceback" not in late.process.output()
    finally:
        late.process.stop()


@pytest.mark.parametrize("fault", SURVIVED)
def test_goes_on_meanwhile(fault: Fault, world: World) -> None:
    """No backup fails."""
    service = world.service
    wait_for_backups(service, 1)
    failed = service.metric("backup_failure_count")
    with fault(world):
        wait_for_backups(service, 2)
    assert failed == service.metric("backup_failure_count")
    world.assert_all_good(service)


class Hold:
    """Lets the first request of a kind stay without an answer. An empty kind is any request to ZooKeeper."""

    def __init__(self, kind: str, store: Faults, ensemble: Meddling) -> None:
        self.reached, self.released = Event(), Event()
        self._kind = kind
        if kind:
            store.refuse = self._hold
        else:
            ensemble.sees = self._hold

    def _hold(self, asked: object, *_: object) -> None:
        if not self._kind or asked == self._kind:
            self.reached.set()
            self.released.wait()


LONG_FORM = {(signal.SIGTERM, "GET"), (signal.SIGTERM, "HEAD")}
"""SIGTERM is noticed in every wait for the object store alike, so the upload stands for the other two."""
PHASES = {"reads the tree": "", "lists the bucket": "GET", "uploads": "PUT", "checks the upload": "HEAD"}
KILLED = [
    pytest.param(
        PHASES[phase],
        number,
        id=f"{phase}-{number.name}",
        marks=[
            pytest.mark.fault("Process", f"{number.name} while the service {phase}"),
            *([pytest.mark.soak] if (number, PHASES[phase]) in LONG_FORM else []),
        ],
    )
    for number in (signal.SIGTERM, signal.SIGKILL)
    for phase in PHASES
]


@pytest.mark.parametrize(("method", "number"), KILLED)
def test_next_service_goes_on(method: str, number: signal.Signals, world: World) -> None:
    """No unfinished backup is listed, and the next service makes a good one."""
    with proxy(world.bucket.server.port) as (endpoint, store), relay(world.zookeeper.address) as (address, ensemble):
        hold = Hold(method, store, ensemble)
        own = {"BACKUP_PREFIX": "killed", "AWS_ENDPOINT_URL_S3": endpoint, "ZOOKEEPER_SERVERS": address}
        service = Service({**world.settings, **own}, world.directory / "killed.log")
        assert hold.reached.wait(60)
        for process in processes(service) if number == signal.SIGKILL else [service.process.pid]:
            os.kill(process, number)
        hold.released.set()
        code = service.process.wait()
    assert {signal.SIGTERM: 0, signal.SIGKILL: -signal.SIGKILL}[number] == code
    after = Service({**world.settings, "BACKUP_PREFIX": "killed"}, world.directory / "after.log")
    try:
        wait_for_backups(after, 1)
        world.assert_all_good(after)
    finally:
        after.process.stop()
    assert "Traceback" not in service.process.output() + after.process.output()
