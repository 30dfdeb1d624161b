"""Makes S3 clients: endpoint, credentials, checksums, addressing, timeouts. Notices new credentials."""

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from botocore import exceptions as boto_errors
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.loaders import create_loader
from botocore.session import Session

from metadata_tool.errors import BucketDenied, CredentialsRejected, SettingError
from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.credentials import Keys, read_keys
from metadata_tool.store.limits import CONNECTIONS, TransferLimits
from metadata_tool.store.s3_faults import Faults, plain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

_AMAZON = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
)
"""Domains of Amazon's endpoints, one or two for each of its partitions (botocore's partitions.json)."""
_UNUSED = Keys("unused", "unused")
"""Keys for a client that makes no request. With them, boto3 looks for no others."""
_CHECKSUMS: Any = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
"""boto3 adds no checksums by itself, and compares none."""
_MODELS = create_loader()
"""botocore's description of S3, which takes some tenths of a second to load."""
_KEY_NAMES = ("access key", "secret key", "session token")


@dataclass(frozen=True)
class Endpoint:
    """Where requests go, and which checksums they have.

    `url` has no credentials, so messages may show it. With `sends_checksums`, uploads name a checksum algorithm. Over
    TLS, boto3 then sends bodies in the form `aws-chunked` with a trailer, which many stores refuse. With
    `asks_checksums`, the store is asked for the checksums that it keeps.
    """

    url: str
    is_amazon: bool
    sends_checksums: bool
    asks_checksums: bool


class Clients:
    """The client of a folder, and a new one whenever the credentials have changed."""

    def __init__(self, location: Location, options: StoreOptions) -> None:
        """Check boto3's settings. No request is made yet, and no key is read.

        Raises:
            SettingError: boto3's own settings are wrong.
        """
        self._options = options
        self._changing = Lock()
        self._client: S3Client | None = None
        self._source: Any = None
        self._credentials: Any = None
        self._used: Any = None
        self._last_use = time.monotonic()
        try:
            session = _session()
            _require_authorities(session)
            unused = _make_client(session, options, _UNUSED, None)
            self.endpoint = _endpoint(session, unused.meta.endpoint_url, options)
            names = [session.get_config_variable(name) for name in ("credentials_file", "config_file")]
            self._files = [Path(os.path.expanduser(name)) for name in names]  # noqa: PTH111  # a user may have no home
        except (boto_errors.BotoCoreError, ValueError) as error:
            raise SettingError(
                f"boto3 refuses its settings ({plain(str(error))})", "Correct the AWS_ variables"
            ) from error
        self.faults = Faults(location, self.endpoint.url, options, is_amazon=self.endpoint.is_amazon)

    def current(self) -> "S3Client":
        """A client with the current credentials.

        Raises:
            CredentialsRejected: there are none, or they cannot be read.
            ToolError: the service that gives them cannot be used. The message names it.
        """
        with self._changing, self.faults.credentials_explained():  # the admin port lists while a backup runs
            source = self._look()
            if self._client is None or source != self._source:
                return self._renew(source)
            self._close_idle(self._client)
            if self._credentials:
                self._credentials.get_frozen_credentials()  # renewed here, where an error is about credentials
            return self._client

    def _close_idle(self, client: "S3Client") -> None:
        """Close connections that nothing was asked on for some time. Those in use stay open."""
        now = time.monotonic()
        if now - self._last_use > self._options.limits.idle:
            client.close()
        self._last_use = now

    def after_refusal(self, refused: "S3Client") -> "S3Client | None":
        """A client with other credentials than the refused one. None if there are no others."""
        with self._changing, self.faults.credentials_explained():
            if self._client is not refused:
                return self._client
            before = self._used
            renewed = self._renew(self._look())
            return renewed if self._used != before else None

    def ask(self, name: str, request: Callable[["S3Client"], T]) -> T:
        """Make a request. If it is refused, and there are new credentials, make it once more with these.

        `name` is the file that errors name.

        Raises:
            ToolError: it failed. The type says why.
        """
        client = self.current()
        try:
            with self.faults.explained(name):
                return request(client)
        except (CredentialsRejected, BucketDenied):
            other = self.after_refusal(client)
            if other is None:
                raise
        with self.faults.explained(name):
            return request(other)

    def _look(self) -> Any:
        """The keys in the directory of credentials. Without one, the state of boto3's files, to see that they change.

        A role's token file is read by boto3 whenever it renews the role's credentials.
        """
        if self._options.keys:
            return self._options.keys
        if self._options.credentials_dir:
            return read_keys(self._options.credentials_dir, self._options.credentials_setting)
        return [_state(file) for file in self._files]

    def _renew(self, source: Any) -> "S3Client":
        session = _session()
        if isinstance(source, Keys):
            keys: Keys | None = source
            self._used = source
        else:
            self._credentials = session.get_credentials()
            if self._credentials is None:
                raise boto_errors.NoCredentialsError
            self._used = self._credentials.get_frozen_credentials()
            keys = _checked(self._used, self._credentials)
        self._client, self._source = _make_client(session, self._options, keys, self.endpoint), source
        return self._client


