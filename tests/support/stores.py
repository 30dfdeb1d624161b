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
from support.certificates import Authority
from support.damage import damage
from support.proxy import Faults, proxy
from support.s3 import s3_client
from support.store_contract import Subject, never

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WITHOUT_SERVER = {"file": "directory"}


@dataclass(frozen=True)
class Kind:
    """A kind of S3: the server, and what a proxy in front of it makes of it."""

    server: str
    """`versitygw`, `versitygw_tls` or `moto`: a fixture of the module that runs the suite."""
    checksums: str = "auto"
    """The setting S3_CHECKSUMS."""
    tells_checksums: bool = True
    tls: bool = False
    knows_trailers: bool = True
    knows_v2_listings: bool = True


WITH_SERVER = {
    "s3a": {
        "versitygw": Kind("versitygw", checksums="on"),
        "versitygw-without-checksums": Kind("versitygw", checksums="on", tells_checksums=False),
        "versitygw-tls": Kind("versitygw_tls", tls=True),
        "versitygw-tls-trailers": Kind("versitygw_tls", checksums="on", tls=True),
        "no-trailers": Kind("versitygw", tls=True, knows_trailers=False),
        "v1-listings": Kind("versitygw", knows_v2_listings=False),
        "moto": Kind("moto", checksums="on"),
        "moto-tls": Kind("moto", tls=True),
    }
}
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

    def __init__(self, client: "S3Client", bucket: str, faults: Faults, kind: Kind) -> None:
        self._client, self._bucket, self._faults = client, bucket, faults
        verify = "checksum" if kind.checksums == "on" else "full"
        self._options = StoreOptions("us-east-1", checksums=kind.checksums, verify=verify, limits=_LIMITS)

    def store(self, path: str = "folder") -> Store:
        """See `Subject`."""
        return _opened(parse_location(f"s3a://{self._bucket}/{path}"), self._options)

    def missing(self) -> Store:
        """See `Subject`."""
        return _opened(parse_location("s3a://no-such-bucket/folder"), self._options)

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


def refuse_trailers(_: str, headers: Mapping[str, str]) -> tuple[int, str, str] | None:
    """How a store answers that does not know `aws-chunked`."""
    if "x-amz-trailer" in headers:
        return 501, "NotImplemented", "A header you provided implies functionality that is not implemented."
    return None


@dataclass(frozen=True)
class Server:
    """An S3 server on loopback, and boto3's variables with its keys."""

    port: int
    keys: Mapping[str, str]
    authority: Path | None = None
    """What signed its certificate, if it speaks TLS."""

    def client(self) -> "S3Client":
        """A client that speaks to it directly."""
        scheme = "https" if self.authority else "http"
        access_key, secret_key = self.keys["AWS_ACCESS_KEY_ID"], self.keys["AWS_SECRET_ACCESS_KEY"]
        return s3_client(f"{scheme}://127.0.0.1:{self.port}", access_key, secret_key, self.authority)


_numbers = itertools.count()


@contextmanager
def in_new_bucket(
    server: Server, kind: Kind, authority: Authority, patch: Callable[[str, str], None]
) -> Iterator[Subject]:
    """A folder of an empty bucket. `patch` sets a variable of the environment."""
    bucket = f"contract-{next(_numbers)}"
    client = server.client()
    client.create_bucket(Bucket=bucket)
    certificate = authority.issue(bucket) if kind.tls else None
    with proxy(server.port, certificate, to_tls=server.authority is not None) as (endpoint, faults):
        faults.hide_checksums = not kind.tells_checksums
        faults.only_v1_listings = not kind.knows_v2_listings
        faults.refuse = None if kind.knows_trailers else refuse_trailers
        for name, value in {
            **server.keys,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_CA_BUNDLE": str(authority.path),
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch(name, value)
        yield InBucket(client, bucket, faults, kind)
