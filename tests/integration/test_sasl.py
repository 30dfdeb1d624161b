"""Backups of real ZooKeepers with SASL logins, and restores beside them."""

import logging
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from kazoo.security import make_acl

from ci.parts.zookeeper import NEWEST, OLDEST
from metadata_tool import backup
from metadata_tool.errors import (
    ClusterRunning,
    SettingError,
    ZnodeUnreadable,
    ZooKeeperLoginFailed,
    ZooKeeperUnreachable,
)
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.settings import Settings
from metadata_tool.store import open_store
from metadata_tool.zookeeper import jute
from metadata_tool.zookeeper.jute import Acl
from support import seed
from support.certificates import Authority, server_settings
from support.kerberos import SERVICE, USER, Realm, realm
from support.processes import free_port
from support.tool import Outcome, assert_refused, run, succeed
from support.zookeeper import ZooKeeper, client, standalone

PASSWORD = 'b\u00e4ckup-"zq7\\secret'
"""The password of the JAAS login, with quotes and with characters that are not ASCII."""
CLOSED = "/closed"
PROVIDER = {"authProvider.1": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"}
DEMANDED = PROVIDER | {"sessionRequireClientSASLAuth": "true"}
ENFORCED = PROVIDER | {"enforce.auth.enabled": "true", "enforce.auth.schemes": "sasl"}


def quoted(text: str) -> str:
    """Text as a JAAS file quotes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


DIGEST = f"org.apache.zookeeper.server.auth.DigestLoginModule required user_backup={quoted(PASSWORD)} user_other=other"


@contextmanager
def server_with(
    version: str, directory: Path, login: str, settings: dict[str, str], *options: str
) -> Iterator[ZooKeeper]:
    """A server with this JAAS login."""
    directory.mkdir(parents=True, exist_ok=True)
    jaas = directory / "jaas.conf"
    jaas.write_text(f"Server {{ {login}; }};\n")
    java_options = ["-Dfile.encoding=UTF-8", f"-Djava.security.auth.login.config={jaas}", *options]
    with standalone(version, directory, settings, java_options=java_options) as server:
        yield server


def fill(server: ZooKeeper, user: str) -> None:
    """Create a small tree with a znode that only this user can read. The server must not demand a login yet."""
    with client(server.address) as filling:
        seed.pulsar(filling, topics=3)
        filling.create(CLOSED, b"closed", acl=[make_acl("sasl", user, all=True)])


def digest_settings(address: str, folder: Path) -> dict[str, str]:
    """Valid settings for DIGEST-MD5."""
    return {
        "BUCKET": f"file://{folder}",
        "ZOOKEEPER_SERVERS": address,
        "ZOOKEEPER_CONNECT_TIMEOUT": "20",
        "ZOOKEEPER_SASL_MECHANISM": "DIGEST-MD5",
        "ZOOKEEPER_SASL_USER": "backup",
        "ZOOKEEPER_SASL_PASSWORD": PASSWORD,
    }


def without_sasl(settings: dict[str, str]) -> dict[str, str]:
    """The same settings, without a SASL login."""
    return {name: value for name, value in settings.items() if "_SASL_" not in name}


def assert_saved(settings: dict[str, str], user: str) -> None:
    """A backup succeeds, and has the protected znode with its ACL."""
    uri = succeed("backup", settings=settings)
    assert "\n  closed  (6 B)" in succeed("inspect", "--tree", uri, settings=settings)
    with tarfile.open(uri.removeprefix("file://")) as archive:
        files = [archive.extractfile(member) for member in archive]
        assert any(jute.pack_acls([Acl(31, "sasl", user)]) in file.read() for file in files if file)


@dataclass(frozen=True)
class Servers:
    """Two servers with the same tree and JAAS login. One also has a TLS port, and the other demands a SASL login."""

    welcome: str
    demanding: str
    secure: str
    authority: Authority


@pytest.fixture(scope="module", params=[NEWEST, OLDEST])
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers with DIGEST-MD5."""
    directory, version = tmp_path_factory.mktemp("sasl"), request.param
    authority, port = Authority(directory / "authority"), free_port()
    tls = server_settings(authority, port, client_auth="none")
    with server_with(version, directory / "welcome", DIGEST, PROVIDER | tls) as welcome:
        fill(welcome, "backup")
        demanded = ENFORCED if version == NEWEST else DEMANDED
        with server_with(version, directory / "filled", DIGEST, PROVIDER) as filled:
            fill(filled, "backup")
        with server_with(version, directory / "filled", DIGEST, demanded) as demanding:
            yield Servers(welcome.address, demanding.address, f"127.0.0.1:{port}", authority)


@pytest.fixture(params=["welcome", "demanding"])
def settings(request: pytest.FixtureRequest, servers: Servers, folder: Path) -> dict[str, str]:
    """Valid settings for DIGEST-MD5, for each of the servers."""
    return digest_settings(getattr(servers, request.param), folder)


def test_digest(settings: dict[str, str]) -> None:
    """With the right password, the tree is saved, with the znode that only this user can read."""
    assert_saved(settings, "backup")


def test_digest_beside_auth(settings: dict[str, str]) -> None:
    """A session can have both logins."""
    assert_saved({**settings, "ZOOKEEPER_AUTH": f"digest:{seed.ADMIN}"}, "backup")


@pytest.mark.parametrize("password", ["wrong-word", PASSWORD + "x", PASSWORD.upper()])
def test_wrong_password(settings: dict[str, str], password: str) -> None:
    """A wrong password is an error at once, which names the setting and shows no password."""
    outcome = run("backup", settings={**settings, "ZOOKEEPER_SASL_PASSWORD": password})
    assert_refused(ZooKeeperLoginFailed, "Check ZOOKEEPER_SASL_USER and ZOOKEEPER_SASL_PASSWORD", outcome)
    assert password not in outcome.said


def test_unknown_user(settings: dict[str, str]) -> None:
    """An unknown user is an error. The password differs too, because 3.6 accepts that of the login before."""
    changes = {"ZOOKEEPER_SASL_USER": "nobody", "ZOOKEEPER_SASL_PASSWORD": "never-a-password"}
    outcome = run("backup", settings={**settings, **changes})
    assert_refused(ZooKeeperLoginFailed, "ZOOKEEPER_SASL_USER", outcome)
    assert "never-a-password" not in outcome.said


def test_demanded_and_not_set(servers: Servers, folder: Path) -> None:
    """If the server demands a login and none is set, the error says so."""
    settings = without_sasl(digest_settings(servers.demanding, folder))
    for more in ({}, {"ZOOKEEPER_AUTH": f"digest:{seed.ADMIN}"}):
        outcome = run("backup", settings={**settings, **more})
        assert_refused(ZooKeeperLoginFailed, "ZooKeeper demands a login", outcome)
        assert "Set ZOOKEEPER_SASL_MECHANISM" in outcome.error


def test_welcome_and_not_set(servers: Servers, folder: Path) -> None:
    """Without a login, a protected znode cannot be read, even if the server does not demand a login."""
    settings = without_sasl(digest_settings(servers.welcome, folder))
    assert_refused(ZnodeUnreadable, CLOSED, run("backup", settings=settings))


def test_failed_logins_are_let_in(folder: Path, tmp_path: Path) -> None:
    """A failed login is found even if the server keeps the session."""
    options = {"allowSaslFailedClients": "true"}
    with server_with(NEWEST, tmp_path, DIGEST, PROVIDER | options) as server:
        settings = digest_settings(server.address, folder)
        outcome = run("backup", settings={**settings, "ZOOKEEPER_SASL_PASSWORD": "wrong-word"})
        assert_refused(ZooKeeperLoginFailed, "ZOOKEEPER_SASL_PASSWORD", outcome)
        succeed("backup", settings=settings)


def test_over_tls(servers: Servers, folder: Path) -> None:
    """SASL works over TLS."""
    tls = {"ZOOKEEPER_TLS": "true", "ZOOKEEPER_TLS_CA": str(servers.authority.path)}
    settings = digest_settings(servers.secure, folder) | tls
    assert_saved(settings, "backup")
    outcome = run("backup", settings={**settings, "ZOOKEEPER_SASL_PASSWORD": "wrong-word"})
    assert_refused(ZooKeeperLoginFailed, "refused the login by SASL DIGEST-MD5", outcome)


def test_nothing_is_shown(settings: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """Neither the password nor a token is in a log, even at level debug."""
    caplog.set_level(1)
    caplog.set_level(1, logger="metadata_tool")
    plan, store = Settings(settings).job(), Settings(settings).store()
    assert PASSWORD not in repr(plan)
    backup.run(plan, open_store(store.location, store.options), Heartbeat())
    assert any(record.levelno <= logging.DEBUG and "granted a session" in record.message for record in caplog.records)
    for secret in (PASSWORD, PASSWORD.encode("unicode_escape").decode(), "response=", "rspauth"):
        assert secret not in caplog.text


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
def test_not_offered(version: str, folder: Path, tmp_path: Path) -> None:
    """A server without SASL is an error at once, which says so."""
    with standalone(version, tmp_path / "server") as server:
        outcome = run("backup", settings=digest_settings(server.address, folder))
    assert_refused(ZooKeeperLoginFailed, "offers no SASL. Leave ZOOKEEPER_SASL_MECHANISM empty", outcome)


def test_nobody_there(folder: Path) -> None:
    """If no server answers, the error is not about the login."""
    settings = digest_settings(f"127.0.0.1:{free_port()}", folder) | {"ZOOKEEPER_CONNECT_TIMEOUT": "1"}
    assert_refused(ZooKeeperUnreachable, "no ZooKeeper server answered", run("backup", settings=settings))


def restore(settings: dict[str, str], volume: Path, **changes: str) -> Outcome:
    """The outcome of a restore into a volume, which stays empty. The members are asked before a backup is read."""
    volume.mkdir(exist_ok=True)
    own = {"RESTORE_POINT": "file:///nowhere/pulsar-1.tar.gz", "ZOOKEEPER_DATA_DIR": str(volume)}
    outcome = run("restore", settings={**settings, **own, **changes})
    assert [] == list(volume.iterdir())
    assert outcome.error.endswith(". Nothing was touched.")
    return outcome


def test_restore_beside_it(settings: dict[str, str], tmp_path: Path) -> None:
    """A restore logs in, and reads that the ensemble comes from no restore."""
    outcome = restore(settings, tmp_path / "volume")
    assert_refused(ClusterRunning, "serves an ensemble that did not come from a restore", outcome)


def test_restore_with_a_wrong_password(settings: dict[str, str], tmp_path: Path) -> None:
    """A restore whose password is wrong names the setting, and does not show the password."""
    outcome = restore(settings, tmp_path / "volume", ZOOKEEPER_SASL_PASSWORD="wrong-word")
    assert_refused(ZooKeeperLoginFailed, "Check ZOOKEEPER_SASL_USER and ZOOKEEPER_SASL_PASSWORD", outcome)
    assert "wrong-word" not in outcome.said


def test_restore_without_the_login(servers: Servers, folder: Path, tmp_path: Path) -> None:
    """A restore without the login that the ensemble demands names a setting that it reads."""
    outcome = restore(without_sasl(digest_settings(servers.demanding, folder)), tmp_path / "volume")
    assert_refused(ZooKeeperLoginFailed, "Set ZOOKEEPER_SASL_MECHANISM, or ZOOKEEPER_AUTH", outcome)


@pytest.fixture(scope="module")
def kerberos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """A realm. If the machine lacks something for it, the tests fail, and say what to install."""
    with realm(tmp_path_factory.mktemp("kerberos")) as made:
        yield made


@pytest.fixture(scope="module", params=[NEWEST, pytest.param(OLDEST, marks=pytest.mark.soak)])
def kerberized(
    request: pytest.FixtureRequest, kerberos: Realm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a server that demands Kerberos."""
    directory = tmp_path_factory.mktemp("kerberized")
    login = (
        "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true useTicketCache=false "
        f"keyTab={quoted(str(kerberos.keytab))} principal={quoted(SERVICE)}"
    )
    option = f"-Djava.security.krb5.conf={kerberos.config}"
    with server_with(request.param, directory, login, PROVIDER, option) as server:
        fill(server, USER)
    with server_with(request.param, directory, login, DEMANDED, option) as server:
        yield f"localhost:{server.port}"


@pytest.fixture
def gssapi(kerberized: str, kerberos: Realm, folder: Path) -> dict[str, str]:
    """Valid settings for GSSAPI."""
    return {
        "BUCKET": f"file://{folder}",
        "ZOOKEEPER_SERVERS": kerberized,
        "ZOOKEEPER_CONNECT_TIMEOUT": "20",
        "ZOOKEEPER_SASL_MECHANISM": "GSSAPI",
        "ZOOKEEPER_SASL_PRINCIPAL": USER,
        "ZOOKEEPER_SASL_KEYTAB": str(kerberos.keytab),
        "KRB5_CONFIG": str(kerberos.config),
    }


def refused(settings: dict[str, str], **changes: str) -> Outcome:
    """The outcome of a backup with changed settings."""
    return run("backup", settings={**settings, **changes})


def test_kerberos(gssapi: dict[str, str]) -> None:
    """With a keytab, the tree is saved, with the znode that only this principal can read."""
    assert_saved(gssapi, USER)


def test_restore_with_kerberos(gssapi: dict[str, str], tmp_path: Path) -> None:
    """A restore logs in with a keytab, and names the setting if it cannot."""
    outcome = restore(gssapi, tmp_path / "volume")
    assert_refused(ClusterRunning, "serves an ensemble that did not come from a restore", outcome)
    outcome = restore(gssapi, tmp_path / "volume", ZOOKEEPER_SASL_KEYTAB="/nowhere")
    assert_refused(SettingError, "the keytab /nowhere cannot be read: No such file", outcome)


def test_kerberos_keytab_missing(gssapi: dict[str, str]) -> None:
    """A keytab that does not exist is named."""
    outcome = refused(gssapi, ZOOKEEPER_SASL_KEYTAB="/nowhere")
    assert_refused(SettingError, "the keytab /nowhere cannot be read: No such file", outcome)


def test_kerberos_no_keytab(gssapi: dict[str, str]) -> None:
    """A file that is not a keytab is named."""
    assert_refused(SettingError, f"the keytab {__file__}", refused(gssapi, ZOOKEEPER_SASL_KEYTAB=__file__))


def test_kerberos_principal_missing(gssapi: dict[str, str]) -> None:
    """If the keytab does not have the principal, both are named."""
    other = "other@EXAMPLE.TEST"
    outcome = refused(gssapi, ZOOKEEPER_SASL_PRINCIPAL=other)
    assert_refused(SettingError, f"has no key of {other}", outcome)
    assert "Check ZOOKEEPER_SASL_PRINCIPAL" in outcome.error


def test_kerberos_other_principal(gssapi: dict[str, str]) -> None:
    """Without ZOOKEEPER_SASL_PRINCIPAL, the keytab's first principal logs in."""
    assert_refused(ZnodeUnreadable, CLOSED, refused(gssapi, ZOOKEEPER_SASL_PRINCIPAL=""))


def test_kerberos_no_kdc(gssapi: dict[str, str], kerberos: Realm) -> None:
    """If the KDC does not answer, the error says so, and where the KDC is configured."""
    outcome = refused(gssapi, KRB5_CONFIG=str(kerberos.lost))
    assert_refused(ZooKeeperLoginFailed, "Check KRB5_CONFIG", outcome)


def test_kerberos_unknown_service(gssapi: dict[str, str]) -> None:
    """If a server's name is not in any principal, the error names it, and says what to compare."""
    outcome = refused(gssapi, ZOOKEEPER_SASL_SERVICE="zk")
    assert_refused(ZooKeeperLoginFailed, "Check ZOOKEEPER_SASL_SERVICE, and that ZOOKEEPER_SERVERS", outcome)


def test_kerberos_configuration_missing(gssapi: dict[str, str]) -> None:
    """Without a krb5.conf there is no ticket, and the error names the setting."""
    assert_refused(ZooKeeperLoginFailed, "Check KRB5_CONFIG", refused(gssapi, KRB5_CONFIG="/nowhere"))


def test_digest_where_kerberos_is_wanted(gssapi: dict[str, str], folder: Path) -> None:
    """DIGEST-MD5 with a server for GSSAPI is refused, and the setting is named."""
    outcome = run("backup", settings=digest_settings(gssapi["ZOOKEEPER_SERVERS"], folder))
    assert_refused(ZooKeeperLoginFailed, "ZOOKEEPER_SASL_MECHANISM", outcome)


def test_kerberos_where_digest_is_wanted(gssapi: dict[str, str], servers: Servers) -> None:
    """GSSAPI with a server for DIGEST-MD5 is refused, and the setting is named."""
    outcome = refused(gssapi, ZOOKEEPER_SERVERS=servers.welcome.replace("127.0.0.1", "localhost"))
    assert_refused(ZooKeeperLoginFailed, "does not speak SASL GSSAPI", outcome)
    assert "ZOOKEEPER_SASL_MECHANISM" in outcome.error


def test_kerberos_not_offered(gssapi: dict[str, str], tmp_path: Path) -> None:
    """A server without SASL is an error that says so."""
    with standalone(NEWEST, tmp_path / "server") as server:
        outcome = refused(gssapi, ZOOKEEPER_SERVERS=f"localhost:{server.port}")
    assert_refused(ZooKeeperLoginFailed, "offers no SASL", outcome)