def common_fields(options: StoreOptions) -> dict[str, str]:
    """Fields of every request."""
    fields = {
        "ExpectedBucketOwner": options.expected_bucket_owner,
        "RequestPayer": "requester" if options.requester_pays else "",
    }
    return {name: value for name, value in fields.items() if value}


def _session() -> Session:
    """A session, which looks for boto3's settings and credentials again."""
    session = Session()
    session.register_component("data_loader", _MODELS)
    return session


def _checked(frozen: Any, credentials: Any) -> Keys | None:
    """Keys without the white space around them. None if they are of those that boto3 renews by itself.

    Raises:
        CredentialsRejected: a key has a line break, or another character that no header may have.
    """
    values = [value and value.strip() for value in frozen[: len(_KEY_NAMES)]]
    for name, value in zip(_KEY_NAMES, values, strict=True):
        if value and not (value.isascii() and value.isprintable()):
            raise CredentialsRejected(
                f"the {name} contains a line break, or a character that is not ASCII (boto3's {credentials.method})",
                f"Correct the {name}. Its value is not shown here",
            )
    return None if isinstance(credentials, RefreshableCredentials) else Keys(*values)


def _state(path: Path) -> tuple[int, int, int] | None:
    """The inode, time and size of a file, which show that it has changed. None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _endpoint(session: Session, address: str, options: StoreOptions) -> Endpoint:
    url = plain(address)
    is_amazon = f".{urlsplit(url).hostname}".endswith(_AMAZON)
    sends = _chosen(session, "request_checksum_calculation", "AWS_REQUEST_CHECKSUM_CALCULATION")
    asks = _chosen(session, "response_checksum_validation", "AWS_RESPONSE_CHECKSUM_VALIDATION")
    if options.checksums != "auto":
        return Endpoint(url, is_amazon, options.checksums == "on", options.checksums == "on")
    return Endpoint(url, is_amazon, sends == "when_supported" if sends else is_amazon, asks != "when_required")


def _chosen(session: Session, name: str, variable: str) -> str | None:
    """What the user has set one of boto3's settings to, by a variable or in a file. None for boto3's default."""
    in_environment = variable in os.environ or name in session.get_scoped_config()
    return str(session.get_config_variable(name)).lower() if in_environment else None


def _require_authorities(session: Session) -> None:
    """Refuse a CA bundle that cannot be loaded. boto3 would blame the certificate of the store, at the first request.

    Raises:
        SettingError: it does not exist, or is not a PEM file.
    """
    bundle = session.get_config_variable("ca_bundle")
    if not bundle:
        return
    path = Path(bundle)
    try:
        if path.is_dir():
            return
        ssl.create_default_context(cafile=bundle)
    except OSError as error:  # ssl.SSLError is one
        reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingError(
            f"AWS_CA_BUNDLE is {plain(bundle)!a}, which cannot be loaded ({reason})",
            "Set it to a PEM file of the authorities to trust",
        ) from error


def _make_client(session: Session, options: StoreOptions, keys: Keys | None, endpoint: Endpoint | None) -> "S3Client":
    """A client that waits a limited time, and addresses buckets by path if the endpoint is not Amazon's.

    Without keys, it uses the session's credentials, which boto3 found as its documentation says. Without an endpoint,
    the client is used only to find it out.
    """
    given: dict[str, Any] = {}
    if keys:
        given = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
        given["aws_session_token"] = keys.session_token
    s3: Any = {"addressing_style": options.addressing_style}
    if endpoint and not endpoint.is_amazon and options.addressing_style == "auto":
        s3["addressing_style"] = "path"
    if endpoint and not endpoint.sends_checksums:
        s3["payload_signing_enabled"] = True  # the signed SHA-256 proves the body, also over TLS
    config = Config(
        **_timeouts(options.limits), **_CHECKSUMS, s3=s3, tcp_keepalive=True, max_pool_connections=CONNECTIONS
    )
    client: S3Client = session.create_client(
        "s3", region_name=options.region, endpoint_url=options.endpoint_url or None, config=config, **given
    )  # type: ignore[assignment]
    if endpoint and endpoint.asks_checksums:
        client.meta.events.register("before-call.s3.GetObject", _ask_checksum)
    return client


def _ask_checksum(params: dict[str, Any], **_: Any) -> None:
    """Ask for the object's checksum.

    By the parameter ChecksumMode, boto3 would also compare it, and some stores send checksums of another form.
    """
    params["headers"]["x-amz-checksum-mode"] = "ENABLED"


def _timeouts(limits: TransferLimits) -> dict[str, Any]:
    return {"connect_timeout": limits.connect, "read_timeout": limits.read, "retries": {"mode": "standard"}}
