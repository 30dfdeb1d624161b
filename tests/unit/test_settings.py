import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metadata_tool.admin_token import AdminToken
from metadata_tool.backup import BackupJob
from metadata_tool.broker_metadata.access import BrokerAccess, BrokerSettings
from metadata_tool.catalog import BackupName, RestorePoint, Series
from metadata_tool.environment import Environment
from metadata_tool.errors import SettingError
from metadata_tool.location import Location
from metadata_tool.pulsar.moved_buckets import MovedBuckets
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.restore_job import RestoreJob
from metadata_tool.retention import Retention
from metadata_tool.settings import (
    VARIABLES,
    ScrubSettings,
    ServeSettings,
    Settings,
    StoreSettings,
    TieredStorageSettings,
)
from metadata_tool.store.base import StoreOptions, UploadOptions
from metadata_tool.store.credentials import Keys
from metadata_tool.variables import COMMANDS, LOG_LEVELS, RESTORE_SCOPE, Variable
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.datadir import DataDir
from metadata_tool.zookeeper.limits import ReadLimits
from metadata_tool.zookeeper.net.ensemble import Ensemble, Login
from metadata_tool.zookeeper.net.sasl import Sasl
from metadata_tool.zookeeper.net.tls import Tls
from support.trees import EXAMPLES, PATIENT

Values = dict[str, str]

SERVE = {"ZOOKEEPER_SERVERS": "zk-0:2181", "BUCKET": "s3a://my-bucket"}
RESTORE = {"RESTORE_POINT": "s3a://my-bucket/pulsar-1623721488825.tar.gz", "ZOOKEEPER_DATA_DIR": "/data"}
ALL = SERVE | RESTORE
TLS = ALL | {"ZOOKEEPER_TLS": "true"}
NAMES = [variable.name for variable in VARIABLES]
METHODS: dict[str, Callable[[Settings], object]] = {
    "serve": Settings.serve,
    "job": Settings.job,
    "restore": Settings.restore,
    "store": Settings.store,
    "tiered_storage": Settings.tiered_storage,
    "prefix": Settings.prefix,
    "spool_dir": Settings.spool_dir,
    "logs": Settings.logs,
}
BY_COMMAND: dict[str, Callable[[Settings], object]] = {
    "serve": lambda settings: (settings.serve(), settings.logs()),
    "backup": lambda settings: (settings.job(), settings.store(uploads=True), settings.logs()),
    "restore": lambda settings: (
        settings.restore(),
        settings.store(uploads=True),
        settings.tiered_storage(),
        settings.logs(),
    ),
    "rules": Settings.logs,
}
SECRET = "zq7secret"
NUMBERS = [variable for variable in VARIABLES if variable.kind == "number"]


def limits(variable: Variable) -> tuple[int, int]:
    """The limits of a number."""
    assert variable.low is not None
    assert variable.high is not None
    return variable.low, variable.high


@contextmanager
def refused(name: str) -> Iterator[pytest.ExceptionInfo[SettingError]]:
    """The block is refused, and what is said begins with the variable's name."""
    with pytest.raises(SettingError, match=f"^{name} ") as caught:
        yield caught


def said(error: BaseException | None) -> str:
    """All that an error and its causes say."""
    return f"{error}{error!r}{said(error.__cause__ or error.__context__)}" if error else ""


def test_defaults() -> None:
    """Where only the ensemble and the bucket are given, the rest is as the contract has it."""
    expected = ServeSettings(
        job=BackupJob(
            source=Source(Ensemble("zk-0:2181", patience=600)),
            prefix="metadata-backup",
            managed_ledger_path="/managed-ledgers",
            spool_dir=Path(tempfile.gettempdir()),
        ),
        store=StoreSettings(Location("s3a", "my-bucket", ""), StoreOptions()),
        interval=600,
        port=8088,
    )
    assert expected == Settings(SERVE).serve()


def test_restore_defaults() -> None:
    """A restore that is given no version is the first."""
    point = RestorePoint(Location("s3a", "my-bucket", ""), BackupName("pulsar", 1_623_721_488_825))
    expected = RestoreJob(
        point,
        "1",
        DataDir(Path("/data"), Path("/data")),
        Path(tempfile.gettempdir()),
        "",
        8080,
        False,
        RecoveryOptions(Scope.BOOKIES_LOST),
    )
    assert expected == Settings(RESTORE).restore()


def test_reconcile() -> None:
    """A backup is compared with tiered storage on purpose, and never if the bookies were kept."""
    for value, expected in {"": False, "false": False, "true": True}.items():
        job = Settings({**RESTORE, "TIERED_STORAGE_RECONCILE": value}).restore()
        assert (expected, expected) == (job.recovery_options.reconcile, job.waits)
    with refused("TIERED_STORAGE_RECONCILE"):
        Settings({**RESTORE, "TIERED_STORAGE_RECONCILE": "true", "RESTORE_SCOPE": "bookies-kept"}).restore()


def test_latest() -> None:
    """In place of a restore point, `latest` is the newest of the backups that BUCKET and BACKUP_PREFIX name."""
    environment = {**RESTORE, "RESTORE_POINT": "latest", "BUCKET": "s3://my-bucket/team", "BACKUP_PREFIX": "pulsar"}
    assert Series(Location("s3a", "my-bucket", "team"), "pulsar") == Settings(environment).restore().wanted
    del environment["BUCKET"]
    with refused("BUCKET"):
        Settings(environment).restore()


def test_newer_backups() -> None:
    """Another place for newer backups is an address with a prefix. Going back on purpose is a switch."""
    job = Settings({**RESTORE, "NEWER_BACKUPS_IN": "s3://other/team/pulsar", "ALLOW_OLDER": "true"}).restore()
    assert (True, (Series(Location("s3a", "other", "team"), "pulsar"),)) == (job.allow_older, job.newer_in)


def test_partial_backup() -> None:
    """A backup that lacks a part of Pulsar's metadata is restored only on purpose."""
    assert [False, True] == [
        Settings({**RESTORE, **more}).restore().allow_partial for more in ({}, {"ALLOW_PARTIAL": "true"})
    ]


@pytest.mark.parametrize("servers", ["zk-0:2181,zk-1:2181", ""])
@pytest.mark.parametrize("chroot", ["", "/pulsar/one"])
def test_layout_of_the_new_cluster(servers: str, chroot: str) -> None:
    """A restore knows where the new cluster looks for its metadata: the chroot, and the path of managed ledgers."""
    given = {"ZOOKEEPER_SERVERS": servers and servers + chroot, "MANAGED_LEDGER_PATH": "/own"}
    job = Settings(RESTORE | given).restore()
    assert (servers, Layout(servers and chroot, "/own")) == (job.ensemble, job.recovery_options.layout)


@pytest.mark.parametrize("value", ["s3a://bucket", "bucket/prefix", "s3a://bucket/", "s3a://bucket/a prefix"])
def test_wrong_place_of_newer_backups(value: str) -> None:
    """A place without a bucket or a prefix is refused."""
    with refused("NEWER_BACKUPS_IN"):
        Settings({**RESTORE, "NEWER_BACKUPS_IN": value}).restore()


def test_logs_apart() -> None:
    """ZooKeeper's logs may be in a directory of their own."""
    settings = Settings({**RESTORE, "ZOOKEEPER_DATA_LOG_DIR": "/logs"})
    assert DataDir(Path("/data"), Path("/logs")) == settings.restore().data


