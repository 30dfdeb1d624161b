"""One upload to S3, which never overwrites an object, and never removes that of another writer.

Where the server knows conditional requests, it refuses a name that is taken. Other servers do not, so an upload carries
an id as metadata, and what is found under the name afterwards must have this id. Until it is verified, a mark keeps it
out of all listings.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from boto3.s3.transfer import ProgressCallbackInvoker, TransferConfig, create_transfer_manager
from botocore.exceptions import ClientError

from metadata_tool.errors import ToolError, UploadUnverified
from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions, already_there, ignored, source_changed
from metadata_tool.store.download import Download, HashingSink
from metadata_tool.store.limits import PART_SIZE, PARTS_IN_FLIGHT, POLL
from metadata_tool.store.s3_client import Clients, common_fields
from metadata_tool.store.s3_digests import Digests, sha256_of_answer
from metadata_tool.store.s3_mark import SUFFIX, Mark

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture

log = logging.getLogger(__name__)

UPLOAD_ID = "metadata-tool-upload"
"""The key of the metadata that says which upload an object comes from."""

_PARTS = TransferConfig(multipart_threshold=PART_SIZE, multipart_chunksize=PART_SIZE, max_concurrency=PARTS_IN_FLIGHT)
_CHECKSUM = "SHA256"
_REQUESTS = ("before-call.s3.PutObject", "before-call.s3.CompleteMultipartUpload")
"""botocore's events for the requests that give an object its name. s3transfer has no option for their condition."""
_TAKEN = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT)
"""Answers to a condition that does not hold, also while another upload to the same name ends."""


class _Counted:
    """Adds the bytes of all threads of an upload. Those of a part that is sent again are subtracted before."""

    def __init__(self, sent: Callable[[int], None]) -> None:
        self._sent = sent
        self._total = 0
        self._lock = Lock()

    def __call__(self, more: int) -> None:
        """Add these, and report the sum."""
        with self._lock:
            self._total += more
            self._sent(self._total)


class Verification:
    """Whether uploads are read back, or compared by a SHA-256 that the store computed (`VERIFY`)."""

    def __init__(self, *, by_checksum: bool) -> None:
        self._by_checksum = by_checksum
        self._told = False

    def is_proven(self, head: Any, digests: Digests, uri: str) -> bool:
        """Whether the answer to a HEAD proves the object. If it should and does not, the log says so once."""
        if not self._by_checksum:
            return False
        found = sha256_of_answer(head)
        if found in (digests.of_file, digests.of_parts):
            return True
        if not self._told:
            self._told = True
            log.warning(
                "the object store gives %s SHA-256 of %s, so uploads are read back, as with VERIFY=full. "
                "If your store keeps checksums, set S3_CHECKSUMS=on. If not, unset VERIFY",
                "no" if found is None else "another",
                uri,
                extra={"phase": "upload", "backup": uri},
            )
        return False


