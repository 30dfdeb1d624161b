"""Fetches an object of S3. After a broken connection, the transfer continues at the missing byte."""

import hashlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from botocore import exceptions as boto_errors
from urllib3.exceptions import SSLError

from metadata_tool.errors import StoreFailed
from metadata_tool.location import Location
from metadata_tool.store.limits import DOWNLOAD_CHUNK, POLL, TransferLimits
from metadata_tool.store.progress import Progress
from metadata_tool.store.s3_digests import in_parts, sha256_of_answer

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

CUT = (boto_errors.ResponseStreamingError, boto_errors.IncompleteReadError, SSLError)
"""A body broke off. If TLS breaks, botocore raises urllib3's own error."""
_BROKEN = (*CUT, boto_errors.HTTPClientError, boto_errors.ConnectionError, boto_errors.ClientError)


class Sink(Protocol):
    """Where a download goes."""

    def write(self, chunk: bytes, /) -> object:
        """Take the next bytes."""

    def tell(self) -> int:
        """How many bytes were written."""


class HashingSink:
    """Keeps only the SHA-256 of what is written."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self._size = 0

    def write(self, chunk: bytes, /) -> None:
        """Take the next bytes."""
        self._size += len(chunk)
        self.digest.update(chunk)

    def tell(self) -> int:
        """How many bytes were written."""
        return self._size


class Download:
    """One version of an object: a fetch fails if the object is replaced meanwhile."""

    def __init__(
        self, client: "S3Client", location: Location, name: str, common: dict[str, Any], limits: TransferLimits
    ) -> None:
        """Send a GET. The answer to a HEAD would not tell a missing bucket or wrong keys from other errors.

        `common` are fields of every request.

        Raises:
            BotoCoreError, ClientError: the request failed, after botocore's own retries.
        """
        self._client = client
        self._object: Any = {"Bucket": location.bucket, "Key": location.key(name), **common}
        self._uri = location.uri(name)
        first = client.get_object(**self._object)
        if "ContentLength" not in first:
            raise StoreFailed(
                f"the object store sends {self._uri} without its size",
                "Check whether a proxy in front of the object store removes Content-Length",
            )
        self._size, self._first = first["ContentLength"], first["Body"]
        self._etag = first.get("ETag")
        self.sha256 = None if in_parts(first) else sha256_of_answer(first)
        """The SHA-256 of the object. None if the store tells none that is understood, or for an upload in parts."""
        self._limits = limits

    def write(self, file: Sink, heartbeat: Callable[[], None]) -> None:
        """Write the object to an empty file, or to another sink.

        Raises:
            BotoCoreError, ClientError, SSLError: no further byte arrived in any of several tries.
        """
        body: StreamingBody | None = self._first
        progress, pauses = Progress(self._size, self._limits.report_every), iter(self._limits.pauses)
        while True:
            begin = file.tell()
            try:
                for chunk in (body or self._rest(begin)).iter_chunks(DOWNLOAD_CHUNK):
                    heartbeat()
                    file.write(chunk)
                    progress(file.tell())
            except _BROKEN as error:
                if file.tell() > begin:
                    pauses = iter(self._limits.pauses)
                pause = next(pauses, None)
                if pause is None or _is_final(error):
                    raise
                log.warning(
                    "the transfer broke off at byte %d of %d (%s), and continues in %g s",
                    file.tell(),
                    self._size,
                    type(error).__name__,
                    pause,
                    extra={"phase": "fetch", "bytes": file.tell(), "error": type(error).__name__},
                )
                body = None
                _wait(pause, heartbeat)
            else:
                return

    def _rest(self, begin: int) -> "StreamingBody":
        answer = self._client.get_object(**self._object, Range=f"bytes={begin}-")
        size = self._size - begin
        found = answer.get("ETag"), answer.get("ContentRange"), answer.get("ContentLength", size)
        if found != (self._etag, f"bytes {begin}-{self._size - 1}/{self._size}", size):
            raise StoreFailed(f"{self._uri} was replaced during its transfer", "Try again")
        return answer["Body"]


def _is_final(error: Exception) -> bool:
    """Whether the object store has answered, and would give the same answer again."""
    return isinstance(error, boto_errors.ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500


def _wait(seconds: float, heartbeat: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        heartbeat()
        time.sleep(POLL)
