"""Environment variables in, frozen settings out: the one place that reads the environment, and a list of all of it."""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from metadata_tool.backup import BackupJob
from metadata_tool.catalog import LATEST, PREFIX, RestorePoint, Series
from metadata_tool.errors import SettingError
from metadata_tool.location import EXAMPLE, Location
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.restore import RestoreJob
from metadata_tool.zookeeper.bulk_reader import ReadLimits
from metadata_tool.zookeeper.capture import Source
from metadata_tool.zookeeper.datadir import DataDir
from metadata_tool.zookeeper.sasl import DIGEST_MD5, GSSAPI, Sasl
from metadata_tool.zookeeper.session import Ensemble, Login
from metadata_tool.zookeeper.tls import Tls

T = TypeVar("T")


@dataclass(frozen=True)
class Variable:
    """An environment variable: its default (None where it must be given), the commands that read it, its meaning."""

    name: str
    default: str | None
    read_by: str
    meaning: str


ZOOKEEPER_SERVERS = Variable(
    "ZOOKEEPER_SERVERS",
    None,
    "serve, backup, restore",
    "The ensemble, `host:port,…`. With a chroot (`…/pulsar`): what lies under it, what leads to it, `/zookeeper`. "
    "A restore asks whether it runs already, if it is given",
)
ZOOKEEPER_AUTH = Variable(
    "ZOOKEEPER_AUTH", "", "serve, backup", "A login that may read every znode and its ACL: `digest:user:password`"
)
ZOOKEEPER_TLS = Variable(
    "ZOOKEEPER_TLS", "false", "serve, backup", "`true`: the servers' ports are `secureClientPort`s"
)
ZOOKEEPER_TLS_CA = Variable(
    "ZOOKEEPER_TLS_CA", "", "serve, backup", "A PEM file of the authorities to trust, besides the system's"
)
ZOOKEEPER_TLS_CERT = Variable(
    "ZOOKEEPER_TLS_CERT", "", "serve, backup", "A PEM file of the certificate to show, where ZooKeeper wants one"
)
ZOOKEEPER_TLS_KEY = Variable("ZOOKEEPER_TLS_KEY", "", "serve, backup", "A PEM file of its private key")
ZOOKEEPER_TLS_KEY_PASSWORD = Variable("ZOOKEEPER_TLS_KEY_PASSWORD", "", "serve, backup", "What that is encrypted with")
ZOOKEEPER_TLS_CHECK_HOSTNAME = Variable(
    "ZOOKEEPER_TLS_CHECK_HOSTNAME",
    "true",
    "serve, backup",
    "`false`: a trusted certificate may be of another host name",
)
ZOOKEEPER_SASL_MECHANISM = Variable(
    "ZOOKEEPER_SASL_MECHANISM",
    "",
    "serve, backup",
    "`DIGEST-MD5` or `GSSAPI`, as the servers' JAAS login is; empty: no login by SASL. ZOOKEEPER_AUTH may be beside it",
)
ZOOKEEPER_SASL_USER = Variable("ZOOKEEPER_SASL_USER", "", "serve, backup", "DIGEST-MD5: the user")
ZOOKEEPER_SASL_PASSWORD = Variable("ZOOKEEPER_SASL_PASSWORD", "", "serve, backup", "DIGEST-MD5: the user's password")
ZOOKEEPER_SASL_SERVICE = Variable(
    "ZOOKEEPER_SASL_SERVICE", "zookeeper", "serve, backup", "GSSAPI: the servers' principals are `<service>/<host>`"
)
ZOOKEEPER_SASL_PRINCIPAL = Variable(
    "ZOOKEEPER_SASL_PRINCIPAL", "", "serve, backup", "GSSAPI: who to log in as; empty: the keytab's first principal"
)
ZOOKEEPER_SASL_KEYTAB = Variable("ZOOKEEPER_SASL_KEYTAB", "", "serve, backup", "GSSAPI: a keytab with its key")
ZOOKEEPER_CONNECT_TIMEOUT = Variable(
    "ZOOKEEPER_CONNECT_TIMEOUT",
    "30",
    "backup",
    "Seconds that `backup` waits for ZooKeeper; `serve` waits until the next interval",
)
ZOOKEEPER_MULTI_READ_SIZE = Variable(
    "ZOOKEEPER_MULTI_READ_SIZE", "256", "serve, backup", "Znodes in one request to ZooKeeper, at most"
)
ZOOKEEPER_MULTI_READS_IN_FLIGHT = Variable(
    "ZOOKEEPER_MULTI_READS_IN_FLIGHT", "4", "serve, backup", "So many such requests are under way at once"
)
ZOOKEEPER_ACL_CONNECTIONS = Variable(
    "ZOOKEEPER_ACL_CONNECTIONS", "8", "serve, backup", "Sessions for ACLs, besides the one for everything else"
)
ZOOKEEPER_ACL_BATCH = Variable(
    "ZOOKEEPER_ACL_BATCH",
    "7",
    "serve, backup",
    "ACLs are asked for in portions of so many; three wait on each connection",
)
BUCKET = Variable(
    "BUCKET",
    None,
    "serve, backup, list",
    "Where backups are kept: `s3a://bucket[/path]`, `s3://…`, or `file:///directory`. "
    "`restore`, `verify` and `inspect` look for `latest` there",
)
BACKUP_PREFIX = Variable(
    "BACKUP_PREFIX",
    "metadata-backup",
    "serve, backup, list",
    "Backups are named `<prefix>-<epoch ms>.tar.gz`. `latest` is the newest of them",
)
BACKUP_INTERVAL = Variable("BACKUP_INTERVAL", "600", "serve", "Seconds from the start of one backup to the next")
WEB_SERVER_PORT = Variable("WEB_SERVER_PORT", "8088", "serve", "The admin port")
MANAGED_LEDGER_PATH = Variable(
    "MANAGED_LEDGER_PATH",
    "/managed-ledgers",
    "serve, backup, restore",
    "Where Pulsar keeps its managed ledgers; all is saved in any case. A restore's must be that of the backup",
)
OVERWRITE_EXISTING = Variable(
    "OVERWRITE_EXISTING",
    "false",
    "restore",
    "`true`: data that no restore put there does not stop a restore, where no member serves; it is kept aside",
)
RESTORE_SCOPE = Variable(
    "RESTORE_SCOPE",
    "bookies-lost",
    "restore",
    "What survived: `bookies-lost`, so that the bookies are new and empty; or `bookies-kept`, bookies with their disks",
)
CLUSTER_NAME = Variable(
    "CLUSTER_NAME",
    "",
    "restore",
    "The new Pulsar cluster's name; empty: not checked. The backup must be of one of this name",
)
RENAME_CLUSTER = Variable(
    "RENAME_CLUSTER",
    "false",
    "restore",
    "`true`: CLUSTER_NAME replaces the name that the saved cluster has",
)
CLUSTER_SERVICE_URL = Variable(
    "CLUSTER_SERVICE_URL", "", "restore", "The new cluster's web service, `http://…`; empty: the old one's is removed"
)
CLUSTER_BROKER_SERVICE_URL = Variable(
    "CLUSTER_BROKER_SERVICE_URL",
    "",
    "restore",
    "The new cluster's brokers, `pulsar://…`; empty: the old ones' are removed",
)
INFINITE_RETENTION = Variable(
    "INFINITE_RETENTION",
    "false",
    "restore",
    "`true`: every namespace's retention becomes infinite, so that brokers delete nothing before you have looked",
)
RESTORE_POINT = Variable(
    "RESTORE_POINT",
    None,
    "restore",
    "The backup to restore, as `list` prints it: `s3a://<bucket>/<prefix>-<epoch ms>.tar.gz`, or `latest`",
)
ALLOW_OLDER = Variable(
    "ALLOW_OLDER",
    "false",
    "restore",
    "`true`: restore RESTORE_POINT even if there are newer backups, without looking for them",
)
NEWER_BACKUPS_IN = Variable(
    "NEWER_BACKUPS_IN",
    "",
    "restore",
    "Another place to look for newer backups, besides that of RESTORE_POINT: `s3a://bucket[/path]/<prefix>`",
)
RESTORE_VERSION = Variable(
    "RESTORE_VERSION", "1", "restore", "A unique name of this restore: a data dir that has it is left alone"
)
ZOOKEEPER_DATA_DIR = Variable(
    "ZOOKEEPER_DATA_DIR",
    None,
    "restore",
    "ZooKeeper's `dataDir`: it exists, and holds nothing but `myid` and `lost+found`, or what a restore put there",
)
ZOOKEEPER_DATA_LOG_DIR = Variable(
    "ZOOKEEPER_DATA_LOG_DIR",
    "",
    "restore",
    "ZooKeeper's `dataLogDir`, if it has one: it must be as empty, and what replaces data keeps the logs aside, too",
)
ZOOKEEPER_ADMIN_PORT = Variable(
    "ZOOKEEPER_ADMIN_PORT",
    "8080",
    "restore",
    "The members' `admin.serverPort`: their AdminServers tell which restore they are of before they serve. "
    "A restore of `latest` that waits for the other members answers them on this port",
)
ZOOKEEPER_ADMIN_ADDRESS = Variable(
    "ZOOKEEPER_ADMIN_ADDRESS",
    "",
    "restore",
    "This member's `admin.serverAddress`, where a restore of `latest` answers while it waits. Empty: all addresses",
)
SPOOL_DIR = Variable(
    "SPOOL_DIR",
    "",
    "all but list",
    "A directory for work in progress, about two and a half times the tree; empty: the system's own",
)
S3_ADDRESSING_STYLE = Variable(
    "S3_ADDRESSING_STYLE", "auto", "all", "`path`, `virtual`, or `auto`: by path unless the endpoint is Amazon's"
)
AWS_REGION = Variable("AWS_REGION", "", "all", "The bucket's region; AWS_DEFAULT_REGION works too")
S3_CREDENTIALS_DIR = Variable(
    "S3_CREDENTIALS_DIR",
    "",
    "all",
    "A directory with the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if there is one, AWS_SESSION_TOKEN. "
    "They override the variables of these names. They are read at every use, so changed keys need no restart",
)