def test_restore_options() -> None:
    """Options of the new cluster are read as they are set."""
    given = {
        "RESTORE_SCOPE": "bookies-kept",
        "CLUSTER_NAME": "new",
        "RENAME_CLUSTER": "true",
        "INFINITE_RETENTION": "true",
        "CLUSTER_SERVICE_URL": "http://broker:8080/",
        "CLUSTER_BROKER_SERVICE_URL": "pulsar://broker:6650/",
    }
    urls = (("serviceUrl", "http://broker:8080/"), ("brokerServiceUrl", "pulsar://broker:6650/"))
    expected = RecoveryOptions(Scope.BOOKIES_KEPT, "new", rename_cluster=True, infinite_retention=True, urls=urls)
    assert expected == Settings(RESTORE | given).restore().recovery_options


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("RESTORE_SCOPE", "all", "bookies-lost or bookies-kept"),
        ("CLUSTER_NAME", "a/b", "a name of letters, digits"),
        ("RENAME_CLUSTER", "yes", "true or false"),
        ("INFINITE_RETENTION", "1", "true or false"),
        ("CLUSTER_SERVICE_URL", "broker:8080", "scheme://host:port"),
        ("CLUSTER_BROKER_SERVICE_URL", "pulsar://two words", "scheme://host:port"),
        ("MANAGED_LEDGER_PATH", "managed-ledgers", "the path of a znode"),
    ],
)
def test_wrong_option(name: str, value: str, expected: str) -> None:
    """An option with a wrong value is refused, and named. The hint says what it must be."""
    with refused(name) as caught:
        Settings(RESTORE | {name: value}).restore()
    assert expected in caught.value.hint


def test_all_given() -> None:
    """Every setting is read as it is set."""
    environment = {
        "ZOOKEEPER_SERVERS": "zk-0:2181,zk-1:2182/pulsar",
        "ZOOKEEPER_AUTH": "digest:admin:pass:word",
        "ZOOKEEPER_MULTI_READ_SIZE": "64",
        "ZOOKEEPER_MULTI_READS_IN_FLIGHT": "3",
        "ZOOKEEPER_ACL_CONNECTIONS": "8",
        "ZOOKEEPER_ACL_BATCH": "32",
        "BUCKET": "s3://my-bucket/team/prod",
        "BACKUP_PREFIX": "pulsar-backup",
        "BACKUP_INTERVAL": "60",
        "WEB_SERVER_PORT": "80",
        "MANAGED_LEDGER_PATH": "/ledgers/managed",
        "SPOOL_DIR": "/spool",
        "S3_ADDRESSING_STYLE": "path",
        "AWS_REGION": "eu-central-1",
        "S3_CREDENTIALS_DIR": "/etc/aws-secret",
    }
    login = Login("digest", "admin:pass:word")
    expected = ServeSettings(
        job=BackupJob(
            Source(
                Ensemble("zk-0:2181,zk-1:2182", login, 60),
                "/pulsar",
                ReadLimits(batch=64, in_flight=3, connections=8, acls=32),
            ),
            "pulsar-backup",
            "/ledgers/managed",
            Path("/spool"),
        ),
        store=StoreSettings(
            Location("s3a", "my-bucket", "team/prod"),
            StoreOptions("eu-central-1", addressing_style="path", credentials_dir=Path("/etc/aws-secret")),
        ),
        interval=60,
        port=80,
    )
    assert expected == Settings(environment).serve()


ADMIN_TOKEN = f"{SECRET}-{SECRET}"


def test_admin_token() -> None:
    """The token of the admin port is given as it is, or in a file. Without one there is none."""
    assert AdminToken() == Settings(SERVE).serve().token
    assert AdminToken(ADMIN_TOKEN) == Settings(SERVE | {"ADMIN_TOKEN": ADMIN_TOKEN}).serve().token
    in_file = Settings(SERVE | {"ADMIN_TOKEN_FILE": "/etc/admin/token"}).serve().token
    assert AdminToken(file=Path("/etc/admin/token")) == in_file


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ADMIN_TOKEN": SECRET}, "shorter than 16 characters. Set it to a random word"),
        ({"ADMIN_TOKEN": f"{ADMIN_TOKEN} x"}, "not one word of printable characters. Set it"),
        ({"ADMIN_TOKEN": ADMIN_TOKEN, "ADMIN_TOKEN_FILE": "/etc/admin/token"}, "are both set. Set one of them"),
    ],
)
def test_wrong_admin_token(given: dict[str, str], named: str) -> None:
    """A token that could be guessed, or two of them, are refused, and shown nowhere."""
    with refused("ADMIN_TOKEN") as caught:
        Settings(SERVE | given).serve()
    assert named in str(caught.value)
    assert SECRET not in said(caught.value)


@pytest.mark.parametrize("url", ["https://hc.example.com/a-b?c=d", "http://[::1]:8000/x", "http://watcher"])
def test_heartbeat_url(url: str) -> None:
    """The address of the heartbeat is taken as it is, and shown nowhere."""
    settings = Settings(SERVE | {"HEARTBEAT_URL": url}).serve()
    assert url == settings.heartbeat_url
    assert url not in repr(settings)


@pytest.mark.parametrize(
    "url", [SECRET, f"ftp://{SECRET}", f"https://{SECRET}:x", f"https://h/{SECRET} x", f"https:///{SECRET}"]
)
def test_wrong_heartbeat_url(url: str) -> None:
    """What is no address is refused, and not shown."""
    with refused("HEARTBEAT_URL") as caught:
        Settings(SERVE | {"HEARTBEAT_URL": url}).serve()
    assert "Set it to https://" in caught.value.hint
    assert SECRET not in said(caught.value)


BUCKET_DEMANDS = {
    "S3_CHECKSUMS": "off",
    "VERIFY": "checksum",
    "S3_EXPECTED_BUCKET_OWNER": "123456789012",
    "S3_REQUESTER_PAYS": "true",
    "S3_SERVER_SIDE_ENCRYPTION": "aws:kms:dsse",
    "S3_KMS_KEY_ID": "arn:aws:kms:eu-west-1:123456789012:key/a-b_c",
    "S3_STORAGE_CLASS": "STANDARD_IA",
    "S3_OBJECT_ACL": "bucket-owner-read",
}


def test_bucket_demands() -> None:
    """What a bucket demands is read as it is set. What concerns uploads is read only by commands that upload."""
    upload = UploadOptions("aws:kms:dsse", BUCKET_DEMANDS["S3_KMS_KEY_ID"], "STANDARD_IA", "bucket-owner-read")
    reading = StoreOptions(checksums="off", expected_bucket_owner="123456789012", requester_pays=True)
    settings = Settings(SERVE | BUCKET_DEMANDS)
    assert replace(reading, upload=upload, verify="checksum") == settings.serve().store.options
    assert replace(reading, upload=upload, verify="checksum") == settings.store(uploads=True).options
    assert reading == settings.store().options


