"""Every environment variable that the program reads, as data: help, documents and the chart's limits come from it."""

from dataclasses import dataclass
from typing import Literal

from metadata_tool.tiered_storage.claims import UNDERSTOOD
from metadata_tool.zookeeper.limits import JUTE_MAXBUFFER as DEFAULT_JUTE_MAXBUFFER
from metadata_tool.zookeeper.limits import MAX_JUTE_MAXBUFFER, ReadLimits

COMMANDS = (
    "serve",
    "backup",
    "list",
    "verify",
    "inspect",
    "diff",
    "history",
    "find",
    "scrub",
    "drill",
    "accept",
    "prune",
    "reconcile",
    "rescue",
    "restore",
    "put-back",
    "make-keys",
    "apache-values",
    "rules",
)
_BACKUP = ("serve", "backup")
_ENSEMBLE = (*_BACKUP, "restore", "put-back")
_UPLOAD = (*_BACKUP, "drill", "accept", "reconcile", "rescue", "restore")
_RESCUE = ("rescue",)
_PRUNE = ("prune",)
_LOOKING_BACK = ("history", "find")
_SERIES = (
    "serve",
    "backup",
    "list",
    "verify",
    "inspect",
    "diff",
    *_LOOKING_BACK,
    "scrub",
    "drill",
    *_PRUNE,
    "reconcile",
    "rescue",
    "restore",
)
_STORE = (*_SERIES, "accept", "put-back")
_SPOOL = (
    "serve",
    "backup",
    "verify",
    "inspect",
    "diff",
    *_LOOKING_BACK,
    "scrub",
    "drill",
    "accept",
    *_PRUNE,
    "reconcile",
    "rescue",
    "restore",
    "put-back",
)
_RESTORING = ("drill", "restore")
_BROKER = (*_BACKUP, "put-back")
"""Commands that ask brokers."""
_OF_A_TREE = ("serve", "scrub", "drill", "reconcile", "restore")
_TIERED = (*_OF_A_TREE, "rescue")
_DEFAULT = ReadLimits()

LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Variable:
    """An environment variable. An empty one counts as unset.

    `readers` are the commands that read it, and those in `required_by` do not start without it. `low` and `high` are
    the limits of a number (both allowed), `unit` is what it counts, `choices` are the values that are allowed if there
    are only a few.
    """

    name: str
    readers: tuple[str, ...]
    meaning: str
    default: str = ""
    kind: Literal["text", "path", "number", "fraction", "switch", "choice"] = "text"
    low: int | None = None
    high: int | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    required_by: tuple[str, ...] = ()

    @property
    def values(self) -> str:
        """The values that are allowed, for a table, such as `1 to 64 sessions`. Empty if the meaning says it."""
        if self.low is not None:
            return f"{self.low} to {self.high}{self.unit and f' {self.unit}'}"
        return " or ".join(filter(None, (", ".join(self.choices[:-1]), *self.choices[-1:])))

    @property
    def expected(self) -> str:
        """The same for a sentence, such as `a number of sessions from 0 to 64`."""
        if self.kind == "fraction":
            return f"a fraction from {self.low} to {self.high}, such as 0.5"
        if self.kind == "number":
            return f"a number{self.unit and f' of {self.unit}'} from {self.low} to {self.high}"
        return self.values


def _path(name: str, readers: tuple[str, ...], meaning: str, required_by: tuple[str, ...] = ()) -> Variable:
    return Variable(name, readers, meaning, kind="path", required_by=required_by)


def _number(
    name: str, readers: tuple[str, ...], meaning: str, *, default: int | str, low: int, high: int, unit: str = ""
) -> Variable:
    return Variable(name, readers, meaning, str(default), "number", low, high, unit)


def _choice(name: str, readers: tuple[str, ...], meaning: str, default: str, choices: tuple[str, ...]) -> Variable:
    return Variable(name, readers, meaning, default, "choice", choices=choices)


def _switch(name: str, readers: tuple[str, ...], meaning: str, default: str = "false") -> Variable:
    return Variable(name, readers, meaning, default, "switch", choices=("true", "false"))


