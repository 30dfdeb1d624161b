"""Every error an operator can meet: one line that says what was wrong and what to do, and an exit code of its own."""

from collections.abc import Iterator
from typing import ClassVar


class ToolError(Exception):
    """A fault in the program itself: please report it"""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        """`message` says what happened, `hint` what to do: sentences, without the last full stop."""
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type["ToolError"], tuple[str, str]]:
        return type(self), (self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}." if self.hint else self.message


class SettingError(ToolError):
    """A setting or an argument is missing or wrong; the message names it"""

    exit_code = 2


class Stopped(ToolError):
    """A command other than serve was told to stop (SIGTERM, SIGINT); nothing half-done was left behind"""

    exit_code = 4


class OutputLost(ToolError):
    """The output could not be written, as on a full disk"""

    exit_code = 5


class PortUnavailable(ToolError):
    """The admin port cannot be bound: it is in use, or may not be taken"""

    exit_code = 6


class ZooKeeperUnreachable(ToolError):
    """No ZooKeeper server answered within the time allowed"""

    exit_code = 10


class ZooKeeperUnsupported(ToolError):
    """The ZooKeeper server is older than 3.6, or lacks what a backup needs"""

    exit_code = 11


class ZooKeeperLoginFailed(ToolError):
    """ZooKeeper refused the login or demands one, or Kerberos has no ticket (a wrong ZOOKEEPER_AUTH may show as 14)"""

    exit_code = 12


class ZooKeeperSessionLost(ToolError):
    """The ZooKeeper session was lost while the tree was read; nothing was uploaded"""

    exit_code = 13


class ZnodeUnreadable(ToolError):
    """A znode may not be read, or ZooKeeper hid part of its ACL; nothing was uploaded"""

    exit_code = 14


class SpoolFailed(ToolError):
    """The spool directory cannot be written: full, read-only or missing"""

    exit_code = 15


class CaptureUnsound(ToolError):
    """What was captured was damaged in `SPOOL_DIR`, or does not pass a backup's verification; nothing was uploaded"""

    exit_code = 16


class ZooKeeperUntrusted(ToolError):
    """TLS with ZooKeeper failed: a certificate is not trusted, or is of another host name"""

    exit_code = 17


class CaptureStarved(ToolError):
    """The tree changed faster than it could be read, again and again; nothing was uploaded"""

    exit_code = 18


class BucketMissing(ToolError):
    """The bucket or directory for backups does not exist"""

    exit_code = 20


class BucketDenied(ToolError):
    """The object store refused access to the bucket (403)"""

    exit_code = 21


class CredentialsRejected(ToolError):
    """There are no credentials for the object store, or it refused them"""

    exit_code = 22


class StoreUnreachable(ToolError):
    """The object store did not answer"""

    exit_code = 23


class StoreFailed(ToolError):
    """The object store answered with an error that has no exit code of its own"""

    exit_code = 24


class UploadUnverified(ToolError):
    """What the store holds after the upload, or what was read for it, is not what was made; it was removed again"""

    exit_code = 25


class BackupMissing(ToolError):
    """There is no such backup"""

    exit_code = 26


class ArchiveCorrupt(ToolError):
    """The backup file is damaged, or is not one of ours"""

    exit_code = 30


class ArchiveUnsupported(ToolError):
    """The backup file was written by a newer version of the program"""

    exit_code = 31


class ClusterNameDiffers(ToolError):
    """The backup is of a Pulsar cluster with another name than the new one; nothing was touched"""

    exit_code = 42


class ClusterRunning(ToolError):
    """An ensemble serves already, and is not of this restore; nothing was touched"""

    exit_code = 43


class NewerBackups(ToolError):
    """There are newer backups than RESTORE_POINT; nothing was touched"""

    exit_code = 44


class MembersMissing(ToolError):
    """A restore of `latest` needs all members, and some of them did not take part in time; nothing was touched"""

    exit_code = 45


class ClusterAbsent(ToolError):
    """The newest backup holds no Pulsar cluster, and `latest` does not restore such a one; nothing was touched"""

    exit_code = 46


class DataDirNotEmpty(ToolError):
    """The ZooKeeper data directory holds data that is not of this restore version; nothing was touched"""

    exit_code = 40


class DataDirUnusable(ToolError):
    """The ZooKeeper data directory cannot be written: missing, read-only or full"""

    exit_code = 41


def every_error() -> Iterator[type[ToolError]]:
    """All error types in the order of their exit codes."""
    errors: list[type[ToolError]] = [ToolError, *ToolError.__subclasses__()]
    yield from sorted(errors, key=lambda error: error.exit_code)
