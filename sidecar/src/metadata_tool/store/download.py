"""Fetching an object of S3: where the connection breaks, it goes on at the byte that is missing."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore import exceptions as boto_errors
from urllib3.exceptions import SSLError

from metadata_tool.errors import StoreFailed
from metadata_tool.location import Location
from metadata_tool.store.progress import Progress

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

CUT = (boto_errors.ResponseStreamingError, boto_errors.IncompleteReadError, SSLError)
"""A body broke off. (Where it is TLS that breaks, botocore hands on urllib3's own error.)"""
_BROKEN = (*CUT, boto_errors.HTTPClientError, boto_errors.ConnectionError, boto_errors.ClientError)
_CHUNK = 64 << 10
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each try that may follow one which brought nothing; any byte that arrives begins them anew."""
_POLL = 0.05


class Download:
    """An object as it is at first: if it changes while it is fetched, that fails."""

    def __init__(self, client: "S3Client", location: Location, name: str) -> None:
        """Ask for it: by GET, as the answer to a HEAD does not tell a missing bucket or wrong keys from other errors.

        Raises:
            BotoCoreError, ClientError: it cannot be had; botocore has tried several times.
        """
        self._client = client
        self._object: Any = {"Bucket": location.bucket, "Key": location.key(name)}
        self._uri = location.uri(name)
        first = client.get_object(**self._object, ChecksumMode="ENABLED")
        if "ContentLength" not in first:
            raise StoreFailed(f"the object store does not tell the size of {self._uri}", "Is there a proxy before it?")
        self._size, self._first = first["ContentLength"], first["Body"]
        self._etag = first.get("ETag")
        self.sha256 = first.get("ChecksumSHA256")
        """The SHA-256 that the object store tells, if any, in S3's notation."""

    def write(self, file: BinaryIO, heartbeat: Callable[[], None]) -> None:
        """Write it to an empty file.

        Raises:
            BotoCoreError, ClientError, SSLError: no byte more came, however often it was tried.
        """
        body: StreamingBody | None = self._first
        progress, pauses = Progress(self._size), iter(_PAUSES)
        while True:
            begin = file.tell()
            try:
                for chunk in (body or self._rest(begin)).iter_chunks(_CHUNK):
                    heartbeat()
                    file.write(chunk)
                    progress(file.tell())
            except _BROKEN as error:
                if file.tell() > begin:
                    pauses = iter(_PAUSES)
                pause = next(pauses, None)
                if pause is None or _is_final(error):
                    raise
                message = "the transfer broke off at byte %d of %d (%s), going on in %g s"
                log.warning(message, file.tell(), self._size, type(error).__name__, pause)
                body = None
                _wait(pause, heartbeat)
            else:
                return

    def _rest(self, begin: int) -> "StreamingBody":
        answer = self._client.get_object(**self._object, Range=f"bytes={begin}-")
        told = answer.get("ETag"), answer.get("ContentRange"), answer.get("ContentLength")
        if told != (self._etag, f"bytes {begin}-{self._size - 1}/{self._size}", self._size - begin):
            raise StoreFailed(f"{self._uri} is not what it was when its transfer began", "Was it replaced? try again")
        return answer["Body"]


def _is_final(error: Exception) -> bool:
    """Whether the object store has answered, and would answer the same again."""
    return isinstance(error, boto_errors.ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500


def _wait(seconds: float, heartbeat: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        heartbeat()
        time.sleep(_POLL)
