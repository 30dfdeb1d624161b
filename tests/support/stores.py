"""The stores that are held to `support.store_contract`: every registered scheme, on every kind of server there is."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metadata_tool.location import Location
from metadata_tool.store import Store, parse_location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.limits import PART_SIZE, TransferLimits
from metadata_tool.store.registry import SCHEMES
from support.damage import damage
from support.proxy import Faults, proxy
from support.s3 import s3_client
from support.store_contract import Subject, never

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WITHOUT_SERVER = {"file": "directory"}
WITH_SERVER = {"s3a": ("versitygw", "versitygw-without-checksums", "moto")}
"""Scheme by scheme, the subjects of the two modules that run the suite."""

_LIMITS = TransferLimits(read=5, pauses=(0.0, 0.01, 0.02))


def _opened(location: Location, options: StoreOptions) -> Store:
    return SCHEMES[location.scheme].open(location, options)


class Directory:
    """A directory."""

    sizes: Sequence[int] = (0, 1, (1 << 20) - 1, 1 << 20, 3 << 20)
    odd_path = "the backups/ä%20+?#&"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def store(self, path: str = "") -> Store:
        """See `Subject`."""
        folder = self._folder / path
        folder.mkdir(parents=True, exist_ok=True)
        return _opened(parse_location(f"file://{folder}"), StoreOptions(limits=_LIMITS))

    def missing(self) -> Store:
        """See `Subject`."""
        return _opened(parse_location(f"file://{self._folder}/missing"), StoreOptions(limits=_LIMITS))

    def put(self, name: str, content: bytes) -> None:
        """See `Subject`."""
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def contents(self) -> dict[str, bytes]:
        """See `Subject`."""
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self._folder)): path.read_bytes() for path in files}

    def slow_down(self) -> None:
        """See `Subject`. A heartbeat comes with every chunk."""

    def break_transfers(self) -> None:
        """See `Subject`. A file has no connection."""

    def alter_copies(self, size: int) -> Callable[[], None]:
        """See `Subject`. The first byte of the unfinished copy is changed as soon as it is on the disk."""
        altered = False

        def alter() -> None:
            nonlocal altered
            for path in self._folder.rglob("*.tar.gz"):
                if not altered and 0 < path.stat().st_size < size:
                    damage(path, 0)
                    altered = True

        return alter


class InBucket:
    """A folder of a bucket, through a proxy that makes faults."""

    sizes: Sequence[int] = (0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE + 1)
    odd_path = "t=1/a+b.*!/(c)'@,:-_"

    def __init__(self, client: "S3Client", bucket: str, faults: Faults) -> None:
        self._client, self._bucket, self._faults = client, bucket, faults

    def store(self, path: str = "folder") -> Store:
        """See `Subject`."""
        return _opened(parse_location(f"s3a://{self._bucket}/{path}"), StoreOptions("us-east-1", limits=_LIMITS))

    def missing(self) -> Store:
        """See `Subject`."""
        return _opened(parse_location("s3a://no-such-bucket/folder"), StoreOptions("us-east-1", limits=_LIMITS))

    def put(self, name: str, content: bytes) -> None:
        """See `Subject`."""
        self._client.put_object(Bucket=self._bucket, Key=f"folder/{name}", Body=content)

    def contents(self) -> dict[str, bytes]:
        """See `Subject`. Parts of an unfinished upload are among them."""
        found = {}
        for item in self._client.list_objects_v2(Bucket=self._bucket).get("Contents", []):
            body = self._client.get_object(Bucket=self._bucket, Key=item["Key"])["Body"]
            found[item["Key"].removeprefix("folder/")] = body.read()
        for upload in self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", []):
            found[f"unfinished {upload['Key']}"] = b""
        return found

    def slow_down(self) -> None:
        """See `Subject`."""
        self._faults.upload_pause = 0.002

    def break_transfers(self) -> None:
        """See `Subject`."""
        self._faults.cut = PART_SIZE // 2

    def alter_copies(self, size: int) -> Callable[[], None]:
        """See `Subject`. The server keeps no checksum, and what it sends is altered."""
        self._faults.hide_checksums = True
        self._faults.damage = lambda _, body: body[:-1] + bytes([body[-1] ^ 1]) if len(body) == size else body
        return never


@dataclass(frozen=True)
class Server:
    """An S3 server on loopback, and boto3's variables with its keys."""

    port: int
    keys: Mapping[str, str]


_numbers = itertools.count()


@contextmanager
def in_new_bucket(server: Server, patch: Callable[[str, str], None], *, checksums: bool) -> Iterator[Subject]:
    """A folder of an empty bucket. `patch` sets a variable of the environment."""
    bucket = f"contract-{next(_numbers)}"
    client = s3_client(
        f"http://127.0.0.1:{server.port}", server.keys["AWS_ACCESS_KEY_ID"], server.keys["AWS_SECRET_ACCESS_KEY"]
    )
    client.create_bucket(Bucket=bucket)
    with proxy(server.port) as (endpoint, faults):
        faults.hide_checksums = not checksums
        for name, value in {
            **server.keys,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch(name, value)
        yield InBucket(client, bucket, faults)
