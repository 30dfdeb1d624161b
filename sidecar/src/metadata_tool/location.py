"""Where backups lie: `s3a://bucket[/path]`, or `file:///directory` where there is no S3."""

import re
from dataclasses import dataclass
from typing import Literal

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_SEGMENT = re.compile(r"[A-Za-z0-9!_.*'()=+@,:-]+")

EXAMPLE = "s3a://my-bucket, s3a://my-bucket/some/path or file:///some/directory"


@dataclass(frozen=True)
class Location:
    """A folder of backups. `bucket` is empty for a directory; `path` has no slash at either end."""

    scheme: Literal["s3a", "file"]
    bucket: str
    path: str

    @classmethod
    def parse(cls, text: str) -> "Location":
        """Read a bucket setting; `s3://` is taken as `s3a://`.

        Raises:
            ValueError: what is wrong with it. The text itself is not repeated: it may hold credentials.
        """
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in ("s3", "s3a", "file"):
            raise ValueError("it is no s3a://, s3:// or file:/// address")
        if "@" in rest.partition("/")[0]:
            raise ValueError("it holds credentials, which belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        bucket, _, path = rest.partition("/")
        path = path.removesuffix("/") or path
        if scheme == "file":
            if bucket or not path:
                raise ValueError("a directory is written with three slashes and an absolute path")
            if any(part in ("", ".", "..") for part in path.split("/")):
                raise ValueError("its path has an empty, '.' or '..' part")
            return cls("file", "", path)
        if not _BUCKET.fullmatch(bucket):
            raise ValueError("its bucket name is empty or not one that S3 allows")
        for part in path.split("/") if path else []:
            if part in (".", "..") or not _SEGMENT.fullmatch(part):
                raise ValueError("its path has an empty part, '.', '..' or a character that is not safe in S3")
        return cls("s3a", bucket, path)

    def __str__(self) -> str:
        return self.uri("").removesuffix("/")

    def uri(self, name: str) -> str:
        """The address of a backup, as `RESTORE_POINT` takes it."""
        return f"file:///{self.key(name)}" if self.scheme == "file" else f"s3a://{self.bucket}/{self.key(name)}"

    def key(self, name: str) -> str:
        """The object key, or the path without its leading slash."""
        return f"{self.path}/{name}" if self.path else name
