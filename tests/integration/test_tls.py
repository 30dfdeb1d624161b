"""Backups of a real ZooKeeper with TLS and client certificates, and restores beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST, OLDEST
from metadata_tool.errors import ClusterRunning, SettingError, ZooKeeperUnreachable, ZooKeeperUntrusted
from support import seed
from support.certificates import Authority, server_settings
from support.processes import free_port
from support.tool import Outcome, assert_refused, run, succeed
from support.zookeeper import client, standalone

PASSWORD = "a-password-of-a-key"


@dataclass(frozen=True)
class Secured:
    """A server's two ports, and the authority that it trusts."""

    plain: str
    secure: str
    authority: Authority


@pytest.fixture(scope="module", params=[NEWEST, OLDEST])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server with a small tree that accepts only client certificates of its authority."""
    directory = tmp_path_factory.mktemp("tls")
    authority, port = Authority(directory / "authority"), free_port()
    settings = server_settings(authority, port, client_auth="need")
    with standalone(request.param, directory, settings) as server, client(server.address) as filling:
        seed.pulsar(filling, topics=3)
        yield Secured(server.address, f"127.0.0.1:{port}", authority)


@pytest.fixture
def settings(secured: Secured, folder: Path) -> dict[str, str]:
    """Valid settings."""
    own = secured.authority.issue("backup", host="backup", password=PASSWORD)
    return {
        "BUCKET": f"file://{folder}",
        "ZOOKEEPER_SERVERS": secured.secure,
        "ZOOKEEPER_CONNECT_TIMEOUT": "20",
        "ZOOKEEPER_TLS": "true",
        "ZOOKEEPER_TLS_CA": str(secured.authority.path),
        "ZOOKEEPER_TLS_CERT": str(own.cert),
        "ZOOKEEPER_TLS_KEY": str(own.key),
        "ZOOKEEPER_TLS_KEY_PASSWORD": PASSWORD,
    }


def test_backup(settings: dict[str, str]) -> None:
    """With trusted certificates on both sides, the tree is saved, and the server's version is known."""
    uri = succeed("backup", settings=settings)
    shown = succeed("inspect", uri, settings=settings)
    assert "zooKeeperVersion             3." in shown
    assert "/managed-ledgers" in shown


def test_without_own_certificate(settings: dict[str, str]) -> None:
    """If the server demands a client certificate and there is none, the backup fails at once with exit code 17."""
    without = {name: value for name, value in settings.items() if "_CERT" not in name and "_KEY" not in name}
    assert_refused(ZooKeeperUntrusted, settings["ZOOKEEPER_SERVERS"], run("backup", settings=without))


def test_server_of_another_authority(settings: dict[str, str], tmp_path: Path) -> None:
    """A server without a trusted certificate is refused."""
    other = Authority(tmp_path / "other")
    outcome = run("backup", settings={**settings, "ZOOKEEPER_TLS_CA": str(other.path)})
    assert_refused(ZooKeeperUntrusted, "certificate", outcome)


def test_certificate_of_another_host(settings: dict[str, str], secured: Secured) -> None:
    """A certificate must have the server's host name, unless that check is switched off."""
    elsewhere = secured.secure.replace("127.0.0.1", "localhost")
    outcome = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": elsewhere})
    assert_refused(ZooKeeperUntrusted, "localhost", outcome)
    unchecked = {"ZOOKEEPER_SERVERS": elsewhere, "ZOOKEEPER_TLS_CHECK_HOSTNAME": "false"}
    succeed("backup", settings={**settings, **unchecked})


def test_expired_certificate_of_ours(settings: dict[str, str], secured: Secured) -> None:
    """An expired client certificate is refused by the server."""
    expired = secured.authority.issue("expired", valid=False)
    mine = {"ZOOKEEPER_TLS_CERT": str(expired.cert), "ZOOKEEPER_TLS_KEY": str(expired.key)}
    assert_refused(ZooKeeperUntrusted, "TLS with ZooKeeper at ", run("backup", settings={**settings, **mine}))


def test_port_without_tls(settings: dict[str, str], secured: Secured) -> None:
    """A port without TLS is an error that says so."""
    outcome = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": secured.plain})
    assert_refused(ZooKeeperUntrusted, f"{secured.plain} failed: this port speaks no TLS", outcome)
    assert "Set ZOOKEEPER_TLS=false" in outcome.error


def test_nobody_there(settings: dict[str, str]) -> None:
    """If no server answers, the error is not about TLS."""
    nobody = {"ZOOKEEPER_SERVERS": f"127.0.0.1:{free_port()}", "ZOOKEEPER_CONNECT_TIMEOUT": "1"}
    assert_refused(ZooKeeperUnreachable, "no ZooKeeper server answered", run("backup", settings={**settings, **nobody}))


