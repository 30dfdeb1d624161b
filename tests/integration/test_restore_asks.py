"""A restore asks members as the backup does: by TLS, with logins, and where little is allowed without them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kazoo.security import make_digest_acl

from ci.parts.zookeeper import NEWEST, OLDEST
from metadata_tool.errors import ClusterRunning, ZnodeUnreadable, ZooKeeperLoginFailed, ZooKeeperUntrusted
from metadata_tool.zookeeper.net.tls import Tls
from support import seed
from support.certificates import Authority, server_settings
from support.processes import free_port
from support.s3 import S3Server, new_bucket
from support.tool import Outcome, assert_refused, run, succeed
from support.zookeeper import SUPERUSER, ZooKeeper, client, standalone

NOBODY = "127.0.0.1:1"
PLACED, JOINED = "version-2", "restore-joined.json"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """In the short form, the newest ZooKeeper alone is asked."""
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", [NEWEST, OLDEST] if metafunc.config.getoption("--soak") else [NEWEST])


@pytest.fixture(scope="module")
def point(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings that restore a small backup."""
    settings = new_bucket(s3).settings
    with standalone(NEWEST, tmp_path_factory.mktemp("source")) as server, client(server.address) as source:
        seed.pulsar(source)
        uri = succeed("backup", settings={**settings, "ZOOKEEPER_SERVERS": server.address})
    return {**settings, "RESTORE_POINT": uri, "RESTORE_SCOPE": "bookies-kept"}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A new volume."""
    return new(tmp_path / "volume")


def new(directory: Path) -> Path:
    """A directory that is made."""
    directory.mkdir(parents=True)
    return directory


def restore(settings: dict[str, str], volume: Path, servers: str, **more: str) -> Outcome:
    """The outcome of a restore."""
    own = {"ZOOKEEPER_DATA_DIR": str(volume), "ZOOKEEPER_SERVERS": servers}
    return run("restore", settings={**settings, **own, **more})


def left(volume: Path) -> list[str]:
    """What a volume holds."""
    return sorted(path.name for path in volume.iterdir())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs all certificates."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def by_tls(authority: Authority) -> dict[str, str]:
    """Settings by which a restore speaks TLS."""
    own = authority.issue("restore", host="restore")
    return {
        "ZOOKEEPER_TLS": "true",
        "ZOOKEEPER_TLS_CA": str(authority.path),
        "ZOOKEEPER_TLS_CERT": str(own.cert),
        "ZOOKEEPER_TLS_KEY": str(own.key),
    }


class Secured:
    """Three members that serve by TLS alone, with AdminServers that speak HTTPS alone."""

    def __init__(self, version: str, directory: Path, authority: Authority, by_tls: dict[str, str]) -> None:
        follower, election, self._port, self.admin_port = (free_port() for _ in range(4))
        members = {f"server.{number}": f"127.0.0.{number}:{follower}:{election}" for number in (1, 2, 3)}
        self.servers = [self._member(version, directory, authority, number, members) for number in (1, 2, 3)]
        tls = Tls(by_tls["ZOOKEEPER_TLS_CA"], by_tls["ZOOKEEPER_TLS_CERT"], by_tls["ZOOKEEPER_TLS_KEY"])
        for server in self.servers:
            server.secure = tls.context()

    def _member(
        self, version: str, directory: Path, authority: Authority, number: int, members: dict[str, str]
    ) -> ZooKeeper:
        host = f"127.0.0.{number}"
        own = authority.issue(f"member-{number}", host=host)
        settings = members | server_settings(authority, self._port, client_auth="need")
        settings |= {"secureClientPortAddress": host, "ssl.keyStore.location": str(own.both)}
        settings |= {
            "admin.enableServer": "true",
            "admin.serverPort": str(self.admin_port),
            "admin.serverAddress": host,
        }
        https = {
            "admin.forceHttps": "true",
            "ssl.quorum.keyStore.location": str(own.both),
            "ssl.quorum.trustStore.location": str(authority.path),
        }
        options = [f"-Dzookeeper.{name}={value}" for name, value in https.items()]
        server = ZooKeeper(version, directory / str(number), settings, host=host, java_options=options)
        (server.data_dir / "myid").write_text(f"{number}\n")
        return server

    @property
    def address(self) -> str:
        """`host:port,…`."""
        return ",".join(server.address for server in self.servers)


@contextmanager
def stopped_afterwards(*servers: ZooKeeper) -> Iterator[None]:
    """Stop the servers after the block."""
    try:
        yield
    finally:
        for server in servers:
            server.stop()


def test_ensemble_with_tls_alone(
    version: str, point: dict[str, str], authority: Authority, by_tls: dict[str, str], tmp_path: Path
) -> None:
    """Beside a member that waits, the next one is restored. Beside members that serve, the last one joins."""
    ensemble = Secured(version, tmp_path / "ensemble", authority, by_tls)
    settings = {**point, **by_tls, "ZOOKEEPER_ADMIN_PORT": str(ensemble.admin_port)}
    first, second, last = ensemble.servers
    with stopped_afterwards(*ensemble.servers):
        assert 0 == restore(settings, first.data_dir, ensemble.address).exit_code
        first.start()
        assert first._process
        first._process.wait_until(lambda: first.runs)
        assert_refused(
            ClusterRunning, first.address, restore(settings, last.data_dir, ensemble.address, RESTORE_VERSION="2")
        )
        outcome = restore(settings, second.data_dir, ensemble.address)
        assert (0, ["myid", PLACED]) == (outcome.exit_code, left(second.data_dir)), outcome.said
        second.start()
        second.wait()
        outcome = restore(settings, last.data_dir, ensemble.address)
        assert (0, ["myid", JOINED]) == (outcome.exit_code, left(last.data_dir)), outcome.said
        last.start()
        last.wait()
        without = {name: value for name, value in settings.items() if "_TLS" not in name}
        refused = restore(without, new(tmp_path / "volume"), ensemble.address)
    assert_refused(ZooKeeperUntrusted, "Set ZOOKEEPER_TLS=true", refused)
    assert [] == left(tmp_path / "volume")


ENFORCED = {"enforce.auth.enabled": "true", "enforce.auth.schemes": "digest"}
LOGIN = "restore:a-password"


@pytest.fixture
def data(point: dict[str, str], tmp_path: Path) -> Path:
    """The volume of a member that was restored."""
    assert 0 == restore(point, new(tmp_path / "data"), NOBODY).exit_code
    return tmp_path / "data"


@pytest.mark.usefixtures("data")
def test_login_is_enforced(point: dict[str, str], volume: Path, tmp_path: Path) -> None:
    """A member whose volume was lost joins with the login that the ensemble demands."""
    with standalone(NEWEST, tmp_path, ENFORCED) as server:
        refused = restore(point, volume, server.address)
        assert_refused(ZooKeeperLoginFailed, "or ZOOKEEPER_AUTH if the servers' enforce.auth.schemes", refused)
        assert [] == left(volume)
        outcome = restore(point, volume, server.address, ZOOKEEPER_AUTH=f"digest:{LOGIN}")
    assert (0, [JOINED]) == (outcome.exit_code, left(volume)), outcome.said


@pytest.mark.usefixtures("data")
def test_marker_that_only_a_login_can_read(point: dict[str, str], volume: Path, tmp_path: Path, version: str) -> None:
    """If the znode of the restore is closed, the restore needs a login, and does not take the ensemble for another."""
    with standalone(version, tmp_path) as server:
        with client(server.address, SUPERUSER) as closing:
            closing.set_acls("/metadata-backup", [make_digest_acl(*LOGIN.split(":"), read=True)])
        refused = restore(point, volume, server.address)
        assert_refused(ZnodeUnreadable, "the login cannot read znode /metadata-backup. Set ZOOKEEPER_AUTH", refused)
        assert [] == left(volume)
        outcome = restore(point, volume, server.address, ZOOKEEPER_AUTH=f"digest:{LOGIN}")
    assert (0, [JOINED]) == (outcome.exit_code, left(volume)), outcome.said


@pytest.mark.usefixtures("data")
def test_commands_are_not_allowed(point: dict[str, str], volume: Path, tmp_path: Path, version: str) -> None:
    """An ensemble that serves is found whichever four-letter commands are allowed: `srvr` always is."""
    server = ZooKeeper(version, tmp_path, {"4lw.commands.whitelist": "ruok"})
    with stopped_afterwards(server):
        server.start()
        with client(server.address):
            outcome = restore(point, volume, server.address)
    assert (0, [JOINED]) == (outcome.exit_code, left(volume)), outcome.said


@pytest.mark.parametrize(
    ("settings", "options"),
    [({"4lw.commands.whitelist": "ruok"}, []), ({}, ["-Dreadonlymode.enabled=true"])],
    ids=["few commands", "read-only"],
)
def test_member_that_waits(
    point: dict[str, str], tmp_path: Path, version: str, settings: dict[str, str], options: list[str]
) -> None:
    """A member that waits is not taken for one that serves, so that the others can be restored beside it."""
    follower, election, admin_port = free_port(), free_port(), free_port()
    members = {f"server.{number}": f"127.0.0.{number}:{follower}:{election}" for number in (1, 2, 3)}
    admin = {"admin.enableServer": "true", "admin.serverPort": str(admin_port), "admin.serverAddress": "127.0.0.1"}
    own = {**members, **admin, **settings}
    server = ZooKeeper(version, tmp_path, own, java_options=options)
    (server.data_dir / "myid").write_text("1\n")
    servers = f"{server.address},{NOBODY},{NOBODY}1"
    wanted = {**point, "ZOOKEEPER_ADMIN_PORT": str(admin_port)}
    assert 0 == restore(wanted, server.data_dir, servers).exit_code
    with stopped_afterwards(server):
        server.start()
        assert server._process
        server._process.wait_until(lambda: server.runs and ("read-only" in server.mode() or not options))
        outcome = restore(wanted, new(tmp_path / "volume"), servers)
        assert (0, [PLACED]) == (outcome.exit_code, left(tmp_path / "volume")), outcome.said
        other = restore(wanted, new(tmp_path / "other"), servers, RESTORE_VERSION="2")
    assert_refused(ClusterRunning, f"{server.address} is running but not serving", other)
    assert [] == left(tmp_path / "other")
