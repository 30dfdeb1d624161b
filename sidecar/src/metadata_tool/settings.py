"""Settings of each command: values of environment variables in, frozen settings out."""

import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from metadata_tool import variables as var
from metadata_tool.admin_token import AdminToken, wrong
from metadata_tool.backup import BackupJob
from metadata_tool.broker_metadata.access import BrokerAccess, BrokerSettings, is_token
from metadata_tool.catalog import LATEST, PREFIX, SUSPECT, RestorePoint, Series
from metadata_tool.copies import address
from metadata_tool.drill.drill import DrillJob
from metadata_tool.drill.server import ServerCommand
from metadata_tool.encryption.keys import NO_KEYS, BackupKeys
from metadata_tool.environment import Environment
from metadata_tool.errors import SettingError
from metadata_tool.location import Location
from metadata_tool.pulsar.moved_buckets import MovedBuckets
from metadata_tool.pulsar.paths import CLUSTER_NAME, Layout
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.put_back.job import PutBackJob
from metadata_tool.restore_job import RestoreJob
from metadata_tool.retention import EXAMPLE as EXAMPLE_RULES
from metadata_tool.retention import Retention
from metadata_tool.store import EXAMPLES, parse_location
from metadata_tool.store.base import StoreOptions, UploadOptions
from metadata_tool.store.credentials import Keys
from metadata_tool.store.s3_scheme import BUCKET_NAME
from metadata_tool.variables import Variable
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.datadir import DataDir
from metadata_tool.zookeeper.limits import ReadLimits
from metadata_tool.zookeeper.net.ensemble import Ensemble, Login
from metadata_tool.zookeeper.net.sasl import DIGEST_MD5, GSSAPI, Sasl
from metadata_tool.zookeeper.net.tls import Tls

VARIABLES = var.VARIABLES

_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_CLUSTER = re.compile(rf"(?:{CLUSTER_NAME.pattern})?", re.ASCII)
_URL = re.compile(r"[a-z+]+://[!-~]+")
_BY_MECHANISM = {
    DIGEST_MD5: (var.ZOOKEEPER_SASL_USER, var.ZOOKEEPER_SASL_PASSWORD),
    GSSAPI: (var.ZOOKEEPER_SASL_KEYTAB, var.ZOOKEEPER_SASL_PRINCIPAL, var.ZOOKEEPER_SASL_SERVICE),
}
_WEB_SERVICE = re.compile(r"https?://(?P<server>[^/?#@\s]+)/?")
_BROKER_TLS = (var.BROKER_TLS_CA, var.BROKER_TLS_CERT, var.BROKER_TLS_KEY)
_OF_BROKERS = (var.BROKER_TOKEN, var.BROKER_TOKEN_FILE, *_BROKER_TLS)
_COPY_ENDPOINT = "AWS_ENDPOINT_URL_S3"
"""boto3's variable, which a place of copies may set for itself."""
_ENDPOINT = re.compile(r"(?:https?://[!-~]+)?")
_HEARTBEAT = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?][!-~]*)?")
_REGION = re.compile(r"[a-zA-Z0-9-]*")
_KMS_KEY = re.compile(r"[A-Za-z0-9:/_.-]*")
_STORAGE_CLASS = re.compile(r"[A-Z0-9_]*")
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
_ACCOUNT = re.compile(r"(?:[0-9]{12})?")
_SERVICE = re.compile(r"[A-Za-z0-9._-]+")
_PRINCIPAL = re.compile(r"[^@\s]*(?:@[^@\s]+)?")
_ZNODE = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[^/\0]+)+")


@dataclass(frozen=True)
class StoreSettings:
    """Where backups are kept, and how to reach S3."""

    location: Location
    options: StoreOptions
    keys: BackupKeys = NO_KEYS
    """Those of encrypted backups."""


@dataclass(frozen=True)
class TieredStorageSettings:
    """How to reach the buckets of tiered storage, their new names by the old ones, and requests in flight."""

    options: StoreOptions
    moved: Mapping[str, str]
    requests: int


@dataclass(frozen=True)
class RescueSettings:
    """The bucket of tiered storage, how to reach it, requests in flight, and what the new cluster gets.

    `driver` and `properties` are the metadata of each offload. `cluster` is the cluster's name, empty if unset.
    """

    bucket: str
    options: StoreOptions
    requests: int
    driver: str
    properties: dict[str, str]
    cluster: str
    layout: Layout