def restore(settings: dict[str, str], volume: Path, **changes: str) -> Outcome:
    """The outcome of a restore into a volume, which stays empty. The members are asked before a backup is read."""
    volume.mkdir(exist_ok=True)
    own = {"RESTORE_POINT": "file:///nowhere/pulsar-1.tar.gz", "ZOOKEEPER_DATA_DIR": str(volume)}
    outcome = run("restore", settings={**settings, **own, **changes})
    assert [] == list(volume.iterdir())
    return outcome


def test_restore_beside_it(settings: dict[str, str], tmp_path: Path) -> None:
    """A restore finds the ensemble that serves by TLS, and reads that it comes from no restore."""
    outcome = restore(settings, tmp_path / "volume")
    assert_refused(ClusterRunning, f"{settings['ZOOKEEPER_SERVERS']} already serves an ensemble that did not", outcome)


def test_restore_without_tls(settings: dict[str, str], tmp_path: Path) -> None:
    """If a restore asks a port with TLS without it, the ensemble is not taken for one that waits."""
    outcome = restore({"ZOOKEEPER_SERVERS": settings["ZOOKEEPER_SERVERS"]}, tmp_path / "volume")
    assert_refused(ZooKeeperUntrusted, f"ZooKeeper at {settings['ZOOKEEPER_SERVERS']} speaks TLS", outcome)
    assert "Set ZOOKEEPER_TLS=true" in outcome.error
    assert outcome.error.endswith(". Nothing was touched.")


def test_restore_by_tls_at_a_plain_port(settings: dict[str, str], secured: Secured, tmp_path: Path) -> None:
    """If a restore asks a port without TLS by TLS, the error says so."""
    outcome = restore(settings, tmp_path / "volume", ZOOKEEPER_SERVERS=secured.plain)
    assert_refused(ZooKeeperUntrusted, f"TLS with ZooKeeper at {secured.plain} failed: this port speaks no", outcome)
    assert "Set ZOOKEEPER_TLS=false" in outcome.error


def test_restore_without_trust(settings: dict[str, str], tmp_path: Path) -> None:
    """A restore that the ensemble does not trust, or that does not trust it, is refused."""
    none = {"ZOOKEEPER_TLS_CERT": "", "ZOOKEEPER_TLS_KEY": "", "ZOOKEEPER_TLS_KEY_PASSWORD": ""}
    other = {"ZOOKEEPER_TLS_CA": str(Authority(tmp_path / "other").path)}
    elsewhere = {"ZOOKEEPER_SERVERS": settings["ZOOKEEPER_SERVERS"].replace("127.0.0.1", "localhost")}
    for changes in (none, other, elsewhere):
        outcome = restore(settings, tmp_path / "volume", **changes)
        assert_refused(ZooKeeperUntrusted, "TLS with ZooKeeper at ", outcome)
        assert "Check ZOOKEEPER_TLS_CA, ZOOKEEPER_TLS_CERT, and the port" in outcome.error


def test_restore_with_a_file_that_cannot_be_used(settings: dict[str, str], tmp_path: Path) -> None:
    """A restore names a file that cannot be used, even if no member runs."""
    nobody = {"ZOOKEEPER_SERVERS": f"127.0.0.1:{free_port()}", "ZOOKEEPER_TLS_CA": "/nowhere.pem"}
    assert_refused(SettingError, "/nowhere.pem cannot be used", restore(settings, tmp_path / "volume", **nobody))


def test_backup_without_tls(settings: dict[str, str]) -> None:
    """A backup that asks a port with TLS without it says so."""
    without = {name: value for name, value in settings.items() if "_TLS" not in name}
    outcome = run("backup", settings={**without, "ZOOKEEPER_CONNECT_TIMEOUT": "1"})
    assert_refused(ZooKeeperUnreachable, f"{settings['ZOOKEEPER_SERVERS']} (it speaks TLS", outcome)
    assert "ZOOKEEPER_TLS" in outcome.error


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ZOOKEEPER_TLS_CA": "/nowhere.pem"}, "authorities in /nowhere.pem cannot be used: No such file"),
        ({"ZOOKEEPER_TLS_CA": __file__}, "ZOOKEEPER_TLS_CA"),
        ({"ZOOKEEPER_TLS_KEY_PASSWORD": "wrong"}, "ZOOKEEPER_TLS_CERT and ZOOKEEPER_TLS_KEY"),
        ({"ZOOKEEPER_TLS_KEY_PASSWORD": ""}, "ZOOKEEPER_TLS_CERT and ZOOKEEPER_TLS_KEY"),
        ({"ZOOKEEPER_TLS_KEY": ""}, "ZOOKEEPER_TLS_KEY is not set"),
        ({"ZOOKEEPER_TLS": "yes"}, "ZOOKEEPER_TLS is 'yes'"),
        ({"ZOOKEEPER_TLS": ""}, "ZOOKEEPER_TLS_CA is set, but ZOOKEEPER_TLS is false"),
    ],
)
def test_bad_settings(settings: dict[str, str], changes: dict[str, str], named: str) -> None:
    """A file that cannot be used is named, and no password is shown."""
    outcome = run("backup", settings={**settings, **changes})
    assert_refused(SettingError, named, outcome)
    assert PASSWORD not in outcome.said