@pytest.mark.parametrize(
    ("environment", "name", "reason"),
    [
        ({"S3_EXPECTED_BUCKET_OWNER": "me"}, "S3_EXPECTED_BUCKET_OWNER", "must be the id of an account, 12 digits"),
        ({"S3_STORAGE_CLASS": "cold"}, "S3_STORAGE_CLASS", "must be a storage class of the object store"),
        ({"S3_STORAGE_CLASS": "GLACIER"}, "S3_STORAGE_CLASS", "is GLACIER, whose objects cannot be read at once"),
        ({"S3_STORAGE_CLASS": "DEEP_ARCHIVE"}, "S3_STORAGE_CLASS", "Set it to a class such as STANDARD_IA"),
        (
            {"S3_KMS_KEY_ID": "two words", "S3_SERVER_SIDE_ENCRYPTION": "aws:kms"},
            "S3_KMS_KEY_ID",
            "must be the id or ARN of a KMS key",
        ),
        ({"S3_KMS_KEY_ID": "key"}, "S3_KMS_KEY_ID", "is set, but S3_SERVER_SIDE_ENCRYPTION is not. Set"),
        (
            {"S3_KMS_KEY_ID": "key", "S3_SERVER_SIDE_ENCRYPTION": "AES256"},
            "S3_KMS_KEY_ID",
            "is set, but S3_SERVER_SIDE_ENCRYPTION is AES256. Set S3_SERVER_SIDE_ENCRYPTION=aws:kms, or remove",
        ),
    ],
)
def test_wrong_demands(environment: Values, name: str, reason: str) -> None:
    """What no bucket can demand, and what does not belong together, is refused before an upload, with what to do."""
    with refused(name) as caught:
        Settings(SERVE | environment).serve()
    assert reason in str(caught.value)


TIERED_STORAGE = {
    "TIERED_STORAGE_ENDPOINT_URL": "https://s3.example.com",
    "TIERED_STORAGE_REGION": "eu-west-3",
    "TIERED_STORAGE_ADDRESSING_STYLE": "virtual",
    "TIERED_STORAGE_ACCESS_KEY_ID": "access",
    "TIERED_STORAGE_SECRET_ACCESS_KEY": SECRET,
    "TIERED_STORAGE_BUCKETS": "old=new, older = newer",
    "SCRUB_REQUESTS": "3",
}
OF_BACKUPS = {
    "AWS_REGION": "eu-west-1",
    "S3_ADDRESSING_STYLE": "path",
    "S3_CREDENTIALS_DIR": "/etc/aws-secret",
    "S3_EXPECTED_BUCKET_OWNER": "123456789012",
    "S3_REQUESTER_PAYS": "true",
}


def test_tiered_storage() -> None:
    """Tiered storage has an endpoint, a region, an addressing style, keys and names of its own."""
    options = StoreOptions("eu-west-3", "https://s3.example.com", Keys("access", SECRET), "virtual")
    expected = TieredStorageSettings(options, {"old": "new", "older": "newer"}, 3)
    assert expected == Settings(TIERED_STORAGE).tiered_storage()


def test_tiered_storage_like_the_backups() -> None:
    """What is not set for tiered storage is as for the backups, except for the owner of their bucket."""
    options = StoreOptions(
        "eu-west-1", addressing_style="path", credentials_dir=Path("/etc/aws-secret"), requester_pays=True
    )
    assert TieredStorageSettings(options, {}, 8) == Settings(OF_BACKUPS).tiered_storage()
    assert TieredStorageSettings(StoreOptions(), {}, 8) == Settings({}).tiered_storage()


def test_keys_of_tiered_storage_as_files() -> None:
    """Keys of tiered storage in a directory override those in variables, and those of the backups."""
    files = {"TIERED_STORAGE_CREDENTIALS_DIR": "/etc/tiered-storage-secret"}
    options = Settings(OF_BACKUPS | TIERED_STORAGE | files).tiered_storage().options
    expected = (Path("/etc/tiered-storage-secret"), "TIERED_STORAGE_CREDENTIALS_DIR", None)
    assert expected == (options.credentials_dir, options.credentials_setting, options.keys)


@pytest.mark.parametrize("blank", [{}, {"SCRUB_INTERVAL": " "}, {"SCRUB_LIST_ONLY": "true"}])
def test_no_scrubs(blank: Values) -> None:
    """Without an interval, the service does not scrub."""
    assert Settings(SERVE | blank).serve().scrub is None


def test_scrubs() -> None:
    """With an interval, the service scrubs as tiered storage is set, and logs as itself does."""
    environment = SERVE | TIERED_STORAGE | {"SCRUB_INTERVAL": "86400", "LOG_FORMAT": "json"}
    storage = Settings(TIERED_STORAGE).tiered_storage()
    assert ScrubSettings(storage, 86400, False, ("json", "info")) == Settings(environment).serve().scrub
    listing = Settings(environment | {"SCRUB_LIST_ONLY": "true"}).serve().scrub
    assert listing
    assert listing.list_only


@pytest.mark.parametrize("missing", ["TIERED_STORAGE_ACCESS_KEY_ID", "TIERED_STORAGE_SECRET_ACCESS_KEY"])
def test_half_a_key_of_tiered_storage(missing: str) -> None:
    """A key without its secret, and a secret without its key, is refused, and shown nowhere."""
    keys = {"TIERED_STORAGE_ACCESS_KEY_ID": SECRET, "TIERED_STORAGE_SECRET_ACCESS_KEY": SECRET}
    (given,) = (name for name in keys if name != missing)
    with refused(f"{given} is set, but {missing} is not. Set both") as caught:
        Settings({name: value for name, value in keys.items() if name != missing}).tiered_storage()
    assert SECRET not in said(caught.value)


@pytest.mark.parametrize(
    "value",
    ["abc", "abc=", "=abc", "abc=def,", ",", "abc=def,abc=ghi", "abc=def,ghi", "abc=def=ghi", "abc=d/ef", "a=bcd"],
)
def test_wrong_names_of_buckets(value: str) -> None:
    """Names of moved buckets are pairs, with each old name once. The hint says so."""
    with refused("TIERED_STORAGE_BUCKETS") as caught:
        Settings({"TIERED_STORAGE_BUCKETS": value}).tiered_storage()
    assert "TIERED_STORAGE_BUCKETS is not valid" == caught.value.message
    assert "Set it to old-name=new-name" in caught.value.hint


def test_moved_buckets_of_a_restore() -> None:
    """A restore gets the moved buckets, and the brokers' region and endpoint for them, apart from its own access."""
    own = {
        "TIERED_STORAGE_BROKER_REGION": "us-east-2",
        "TIERED_STORAGE_BROKER_ENDPOINT_URL": "https://s3.example.net",
        "TIERED_STORAGE_BUCKETS": "older=newer,old=new",
    }
    job = Settings(RESTORE | own).restore()
    expected = MovedBuckets((("old", "new"), ("older", "newer")), "us-east-2", "https://s3.example.net")
    assert (expected, None) == (job.recovery_options.buckets, job.bucket_access)


@pytest.mark.parametrize(
    "name",
    [
        "TIERED_STORAGE_ENDPOINT_URL",
        "TIERED_STORAGE_REGION",
        "TIERED_STORAGE_ACCESS_KEY_ID",
        "TIERED_STORAGE_CREDENTIALS_DIR",
    ],
)
def test_access_of_a_restore(name: str) -> None:
    """A restore reads the buckets of tiered storage if an endpoint, a region or keys are set for them."""
    environment = RESTORE | {name: TIERED_STORAGE.get(name, "/etc/tiered-storage-secret")}
    if name == "TIERED_STORAGE_ACCESS_KEY_ID":
        environment["TIERED_STORAGE_SECRET_ACCESS_KEY"] = SECRET
    assert Settings(environment).restore().bucket_access == Settings(environment).tiered_storage().options
    assert Settings(RESTORE | {"TIERED_STORAGE_ADDRESSING_STYLE": "path"}).restore().bucket_access is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIERED_STORAGE_BUCKETS", "old"),
        ("TIERED_STORAGE_BROKER_REGION", "eu west"),
        ("TIERED_STORAGE_BROKER_ENDPOINT_URL", "s3"),
        ("TIERED_STORAGE_SECRET_ACCESS_KEY", SECRET),
    ],
)
def test_wrong_moved_buckets_of_a_restore(name: str, value: str) -> None:
    """Each setting of moved buckets is checked before a restore does anything."""
    with refused(name) as caught:
        Settings(RESTORE | {"TIERED_STORAGE_BUCKETS": "old=new", name: value}).restore()
    assert SECRET not in said(caught.value)


