"""Marks uploads to S3 that are not verified, so that no listing shows them.

A mark is an empty object `<name>.unverified`, written before the upload and removed after its verification. It stays if
the program is killed in between, or if an upload that is not good cannot be removed. It needs nothing of a store but
uploads and listings, and costs readers no request, because a listing of the backups has the marks, too.
"""

import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

SUFFIX = ".unverified"
_VERIFIED = b"This backup was verified. The mark could not be deleted, so it has a text instead.\n"


def verified(listed: dict[str, int]) -> dict[str, int]:
    """Names and sizes without marks, and without what they mark."""
    return {
        name: size for name, size in listed.items() if not name.endswith(SUFFIX) and listed.get(f"{name}{SUFFIX}") != 0
    }


class Mark:
    """The mark of one upload."""

    def __init__(self, where: dict[str, Any], demanded: dict[str, Any]) -> None:
        """`where` is the object that is uploaded, and `demanded` what the bucket wants of uploads."""
        self._where: Any = {**where, "Key": f"{where['Key']}{SUFFIX}"}
        self._upload: Any = {**demanded, **self._where, "ContentType": "text/plain"}

    def put(self, client: "S3Client") -> None:
        """Write it."""
        client.put_object(**self._upload, Body=b"")

    def remove(self, client: "S3Client") -> None:
        """Delete it, or overwrite it if the credentials may not delete."""
        try:
            client.delete_object(**self._where)
        except ClientError:
            client.put_object(**self._upload, Body=_VERIFIED)