ZOOKEEPER_SERVERS = Variable(
    "ZOOKEEPER_SERVERS",
    (*_BACKUP, "rescue", "restore", "put-back"),
    "The ensemble, `host:port,…`, with a chroot such as `/pulsar` after the last member if clients use one. "
    "`restore` asks these members whether the ensemble is already running, `rescue` needs only the chroot",
    required_by=(*_BACKUP, "put-back"),
)
ZOOKEEPER_AUTH = Variable(
    "ZOOKEEPER_AUTH",
    _ENSEMBLE,
    "A login, `digest:user:password`. A backup needs one that may read every znode and its ACL",
)
ZOOKEEPER_TLS = _switch("ZOOKEEPER_TLS", _ENSEMBLE, "`true`: use TLS. The ports must be `secureClientPort`s")
ZOOKEEPER_TLS_CA = _path(
    "ZOOKEEPER_TLS_CA", _ENSEMBLE, "A PEM file of authorities to trust in addition to the system's"
)
ZOOKEEPER_TLS_CERT = _path(
    "ZOOKEEPER_TLS_CERT", _ENSEMBLE, "A PEM file of the client certificate, if ZooKeeper demands one"
)
ZOOKEEPER_TLS_KEY = _path("ZOOKEEPER_TLS_KEY", _ENSEMBLE, "A PEM file of the client certificate's private key")
ZOOKEEPER_TLS_KEY_PASSWORD = Variable(
    "ZOOKEEPER_TLS_KEY_PASSWORD", _ENSEMBLE, "The password of the private key, if it is encrypted"
)
ZOOKEEPER_TLS_CHECK_HOSTNAME = _switch(
    "ZOOKEEPER_TLS_CHECK_HOSTNAME", _ENSEMBLE, "`false`: do not check the host name in the certificate", "true"
)
ZOOKEEPER_SASL_MECHANISM = Variable(
    "ZOOKEEPER_SASL_MECHANISM",
    _ENSEMBLE,
    "The mechanism of the servers' JAAS login, which can be combined with ZOOKEEPER_AUTH. Unset: no SASL",
    kind="choice",
    choices=("DIGEST-MD5", "GSSAPI"),
)
ZOOKEEPER_SASL_USER = Variable("ZOOKEEPER_SASL_USER", _ENSEMBLE, "DIGEST-MD5: the user")
ZOOKEEPER_SASL_PASSWORD = Variable("ZOOKEEPER_SASL_PASSWORD", _ENSEMBLE, "DIGEST-MD5: the user's password")
ZOOKEEPER_SASL_SERVICE = Variable(
    "ZOOKEEPER_SASL_SERVICE",
    _ENSEMBLE,
    "GSSAPI: the service name of the servers. Their principals are `<service>/<host>`",
    "zookeeper",
)
ZOOKEEPER_SASL_PRINCIPAL = Variable(
    "ZOOKEEPER_SASL_PRINCIPAL", _ENSEMBLE, "GSSAPI: the principal to log in as. Unset: the keytab's first principal"
)
ZOOKEEPER_SASL_KEYTAB = _path("ZOOKEEPER_SASL_KEYTAB", _ENSEMBLE, "GSSAPI: a keytab that holds the principal's key")
ZOOKEEPER_CONNECT_TIMEOUT = _number(
    "ZOOKEEPER_CONNECT_TIMEOUT",
    ("backup", "put-back"),
    "How long `backup` and `put-back` wait for ZooKeeper. `serve` waits until the next backup is due",
    default=30,
    low=1,
    high=24 * 3600,
    unit="seconds",
)
ZOOKEEPER_MULTI_READ_SIZE = _number(
    "ZOOKEEPER_MULTI_READ_SIZE",
    _BACKUP,
    "How many znodes one request to ZooKeeper may read",
    default=_DEFAULT.batch,
    low=1,
    high=4096,
    unit="znodes",
)
ZOOKEEPER_MULTI_READS_IN_FLIGHT = _number(
    "ZOOKEEPER_MULTI_READS_IN_FLIGHT",
    _BACKUP,
    "How many multi-reads may be in flight",
    default=_DEFAULT.in_flight,
    low=1,
    high=64,
    unit="requests",
)
ZOOKEEPER_ACL_CONNECTIONS = _number(
    "ZOOKEEPER_ACL_CONNECTIONS",
    _BACKUP,
    "How many sessions read ACLs, in addition to the main session",
    default=_DEFAULT.connections,
    low=0,
    high=64,
    unit="sessions",
)
ZOOKEEPER_ACL_BATCH = _number(
    "ZOOKEEPER_ACL_BATCH",
    _BACKUP,
    "getACL requests in a batch. Each connection has up to three batches in flight",
    default=_DEFAULT.acls,
    low=1,
    high=1000,
    unit="requests",
)
BUCKET = Variable(
    "BUCKET",
    _SERIES,
    "Where backups are kept: `s3a://bucket[/path]`, `s3://…`, or `file:///directory`. "
    "`verify`, `inspect`, `diff`, `scrub`, `drill`, `reconcile` and `restore` need it only to find `latest`, "
    "and `rescue` only without --to",
    required_by=("serve", "backup", "list", *_LOOKING_BACK, *_PRUNE),
)
BACKUP_COPIES = Variable(
    "BACKUP_COPIES",
    _STORE,
    "Other places that keep a copy of each backup, as addresses like BUCKET, with commas between them. "
    "Settings may follow an address, `s3a://bucket/path;AWS_REGION=eu-west-1;…`, and all others are those of BUCKET",
)
BACKUP_PREFIX = Variable(
    "BACKUP_PREFIX",
    _SERIES,
    "Backups are named `<prefix>-<epoch ms>.tar.gz`, and `latest` is the newest of them. "
    "The prefix must not end with `-suspect`",
    "metadata-backup",
)
BACKUP_INTERVAL = _number(
    "BACKUP_INTERVAL",
    ("serve",),
    "The time from the start of one backup to the start of the next",
    default=600,
    low=1,  # For trials. Backups never overlap, so no interval is too short: the next backup starts a little later.
    high=365 * 24 * 3600,
    unit="seconds",
)
WEB_SERVER_PORT = _number(
    "WEB_SERVER_PORT",
    ("serve",),
    "The admin port. Most systems let only root bind ports below 1024",
    default=8088,
    low=1,  # Container runtimes may let every user bind low ports (net.ipv4.ip_unprivileged_port_start).
    high=65535,
)
ADMIN_TOKEN = Variable(
    "ADMIN_TOKEN",
    ("serve",),
    "A secret of at least 16 characters, which `POST /backup` on the admin port needs as `Authorization: Bearer …`. "
    "Unset: backups on demand are off",
)
ADMIN_TOKEN_FILE = _path("ADMIN_TOKEN_FILE", ("serve",), "A file with this secret, which is read at every use")
HEARTBEAT_URL = Variable(
    "HEARTBEAT_URL",
    ("serve",),
    "A secret address, `https://…`, that gets a GET request after each good backup, so that a monitoring service "
    "notices when backups stop. Unset: no requests",
)
MAX_SHRINK = Variable(
    "MAX_SHRINK",
    _BACKUP,
    "The fraction of its znodes, or of their bytes, that the tree may lose from one backup to the next. "
    "A backup that has lost more is suspect",
    "0.5",
    "fraction",
    low=0,
    high=1,
)
RETENTION = Variable(
    "RETENTION",
    ("serve", *_PRUNE),
    "Which backups are kept, such as `hours=48,daily=14,weekly=8,monthly=12`, while `serve` deletes the others. "
    "Unset: all are kept",
    required_by=_PRUNE,
)
MANAGED_LEDGER_PATH = Variable(
    "MANAGED_LEDGER_PATH",
    (*_BACKUP, "rescue", *_RESTORING),
    "The znode under which Pulsar keeps its managed ledgers. A restore needs the same value as its backup, "
    "unless the backup's value was wrong",
    "/managed-ledgers",
)
RESTORE_POINT = Variable(
    "RESTORE_POINT",
    ("restore",),
    "The backup to restore, as `list` prints it (`s3a://<bucket>/<prefix>-<epoch ms>.tar.gz`), or `latest`",
    required_by=("restore",),
)
RESTORE_VERSION = Variable(
    "RESTORE_VERSION",
    ("restore",),
    "A unique name of this restore. If the data directory was already restored with it, nothing happens",
    "1",
)
ALLOW_OLDER = _switch(
    "ALLOW_OLDER", ("restore",), "`true`: restore RESTORE_POINT without checking whether there are newer backups"
)
NEWER_BACKUPS_IN = Variable(
    "NEWER_BACKUPS_IN",
    ("restore",),
    "Another place to check for newer backups, `s3a://bucket[/path]/<prefix>`. "
    "The place of RESTORE_POINT is always checked",
)
ALLOW_PARTIAL = _switch(
    "ALLOW_PARTIAL",
    _RESTORING,
    "`true`: restore the backup even if parts of Pulsar's metadata are missing in it, "
    "are not at the paths that the settings say, or are not known. These parts stay as they are",
)
JUTE_MAXBUFFER = _number(
    "JUTE_MAXBUFFER",
    ("serve", "backup", "verify", "inspect", *_RESTORING),
    "The Java property `jute.maxbuffer` of the new ZooKeeper servers. "
    "A tree that such servers would not load is not restored, and the other commands warn",
    default=DEFAULT_JUTE_MAXBUFFER,
    low=4096,
    high=MAX_JUTE_MAXBUFFER,
    unit="bytes",
)
OVERWRITE_EXISTING = _switch(
    "OVERWRITE_EXISTING",
    ("restore",),
    "`true`: if the data directory holds data that did not come from a restore, move it aside and restore. "
    "That happens only while no member serves, and nothing is deleted",
)
RESTORE_SCOPE = _choice(
    "RESTORE_SCOPE",
    _RESTORING,
    "`bookies-lost`: the bookies are new and empty. `bookies-kept`: the bookies still have their disks",
    "bookies-lost",
    ("bookies-lost", "bookies-kept"),
)
CLUSTER_NAME = Variable(
    "CLUSTER_NAME",
    ("rescue", *_RESTORING),
    "The new Pulsar cluster's name, which must be the name in the backup (unset: not checked). "
    "`rescue` writes it into the new backup (unset: the name in the bucket)",
)
RENAME_CLUSTER = _switch(
    "RENAME_CLUSTER", _RESTORING, "`true`: rename the cluster in the backup to CLUSTER_NAME if the names differ"
)
CLUSTER_SERVICE_URL = Variable(
    "CLUSTER_SERVICE_URL",
    _RESTORING,
    "The new cluster's web service, `http://…`. Unset: the old address is removed",
)
CLUSTER_BROKER_SERVICE_URL = Variable(
    "CLUSTER_BROKER_SERVICE_URL",
    _RESTORING,
    "The new cluster's brokers, `pulsar://…`. Unset: the old address is removed",
)
INFINITE_RETENTION = _switch(
    "INFINITE_RETENTION",
    _RESTORING,
    "`true`: set infinite retention on every namespace before the brokers start, "
    "so that nothing is deleted until you have checked",
)
ZOOKEEPER_DATA_DIR = _path(
    "ZOOKEEPER_DATA_DIR",
    ("restore",),
    "ZooKeeper's `dataDir`, which is created if it is missing and its parent exists. "
    "It must hold no snapshots and logs except those of an earlier restore",
    required_by=("restore",),
)
ZOOKEEPER_DATA_LOG_DIR = _path(
    "ZOOKEEPER_DATA_LOG_DIR",
    ("restore",),
    "ZooKeeper's `dataLogDir`, if it has one. "
    "It must hold no logs except those of an earlier restore, which are moved aside with the data",
)
ZOOKEEPER_ADMIN_PORT = _number(
    "ZOOKEEPER_ADMIN_PORT",
    ("restore",),
    "The members' `admin.serverPort`, where they report which restore they are from. "
    "While a restore of `latest` waits for other members, it listens on this port",
    default=8080,
    low=1,
    high=65535,
)
ZOOKEEPER_ADMIN_ADDRESS = Variable(
    "ZOOKEEPER_ADMIN_ADDRESS",
    ("restore",),
    "This member's `admin.serverAddress`, where a restore of `latest` listens while it waits. Unset: all addresses",
)
DRILL_SERVER = Variable(
    "DRILL_SERVER",
    ("drill",),
    "A command that runs a ZooKeeper server until SIGTERM, with the path of a `zoo.cfg` appended, "
    "such as `bin/zkServer.sh start-foreground`. Unset: a drill starts no server",
)
SPOOL_DIR = _path(
    "SPOOL_DIR",
    _SPOOL,
    "A directory for work in progress, which needs about two and a half times the size of the tree, and of what "
    "brokers give out. Unset: the system's directory for temporary files",
)
CACHE_DIR = _path(
    "CACHE_DIR",
    _LOOKING_BACK,
    "A directory that keeps fetched backups for the next command. Unset: they are fetched every time",
)
CACHE_SIZE = _number(
    "CACHE_SIZE",
    _LOOKING_BACK,
    "The size limit of CACHE_DIR. The least recently used backups are removed first",
    default=2048,
    low=1,
    high=1 << 20,
    unit="MiB",
)
S3_ADDRESSING_STYLE = _choice(
    "S3_ADDRESSING_STYLE",
    _STORE,
    "How the bucket is named in S3 requests. `auto`: `path` for every endpoint but Amazon's",
    "auto",
    ("auto", "path", "virtual"),
)
S3_CHECKSUMS = _choice(
    "S3_CHECKSUMS",
    _STORE,
    "Whether uploads carry a SHA-256 that the object store keeps. "
    "`auto`: as AWS_REQUEST_CHECKSUM_CALCULATION says, and if that is unset, only on Amazon's endpoints",
    "auto",
    ("auto", "on", "off"),
)
VERIFY = _choice(
    "VERIFY",
    _UPLOAD,
    "How uploads are verified. `full`: by reading them back, `checksum`: by the object store's SHA-256, if it has one",
    "full",
    ("full", "checksum"),
)
S3_SERVER_SIDE_ENCRYPTION = Variable(
    "S3_SERVER_SIDE_ENCRYPTION",
    _UPLOAD,
    "The encryption that an upload asks for. Unset: as the bucket is configured",
    kind="choice",
    choices=("AES256", "aws:kms", "aws:kms:dsse"),
)
S3_KMS_KEY_ID = Variable(
    "S3_KMS_KEY_ID", _UPLOAD, "The KMS key for `aws:kms` and `aws:kms:dsse`. Unset: the key of the bucket or account"
)
S3_STORAGE_CLASS = Variable(
    "S3_STORAGE_CLASS",
    _UPLOAD,
    "The storage class of uploads, such as `STANDARD_IA`. Classes whose objects cannot be read at once are refused",
)
S3_OBJECT_ACL = Variable(
    "S3_OBJECT_ACL",
    _UPLOAD,
    "The ACL of uploads, for a bucket of another account",
    kind="choice",
    choices=("private", "bucket-owner-read", "bucket-owner-full-control"),
)
S3_EXPECTED_BUCKET_OWNER = Variable(
    "S3_EXPECTED_BUCKET_OWNER",
    _STORE,
    "The id of the account that owns the bucket. Every request fails if the bucket is another account's",
)
S3_REQUESTER_PAYS = _switch(
    "S3_REQUESTER_PAYS", _STORE, "`true`: pay for requests to a bucket whose owner demands that"
)
AWS_REGION = Variable("AWS_REGION", _STORE, "The bucket's region. Unset: AWS_DEFAULT_REGION")
S3_CREDENTIALS_DIR = _path(
    "S3_CREDENTIALS_DIR",
    _STORE,
    "A directory with the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, optionally, AWS_SESSION_TOKEN. "
    "They override the variables of the same names and are read at every use",
)
TIERED_STORAGE_ENDPOINT_URL = Variable(
    "TIERED_STORAGE_ENDPOINT_URL",
    _TIERED,
    "The object store of tiered storage, if it is not the one of the backups, such as `https://s3.example.com`",
)
TIERED_STORAGE_REGION = Variable(
    "TIERED_STORAGE_REGION", _TIERED, "The region of the buckets of tiered storage. Unset: AWS_REGION"
)
TIERED_STORAGE_ADDRESSING_STYLE = _choice(
    "TIERED_STORAGE_ADDRESSING_STYLE",
    _TIERED,
    "How these buckets are named in requests. Unset: as S3_ADDRESSING_STYLE says",
    "",
    ("auto", "path", "virtual"),
)
TIERED_STORAGE_ACCESS_KEY_ID = Variable(
    "TIERED_STORAGE_ACCESS_KEY_ID",
    _TIERED,
    "A key that may list and read the buckets of tiered storage. Unset: the credentials of the backups",
)
TIERED_STORAGE_SECRET_ACCESS_KEY = Variable("TIERED_STORAGE_SECRET_ACCESS_KEY", _TIERED, "The secret of that key")
TIERED_STORAGE_CREDENTIALS_DIR = _path(
    "TIERED_STORAGE_CREDENTIALS_DIR",
    _TIERED,
    "A directory with the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, optionally, AWS_SESSION_TOKEN for these "
    "buckets. They override the two variables above and are read at every use",
)
TIERED_STORAGE_BUCKETS = Variable(
    "TIERED_STORAGE_BUCKETS",
    _OF_A_TREE,
    "Buckets that have moved since the backup, `old-name=new-name,…`. A restore writes the new names into the tree",
)
TIERED_STORAGE_BROKER_REGION = Variable(
    "TIERED_STORAGE_BROKER_REGION",
    _RESTORING,
    "The region of the moved buckets for brokers, which a restore writes into the tree. Unset: as in the backup",
)
TIERED_STORAGE_BROKER_ENDPOINT_URL = Variable(
    "TIERED_STORAGE_BROKER_ENDPOINT_URL",
    _RESTORING,
    "The object store of the moved buckets for brokers, which a restore writes into the tree. Unset: as in the backup",
)
TIERED_STORAGE_RECONCILE = _switch(
    "TIERED_STORAGE_RECONCILE",
    ("restore",),
    "`true`: compare the backup with tiered storage first, as `reconcile` does. "
    "What is made of both is saved beside the backup, and all members restore it",
)
TIERED_STORAGE_BUCKET = Variable(
    "TIERED_STORAGE_BUCKET", _RESCUE, "The bucket of tiered storage that `rescue` reads", required_by=_RESCUE
)
TIERED_STORAGE_DRIVER = _choice(
    "TIERED_STORAGE_DRIVER",
    _RESCUE,
    "The offload driver with which the new brokers read the bucket, `managedLedgerOffloadDriver` in broker.conf",
    "aws-s3",
    UNDERSTOOD,
)
SCRUB_INTERVAL = _number(
    "SCRUB_INTERVAL",
    ("serve",),
    "The time from the start of one scrub to the start of the next, which is of the backup that is made about then. "
    "Unset: no scrubs",
    default="",
    low=1,
    high=365 * 24 * 3600,
    unit="seconds",
)
SCRUB_LIST_ONLY = _switch(
    "SCRUB_LIST_ONLY", ("serve",), "`true`: scrubs list the buckets, and read no index of a ledger"
)
SCRUB_REQUESTS = _number(
    "SCRUB_REQUESTS",
    ("serve", "scrub", "reconcile", "rescue", "restore"),
    "How many requests for indexes of ledgers may be in flight",
    default=8,
    low=1,
    high=64,
    unit="requests",
)
BROKER_SERVICE_URL = Variable(
    "BROKER_SERVICE_URL",
    _BROKER,
    "The address of the brokers' web service, such as `http://pulsar-broker:8080`. Unset: schemas, exact positions of "
    "subscriptions and topic policies are not saved",
    required_by=("put-back",),
)
BROKER_TOKEN = Variable("BROKER_TOKEN", _BROKER, "A token (JWT) for Pulsar, if brokers demand one")
BROKER_TOKEN_FILE = _path("BROKER_TOKEN_FILE", _BROKER, "A file with the token, which is read at every use")
BROKER_TLS_CA = _path(
    "BROKER_TLS_CA", _BROKER, "A PEM file of authorities to trust for brokers in addition to the system's"
)
BROKER_TLS_CERT = _path("BROKER_TLS_CERT", _BROKER, "A PEM file of the client certificate, if brokers demand one")
BROKER_TLS_KEY = _path("BROKER_TLS_KEY", _BROKER, "A PEM file of that certificate's private key, without a password")
BROKER_TIMEOUT = _number(
    "BROKER_TIMEOUT",
    _BACKUP,
    "How long one backup may ask brokers. What they have not answered by then is not saved",
    default=120,
    low=1,
    high=24 * 3600,
    unit="seconds",
)
BROKER_REQUESTS = _number(
    "BROKER_REQUESTS",
    _BROKER,
    "How many requests to brokers may be in flight",
    default=4,
    low=1,
    high=64,
    unit="requests",
)
BROKER_REQUEST_RATE = _number(
    "BROKER_REQUEST_RATE",
    _BROKER,
    "How many requests to brokers may start in a second",
    default=200,
    low=1,
    high=10_000,
    unit="requests",
)
ENCRYPTION_RECIPIENT = Variable(
    "ENCRYPTION_RECIPIENT",
    _UPLOAD,
    "Encrypt backups for the holders of these public keys of age, `age1…`, with commas between them. "
    "If you lose all private keys, you lose the backups",
)
ENCRYPTION_IDENTITY_FILE = _path(
    "ENCRYPTION_IDENTITY_FILE",
    _STORE,
    "A file with private keys of age that open encrypted backups, as `age-keygen` writes it. "
    "`serve` and `backup` need none",
)
SIGNING_KEY_FILE = _path(
    "SIGNING_KEY_FILE",
    _STORE,
    "A PEM file with the private Ed25519 key that signs encrypted backups, which ENCRYPTION_RECIPIENT needs. "
    "Keys from before a rotation may follow",
)
SIGNING_PUBLIC_KEY_FILE = _path(
    "SIGNING_PUBLIC_KEY_FILE",
    _STORE,
    "A PEM file with public Ed25519 keys. Backups that none of their holders has signed are refused",
)
LOG_FORMAT = _choice(
    "LOG_FORMAT", COMMANDS, "The form of the log on stderr. `json`: one object a line", "text", LOG_FORMATS
)
LOG_LEVEL = _choice("LOG_LEVEL", COMMANDS, "The least severe messages that are logged", "info", LOG_LEVELS)

OF_A_COPY = (
    AWS_REGION,
    S3_ADDRESSING_STYLE,
    S3_CHECKSUMS,
    S3_CREDENTIALS_DIR,
    S3_EXPECTED_BUCKET_OWNER,
    S3_KMS_KEY_ID,
    S3_OBJECT_ACL,
    S3_REQUESTER_PAYS,
    S3_SERVER_SIDE_ENCRYPTION,
    S3_STORAGE_CLASS,
    VERIFY,
)
"""Settings that a place of BACKUP_COPIES may have for itself, besides its endpoint."""

VARIABLES = tuple(each for each in list(globals().values()) if isinstance(each, Variable))
"""In the order in which they are documented."""

BOTO3 = (
    "boto3 finds credentials and endpoints as its documentation says: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
    "AWS_SESSION_TOKEN, AWS_ENDPOINT_URL_S3, AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, instance roles, and so on."
)