@pytest.mark.parametrize("name", ["TIERED_STORAGE_BROKER_REGION", "TIERED_STORAGE_BROKER_ENDPOINT_URL"])
def test_place_of_buckets_that_have_not_moved(name: str) -> None:
    """A region or an endpoint without a bucket that has moved is a mistake."""
    with refused(name) as caught:
        Settings(RESTORE | {name: "https://s3"}).restore()
    assert "is set, but TIERED_STORAGE_BUCKETS is not" in str(caught.value)


@pytest.mark.parametrize("value", ["s3.example.com", "ftp://s3.example.com", "https://two words"])
def test_wrong_endpoint_of_tiered_storage(value: str) -> None:
    """An endpoint that is not an address by HTTP is refused, with an example of one."""
    with refused("TIERED_STORAGE_ENDPOINT_URL") as caught:
        Settings({"TIERED_STORAGE_ENDPOINT_URL": value}).tiered_storage()
    assert "https://s3.example.com" in caught.value.hint


BROKER = SERVE | {"BROKER_SERVICE_URL": "https://broker:8443/"}
BROKER_FILES = {"BROKER_TLS_CA": "/ca", "BROKER_TLS_CERT": "/cert", "BROKER_TLS_KEY": "/key"}


def test_no_broker() -> None:
    """Without an address brokers are asked for nothing."""
    assert None is Settings(SERVE).job().broker


def test_broker() -> None:
    """The brokers' web service, with the defaults and with all that can be set."""
    expected = BrokerSettings(BrokerAccess("https://broker:8443"), 120, 4, 200)
    assert expected == Settings(BROKER).job().broker == Settings(BROKER).serve().job.broker
    given_values = BROKER | BROKER_FILES | {"BROKER_TOKEN_FILE": "/token", "BROKER_TIMEOUT": "9"}
    given_values |= {"BROKER_REQUESTS": "2", "BROKER_REQUEST_RATE": "7"}
    access = BrokerAccess("https://broker:8443", "", Path("/token"), Path("/ca"), Path("/cert"), Path("/key"))
    assert BrokerSettings(access, 9, 2, 7) == Settings(given_values).job().broker
    assert SECRET == Settings(BROKER | {"BROKER_TOKEN": SECRET}).broker_access().token


@pytest.mark.parametrize(
    ("environment", "name", "hint"),
    [
        (SERVE | {"BROKER_TOKEN": SECRET}, "BROKER_TOKEN", "Set BROKER_SERVICE_URL to"),
        (SERVE | {"BROKER_TLS_CA": "/ca"}, "BROKER_TLS_CA", "Set BROKER_SERVICE_URL to"),
        (BROKER | {"BROKER_TOKEN": SECRET, "BROKER_TOKEN_FILE": "/t"}, "BROKER_TOKEN", "Set one of them"),
        (BROKER | {"BROKER_TOKEN": f"{SECRET} x"}, "BROKER_TOKEN", "is secret and not shown"),
        (BROKER | {"BROKER_TOKEN": f"{SECRET}\udcff"}, "BROKER_TOKEN", "is secret and not shown"),
        (BROKER | {"BROKER_TLS_CERT": "/cert"}, "BROKER_TLS_KEY", "Set both"),
        (BROKER | {"BROKER_TLS_KEY": "/key"}, "BROKER_TLS_CERT", "Set both"),
        (BROKER | BROKER_FILES | {"BROKER_SERVICE_URL": "http://b"}, "BROKER_TLS_CA", "https://host:port, or remove"),
        (SERVE | {"BROKER_TOKEN_FILE": "/t"}, "BROKER_TOKEN_FILE", "Set BROKER_SERVICE_URL to"),
    ],
)
def test_wrong_broker_access(environment: Values, name: str, hint: str) -> None:
    """Settings that do not fit together are refused with what to set, and no secret is shown."""
    with refused(name) as caught:
        Settings(environment).job()
    assert hint in caught.value.hint
    assert SECRET not in said(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "broker:8080",
        "pulsar://broker:6650",
        "http://",
        "http://broker:0",
        "http://broker:65536",
        "http://a b",
        "http:///",
        f"http://u:{SECRET}@broker:8080",
        f"http://broker/?token={SECRET}",
        "http://broker:8080/admin",
        "http://b\udcff",
    ],
)
def test_wrong_broker_address(url: str) -> None:
    """An address that is not that of a web service alone is refused, and not repeated, because it may hold a secret."""
    with refused("BROKER_SERVICE_URL") as caught:
        Settings(SERVE | {"BROKER_SERVICE_URL": url}).job()
    assert SECRET not in said(caught.value)


@pytest.mark.parametrize(("given_value", "expected"), [(None, 30), ("", 30), ("1", 1), ("86400", 86400)])
def test_connect_timeout(given_value: str | None, expected: int) -> None:
    """A single backup waits for ZooKeeper for the seconds that are set, or 30."""
    more = {} if given_value is None else {"ZOOKEEPER_CONNECT_TIMEOUT": given_value}
    assert expected == Settings(SERVE | more).job().source.ensemble.patience


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_empty_is_default(blank: str) -> None:
    """An empty variable counts as unset."""
    empty = dict.fromkeys(NAMES, blank)
    assert Settings(SERVE).serve() == Settings(empty | SERVE).serve()
    assert Settings(RESTORE).restore() == Settings(empty | RESTORE).restore()
    assert Settings({}).logs() == Settings(empty).logs()


def test_blanks_around() -> None:
    """Blanks and line ends around a value do not matter."""
    padded = {name: f" {value}\n" for name, value in (ALL | {"BACKUP_INTERVAL": "60", "BACKUP_PREFIX": "a"}).items()}
    plain = ALL | {"BACKUP_INTERVAL": "60", "BACKUP_PREFIX": "a"}
    assert Settings(plain).serve() == Settings(padded).serve()
    assert Settings(plain).restore() == Settings(padded).restore()


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the environment of the process."""
    monkeypatch.setenv("BUCKET", "s3a://from-environment")
    assert Location("s3a", "from-environment", "") == Settings().store().location


def test_given_location() -> None:
    """A location that is given otherwise goes before BUCKET, which may then be missing."""
    location = Location("file", "", "backups")
    assert StoreSettings(location, StoreOptions()) == Settings({}).store(location)


@pytest.mark.parametrize("name", ["ZOOKEEPER_SERVERS", "BUCKET"])
@pytest.mark.parametrize(
    ("more", "state"), [(None, "is not set"), ("", "is empty"), (" ", "is empty")], ids=["missing", "empty", "blank"]
)
def test_serve_requires(name: str, more: str | None, state: str) -> None:
    """The service does not start without an ensemble and a bucket, and says which one it lacks."""
    environment = {key: value for key, value in SERVE.items() if key != name}
    if more is not None:
        environment[name] = more
    with refused(name) as caught:
        Settings(environment).serve()
    assert f"{name} {state}" == caught.value.message


@pytest.mark.parametrize("name", ["RESTORE_POINT", "ZOOKEEPER_DATA_DIR"])
@pytest.mark.parametrize("empty", [False, True])
def test_restore_requires(name: str, empty: bool) -> None:
    """A restore does not start without a restore point and a data directory, and says which one it lacks."""
    environment = {key: value for key, value in RESTORE.items() if key != name}
    with refused(name):
        Settings({**environment, name: ""} if empty else environment).restore()


def read_alone(variable: Variable, value: str) -> int:
    """What a variable's value is read as, whichever command reads it."""
    return Environment({variable.name: value}).number(variable)