class Upload:
    """The upload of one file to one name that should be free."""

    def __init__(
        self, clients: Clients, location: Location, options: StoreOptions, name: str, verification: Verification
    ) -> None:
        self._clients = clients
        self._faults = clients.faults
        self._location = location
        self._uri = location.uri(name)
        self._name = name
        self._object: Any = {"Bucket": location.bucket, "Key": location.key(name), **common_fields(options)}
        self._options = options
        self._verification = verification
        self._id = uuid4().hex
        self._mark = Mark(self._object, self._demanded())
        self._is_foreign = False

    def run(
        self, source: Path, digest: bytes, heartbeat: Callable[[], None], sent: Callable[[int], None] = ignored
    ) -> None:
        """Upload the file, and verify that the object has this SHA-256. See `Store.save`."""
        client = self._clients.current()
        try:
            with self._faults.explained(self._name, local=source):
                self._mark.put(client)
                self._send(client, source, heartbeat, sent)
            self._verify(client, source, digest, heartbeat)
            with self._faults.explained(self._name):
                self._mark.remove(client)
        except BaseException:  # a signal among them
            self._withdraw()
            raise

    def _send(
        self, client: "S3Client", source: Path, heartbeat: Callable[[], None], sent: Callable[[int], None]
    ) -> None:
        try:
            with _if_absent(client):
                self._transfer(client, source, heartbeat, sent)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status in _TAKEN:
                self._require_own(client, error)
            elif status == HTTPStatus.NOT_IMPLEMENTED:
                self._transfer(client, source, heartbeat, sent)
            else:
                raise

    def _transfer(
        self, client: "S3Client", source: Path, heartbeat: Callable[[], None], sent: Callable[[int], None]
    ) -> None:
        with create_transfer_manager(client, _PARTS) as transfer:
            bucket, key = self._object["Bucket"], self._object["Key"]
            watch = [ProgressCallbackInvoker(_Counted(sent))]
            _await(transfer.upload(str(source), bucket, key, self._demanded(), watch), heartbeat)

    def _demanded(self) -> dict[str, Any]:
        """What an upload is sent with."""
        options = self._options.upload
        fields = {
            "ContentType": "application/gzip",
            "ChecksumAlgorithm": _CHECKSUM if self._clients.endpoint.sends_checksums else "",
            "Metadata": {UPLOAD_ID: self._id},
            "ServerSideEncryption": options.server_side_encryption,
            "SSEKMSKeyId": options.kms_key_id,
            "StorageClass": options.storage_class,
            "ACL": options.object_acl,
            **common_fields(self._options),
        }
        return {name: value for name, value in fields.items() if value}

    def _require_own(self, client: "S3Client", refused: ClientError) -> None:
        """Accept a refusal only if the object is this upload's: the answer to a first request may have been lost."""
        try:
            head = client.head_object(**self._object)
        except ClientError:
            raise refused from None
        if _id_of(head) != self._id:
            self._is_foreign = True
            raise already_there(self._location, self._name)

    def _verify(self, client: "S3Client", source: Path, digest: bytes, heartbeat: Callable[[], None]) -> None:
        """Compare the object with the file. What is not proven by the server's SHA-256 is read back.

        A checksum may differ in form only, for example if a proxy has split the upload in other parts.
        """
        mode: Any = {"ChecksumMode": "ENABLED"} if self._clients.endpoint.asks_checksums else {}
        with self._faults.explained(self._name):
            head = client.head_object(**self._object, **mode)
        is_own = _id_of(head) == self._id
        if _id_of(head) and not is_own:
            raise already_there(self._location, self._name)
        size, found = source.stat().st_size, head.get("ContentLength")  # a proxy may remove it
        if found not in (size, None):
            raise self._unverified(f"has {found} bytes instead of {size}", is_own=is_own)
        digests = Digests.of(source)
        if digests.of_file != digest:
            raise source_changed(self._location, self._name)
        if found == size and self._verification.is_proven(head, digests, self._uri):
            return
        if self._read_back(client, heartbeat) != digest:
            raise self._unverified("has another SHA-256", is_own=is_own)

    def _read_back(self, client: "S3Client", heartbeat: Callable[[], None]) -> bytes:
        read = HashingSink()
        with self._faults.explained(self._name):
            common = common_fields(self._options)
            Download(client, self._location, self._name, common, self._options.limits).write(read, heartbeat)
        return read.digest.digest()

    def _withdraw(self) -> None:
        """Remove what may have arrived of a failed upload: an unverified object must not be listed."""
        try:
            head = self._clients.ask(self._name, lambda client: _head(client, self._object))
            if _id_of(head) == self._id:
                self._clients.ask(self._name, lambda client: client.delete_object(**self._object))
            if _id_of(head) or not head or self._is_foreign:  # else it may be this upload's
                self._clients.ask(self._name, self._mark.remove)
        except ToolError as error:
            log.warning(
                "an unverified %s may be in the bucket, because it could not be removed: %s It does not count as a "
                "backup as long as %s%s is there",
                self._uri,
                error,
                self._name,
                SUFFIX,
                extra={"error": type(error).__name__},
            )

    def _unverified(self, what: str, *, is_own: bool) -> ToolError:
        """The error for another content. An object without an id may be that of another program, and stays."""
        if not is_own:
            return already_there(self._location, self._name)
        return UploadUnverified(
            f"{self._uri} {what} after its upload, and does not count as a backup", "Check the object store"
        )


@contextmanager
def _if_absent(client: "S3Client") -> Iterator[None]:
    """Let the server refuse an upload to a name that is taken, if it knows this condition."""
    for event in _REQUESTS:
        client.meta.events.register(event, _demand_absence)
    try:
        yield
    finally:
        for event in _REQUESTS:
            client.meta.events.unregister(event, _demand_absence)


def _demand_absence(params: dict[str, Any], **_: Any) -> None:
    params["headers"]["If-None-Match"] = "*"


def _head(client: "S3Client", where: Any) -> Any:
    """What the server tells of the object. Empty if there is none."""
    try:
        return client.head_object(**where)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == HTTPStatus.NOT_FOUND:
            return {}
        raise


def _id_of(head: Any) -> str:
    """The upload that an object comes from. Empty if it does not say. Some servers change the case of names."""
    found = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
    return str(found.get(UPLOAD_ID, ""))


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