VARIABLES = (
    ZOOKEEPER_SERVERS,
    ZOOKEEPER_AUTH,
    ZOOKEEPER_TLS,
    ZOOKEEPER_TLS_CA,
    ZOOKEEPER_TLS_CERT,
    ZOOKEEPER_TLS_KEY,
    ZOOKEEPER_TLS_KEY_PASSWORD,
    ZOOKEEPER_TLS_CHECK_HOSTNAME,
    ZOOKEEPER_SASL_MECHANISM,
    ZOOKEEPER_SASL_USER,
    ZOOKEEPER_SASL_PASSWORD,
    ZOOKEEPER_SASL_SERVICE,
    ZOOKEEPER_SASL_PRINCIPAL,
    ZOOKEEPER_SASL_KEYTAB,
    ZOOKEEPER_CONNECT_TIMEOUT,
    ZOOKEEPER_MULTI_READ_SIZE,
    ZOOKEEPER_MULTI_READS_IN_FLIGHT,
    ZOOKEEPER_ACL_CONNECTIONS,
    ZOOKEEPER_ACL_BATCH,
    BUCKET,
    BACKUP_PREFIX,
    BACKUP_INTERVAL,
    WEB_SERVER_PORT,
    MANAGED_LEDGER_PATH,
    RESTORE_POINT,
    RESTORE_VERSION,
    ALLOW_OLDER,
    NEWER_BACKUPS_IN,
    OVERWRITE_EXISTING,
    RESTORE_SCOPE,
    CLUSTER_NAME,
    RENAME_CLUSTER,
    CLUSTER_SERVICE_URL,
    CLUSTER_BROKER_SERVICE_URL,
    INFINITE_RETENTION,
    ZOOKEEPER_DATA_DIR,
    ZOOKEEPER_DATA_LOG_DIR,
    ZOOKEEPER_ADMIN_PORT,
    ZOOKEEPER_ADMIN_ADDRESS,
    SPOOL_DIR,
    S3_ADDRESSING_STYLE,
    AWS_REGION,
    S3_CREDENTIALS_DIR,
)
BOTO3 = (
    "boto3 finds credentials and endpoints as its documentation says: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
    "AWS_SESSION_TOKEN, AWS_ENDPOINT_URL_S3, AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, instance roles, and so on."
)