@pytest.mark.parametrize("variable", NUMBERS, ids=lambda variable: variable.name)
@given(data=st.data())
def test_number_within_its_limits(variable: Variable, data: st.DataObject) -> None:
    """A number is taken from its lower to its upper limit, both included."""
    low, high = limits(variable)
    for value in (low, high, data.draw(st.integers(low, high))):
        assert value == read_alone(variable, str(value))


@pytest.mark.parametrize("variable", NUMBERS, ids=lambda variable: variable.name)
@given(data=st.data())
def test_number_beyond_its_limits(variable: Variable, data: st.DataObject) -> None:
    """A number below its lower or above its upper limit is refused, with both limits and the unit."""
    low, high = limits(variable)
    beyond = data.draw(st.integers(max_value=low - 1) | st.integers(min_value=high + 1))
    for value in (low - 1, high + 1, beyond):
        with refused(variable.name) as caught:
            read_alone(variable, str(value))
        assert f"from {low} to {high}." in str(caught.value)
        assert variable.unit in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ["abc", "1.5", "1e3", "10m", "1 0", "0x10", "+1", "\u0661", "9" * 5000],
    ids=lambda value: value[:12],
)
def test_wrong_number(value: str) -> None:
    """Text that is not a whole number is refused."""
    for variable in NUMBERS:
        with refused(variable.name):
            read_alone(variable, value)


COMPLETE = {
    "DIGEST-MD5": {"ZOOKEEPER_SASL_USER": "u", "ZOOKEEPER_SASL_PASSWORD": SECRET},
    "GSSAPI": {"ZOOKEEPER_SASL_KEYTAB": "/etc/keytab"},
}
"""What a choice needs besides."""


@pytest.mark.parametrize("command", BY_COMMAND)
def test_limits_hold_in_each_command(command: str) -> None:
    """Each command that reads a variable takes its limits and choices, and refuses what is beyond them."""
    for variable in (variable for variable in VARIABLES if command in variable.readers):
        ends, beyond = list(variable.choices), ["wrong"] if variable.choices else []
        if variable.kind == "number":
            low, high = limits(variable)
            ends, beyond = [str(low), str(high)], [str(low - 1), str(high + 1)]
        for value in ends:
            error = works_or_refused(BY_COMMAND[command], TLS | COMPLETE.get(value, {}) | {variable.name: value})
            assert (variable.name, value, None) == (variable.name, value, error)
        for value in beyond:
            error = works_or_refused(BY_COMMAND[command], TLS | {variable.name: value})
            assert f"{variable.name} is '{value}'. It must be {variable.expected}." == str(error)


def test_refusal_of_a_number() -> None:
    """A refusal says what the value is and what it must be."""
    with refused("ZOOKEEPER_MULTI_READ_SIZE") as caught:
        Settings(SERVE | {"ZOOKEEPER_MULTI_READ_SIZE": "0"}).serve()
    expected = "ZOOKEEPER_MULTI_READ_SIZE is '0'. It must be a number of znodes from 1 to 4096."
    assert expected == str(caught.value)


def test_refusal_of_a_choice() -> None:
    """A refusal names all choices."""
    with refused("RESTORE_SCOPE") as caught:
        Settings(RESTORE | {"RESTORE_SCOPE": "all"}).restore()
    assert "RESTORE_SCOPE is 'all'. It must be bookies-lost or bookies-kept." == str(caught.value)


def test_every_variable_is_described() -> None:
    """Readers are commands, a default is a value that is allowed, and a meaning has at most two sentences."""
    for variable in VARIABLES:
        assert set(variable.required_by) <= set(variable.readers) <= set(COMMANDS), variable
        assert variable.readers, variable
        assert (variable.kind in ("choice", "switch")) == bool(variable.choices), variable
        number = variable.kind in ("number", "fraction")
        assert number == (variable.low is not None) == (variable.high is not None), variable
        assert not variable.choices or variable.default in ("", *variable.choices), variable
        assert not variable.required_by or not variable.default, variable
        assert 1 >= variable.meaning.count(". "), variable
        assert not variable.meaning.endswith("."), variable


def test_scopes() -> None:
    """The choices of RESTORE_SCOPE are the scopes that there are."""
    assert tuple(scope.value for scope in Scope) == RESTORE_SCOPE.choices


@pytest.mark.parametrize("level", LOG_LEVELS)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_logs(log_format: str, level: str) -> None:
    """The log has a form and a level."""
    assert (log_format, level) == Settings({"LOG_FORMAT": log_format, "LOG_LEVEL": level}).logs()


def test_logs_in_capitals() -> None:
    """Form and level of the log may be in capitals, as other programs want them."""
    assert ("json", "warning") == Settings({"LOG_FORMAT": "JSON", "LOG_LEVEL": "WARNING"}).logs()


@pytest.mark.parametrize(("name", "value"), [("LOG_FORMAT", "xml"), ("LOG_LEVEL", "trace")])
def test_wrong_logs(name: str, value: str) -> None:
    """A form or a level that does not exist is refused."""
    with refused(name):
        Settings({name: value}).logs()


def test_default_logs() -> None:
    """Without settings the log is text, from info on."""
    assert ("text", "info") == Settings({}).logs()


@pytest.mark.parametrize("value", ["1", "31536000"])
def test_patience(value: str) -> None:
    """The service waits for ZooKeeper until the next backup is due."""
    found = Settings(SERVE | {"BACKUP_INTERVAL": value}).serve()
    assert (int(value), int(value)) == (found.interval, found.job.source.ensemble.patience)


@pytest.mark.parametrize(
    "value",
    [
        "my-bucket",
        "s3a:/my-bucket",
        "s3a://",
        "s3a:///path",
        "s3a://b",
        "s3a://my bucket",
        "s3a://my_bücket",
        "s3a://my-bucket//",
        "s3a://my-bucket/../other",
        "s3a://my-bucket/a b",
        "S3A://my-bucket",
        "gs://my-bucket",
        "https://my-bucket.s3.amazonaws.com",
        "file://host/directory",
        "file:///",
        "/directory",
    ],
)
def test_wrong_bucket(value: str) -> None:
    """A bucket that is malformed is refused."""
    with refused("BUCKET"):
        Settings(SERVE | {"BUCKET": value}).store()


@pytest.mark.parametrize("scheme", ["s3", "s3a", "https", "file"])
def test_credentials_in_bucket(scheme: str) -> None:
    """Credentials in a bucket's address are refused, and repeated nowhere."""
    with refused("BUCKET") as caught:
        Settings(SERVE | {"BUCKET": f"{scheme}://AKIA:{SECRET}@my-bucket/path"}).store()
    assert SECRET not in said(caught.value)


