"""Addresses of S3: `s3a://bucket[/path]`. A module of its own, because `s3.py` loads boto3, which takes a second."""

import re

from metadata_tool.location import Location
from metadata_tool.store.base import Scheme, Store, StoreOptions

BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_SEGMENT = re.compile(r"[A-Za-z0-9!_.*'()=+@,:-]+")


def parse(rest: str) -> Location:
    """Read `bucket[/path]`. See `Scheme`."""
    bucket, _, path = rest.partition("/")
    path = path.removesuffix("/") or path
    if not BUCKET_NAME.fullmatch(bucket):
        raise ValueError("the bucket name is empty, or S3 does not allow it")
    for part in path.split("/") if path else []:
        if part in (".", "..") or not _SEGMENT.fullmatch(part):
            raise ValueError("the path has an empty part, '.', '..' or a character that is not safe in S3")
    return Location("s3a", bucket, path)


def open_s3(location: Location, options: StoreOptions) -> Store:
    """Make a client. See `Scheme`."""
    from metadata_tool.store.s3 import S3Store  # noqa: PLC0415  # boto3 takes a second to load

    return S3Store(location, options)


SCHEME = Scheme("s3a", ("s3a://my-bucket", "s3a://my-bucket/some/path"), parse, open_s3)
