"""S3, or any server with its protocol. boto3 splits files, retries requests and finds credentials."""

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from boto3.s3.transfer import TransferConfig, create_transfer_manager

from metadata_tool.errors import BucketDenied, CredentialsRejected, ToolError, UploadUnverified
from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions, already_there, source_changed
from metadata_tool.store.download import Download
from metadata_tool.store.limits import COPY_CHUNK, PART_SIZE, PARTS_IN_FLIGHT, POLL
from metadata_tool.store.s3_client import Clients, common_fields
from metadata_tool.store.s3_digests import Digests, sha256_of_answer
from metadata_tool.store.s3_faults import altered
from metadata_tool.store.s3_listing import list_folder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture

T = TypeVar("T")

log = logging.getLogger(__name__)

_PARTS = TransferConfig(multipart_threshold=PART_SIZE, multipart_chunksize=PART_SIZE, max_concurrency=PARTS_IN_FLIGHT)
_CHECKSUM = "SHA256"


class S3Store:
    """Objects under a path of a bucket. The server checks each part on arrival. The object is verified."""

    def __init__(self, location: Location, options: StoreOptions) -> None:
        """No request is made yet, and no key is read.

        Raises:
            SettingError: boto3's own settings are wrong.
        """
        self.location = location
        self._options = options
        self._clients = Clients(location, options)
        self._faults = self._clients.faults
        self._common = common_fields(options)

    @property
    def sends_checksums(self) -> bool:
        """Whether uploads name a checksum algorithm."""
        return self._clients.endpoint.sends_checksums

    def save(self, source: Path, digest: bytes, name: str, heartbeat: Callable[[], None]) -> None:
        """See `Store.save`."""
        if name in self.list(name):
            raise already_there(self.location, name)
        client = self._clients.current()
        try:
            with self._faults.explained(name, local=source), create_transfer_manager(client, _PARTS) as transfer:
                bucket, key = self.location.bucket, self.location.key(name)
                _await(transfer.upload(str(source), bucket, key, extra_args=self._demanded()), heartbeat)
            self._verify(client, source, digest, name, heartbeat)
        except BaseException:  # a signal among them
            self._withdraw(name)
            raise

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """See `Store.fetch`."""
        download = self._ask(
            name, lambda client: Download(client, self.location, name, self._common, self._options.limits)
        )
        with self._faults.explained(name, local=target), target.open("wb") as file:
            download.write(file, heartbeat)
        if download.sha256 is not None:
            digests = Digests.of(target)  # some stores do not say that a checksum is that of the parts
            if download.sha256 not in (digests.of_file, digests.of_parts):
                raise altered(self.location.uri(name))

    def list(self, prefix: str) -> dict[str, int]:
        """See `Store.list`."""
        return self._ask(prefix, lambda client: list_folder(client, self.location, prefix, self._common))

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        self._ask(name, lambda client: client.delete_object(**self._object(name)))

    def _ask(self, name: str, request: Callable[["S3Client"], T]) -> T:
        """Make a request. If it is refused, and there are new credentials, make it once more with these."""
        client = self._clients.current()
        try:
            with self._faults.explained(name):
                return request(client)
        except (CredentialsRejected, BucketDenied):
            other = self._clients.after_refusal(client)
            if other is None:
                raise
        with self._faults.explained(name):
            return request(other)

    def _object(self, name: str) -> dict[str, Any]:
        return {"Bucket": self.location.bucket, "Key": self.location.key(name), **self._common}

    def _demanded(self) -> dict[str, str]:
        """What an upload is sent with."""
        options = self._options.upload
        fields = {
            "ContentType": "application/gzip",
            "ChecksumAlgorithm": _CHECKSUM if self.sends_checksums else "",
            "ServerSideEncryption": options.server_side_encryption,
            "SSEKMSKeyId": options.kms_key_id,
            "StorageClass": options.storage_class,
            "ACL": options.object_acl,
            **self._common,
        }
        return {name: value for name, value in fields.items() if value}

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
        """Compare the object by the server's SHA-256. If that does not prove it equal, read the object back.

        A checksum may differ in form only, for example if a proxy has split the upload in other parts.
        """
        mode: Any = {"ChecksumMode": "ENABLED"} if self._clients.endpoint.asks_checksums else {}
        with self._faults.explained(name):
            head = client.head_object(**self._object(name), **mode)
        size, found = source.stat().st_size, head.get("ContentLength")  # a proxy may remove it
        if found not in (size, None):
            raise _unverified(self.location.uri(name), f"has {found} bytes instead of {size}")
        digests = Digests.of(source)
        if digests.of_file != digest:
            raise source_changed(self.location, name)
        if found == size and sha256_of_answer(head) in (digests.of_file, digests.of_parts):
            return
        if self._read_back(client, name, heartbeat) != digest:
            raise _unverified(self.location.uri(name), "has another SHA-256")

    def _read_back(self, client: "S3Client", name: str, heartbeat: Callable[[], None]) -> bytes:
        read = hashlib.sha256()
        with self._faults.explained(name):
            for chunk in client.get_object(**self._object(name))["Body"].iter_chunks(COPY_CHUNK):
                heartbeat()
                read.update(chunk)
        return read.digest()


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


def _unverified(uri: str, what: str) -> UploadUnverified:
    return UploadUnverified(f"{uri} {what} after its upload, and was removed", "Check the object store")