@pytest.mark.parametrize("scheme", ["s3", "s3a", "https", "file"])
def test_credentials_in_restore_point(scheme: str) -> None:
    """Credentials in a restore point are refused, and repeated nowhere."""
    value = f"{scheme}://AKIA:{SECRET}@my-bucket/pulsar-1.tar.gz"
    with refused("RESTORE_POINT") as caught:
        Settings(RESTORE | {"RESTORE_POINT": value}).restore()
    assert SECRET not in said(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        f"user:{SECRET}",
        f"sasl:user:{SECRET}",
        f"Digest:user:{SECRET}",
        f":user:{SECRET}",
        f"digest:{SECRET}",
        f"digest::{SECRET}",
        f"digest:{SECRET}:",
        f"digest {SECRET}:x",
    ],
)
def test_wrong_login(value: str) -> None:
    """A login that is malformed is refused, and shown nowhere."""
    with refused("ZOOKEEPER_AUTH") as caught:
        Settings(SERVE | {"ZOOKEEPER_AUTH": value}).job()
    assert "digest:user:password" in caught.value.message
    assert "Set it to that form" in caught.value.hint
    assert SECRET not in said(caught.value)


def test_login_is_hidden() -> None:
    """A login is not shown with the settings."""
    assert SECRET not in repr(Settings(SERVE | {"ZOOKEEPER_AUTH": f"digest:user:{SECRET}"}).serve())


CERTIFICATE = {"ZOOKEEPER_TLS_CERT": "/etc/client.pem", "ZOOKEEPER_TLS_KEY": "/etc/key.pem"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Tls()),
        (
            CERTIFICATE | {"ZOOKEEPER_TLS_CA": "/etc/ca.pem", "ZOOKEEPER_TLS_KEY_PASSWORD": SECRET},
            Tls("/etc/ca.pem", "/etc/client.pem", "/etc/key.pem", SECRET),
        ),
        ({"ZOOKEEPER_TLS_CHECK_HOSTNAME": "false"}, Tls(check_hostname=False)),
    ],
)
def test_tls(environment: Values, expected: Tls) -> None:
    """TLS has the authorities, the client certificate and the password that are set, and checks host names."""
    assert expected == Settings(TLS | environment).job().source.ensemble.tls


@pytest.mark.parametrize("missing", sorted(CERTIFICATE))
def test_half_a_certificate(missing: str) -> None:
    """A certificate without a key, and a key without a certificate, is refused. The missing one is named."""
    half = {name: value for name, value in CERTIFICATE.items() if name != missing}
    with refused(f"{missing} is not set. Set both ZOOKEEPER_TLS_CERT and ZOOKEEPER_TLS_KEY,"):
        Settings(TLS | half).job()


@pytest.mark.parametrize("name", ["ZOOKEEPER_TLS_CA", *CERTIFICATE])
def test_certificates_without_tls(name: str) -> None:
    """Certificates without TLS are refused, because they would have no effect. The hint names both ways out."""
    with refused(name) as caught:
        Settings(SERVE | {name: "/etc/file.pem"}).job()
    assert f"Set ZOOKEEPER_TLS=true, or remove {name}" == caught.value.hint


DIGEST_MD5 = {"ZOOKEEPER_SASL_MECHANISM": "DIGEST-MD5", "ZOOKEEPER_SASL_USER": "u", "ZOOKEEPER_SASL_PASSWORD": SECRET}
GSSAPI = {"ZOOKEEPER_SASL_MECHANISM": "GSSAPI", "ZOOKEEPER_SASL_KEYTAB": "/etc/keytab"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (DIGEST_MD5, Sasl("DIGEST-MD5", user="u", password=SECRET)),
        (GSSAPI, Sasl("GSSAPI", service="zookeeper", keytab="/etc/keytab")),
        (
            GSSAPI | {"ZOOKEEPER_SASL_PRINCIPAL": "a/b@C.D", "ZOOKEEPER_SASL_SERVICE": "zk"},
            Sasl("GSSAPI", service="zk", principal="a/b@C.D", keytab="/etc/keytab"),
        ),
    ],
)
def test_sasl(environment: Values, expected: Sasl | None) -> None:
    """A SASL login is read as it is set, with another login or without."""
    for more in ({}, {"ZOOKEEPER_AUTH": "digest:user:password"}):
        assert expected == Settings(SERVE | environment | more).job().source.ensemble.sasl


@pytest.mark.parametrize(
    ("environment", "name", "hint"),
    [
        ({"ZOOKEEPER_SASL_MECHANISM": "PLAIN"}, "ZOOKEEPER_SASL_MECHANISM", "It must be DIGEST-MD5 or GSSAPI"),
        ({"ZOOKEEPER_SASL_MECHANISM": "digest-md5"}, "ZOOKEEPER_SASL_MECHANISM", "It must be DIGEST-MD5 or GSSAPI"),
        ({"ZOOKEEPER_SASL_USER": "u"}, "ZOOKEEPER_SASL_USER", "Set ZOOKEEPER_SASL_MECHANISM=DIGEST-MD5"),
        ({"ZOOKEEPER_SASL_PASSWORD": SECRET}, "ZOOKEEPER_SASL_PASSWORD", "Set ZOOKEEPER_SASL_MECHANISM=DIGEST-MD5"),
        ({"ZOOKEEPER_SASL_KEYTAB": "/k"}, "ZOOKEEPER_SASL_KEYTAB", "Set ZOOKEEPER_SASL_MECHANISM=GSSAPI"),
        ({"ZOOKEEPER_SASL_SERVICE": "zk"}, "ZOOKEEPER_SASL_SERVICE", "Set ZOOKEEPER_SASL_MECHANISM=GSSAPI"),
        (DIGEST_MD5 | {"ZOOKEEPER_SASL_USER": ""}, "ZOOKEEPER_SASL_USER", "Set the user and the password"),
        (DIGEST_MD5 | {"ZOOKEEPER_SASL_PASSWORD": ""}, "ZOOKEEPER_SASL_PASSWORD", "Set the user and the password"),
        (DIGEST_MD5 | {"ZOOKEEPER_SASL_USER": "u\nv"}, "ZOOKEEPER_SASL_USER", "cannot be printed"),
        (
            DIGEST_MD5 | {"ZOOKEEPER_SASL_USER": "u\nv"},
            "ZOOKEEPER_SASL_USER",
            "Set it to the user of the servers' JAAS",
        ),
        (DIGEST_MD5 | {"ZOOKEEPER_SASL_PASSWORD": f"\udcff{SECRET}"}, "ZOOKEEPER_SASL_PASSWORD", "not UTF-8"),
        (DIGEST_MD5 | {"ZOOKEEPER_SASL_PASSWORD": "\udcff"}, "ZOOKEEPER_SASL_PASSWORD", "Set it to UTF-8 text"),
        ({"ZOOKEEPER_SASL_KEYTAB": "/k"}, "ZOOKEEPER_SASL_KEYTAB", "ZOOKEEPER_SASL_MECHANISM is not. "),
        (DIGEST_MD5 | {"ZOOKEEPER_SASL_KEYTAB": "/k"}, "ZOOKEEPER_SASL_KEYTAB", "ZOOKEEPER_SASL_MECHANISM is DIGEST"),
        (GSSAPI | {"ZOOKEEPER_SASL_KEYTAB": ""}, "ZOOKEEPER_SASL_KEYTAB", "Set it to the path of a keytab"),
        (GSSAPI | {"ZOOKEEPER_SASL_PASSWORD": SECRET}, "ZOOKEEPER_SASL_PASSWORD", "ZOOKEEPER_SASL_MECHANISM is GSSAPI"),
        (GSSAPI | {"ZOOKEEPER_SASL_PRINCIPAL": "a@b@c"}, "ZOOKEEPER_SASL_PRINCIPAL", "backup@REALM"),
        (GSSAPI | {"ZOOKEEPER_SASL_SERVICE": "zk/host"}, "ZOOKEEPER_SASL_SERVICE", "letters, digits"),
    ],
)
def test_wrong_sasl(environment: Values, name: str, hint: str) -> None:
    """What does not belong together, or is missing, is named, and no password is shown."""
    with refused(name) as caught:
        Settings(SERVE | environment).serve()
    assert hint in str(caught.value)
    assert SECRET not in said(caught.value)


