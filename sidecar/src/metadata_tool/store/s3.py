"""S3, or any server with its protocol. boto3 splits files, retries requests and finds credentials."""

import base64
import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore import exceptions as boto_errors
from botocore.config import Config

from metadata_tool.errors import (
    BucketDenied,
    BucketMissing,
    CredentialsRejected,
    SettingError,
    StoreFailed,
    StoreUnreachable,
    ToolError,
    UploadUnverified,
)
from metadata_tool.files import sha256
from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions, already_there, no_such_backup, source_changed
from metadata_tool.store.credentials import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, Keys, read_keys
from metadata_tool.store.download import CUT, Download
from metadata_tool.store.limits import COPY_CHUNK, PART_SIZE, PARTS_IN_FLIGHT, POLL, TransferLimits

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture

log = logging.getLogger(__name__)

_PARTS = TransferConfig(multipart_threshold=PART_SIZE, multipart_chunksize=PART_SIZE, max_concurrency=PARTS_IN_FLIGHT)
_CHECKSUM = "SHA256"
_CHECKSUMS: Any = {"response_checksum_validation": "when_required"}  # some stores send the object's for a range

_NO_KEY = {"NoSuchKey", "404", "NotFound"}
_DENIED = {"AccessDenied", "AllAccessDisabled", "403", "Forbidden"}
_BAD_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidClientTokenId"}
_BAD_KEYS |= {"XAdminUserNotFound"}  # versitygw
_WRONG_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "301", "IllegalLocationConstraintException"}


class S3Store:
    """Objects under a path of a bucket. The server checks each part on arrival. The object is verified."""

    def __init__(self, location: Location, options: StoreOptions) -> None:
        """Make a client. No request is made yet, and no key is read.

        Raises:
            SettingError: boto3's own settings are wrong.
        """
        self.location = location
        self._options = options
        self._credentials_dir = options.credentials_dir
        self._keys = Keys("", "") if options.credentials_dir else None  # without keys, boto3 would look elsewhere
        self._last_client = self._connect(self._keys)
        self._endpoint = self._last_client.meta.endpoint_url
        self._changing = Lock()

    def save(self, source: Path, digest: bytes, name: str, heartbeat: Callable[[], None]) -> None:
        """See `Store.save`."""
        bucket, key = self.location.bucket, self.location.key(name)
        if name in self.list(name):
            raise already_there(self.location, name)
        client = self._client()
        extra = {"ChecksumAlgorithm": _CHECKSUM, "ContentType": "application/gzip"}
        try:
            with self._explaining(name):
                with create_transfer_manager(client, _PARTS) as transfer:
                    _await(transfer.upload(str(source), bucket, key, extra_args=extra), heartbeat)
                self._verify(client, source, digest, name, heartbeat)
        except BaseException:  # a signal among them
            self._withdraw(name)
            raise

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """See `Store.fetch`."""
        with self._explaining(name):
            download = Download(self._client(), self.location, name, self._options.limits)
            with target.open("wb") as file:
                download.write(file, heartbeat)
        if download.sha256 is not None and download.sha256 != _encoded(sha256(target)):
            raise self._damaged(name)

    def list(self, prefix: str) -> dict[str, int]:
        """See `Store.list`."""
        start = self.location.key("")
        found: dict[str, int] = {}
        with self._explaining(prefix):
            paginator = self._client().get_paginator("list_objects_v2")
            pages = paginator.paginate(Bucket=self.location.bucket, Prefix=start + prefix, Delimiter="/")
            for page in pages:
                for item in page.get("Contents", []):
                    found[item["Key"].removeprefix(start)] = item["Size"]
        return found

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        with self._explaining(name):
            self._client().delete_object(Bucket=self.location.bucket, Key=self.location.key(name))

    def _client(self) -> "S3Client":
        """A client with the current keys: the last client, unless the keys have changed.

        Raises:
            CredentialsRejected: the files in the directory of credentials cannot be used.
        """
        if self._credentials_dir is None:
            return self._last_client
        with self._changing:  # requests to the admin port list backups while a backup runs
            keys = read_keys(self._credentials_dir)
            if keys != self._keys:
                self._last_client = self._connect(keys)
                self._keys = keys
            return self._last_client

    def _connect(self, keys: Keys | None) -> "S3Client":
        try:
            return _make_client(self._options, keys)
        except (boto_errors.BotoCoreError, ValueError) as error:
            raise SettingError(f"boto3 refuses its settings ({error})", "Correct the AWS_ variables") from error

    def _withdraw(self, name: str) -> None:
        """Remove what may have arrived of a failed upload: an unverified object must not be listed."""
        try:
            self.delete(name)
        except ToolError as error:
            log.warning(
                "an unverified %s may be in the bucket, because it could not be removed: %s",
                name,
                error,
                extra={"error": type(error).__name__},
            )

    def _verify(
        self, client: "S3Client", source: Path, digest: bytes, name: str, heartbeat: Callable[[], None]
    ) -> None:
        """Compare the object by the server's SHA-256. If the server keeps none, read the object back."""
        bucket, key = self.location.bucket, self.location.key(name)
        head = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        size, checksum = source.stat().st_size, head.get("ChecksumSHA256")
        if head["ContentLength"] != size:
            raise _unverified(self.location.uri(name), f"has {head['ContentLength']} bytes instead of {size}")
        of_file, of_parts = _digests(source)
        if of_file != digest:
            raise source_changed(self.location, name)
        if checksum is not None:
            equal = checksum in (
                _encoded(of_file),
                of_parts,
                of_parts.partition("-")[0],
            )  # not all stores count the parts
        else:
            read = hashlib.sha256()
            for chunk in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(COPY_CHUNK):
                heartbeat()
                read.update(chunk)
            equal = read.digest() == digest
        if not equal:
            raise _unverified(self.location.uri(name), "has another SHA-256")

    @contextmanager
    def _explaining(self, name: str) -> Iterator[None]:
        try:
            yield
        except boto_errors.ClientError as error:
            raise self._explain(error, name) from error
        except (
            boto_errors.NoCredentialsError,
            boto_errors.PartialCredentialsError,
            boto_errors.CredentialRetrievalError,
            boto_errors.TokenRetrievalError,
        ) as error:
            raise CredentialsRejected(
                f"no usable credentials were found for {self.location}",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the service account a role",
            ) from error
        except CUT as error:
            raise StoreUnreachable(
                f"the transfer of {self.location.uri(name)} broke off too many times", "Check the network"
            ) from error
        except (boto_errors.HTTPClientError, boto_errors.ConnectionError) as error:
            raise StoreUnreachable(
                f"the object store at {self._endpoint} does not answer ({type(error).__name__})",
                "Check AWS_ENDPOINT_URL_S3, AWS_REGION and the network",
            ) from error
        except boto_errors.FlexibleChecksumError as error:
            raise self._damaged(name) from error
        except boto_errors.BotoCoreError as error:
            raise StoreFailed(f"{self.location} cannot be used ({error})", "Check the AWS_ variables") from error

    def _explain(self, error: boto_errors.ClientError, name: str) -> ToolError:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "NoSuchBucket":
            return BucketMissing(
                f"the bucket of {self.location} does not exist", "Create the bucket, or correct BUCKET or the address"
            )
        if code in _NO_KEY:
            return no_such_backup(self.location, name)
        if code in _DENIED:
            return BucketDenied(
                f"the object store denied access to {self.location} (403)",
                "Allow these credentials s3:ListBucket, GetObject, PutObject, DeleteObject and AbortMultipartUpload",
            )
        if code in _BAD_KEYS:
            return CredentialsRejected(
                f"the object store refused the credentials for {self.location} ({code})",
                f"Check {ACCESS_KEY}, {SECRET_KEY} and {SESSION_TOKEN}{self._place_of_keys()}",
            )
        if code in _WRONG_REGION:
            return StoreFailed(
                f"the bucket of {self.location} is in another region ({code})", "Set AWS_REGION to the bucket's region"
            )
        message = error.response.get("Error", {}).get("Message", "")
        return StoreFailed(f"the object store failed for {self.location}: {code} {message}", "Try again")

    def _place_of_keys(self) -> str:
        return f" in {self._credentials_dir} (S3_CREDENTIALS_DIR)" if self._credentials_dir else ""

    def _damaged(self, name: str) -> StoreFailed:
        return StoreFailed(
            f"{self.location.uri(name)} does not match the object store's checksum",
            "Try again. If that fails too, use another backup, because this one is damaged",
        )