@dataclass(frozen=True)
class ScrubSettings:
    """The scrubs of the service: what is read, seconds between them, whether listings alone decide.

    `logs` is the format of the log, and its level.
    """

    storage: TieredStorageSettings
    interval: int
    list_only: bool
    logs: tuple[str, str]


@dataclass(frozen=True)
class ServeSettings:
    """The service: what to back up and where, seconds between backups, the admin port. `scrub` is None if it is off."""

    job: BackupJob
    store: StoreSettings
    interval: int
    port: int
    scrub: ScrubSettings | None = None
    retention: Retention | None = None
    """Which backups are kept. None: all of them."""
    token: AdminToken = field(default_factory=AdminToken)
    """The token for requests to the admin port that change anything."""
    heartbeat_url: str = field(default="", repr=False)
    """The address that gets a request after each good backup. Empty: none."""
    copies: tuple[StoreSettings, ...] = ()
    """Other places that keep a copy of each backup."""


class Settings:
    """Reads what a command needs, when the command needs it.

    Every method raises SettingError, which names the variable and never repeats what may be a secret.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._read = Environment(environment)

    def logs(self) -> tuple[str, str]:
        """The format of the log, and its level."""
        return self._read.folded_choice(var.LOG_FORMAT), self._read.folded_choice(var.LOG_LEVEL)

    def store(self, location: Location | None = None, *, uploads: bool = False) -> StoreSettings:
        """The store of `BUCKET`, or of a location that is already known. `uploads`: whether files are saved there."""
        where = location or self._read.parsed(var.BUCKET, parse_location, f"Set it to {EXAMPLES}")
        own = StoreSettings(where, self.store_options(uploads=uploads), self.keys(uploads=uploads))
        copies = self._copies(uploads=uploads)
        return next((copy for copy in copies if copy.location == where), own)

    def store_options(self, *, uploads: bool = False) -> StoreOptions:
        """How to reach the store of `BUCKET`. `uploads`: whether files are saved there."""
        return StoreOptions(
            region=self._read.text(var.AWS_REGION) or None,
            addressing_style=self._read.choice(var.S3_ADDRESSING_STYLE),
            credentials_dir=self._read.path(var.S3_CREDENTIALS_DIR),
            checksums=self._read.choice(var.S3_CHECKSUMS),
            verify=self._read.choice(var.VERIFY) if uploads else "full",
            expected_bucket_owner=self._read.matching(
                var.S3_EXPECTED_BUCKET_OWNER, _ACCOUNT, "the id of an account, 12 digits"
            ),
            requester_pays=self._read.switch(var.S3_REQUESTER_PAYS),
            upload=self._upload_options() if uploads else UploadOptions(),
        )

    def keys(self, *, uploads: bool = False) -> BackupKeys:
        """The keys of encrypted backups. Those that encrypt and sign are checked now, others when they are used."""
        text = self._read.text(var.ENCRYPTION_RECIPIENT) if uploads else ""
        signing = self._read.path(var.SIGNING_KEY_FILE)
        found = tuple(key.strip() for key in text.split(",")) if text else ()
        identity, accepted = (
            self._read.path(variable) for variable in (var.ENCRYPTION_IDENTITY_FILE, var.SIGNING_PUBLIC_KEY_FILE)
        )
        return BackupKeys(found, identity, signing, accepted).checked()

    def copies(self) -> tuple[StoreSettings, ...]:
        """The other places of backups, to save files there."""
        found = self._copies(uploads=True)
        places = [self.store().location, *(copy.location for copy in found)]
        if len(set(places)) < len(places):
            raise SettingError(
                "BACKUP_COPIES is not valid, a place is there twice, or is that of BUCKET",
                "Give each place another bucket or another path, so that addresses of backups tell them apart",
            )
        return found

    def _copies(self, *, uploads: bool) -> tuple[StoreSettings, ...]:
        places = enumerate(address.split(self._read.text(var.BACKUP_COPIES)), 1)
        return tuple(self._copy(number, place, uploads=uploads) for number, place in places)

    def _copy(self, number: int, place: str, *, uploads: bool) -> StoreSettings:
        """A place with its settings. What it does not set is as for BUCKET."""
        what = f"BACKUP_COPIES is not valid at place {number}"
        try:
            uri, given = address.parse(place, {_COPY_ENDPOINT, *(variable.name for variable in var.OF_A_COPY)})
            location, endpoint = parse_location(uri), given.get(_COPY_ENDPOINT, "")
            if not _ENDPOINT.fullmatch(endpoint):
                raise ValueError(f"{_COPY_ENDPOINT} is not an address such as https://s3.example.com")
            options = Settings(self._read.replaced(given)).store_options(uploads=uploads)
        except ValueError as error:
            raise SettingError(f"{what}, {error}", f"Set it to {EXAMPLES}, with its settings after ';'") from error
        except SettingError as error:
            raise SettingError(f"{what}, {error.message}", error.hint) from error
        setting = f"{var.S3_CREDENTIALS_DIR.name} in {var.BACKUP_COPIES.name}"
        return StoreSettings(
            location, replace(options, endpoint_url=endpoint, credentials_setting=setting), self.keys(uploads=uploads)
        )

    def _upload_options(self) -> UploadOptions:
        return UploadOptions(
            server_side_encryption=self._encryption(),
            kms_key_id=self._read.matching(var.S3_KMS_KEY_ID, _KMS_KEY, "the id or ARN of a KMS key"),
            storage_class=self._storage_class(),
            object_acl=self._read.choice(var.S3_OBJECT_ACL),
        )

    def _encryption(self) -> str:
        encryption = self._read.choice(var.S3_SERVER_SIDE_ENCRYPTION)
        if self._read.text(var.S3_KMS_KEY_ID) and not encryption.startswith("aws:kms"):
            raise SettingError(
                f"S3_KMS_KEY_ID is set, but S3_SERVER_SIDE_ENCRYPTION {f'is {encryption}' if encryption else 'is not'}",
                "Set S3_SERVER_SIDE_ENCRYPTION=aws:kms, or remove S3_KMS_KEY_ID",
            )
        return encryption

    def _storage_class(self) -> str:
        storage_class = self._read.matching(
            var.S3_STORAGE_CLASS, _STORAGE_CLASS, "a storage class of the object store, such as STANDARD_IA"
        )
        if storage_class in _ARCHIVES:
            raise SettingError(
                f"S3_STORAGE_CLASS is {storage_class}, whose objects cannot be read at once, so a backup there "
                "can neither be verified nor restored",
                "Set it to a class such as STANDARD_IA or GLACIER_IR, and let a lifecycle rule archive old backups",
            )
        return storage_class

    def prefix(self) -> str:
        """The prefix of the backups' names."""
        return self._read.matching(
            var.BACKUP_PREFIX,
            PREFIX,
            "up to 200 letters, digits, '.', '_' and '-', with a letter or digit first, "
            f"and must not end with {SUSPECT}, as the prefix of suspect backups does",
        )

    def retention(self) -> Retention:
        """Which backups are kept."""
        return self._read.parsed(var.RETENTION, Retention.parse, f"Set it to rules such as {EXAMPLE_RULES}")

    def series(self) -> Series:
        """The backups of `BACKUP_PREFIX` in `BUCKET`."""
        return Series(self.store().location, self.prefix())

    def spool_dir(self) -> Path:
        """The directory for work in progress."""
        return self._read.path(var.SPOOL_DIR) or Path(tempfile.gettempdir())

    def cache(self) -> tuple[Path, int] | None:
        """Where fetched backups stay, and how many bytes of them. None if they do not stay."""
        directory, size = self._read.path(var.CACHE_DIR), self._read.number(var.CACHE_SIZE)
        return (directory, size << 20) if directory else None

    def jute_maxbuffer(self) -> int:
        """The limit of servers that start from a backup."""
        return self._read.number(var.JUTE_MAXBUFFER)

    def job(self) -> BackupJob:
        """The settings of `backup`."""
        return self._backup_job(self._read.number(var.ZOOKEEPER_CONNECT_TIMEOUT))

    def serve(self) -> ServeSettings:
        """The settings of `serve`, which waits for ZooKeeper until the next backup is due."""
        interval = self._read.number(var.BACKUP_INTERVAL)
        return ServeSettings(
            job=self._backup_job(interval),
            store=self.store(uploads=True),
            interval=interval,
            port=self._read.number(var.WEB_SERVER_PORT),
            scrub=self._scrub(),
            retention=self.retention() if self._read.text(var.RETENTION) else None,
            token=self._admin_token(),
            heartbeat_url=self._heartbeat_url(),
            copies=self.copies(),
        )

    def _heartbeat_url(self) -> str:
        url = self._read.text(var.HEARTBEAT_URL)
        if url and not _HEARTBEAT.fullmatch(url):
            raise SettingError(
                "HEARTBEAT_URL is not an address",
                "Set it to https://… or http://…. Its value is secret and not shown here",
            )
        return url

    def _admin_token(self) -> AdminToken:
        token, file = self._read.text(var.ADMIN_TOKEN), self._read.path(var.ADMIN_TOKEN_FILE)
        if token and file:
            raise SettingError("ADMIN_TOKEN and ADMIN_TOKEN_FILE are both set", "Set one of them")
        if token and (why := wrong(token)):
            raise SettingError(
                f"ADMIN_TOKEN {why}",
                "Set it to a random word, such as the output of `openssl rand -hex 24`. Its value is secret and not "
                "shown here",
            )
        return AdminToken(token, file)

    def _scrub(self) -> ScrubSettings | None:
        """The scrubs of the service. Their settings are checked even if they are off."""
        interval, list_only = self._read.optional_number(var.SCRUB_INTERVAL), self._read.switch(var.SCRUB_LIST_ONLY)
        storage = self.tiered_storage()
        return ScrubSettings(storage, interval, list_only, self.logs()) if interval else None

    def tiered_storage(self) -> TieredStorageSettings:
        """How to read the buckets of tiered storage that a tree names."""
        return TieredStorageSettings(
            self._tiered_storage_options(), self._moved_buckets(), self._read.number(var.SCRUB_REQUESTS)
        )

    def rescue(self) -> RescueSettings:
        """The settings of `rescue`."""
        options = self._tiered_storage_options()
        bucket = self._read.required(var.TIERED_STORAGE_BUCKET, "Set it to the bucket that brokers offloaded to")
        if not BUCKET_NAME.fullmatch(bucket):
            raise SettingError("TIERED_STORAGE_BUCKET is not the name of a bucket", "Set it to the name alone")
        found = {"region": options.region or "", "serviceEndpoint": options.endpoint_url}
        return RescueSettings(
            bucket=bucket,
            options=options,
            requests=self._read.number(var.SCRUB_REQUESTS),
            driver=self._read.choice(var.TIERED_STORAGE_DRIVER),
            properties={name: value for name, value in found.items() if value},
            cluster=self._cluster_name(),
            layout=Layout(
                self._ensemble()[1] if self._read.text(var.ZOOKEEPER_SERVERS) else "", self._managed_ledger_path()
            ),
        )

    def _tiered_storage_options(self) -> StoreOptions:
        """How to reach the store of tiered storage. What is not set is as for the store of the backups."""
        own = self.store(Location("s3a", "", "")).options
        access_key = self._read.text(var.TIERED_STORAGE_ACCESS_KEY_ID)
        secret_key = self._read.text(var.TIERED_STORAGE_SECRET_ACCESS_KEY)
        if bool(access_key) != bool(secret_key):
            names = [var.TIERED_STORAGE_ACCESS_KEY_ID.name, var.TIERED_STORAGE_SECRET_ACCESS_KEY.name]
            given, missing = names if access_key else reversed(names)
            raise SettingError(f"{given} is set, but {missing} is not", "Set both of them, or neither")
        folder = self._read.path(var.TIERED_STORAGE_CREDENTIALS_DIR)
        if folder:
            own = replace(own, credentials_dir=folder, credentials_setting=var.TIERED_STORAGE_CREDENTIALS_DIR.name)
        return replace(
            own,
            endpoint_url=self._read.matching(
                var.TIERED_STORAGE_ENDPOINT_URL, _ENDPOINT, "an address such as https://s3.example.com"
            ),
            region=self._read.text(var.TIERED_STORAGE_REGION) or own.region,
            addressing_style=self._read.choice(var.TIERED_STORAGE_ADDRESSING_STYLE) or own.addressing_style,
            keys=Keys(access_key, secret_key) if access_key and not folder else None,
            expected_bucket_owner="",
        )

    def _moved_buckets(self) -> dict[str, str]:
        """New names of buckets by their old ones."""
        text = self._read.text(var.TIERED_STORAGE_BUCKETS)
        moved: dict[str, str] = {}
        for pair in text.split(",") if text else []:
            old, _, new = (part.strip() for part in pair.partition("="))
            if not all(BUCKET_NAME.fullmatch(name) for name in (old, new)) or old in moved:
                raise SettingError(
                    "TIERED_STORAGE_BUCKETS is not valid", "Set it to old-name=new-name,…, with each old name once"
                )
            moved[old] = new
        return moved

    def restore(self) -> RestoreJob:
        """The settings of `restore`."""
        ensemble, chroot = self._ensemble() if self._read.text(var.ZOOKEEPER_SERVERS) else ("", "")
        return RestoreJob(
            wanted=self._wanted(),
            version=self._version(),
            data=self._data_dir(),
            spool_dir=self.spool_dir(),
            ensemble=ensemble,
            admin_port=self._read.number(var.ZOOKEEPER_ADMIN_PORT),
            overwrite_existing=self._read.switch(var.OVERWRITE_EXISTING),
            recovery_options=self._recovery_options(chroot, reconcile=self._read.switch(var.TIERED_STORAGE_RECONCILE)),
            admin_address=self._read.text(var.ZOOKEEPER_ADMIN_ADDRESS),
            allow_older=self._read.switch(var.ALLOW_OLDER),
            allow_partial=self._read.switch(var.ALLOW_PARTIAL),
            jute_maxbuffer=self.jute_maxbuffer(),
            newer_in=self._newer_in(),
            bucket_access=self._bucket_access(),
            login=self._login(),
            tls=self._tls(),
            sasl=self._sasl(),
        )

    def put_back(self, point: RestorePoint | None, replace: tuple[str, ...], *, dry_run: bool) -> PutBackJob:
        """The settings of `put-back`. Without a point, it is the one that the ensemble was restored from."""
        servers, chroot = self._ensemble()
        patience = self._read.number(var.ZOOKEEPER_CONNECT_TIMEOUT)
        self.store(Location("s3a", "", ""))  # wrong settings are refused before ZooKeeper is asked
        return PutBackJob(
            point=point,
            ensemble=Ensemble(servers, self._login(), patience, self._tls(), self._sasl()),
            chroot=chroot,
            access=self.broker_access(),
            requests=self._read.number(var.BROKER_REQUESTS),
            rate=self._read.number(var.BROKER_REQUEST_RATE),
            spool_dir=self.spool_dir(),
            replace=replace,
            dry_run=dry_run,
        )

    def drill(self, point: RestorePoint, *, looked_up: bool) -> DrillJob:
        """The settings of `drill`. `looked_up`: the backup is the newest, and was not chosen by an operator."""
        return DrillJob(
            point=point,
            looked_up=looked_up,
            spool_dir=self.spool_dir(),
            recovery_options=self._recovery_options("", reconcile=False),
            allow_partial=self._read.switch(var.ALLOW_PARTIAL),
            jute_maxbuffer=self.jute_maxbuffer(),
            bucket_access=self._bucket_access(),
            server=self._drill_server(),
        )

    def _drill_server(self) -> ServerCommand | None:
        hint = "Set it to a command that runs a ZooKeeper server in the foreground, or remove it"
        try:
            command = tuple(shlex.split(self._read.text(var.DRILL_SERVER)))
        except ValueError as error:
            raise SettingError(f"DRILL_SERVER is not a command, {str(error).lower()}", hint) from error
        if not command:
            return None
        environment = self._read.for_others()
        if not shutil.which(command[0], path=environment.get("PATH")):
            raise SettingError(f"DRILL_SERVER is {command[0]!a}, which cannot be run", hint)
        return ServerCommand(command, environment, self.jute_maxbuffer())

    def _bucket_access(self) -> StoreOptions | None:
        """How a restore reads the buckets of tiered storage. None if nothing is set for that."""
        own = (
            var.TIERED_STORAGE_ENDPOINT_URL,
            var.TIERED_STORAGE_REGION,
            var.TIERED_STORAGE_ACCESS_KEY_ID,
            var.TIERED_STORAGE_CREDENTIALS_DIR,
        )
        options = self._tiered_storage_options()
        return options if any(self._read.text(variable) for variable in own) else None

    def _wanted(self) -> RestorePoint | Series:
        if self._read.text(var.RESTORE_POINT) == LATEST:
            return self.series()
        hint = f"Set it to s3a://<bucket>/<prefix>-<epoch ms>.tar.gz, as `metadata-tool list` prints it, or to {LATEST}"
        return self._read.parsed(var.RESTORE_POINT, RestorePoint.parse, hint)

    def _version(self) -> str:
        version = self._read.text(var.RESTORE_VERSION)
        if len(version) > 100:
            raise SettingError("RESTORE_VERSION has more than 100 characters", "Set it to a number such as 2")
        if not version.isprintable():
            raise SettingError("RESTORE_VERSION has characters that cannot be printed", "Set it to a number such as 2")
        return version

    def _newer_in(self) -> tuple[Series, ...]:
        if not self._read.text(var.NEWER_BACKUPS_IN):
            return ()
        return (self._read.parsed(var.NEWER_BACKUPS_IN, Series.parse, "Set it to s3a://<bucket>[/path]/<prefix>"),)

    def _data_dir(self) -> DataDir:
        path = Path(self._read.required(var.ZOOKEEPER_DATA_DIR, "Set it to the dataDir of zoo.cfg"))
        return DataDir(path, self._read.path(var.ZOOKEEPER_DATA_LOG_DIR) or path)

    def _recovery_options(self, chroot: str, *, reconcile: bool) -> RecoveryOptions:
        urls = {"serviceUrl": var.CLUSTER_SERVICE_URL, "brokerServiceUrl": var.CLUSTER_BROKER_SERVICE_URL}
        scope = Scope(self._read.choice(var.RESTORE_SCOPE))
        if reconcile and scope is not Scope.BOOKIES_LOST:
            raise SettingError(
                f"TIERED_STORAGE_RECONCILE is true, but RESTORE_SCOPE is {scope}",
                "Set TIERED_STORAGE_RECONCILE=false (restore.tieredStorage.reconcile), because bookies that were kept "
                "have the ledgers that the backup lists",
            )
        return RecoveryOptions(
            scope=scope,
            cluster_name=self._cluster_name(),
            rename_cluster=self._read.switch(var.RENAME_CLUSTER),
            infinite_retention=self._read.switch(var.INFINITE_RETENTION),
            urls=tuple(
                (name, self._read.matching(variable, _URL, "an address such as scheme://host:port"))
                for name, variable in urls.items()
                if self._read.text(variable)
            ),
            layout=Layout(chroot, self._managed_ledger_path()),
            buckets=self._buckets_of_restore(),
            reconcile=reconcile,
        )

    def _buckets_of_restore(self) -> MovedBuckets:
        names = self._moved_buckets()
        for variable in (var.TIERED_STORAGE_BROKER_REGION, var.TIERED_STORAGE_BROKER_ENDPOINT_URL):
            if self._read.text(variable) and not names:
                raise SettingError(
                    f"{variable.name} is set, but TIERED_STORAGE_BUCKETS is not",
                    f"Set TIERED_STORAGE_BUCKETS to the buckets that have moved, or remove {variable.name}",
                )
        return MovedBuckets(
            tuple(sorted(names.items())),
            self._read.matching(var.TIERED_STORAGE_BROKER_REGION, _REGION, "a region such as eu-west-1"),
            self._read.matching(
                var.TIERED_STORAGE_BROKER_ENDPOINT_URL, _ENDPOINT, "an address such as https://s3.example.com"
            ),
        )

    def _cluster_name(self) -> str:
        return self._read.matching(var.CLUSTER_NAME, _CLUSTER, "a name of letters, digits, '_', '=', ':', '.' and '-'")

    def _managed_ledger_path(self) -> str:
        return self._read.matching(var.MANAGED_LEDGER_PATH, _ZNODE, "the path of a znode, such as /managed-ledgers")

    def _backup_job(self, patience: float) -> BackupJob:
        servers, chroot = self._ensemble()
        return BackupJob(
            source=Source(
                Ensemble(servers, self._login(), patience, self._tls(), self._sasl()), chroot, self._read_limits()
            ),
            prefix=self.prefix(),
            managed_ledger_path=self._managed_ledger_path(),
            spool_dir=self.spool_dir(),
            max_shrink=self._read.fraction(var.MAX_SHRINK),
            keys=self.keys(uploads=True),
            jute_maxbuffer=self.jute_maxbuffer(),
            broker=self._broker(),
            copies=tuple(copy.location for copy in self._copies(uploads=False)),
        )

    def _broker(self) -> BrokerSettings | None:
        """How a backup asks brokers. None if it does not."""
        timeout, requests = self._read.number(var.BROKER_TIMEOUT), self._read.number(var.BROKER_REQUESTS)
        rate, given = self._read.number(var.BROKER_REQUEST_RATE), self._read.text(var.BROKER_SERVICE_URL)
        for variable in _OF_BROKERS:
            if self._read.text(variable) and not given:
                raise SettingError(
                    f"{variable.name} is set, but BROKER_SERVICE_URL is not",
                    f"Set BROKER_SERVICE_URL to the web service of the brokers, or remove {variable.name}",
                )
        return BrokerSettings(self.broker_access(), timeout, requests, rate) if given else None

    def broker_access(self) -> BrokerAccess:
        """How to reach the brokers, whose address must be set."""
        url = self._read.parsed(var.BROKER_SERVICE_URL, _web_service, "Set it to http://host:port or https://host:port")
        token, token_file = self._read.text(var.BROKER_TOKEN), self._read.path(var.BROKER_TOKEN_FILE)
        if token and token_file:
            raise SettingError("BROKER_TOKEN and BROKER_TOKEN_FILE are both set", "Set one of them")
        if token and not is_token(token):
            raise SettingError(
                "BROKER_TOKEN is not one word of printable characters",
                "Set it to the token alone. Its value is secret and not shown here",
            )
        files = [self._read.path(each) for each in (var.BROKER_TLS_CA, var.BROKER_TLS_CERT, var.BROKER_TLS_KEY)]
        if not url.startswith("https:"):
            for variable, path in zip(_BROKER_TLS, files, strict=True):
                if path:
                    raise SettingError(
                        f"{variable.name} is set, but BROKER_SERVICE_URL is not an https:// address",
                        f"Set BROKER_SERVICE_URL to https://host:port, or remove {variable.name}",
                    )
        ca, cert, key = files
        if bool(cert) != bool(key):
            missing = var.BROKER_TLS_KEY if cert else var.BROKER_TLS_CERT
            raise SettingError(f"{missing.name} is not set", "Set both BROKER_TLS_CERT and BROKER_TLS_KEY, or neither")
        return BrokerAccess(url, token, token_file, ca, cert, key)

    def _read_limits(self) -> ReadLimits:
        return ReadLimits(
            batch=self._read.number(var.ZOOKEEPER_MULTI_READ_SIZE),
            in_flight=self._read.number(var.ZOOKEEPER_MULTI_READS_IN_FLIGHT),
            connections=self._read.number(var.ZOOKEEPER_ACL_CONNECTIONS),
            acls=self._read.number(var.ZOOKEEPER_ACL_BATCH),
        )

    def _ensemble(self) -> tuple[str, str]:
        hint = "Set it to host:port,host:port,… and append the chroot, such as /pulsar, if there is one"
        servers, slash, path = self._read.required(var.ZOOKEEPER_SERVERS, hint).partition("/")
        chroot = (slash + path).rstrip("/")
        if chroot and not (_ZNODE.fullmatch(chroot) and chroot.isprintable() and chroot == chroot.strip()):
            raise SettingError("ZOOKEEPER_SERVERS is not valid, its chroot is not the path of a znode", hint)
        hosts = [host.strip() for host in servers.split(",")]
        for number, host in enumerate(hosts, 1):
            match = _HOST.fullmatch(host)
            if not match or not 1 <= int(match["port"] or 2181) <= 65535:
                raise SettingError(f"ZOOKEEPER_SERVERS is not valid, member {number} is not host:port", hint)
        return ",".join(hosts), chroot

    def _tls(self) -> Tls | None:
        if not self._read.switch(var.ZOOKEEPER_TLS):
            for variable in (var.ZOOKEEPER_TLS_CA, var.ZOOKEEPER_TLS_CERT, var.ZOOKEEPER_TLS_KEY):
                if self._read.text(variable):
                    raise SettingError(
                        f"{variable.name} is set, but ZOOKEEPER_TLS is false",
                        f"Set ZOOKEEPER_TLS=true, or remove {variable.name}",
                    )
            return None
        cert, key = self._read.text(var.ZOOKEEPER_TLS_CERT), self._read.text(var.ZOOKEEPER_TLS_KEY)
        if bool(cert) != bool(key):
            missing = var.ZOOKEEPER_TLS_KEY if cert else var.ZOOKEEPER_TLS_CERT
            raise SettingError(
                f"{missing.name} is not set", "Set both ZOOKEEPER_TLS_CERT and ZOOKEEPER_TLS_KEY, or neither"
            )
        return Tls(
            self._read.text(var.ZOOKEEPER_TLS_CA),
            cert,
            key,
            self._read.text(var.ZOOKEEPER_TLS_KEY_PASSWORD),
            self._read.switch(var.ZOOKEEPER_TLS_CHECK_HOSTNAME),
        )

    def _sasl(self) -> Sasl | None:
        mechanism = self._read.choice(var.ZOOKEEPER_SASL_MECHANISM)
        self._refuse_of_others(mechanism)
        if mechanism == DIGEST_MD5:
            return Sasl(mechanism, user=self._sasl_user(), password=self._sasl_password())
        if mechanism == GSSAPI:
            return Sasl(
                mechanism,
                service=self._read.matching(
                    var.ZOOKEEPER_SASL_SERVICE, _SERVICE, "a name of letters, digits, '.', '_' and '-'"
                ),
                principal=self._read.matching(
                    var.ZOOKEEPER_SASL_PRINCIPAL, _PRINCIPAL, "a principal such as backup@REALM"
                ),
                keytab=self._read.required(
                    var.ZOOKEEPER_SASL_KEYTAB, f"Set it to the path of a keytab, {GSSAPI} needs one"
                ),
            )
        return None

    def _refuse_of_others(self, mechanism: str) -> None:
        """Refuse variables of another mechanism than this one, because they are a mistake."""
        for other, variables in _BY_MECHANISM.items():
            for variable in variables if other != mechanism else ():
                if self._read.text(variable) != variable.default:
                    state = f"is {mechanism}" if mechanism else "is not"
                    raise SettingError(
                        f"{variable.name} is set, but ZOOKEEPER_SASL_MECHANISM {state}",
                        f"Set ZOOKEEPER_SASL_MECHANISM={other}, or remove {variable.name}",
                    )

    def _sasl_user(self) -> str:
        user = self._digest_md5(var.ZOOKEEPER_SASL_USER)
        if not user.isprintable():
            raise SettingError(
                "ZOOKEEPER_SASL_USER has characters that cannot be printed",
                "Set it to the user of the servers' JAAS login",
            )
        return user

    def _sasl_password(self) -> str:
        password = self._digest_md5(var.ZOOKEEPER_SASL_PASSWORD)
        if not _is_unicode(password):
            raise SettingError(
                "ZOOKEEPER_SASL_PASSWORD is not UTF-8", "Set it to UTF-8 text. Its value is secret and not shown here"
            )
        return password

    def _digest_md5(self, variable: Variable) -> str:
        return self._read.required(variable, f"Set the user and the password, {DIGEST_MD5} needs both")

    def _login(self) -> Login | None:
        value = self._read.text(var.ZOOKEEPER_AUTH)
        if not value:
            return None
        scheme, _, credential = value.partition(":")
        if scheme != "digest" or not all(credential.partition(":")) or not _is_unicode(credential):
            raise SettingError(
                "ZOOKEEPER_AUTH is not of the form digest:user:password",
                "Set it to that form. Its value is secret and not shown here",
            )
        return Login(scheme, credential)


def _is_unicode(text: str) -> bool:
    """Whether an environment variable held UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _web_service(text: str) -> str:
    """The address of a web service, without a slash at its end."""
    found = _WEB_SERVICE.fullmatch(text)
    server = _HOST.fullmatch(found["server"]) if found else None
    if not server or not 1 <= int(server["port"] or 80) <= 65535:
        raise ValueError("it is not http://host:port or https://host:port")
    return text.rstrip("/")