def test_sasl_password_is_hidden() -> None:
    """A password is not shown with the settings."""
    assert SECRET not in repr(Settings(SERVE | DIGEST_MD5).serve())


@pytest.mark.parametrize(
    ("value", "servers", "chroot"),
    [
        ("zk", "zk", ""),
        ("zk-0.zk.ns.svc.cluster.local.:2181", "zk-0.zk.ns.svc.cluster.local.:2181", ""),
        ("zk_0:1,10.0.0.1:65535", "zk_0:1,10.0.0.1:65535", ""),
        ("[::1]", "[::1]", ""),
        ("[2001:db8::1]:2181,[::ffff:10.0.0.1]:2182/a", "[2001:db8::1]:2181,[::ffff:10.0.0.1]:2182", "/a"),
        ("a:1, b:2 ,c:3/x/y", "a:1,b:2,c:3", "/x/y"),
        ("a:1/", "a:1", ""),
        ("a:1/x/", "a:1", "/x"),
        ("a:1/X", "a:1", "/X"),
        ("a:1/ä b", "a:1", "/ä b"),
    ],
)
def test_servers(value: str, servers: str, chroot: str) -> None:
    """The ensemble may be named by hosts, IPv4 and IPv6, with ports or without, and a chroot at the end."""
    source = Settings(SERVE | {"ZOOKEEPER_SERVERS": value}).job().source
    assert (servers, chroot) == (source.ensemble.servers, source.chroot)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=value[:30])
        for value in (
            ",",
            "a:1,",
            ",a:1",
            "a:1,,b:1",
            "/pulsar",
            "a:",
            "a:0",
            "a:65536",
            "a:-1",
            "a:b",
            "a:1:2",
            "::1",
            "::1:2181",
            "[::1",
            "[]:2181",
            "[zk]:2181",
            "a b:1",
            "a:1;b:1",
            "-a:1",
            "zk://a:1",
            "a:1//pulsar",
            "a:1/x//y",
            "a:1/x\ny",
            "a:\u0661",
            "a:" + "9" * 20,
        )
    ],
)
def test_wrong_servers(value: str) -> None:
    """An ensemble that is malformed is refused."""
    with refused("ZOOKEEPER_SERVERS"):
        Settings(SERVE | {"ZOOKEEPER_SERVERS": value}).job()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a:0,b:1", "member 1 is not host:port"),
        ("a:1,b:0", "member 2 is not host:port"),
        ("a:1/..", "its chroot is not"),
    ],
)
def test_what_is_wrong_with_servers(value: str, reason: str) -> None:
    """A malformed ensemble is refused with the member or the chroot that is wrong, and with the right form."""
    with refused("ZOOKEEPER_SERVERS") as caught:
        Settings(SERVE | {"ZOOKEEPER_SERVERS": value}).job()
    assert reason in caught.value.message
    assert "Set it to host:port,host:port" in caught.value.hint


def test_very_long_port() -> None:
    """A server's port is refused however long it is."""
    with refused("ZOOKEEPER_SERVERS"):
        Settings(SERVE | {"ZOOKEEPER_SERVERS": "a:" + "9" * 5000}).job()


@pytest.mark.parametrize("value", ["a:1/.", "a:1/..", "a:1/x/../y", "a:1/x/./y"])
def test_relative_chroot(value: str) -> None:
    """A chroot that cannot be the path of a znode is refused."""
    with refused("ZOOKEEPER_SERVERS"):
        Settings(SERVE | {"ZOOKEEPER_SERVERS": value}).job()


@pytest.mark.parametrize("value", ["-a", ".a", "a/b", "a b", "ä", "a\nb", "../a", "a" * 201, "a-suspect"])
def test_wrong_prefix(value: str) -> None:
    """A prefix that is not safe in a name is refused, wherever it is read."""
    for command in (Settings.prefix, Settings.job, Settings.serve):
        with refused("BACKUP_PREFIX") as caught:
            command(Settings(SERVE | {"BACKUP_PREFIX": value}))
        assert "up to 200 letters, digits" in caught.value.hint


@pytest.mark.parametrize("value", ["a", "0", "metadata-backup", "a.b_c-", "a" * 200])
def test_prefix(value: str) -> None:
    """A prefix of letters, digits, dots, underlines and dashes is taken as it is."""
    assert value == Settings({"BACKUP_PREFIX": value}).prefix()


@pytest.mark.parametrize(("value", "expected"), [("0", 0.0), ("0.25", 0.25), ("1", 1.0), ("1.0", 1.0), ("", 0.5)])
def test_max_shrink(value: str, expected: float) -> None:
    """The fraction that a tree may lose is from 0 to 1, and a half by default."""
    assert expected == Settings(SERVE | {"MAX_SHRINK": value}).job().max_shrink


@pytest.mark.parametrize("value", ["-0.1", "1.1", "2", "50%", "0,5", ".5", "1e-3", "nan", "half"])
def test_wrong_max_shrink(value: str) -> None:
    """Anything else is refused, with an example."""
    with refused("MAX_SHRINK") as caught:
        Settings(SERVE | {"MAX_SHRINK": value}).job()
    assert "It must be a fraction from 0 to 1, such as 0.5" == caught.value.hint


@pytest.mark.parametrize(("value", "expected"), [("", None), ("last=3, daily=14", Retention(last=3, daily=14))])
def test_retention(value: str, expected: Retention | None) -> None:
    """`serve` keeps all backups, or what the rules say."""
    assert expected == Settings(SERVE | {"RETENTION": value}).serve().retention


@pytest.mark.parametrize("value", ["14", "14d", "daily:14", "daily=0", "daily=-1", "daily=1 weekly=2", "all"])
def test_wrong_retention(value: str) -> None:
    """Rules that are not understood are refused before anything is deleted, with an example."""
    for command in (Settings.serve, Settings.retention):
        with refused("RETENTION") as caught:
            command(Settings(SERVE | {"RETENTION": value}))
        assert "Set it to rules such as hours=48,daily=14,weekly=8,monthly=12" == caught.value.hint


def test_prune_needs_retention() -> None:
    """Without rules, `prune` says so."""
    with refused("RETENTION"):
        Settings(SERVE).retention()


@pytest.mark.parametrize("value", ["managed-ledgers", "/", "/a/", "//a", "/a//b", "/a\nb", "/a\u2028b"])
def test_wrong_managed_ledger_path(value: str) -> None:
    """A managed ledger path that cannot be the path of a znode is refused."""
    with refused("MANAGED_LEDGER_PATH"):
        Settings(SERVE | {"MANAGED_LEDGER_PATH": value}).job()


@pytest.mark.parametrize("value", ["PATH", "dns", "path,virtual", "-"])
def test_wrong_addressing_style(value: str) -> None:
    """A way of addressing buckets that is not known is refused."""
    with refused("S3_ADDRESSING_STYLE"):
        Settings(SERVE | {"S3_ADDRESSING_STYLE": value}).store()