MIN_INTERVAL = 1
MAX_INTERVAL = 365 * 24 * 3600
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_CLUSTER = re.compile(r"[-=:.\w]*", re.ASCII)
_URL = re.compile(r"[a-z+]+://[!-~]+")
_OF_MECHANISM = {
    DIGEST_MD5: (ZOOKEEPER_SASL_USER, ZOOKEEPER_SASL_PASSWORD),
    GSSAPI: (ZOOKEEPER_SASL_KEYTAB, ZOOKEEPER_SASL_PRINCIPAL, ZOOKEEPER_SASL_SERVICE),
}
_SERVICE = re.compile(r"[A-Za-z0-9._-]+")
_PRINCIPAL = re.compile(r"[^@\s]*(?:@[^@\s]+)?")
_ZNODE = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[^/\0]+)+")


@dataclass(frozen=True)
class StoreSettings:
    """Where backups are kept, and how S3 is asked."""

    location: Location
    region: str | None
    addressing_style: str
    credentials_dir: Path | None = None


@dataclass(frozen=True)
class ServeSettings:
    """The service: what to back up and where, seconds between backups, the admin port."""

    job: BackupJob
    store: StoreSettings
    interval: int
    port: int


def _is_unicode(text: str) -> bool:
    """Whether an environment variable held UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


class Settings:
    """Reads what a command needs, when it needs it.

    Every method raises SettingError, which names the variable and never repeats what may be a secret.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def store(self, location: Location | None = None) -> StoreSettings:
        """The store of `BUCKET`, or of a location that was given otherwise."""
        directory = self._text(S3_CREDENTIALS_DIR)
        return StoreSettings(
            location=location or self._parsed(BUCKET, Location.parse, f"set it to {EXAMPLE}"),
            region=self._text(AWS_REGION) or None,
            addressing_style=self._one_of(S3_ADDRESSING_STYLE, ("auto", "path", "virtual")),
            credentials_dir=Path(directory) if directory else None,
        )

    def prefix(self) -> str:
        """The prefix of the backups' names."""
        return self._matching(BACKUP_PREFIX, PREFIX, "letters, digits, '.', '_' and '-', up to 200 of them")

    def series(self) -> Series:
        """The backups of `BACKUP_PREFIX` in `BUCKET`."""
        return Series(self.store().location, self.prefix())

    def spool_dir(self) -> Path:
        """The directory for work in progress."""
        return Path(self._text(SPOOL_DIR) or tempfile.gettempdir())

    def job(self) -> BackupJob:
        """What `backup` needs."""
        return self._backup_job(self._number(ZOOKEEPER_CONNECT_TIMEOUT, 1, 24 * 3600, "seconds"))

    def serve(self) -> ServeSettings:
        """What `serve` needs: it is patient with ZooKeeper until the next backup is due."""
        interval = self._number(BACKUP_INTERVAL, MIN_INTERVAL, MAX_INTERVAL, "seconds")
        return ServeSettings(
            job=self._backup_job(interval),
            store=self.store(),
            interval=interval,
            port=self._number(WEB_SERVER_PORT, 1, 65535, "a port"),
        )

    def restore(self) -> RestoreJob:
        """What `restore` needs."""
        version = self._text(RESTORE_VERSION)
        if not version.isprintable() or len(version) > 100:
            raise SettingError("RESTORE_VERSION is no short printable text", "Set it to a number such as 2")
        return RestoreJob(
            wanted=self._wanted(),
            version=version,
            data=self._data_dir(),
            spool_dir=self.spool_dir(),
            managed_ledger_path=self._managed_ledger_path(),
            ensemble=self._ensemble()[0] if self._text(ZOOKEEPER_SERVERS) else "",
            admin_port=self._number(ZOOKEEPER_ADMIN_PORT, 1, 65535, "a port"),
            overwrite_existing=self._switch(OVERWRITE_EXISTING),
            recovery_options=self._recovery_options(),
            admin_address=self._text(ZOOKEEPER_ADMIN_ADDRESS),
            allow_older=self._switch(ALLOW_OLDER),
            newer_in=self._newer_in(),
        )

    def _wanted(self) -> RestorePoint | Series:
        if self._text(RESTORE_POINT) == LATEST:
            return self.series()
        hint = f"Set it to s3a://<bucket>/<prefix>-<epoch ms>.tar.gz, as `metadata-tool list` prints it, or to {LATEST}"
        return self._parsed(RESTORE_POINT, RestorePoint.parse, hint)

    def _newer_in(self) -> tuple[Series, ...]:
        if not self._text(NEWER_BACKUPS_IN):
            return ()
        return (self._parsed(NEWER_BACKUPS_IN, Series.parse, "set it to s3a://<bucket>[/path]/<prefix>"),)

    def _data_dir(self) -> DataDir:
        path = Path(self._required(ZOOKEEPER_DATA_DIR, "set it to the dataDir of zoo.cfg"))
        return DataDir(path, Path(self._text(ZOOKEEPER_DATA_LOG_DIR) or path))

    def _recovery_options(self) -> RecoveryOptions:
        urls = {"serviceUrl": CLUSTER_SERVICE_URL, "brokerServiceUrl": CLUSTER_BROKER_SERVICE_URL}
        return RecoveryOptions(
            scope=Scope(self._one_of(RESTORE_SCOPE, tuple(Scope))),
            cluster_name=self._matching(CLUSTER_NAME, _CLUSTER, "letters, digits, '_', '=', ':', '.' and '-'"),
            rename_cluster=self._switch(RENAME_CLUSTER),
            infinite_retention=self._switch(INFINITE_RETENTION),
            urls=tuple(
                (name, self._matching(variable, _URL, "scheme://host:port"))
                for name, variable in urls.items()
                if self._text(variable)
            ),
        )

    def _managed_ledger_path(self) -> str:
        return self._matching(MANAGED_LEDGER_PATH, _ZNODE, "the path of a znode, /managed-ledgers say")

    def _switch(self, variable: Variable) -> bool:
        return self._one_of(variable, ("true", "false")) == "true"

    def _backup_job(self, patience: float) -> BackupJob:
        servers, chroot = self._ensemble()
        return BackupJob(
            source=Source(
                Ensemble(servers, self._login(), patience, self._tls(), self._sasl()), chroot, self._read_limits()
            ),
            prefix=self.prefix(),
            managed_ledger_path=self._managed_ledger_path(),
            spool_dir=self.spool_dir(),
        )

    def _read_limits(self) -> ReadLimits:
        return ReadLimits(
            batch=self._number(ZOOKEEPER_MULTI_READ_SIZE, 1, 4096, "znodes"),
            in_flight=self._number(ZOOKEEPER_MULTI_READS_IN_FLIGHT, 1, 64, "requests"),
            connections=self._number(ZOOKEEPER_ACL_CONNECTIONS, 0, 64, "sessions"),
            acls=self._number(ZOOKEEPER_ACL_BATCH, 1, 1000, "ACLs"),
        )

    def _ensemble(self) -> tuple[str, str]:
        hint = "Set it to host:port,host:port,… with a chroot such as /pulsar after the last, if there is one"
        servers, slash, path = self._required(ZOOKEEPER_SERVERS, hint).partition("/")
        chroot = (slash + path).rstrip("/")
        if chroot and not (_ZNODE.fullmatch(chroot) and chroot.isprintable()):
            raise SettingError("ZOOKEEPER_SERVERS has a chroot that is no path of a znode", hint)
        hosts = [host.strip() for host in servers.split(",")]
        for number, host in enumerate(hosts, 1):
            match = _HOST.fullmatch(host)
            if not match or not 1 <= int(match["port"] or 2181) <= 65535:
                raise SettingError(f"ZOOKEEPER_SERVERS has no host:port in place {number}", hint)
        return ",".join(hosts), chroot

    def _tls(self) -> Tls | None:
        if not self._switch(ZOOKEEPER_TLS):
            for variable in (ZOOKEEPER_TLS_CA, ZOOKEEPER_TLS_CERT, ZOOKEEPER_TLS_KEY):
                if self._text(variable):
                    raise SettingError(f"{variable.name} is set, ZOOKEEPER_TLS is not", "Set ZOOKEEPER_TLS=true")
            return None
        cert, key = self._text(ZOOKEEPER_TLS_CERT), self._text(ZOOKEEPER_TLS_KEY)
        if bool(cert) != bool(key):
            missing = ZOOKEEPER_TLS_KEY if cert else ZOOKEEPER_TLS_CERT
            raise SettingError(f"{missing.name} is not set", "A certificate and its key belong together")
        password = self._text(ZOOKEEPER_TLS_KEY_PASSWORD)
        return Tls(self._text(ZOOKEEPER_TLS_CA), cert, key, password, self._switch(ZOOKEEPER_TLS_CHECK_HOSTNAME))

    def _sasl(self) -> Sasl | None:
        mechanism = ""
        if self._text(ZOOKEEPER_SASL_MECHANISM):
            mechanism = self._one_of(ZOOKEEPER_SASL_MECHANISM, (DIGEST_MD5, GSSAPI))
        self._refuse_of_others(mechanism)
        if mechanism == DIGEST_MD5:
            return Sasl(mechanism, user=self._sasl_user(), password=self._sasl_password())
        if mechanism == GSSAPI:
            return Sasl(
                mechanism,
                service=self._matching(ZOOKEEPER_SASL_SERVICE, _SERVICE, "letters, digits, '.', '_' and '-'"),
                principal=self._matching(ZOOKEEPER_SASL_PRINCIPAL, _PRINCIPAL, "a principal such as backup@REALM"),
                keytab=self._required(ZOOKEEPER_SASL_KEYTAB, f"{GSSAPI} needs a keytab"),
            )
        return None

    def _refuse_of_others(self, mechanism: str) -> None:
        """What belongs to another mechanism than this is a slip."""
        for other, variables in _OF_MECHANISM.items():
            for variable in variables if other != mechanism else ():
                if self._text(variable) != variable.default:
                    state = f"is {mechanism}" if mechanism else "is not"
                    raise SettingError(
                        f"{variable.name} is set, ZOOKEEPER_SASL_MECHANISM {state}",
                        f"Set ZOOKEEPER_SASL_MECHANISM={other}, or remove it",
                    )

    def _sasl_user(self) -> str:
        user = self._required(ZOOKEEPER_SASL_USER, f"{DIGEST_MD5} needs a user and a password")
        if not user.isprintable():
            raise SettingError("ZOOKEEPER_SASL_USER cannot be printed", "Set it to the user of the servers' JAAS login")
        return user

    def _sasl_password(self) -> str:
        password = self._required(ZOOKEEPER_SASL_PASSWORD, f"{DIGEST_MD5} needs a user and a password")
        if not _is_unicode(password):
            raise SettingError("ZOOKEEPER_SASL_PASSWORD is not UTF-8", "The value is not shown here")
        return password

    def _login(self) -> Login | None:
        value = self._text(ZOOKEEPER_AUTH)
        if not value:
            return None
        scheme, _, credential = value.partition(":")
        if scheme != "digest" or not all(credential.partition(":")) or not _is_unicode(credential):
            raise SettingError("ZOOKEEPER_AUTH is not of the form digest:user:password", "The value is not shown here")
        return Login(scheme, credential)

    def _text(self, variable: Variable) -> str:
        value = self._environment.get(variable.name, "").strip()
        return value or variable.default or ""

    def _required(self, variable: Variable, hint: str) -> str:
        value = self._text(variable)
        if not value:
            state = "empty" if variable.name in self._environment else "not set"
            raise SettingError(f"{variable.name} is {state}", hint)
        return value

    def _parsed(self, variable: Variable, parse: Callable[[str], T], hint: str) -> T:
        try:
            return parse(self._required(variable, hint))
        except ValueError as error:
            raise SettingError(f"{variable.name} is wrong, {error}", hint) from error

    def _number(self, variable: Variable, low: int, high: int, unit: str) -> int:
        value = self._text(variable)
        if not re.fullmatch(r"[0-9]{1,10}", value) or not low <= int(value) <= high:
            raise SettingError(f"{variable.name} is {value!a}", f"Set it to {unit}, a number from {low} to {high}")
        return int(value)

    def _one_of(self, variable: Variable, choices: tuple[str, ...]) -> str:
        value = self._text(variable)
        if value not in choices:
            raise SettingError(f"{variable.name} is {value!a}", f"Set it to one of {', '.join(choices)}")
        return value

    def _matching(self, variable: Variable, pattern: re.Pattern[str], expected: str) -> str:
        value = self._text(variable)
        if not pattern.fullmatch(value) or not value.isprintable():
            raise SettingError(f"{variable.name} is {value!a}", f"Set it to {expected}")
        return value
