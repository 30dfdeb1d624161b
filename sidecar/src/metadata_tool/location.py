"""Where backups are kept: one folder of a bucket, or one directory. `store/registry.py` reads its address."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """A folder of backups.

    `scheme` is the one that the program writes (`s3a`, never `s3`). `bucket` is empty for a directory. `path` has no
    slash at either end.
    """

    scheme: str
    bucket: str
    path: str

    def __str__(self) -> str:
        return self.uri("").removesuffix("/")

    def uri(self, name: str) -> str:
        """The address of a backup, as `RESTORE_POINT` takes it."""
        return f"{self.scheme}://{self.bucket}/{self.key(name)}"

    def key(self, name: str) -> str:
        """The object key, or the path of the file without its leading slash."""
        return f"{self.path}/{name}" if self.path else name