def _make_client(options: StoreOptions, keys: Keys | None) -> "S3Client":
    """A client that waits a limited time, and addresses buckets by path if the endpoint is not Amazon's.

    Without keys, boto3 looks for credentials as its documentation says.
    """
    session = boto3.session.Session()
    given: dict[str, Any] = {}
    if keys:
        given = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
        given["aws_session_token"] = keys.session_token

    def make(style: Any) -> "S3Client":
        config = Config(**_timeouts(options.limits), **_CHECKSUMS, s3={"addressing_style": style})
        return session.client("s3", region_name=options.region, config=config, **given)

    client = make(options.addressing_style)
    foreign = not client.meta.endpoint_url.removesuffix(".cn").endswith(".amazonaws.com")
    return make("path") if options.addressing_style == "auto" and foreign else client


def _timeouts(limits: TransferLimits) -> dict[str, Any]:
    return {"connect_timeout": limits.connect, "read_timeout": limits.read, "retries": {"mode": "standard"}}


def _await(future: "TransferFuture", heartbeat: Callable[[], None]) -> None:
    """Wait for a transfer. On a stop, cancel it so that no part is left in the bucket."""
    try:
        while not future.done():
            heartbeat()
            time.sleep(POLL)
    except BaseException:  # a signal among them
        future.cancel()
        _settle(future)
        raise
    future.result()


def _settle(future: "TransferFuture") -> None:
    """Let a cancelled transfer abort its upload. Its result no longer matters."""
    try:
        future.result()
    except Exception:  # noqa: BLE001  # s3transfer raises any error of the cancelled part
        return


def _encoded(digest: bytes) -> str:
    """S3's notation of the SHA-256 of an object uploaded in one piece."""
    return base64.b64encode(digest).decode()


def _digests(source: Path) -> tuple[bytes, str]:
    """The SHA-256 of a file, and in S3's notation that of its parts: the digest of their digests, and their number."""
    of_file, digests = hashlib.sha256(), []
    with source.open("rb") as file:
        while part := file.read(PART_SIZE):
            of_file.update(part)
            digests.append(hashlib.sha256(part).digest())
    return of_file.digest(), f"{_encoded(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"


def _unverified(uri: str, what: str) -> UploadUnverified:
    return UploadUnverified(f"{uri} {what} after its upload, and was removed", "Check the object store")