@pytest.mark.parametrize(
    "value",
    [
        "pulsar-1.tar.gz",
        "s3a://pulsar-1.tar.gz",
        "s3a:///pulsar-1.tar.gz",
        "s3a://my-bucket",
        "s3a://my-bucket/",
        "s3a://my-bucket/pulsar-1.tar.gz/",
        "s3a://my-bucket//pulsar-1.tar.gz",
        "s3a://my-bucket/../pulsar-1.tar.gz",
        "s3a://my-bucket/pulsar.tar.gz",
        "s3a://my-bucket/pulsar-.tar.gz",
        "s3a://my-bucket/-1.tar.gz",
        "s3a://my-bucket/pulsar-01.tar.gz",
        "s3a://my-bucket/pulsar-1.tar",
        "s3a://my-bucket/pulsar-1.tgz",
        "s3a://my-bucket/pulsar-1.tar.gz.sha256",
        "s3a://my-bucket/pulsar-1.TAR.GZ",
        "s3a://my-bucket/pulsar-123456789012345.tar.gz",
        "s3a://my-bucket/pulsar-1.tar.gz?versionId=3",
        "s3a://my-bucket/pul sar-1.tar.gz",
        "gs://my-bucket/pulsar-1.tar.gz",
        "/backups/pulsar-1.tar.gz",
        "file:///pulsar-1.tar.gz",
        "file://backups/pulsar-1.tar.gz",
        "LATEST",
    ],
)
def test_wrong_restore_point(value: str) -> None:
    """A restore point that is malformed is refused."""
    with refused("RESTORE_POINT"):
        Settings(RESTORE | {"RESTORE_POINT": value}).restore()


@pytest.mark.parametrize("value", ["a\nb", "\u2028".join("ab"), "1" * 101, "\x1b[31m"], ids=ascii)
def test_wrong_restore_version(value: str) -> None:
    """A restore's version that could not be shown on a line is refused."""
    with refused("RESTORE_VERSION"):
        Settings(RESTORE | {"RESTORE_VERSION": value}).restore()


@pytest.mark.parametrize("value", ["2", "2024-05-01 second try", "1" * 100])
def test_restore_version(value: str) -> None:
    """Any short text names a restore."""
    assert value == Settings(RESTORE | {"RESTORE_VERSION": value}).restore().version


def works_or_refused(command: Callable[[Settings], object], environment: Values) -> SettingError | None:
    """The refusal, None where there is none."""
    try:
        command(Settings(environment))
    except SettingError as error:
        return error
    return None


values = st.text(st.characters(exclude_characters="\0")) | st.lists(
    st.sampled_from(["s3a://", "file:///", "digest:", ":", "/", "-1", ".tar.gz", "..", ",", "[", "]", "@", "0", "a"]),
    max_size=8,
).map("".join)


def test_any_value() -> None:
    """Whatever one variable holds, a command has its settings, or one line names the variable. Both happen."""
    outcomes: set[bool] = set()

    @settings(PATIENT, max_examples=3 * EXAMPLES)
    @given(st.sampled_from(sorted(METHODS)), st.sampled_from(NAMES), values)
    @example("serve", "BACKUP_INTERVAL", "soon")
    @example("serve", "BACKUP_INTERVAL", "5")
    def check(command: str, name: str, value: str) -> None:
        error = works_or_refused(METHODS[command], ALL | {name: value})
        outcomes.add(error is None)
        assert error is None or (str(error).startswith(f"{name} ") and [str(error)] == str(error).splitlines())

    check()
    assert {True, False} == outcomes


def test_any_environment() -> None:
    """Whatever all variables hold, a command has its settings, or one line names a variable. Both happen."""
    outcomes: set[bool] = set()

    @settings(PATIENT, max_examples=3 * EXAMPLES)
    @given(st.sampled_from(sorted(METHODS)), st.dictionaries(st.sampled_from(NAMES), values))
    @example("prefix", {})
    @example("serve", {})
    def check(command: str, environment: Values) -> None:
        error = works_or_refused(METHODS[command], environment)
        outcomes.add(error is None)
        assert error is None or str(error).split()[0] in NAMES

    check()
    assert {True, False} == outcomes


COPY = "s3a://copies/prod;AWS_ENDPOINT_URL_S3=https://s3.example.com;AWS_REGION=eu-west-1;S3_CREDENTIALS_DIR=/keys"


def test_copies() -> None:
    """A place has its own settings, all others are those of BUCKET, and an empty one counts as unset."""
    own = SERVE | {"S3_CHECKSUMS": "on", "S3_STORAGE_CLASS": "STANDARD_IA", "S3_EXPECTED_BUCKET_OWNER": "123456789012"}
    found = Settings(own | {"BACKUP_COPIES": f"{COPY};S3_EXPECTED_BUCKET_OWNER=, file:///copies"}).serve().copies
    common = StoreOptions(checksums="on", upload=UploadOptions(storage_class="STANDARD_IA"))
    setting = "S3_CREDENTIALS_DIR in BACKUP_COPIES"
    first = replace(
        common,
        endpoint_url="https://s3.example.com",
        region="eu-west-1",
        credentials_dir=Path("/keys"),
        credentials_setting=setting,
    )
    second = replace(common, expected_bucket_owner="123456789012", credentials_setting=setting)
    assert [Location("s3a", "copies", "prod"), Location("file", "", "copies")] == [copy.location for copy in found]
    assert [first, second] == [copy.options for copy in found]
    assert () == Settings(SERVE).serve().copies


def test_place_of_copies_is_reached_by_its_settings() -> None:
    """All commands reach a place of copies by its own settings, given its address or as BUCKET."""
    settings = Settings(SERVE | {"BACKUP_COPIES": COPY})
    copy = settings.store(Location("s3a", "copies", "prod"))
    assert "https://s3.example.com" == copy.options.endpoint_url
    assert copy == Settings({"BUCKET": "s3://copies/prod", "BACKUP_COPIES": COPY}).store()
    assert (
        ""
        == settings.store(Location("s3a", "copies", "other")).options.endpoint_url
        == settings.store().options.endpoint_url
    )


@pytest.mark.parametrize(
    ("copies", "why"),
    [
        ("s3a://my-bucket", ", a place is there twice, or is that of BUCKET. Give each"),
        ("file:///a,file:///a", ", a place is there twice, or is that of BUCKET. Give each"),
        ("file:///a,,", " at place 2, the address does not start with"),
        ("s3a://zq7secret:zq7secret@b", " at place 1, the address contains credentials"),
        (
            "s3a://copies;AWS_SECRET_ACCESS_KEY=zq7secret",
            " at place 1, one of its settings is none of AWS_ENDPOINT_URL_S3",
        ),
        ("s3a://copies;AWS_ENDPOINT_URL_S3=zq7secret", " at place 1, AWS_ENDPOINT_URL_S3 is not an address"),
        ("s3a://copies;VERIFY=x", " at place 1, VERIFY is 'x'. It must be full or checksum"),
        ("s3a://copies;S3_KMS_KEY_ID=x", " at place 1, S3_KMS_KEY_ID is set, but S3_SERVER_SIDE_ENCRYPTION is not"),
    ],
)
def test_wrong_copies(copies: str, why: str) -> None:
    """A place that is not valid is refused by its number, and what may be a secret is not told."""
    with refused("BACKUP_COPIES") as caught:
        Settings(SERVE | {"BACKUP_COPIES": copies}).serve()
    assert str(caught.value).startswith(f"BACKUP_COPIES is not valid{why}")
    assert SECRET not in said(caught.value)
