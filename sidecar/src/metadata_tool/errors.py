"""Every error that an operator can meet: a message, a hint and an exit code."""

from collections.abc import Iterator
from typing import ClassVar

FAULT = "a fault in the program. Report it together with the log"
"""What a log says of an exception that is not a ToolError."""


_LONGEST = 4_000
"""Characters of a message. What other programs say may be repeated in it, and may have megabytes."""


def bounded(text: str, limit: int = _LONGEST) -> str:
    """A text with its middle left out if it is too long."""
    if len(text) <= limit:
        return text
    half = limit // 2 - 20  # so that the result is not shortened again
    return f"{text[:half]}… ({len(text) - 2 * half} characters) …{text[-half:]}"


class ToolError(Exception):
    """A fault in the program. Report it"""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        """`message` says what happened, `hint` what to do. Both are sentences without the final full stop."""
        self.message = bounded(" ".join(message.split()))
        self.hint = bounded(" ".join(hint.split()))
        super().__init__(self.message)

    def with_hint(self, more: str) -> "ToolError":
        """The same error, with more to do."""
        return type(self)(self.message, f"{self.hint}. {more}" if self.hint else more)

    def __reduce__(self) -> tuple[type["ToolError"], tuple[str, str]]:
        return type(self), (self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}." if self.hint else self.message


class SettingError(ToolError):
    """A setting or an argument is missing or wrong. The message names it"""

    exit_code = 2


class HelperKilled(ToolError):
    """A helper process was killed, in most cases for lack of memory. A restore has touched nothing"""

    exit_code = 3


class Stopped(ToolError):
    """A command other than `serve` was stopped (SIGTERM, SIGINT). It left nothing incomplete behind"""

    exit_code = 4


class OutputLost(ToolError):
    """The output could not be written, for example to a full disk"""

    exit_code = 5


class PortUnavailable(ToolError):
    """The admin port cannot be bound. It is in use, or this user is not allowed to bind it"""

    exit_code = 6


class OpenFilesExhausted(ToolError):
    """The process, or the machine, has too many files open"""

    exit_code = 7


class ZooKeeperUnreachable(ToolError):
    """No ZooKeeper server answered in time"""

    exit_code = 10


class ZooKeeperUnsupported(ToolError):
    """The ZooKeeper server is older than 3.6, or cannot watch a whole tree"""

    exit_code = 11


class ZooKeeperLoginFailed(ToolError):
    """ZooKeeper refused the login or demands one, or Kerberos gives no ticket. A wrong ZOOKEEPER_AUTH may give 14"""

    exit_code = 12


class ZooKeeperSessionLost(ToolError):
    """The ZooKeeper session was lost while znodes were read"""

    exit_code = 13


class ZnodeUnreadable(ToolError):
    """The login cannot read a znode or its whole ACL, or `put-back` cannot write one. Nothing was uploaded"""

    exit_code = 14


class SpoolFailed(ToolError):
    """The spool directory cannot be written. It is full, read-only or missing"""

    exit_code = 15


class CaptureUnsound(ToolError):
    """The captured tree was damaged in `SPOOL_DIR`, or failed verification. Nothing was uploaded"""

    exit_code = 16


class ZooKeeperUntrusted(ToolError):
    """TLS with ZooKeeper failed. A certificate is not trusted or names another host, or only one side speaks TLS"""

    exit_code = 17


class CaptureStarved(ToolError):
    """The tree changed faster than it could be read, 2000 times in a row. Nothing was uploaded"""

    exit_code = 18


class BackupSuspect(ToolError):
    """The backup was saved, but may not continue the one before it: of another cluster, rolled back or much smaller"""

    exit_code = 19


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


class ObjectArchived(ToolError):
    """The object is in an archive class, and must be restored from there before it can be read"""

    exit_code = 27


STORE_FAULTS = (BucketMissing, BucketDenied, CredentialsRejected, StoreUnreachable, StoreFailed, ObjectArchived)
"""What can be wrong with an object store, whatever is asked of it."""


class BackupNotCopied(ToolError):
    """The backup is in BUCKET, but not in each place of BACKUP_COPIES"""

    exit_code = 28


class UploadUnverified(ToolError):
    """An upload, or the file that was read for it, differs from what was written. The upload does not count"""

    exit_code = 25


class BackupMissing(ToolError):
    """The backup does not exist"""

    exit_code = 26


class ArchiveCorrupt(ToolError):
    """The file is damaged, or is not a backup of this program"""

    exit_code = 30


class ArchiveUnsupported(ToolError):
    """The backup file was written by a newer version of the program"""

    exit_code = 31


class BackupEncrypted(ToolError):
    """The backup is encrypted, and there is no key that opens it"""

    exit_code = 32


class BackupUnsigned(ToolError):
    """The backup is not signed by the holder of a key in SIGNING_PUBLIC_KEY_FILE"""

    exit_code = 33


class ClusterNameDiffers(ToolError):
    """The Pulsar cluster in the backup has another name than the new one. Nothing was touched"""

    exit_code = 42


class ClusterRunning(ToolError):
    """Members are running, or may be, that did not come from this restore. Nothing was touched"""

    exit_code = 43


class NewerBackups(ToolError):
    """There are newer backups than RESTORE_POINT. Nothing was touched"""

    exit_code = 44


class MembersMissing(ToolError):
    """A restore of `latest` needs all members, and some did not start in time. Nothing was touched"""

    exit_code = 45


class ClusterAbsent(ToolError):
    """The newest backup holds no Pulsar cluster, so `latest` does not restore it. Nothing was touched"""

    exit_code = 46


class TreeIncomplete(ToolError):
    """The backup lacks a part of Pulsar's metadata, or has it elsewhere than the settings say. Nothing was touched"""

    exit_code = 47


class TreeUnloadable(ToolError):
    """New ZooKeeper servers would not load the tree, for example because a znode is too large. Nothing was touched"""

    exit_code = 48


class DrillFailed(ToolError):
    """A drill failed. The backup would not be restored, or ZooKeeper does not serve what was restored"""

    exit_code = 49


class OffloadedLedgersLost(ToolError):
    """Ledgers that the tree calls offloaded are missing or damaged in tiered storage. The report names them"""

    exit_code = 50


class BrokerUnreachable(ToolError):
    """No broker answered at BROKER_SERVICE_URL, or TLS failed. Only `put-back` ends with this code"""

    exit_code = 60


class BrokerDenied(ToolError):
    """A broker refused the token or certificate (401, 403). Only `put-back` ends with this code"""

    exit_code = 61


class BrokerFailed(ToolError):
    """A broker answered with an error, or its answer was not valid. Only `put-back` ends with this code"""

    exit_code = 62


class PutBackIncomplete(ToolError):
    """A put-back could not put everything back. The report names what is missing, and what to do"""

    exit_code = 63


class PutBackRunning(ToolError):
    """Another put-back is running for this ensemble. This one has changed nothing"""

    exit_code = 64


class DataDirNotEmpty(ToolError):
    """The ZooKeeper data directory holds data that did not come from this restore version. Nothing was touched"""

    exit_code = 40


class DataDirUnusable(ToolError):
    """The ZooKeeper data directory cannot be written. It is read-only or full, or cannot be created"""

    exit_code = 41


def every_error() -> Iterator[type[ToolError]]:
    """All error types in the order of their exit codes."""
    errors: list[type[ToolError]] = [ToolError, *ToolError.__subclasses__()]
    yield from sorted(errors, key=lambda error: error.exit_code)
