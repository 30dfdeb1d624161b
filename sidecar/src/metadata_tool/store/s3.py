"""S3, or any server with its protocol. boto3 splits files, retries requests and finds credentials."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions, already_there, ignored
from metadata_tool.store.download import Download
from metadata_tool.store.s3_client import Clients, common_fields
from metadata_tool.store.s3_digests import Digests
from metadata_tool.store.s3_faults import altered
from metadata_tool.store.s3_listing import list_folder
from metadata_tool.store.s3_mark import SUFFIX, verified
from metadata_tool.store.s3_upload import Upload, Verification

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


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
        self._verification = Verification(by_checksum=options.verify == "checksum")

    @property
    def sends_checksums(self) -> bool:
        """Whether uploads name a checksum algorithm."""
        return self._clients.endpoint.sends_checksums

    def save(
        self,
        source: Path,
        digest: bytes,
        name: str,
        heartbeat: Callable[[], None],
        *,
        sent: Callable[[int], None] = ignored,
    ) -> None:
        """See `Store.save`."""
        if name in self._list(name):
            raise already_there(self.location, name)
        upload = Upload(self._clients, self.location, self._options, name, self._verification)
        upload.run(source, digest, heartbeat, sent)

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """See `Store.fetch`."""
        download = self._clients.ask(
            name, lambda client: Download(client, self.location, name, self._common, self._options.limits)
        )
        with self._faults.explained(name, local=target), target.open("wb") as file:
            download.write(file, heartbeat)
        if download.sha256 is not None:
            digests = Digests.of(target)  # some stores do not say that a checksum is that of the parts
            if download.sha256 not in (digests.of_file, digests.of_parts):
                raise altered(self.location.uri(name))

    def read_start(self, name: str, limit: int) -> bytes:
        """See `Store.read_start`. Not every server understands a range of bytes, so the connection is closed early."""

        def read(client: "S3Client") -> bytes:
            with closing(client.get_object(**self._object(name))["Body"]) as body:
                return body.read(limit)

        return self._clients.ask(name, read)

    def list(self, prefix: str) -> dict[str, int]:
        """See `Store.list`."""
        return verified(self._list(prefix))

    def _list(self, prefix: str) -> dict[str, int]:
        """Names and sizes of all objects, those that are not verified among them."""
        return self._clients.ask(prefix, lambda client: list_folder(client, self.location, prefix, self._common))

    def delete(self, name: str) -> None:
        """See `Store.delete`. A mark that could not be deleted when the file was verified goes with it."""

        def delete(client: "S3Client") -> None:
            for each in (name, f"{name}{SUFFIX}"):
                try:
                    client.delete_object(**self._object(each))
                except ClientError as error:  # most stores answer this with success
                    if error.response.get("Error", {}).get("Code") != "NoSuchKey":
                        raise

        self._clients.ask(name, delete)

    def _object(self, name: str) -> dict[str, Any]:
        return {"Bucket": self.location.bucket, "Key": self.location.key(name), **self._common}
