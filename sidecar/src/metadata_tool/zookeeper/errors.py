"""What can go wrong with an ensemble, a capture or a data directory: facts, without advice.

What an operator should do depends on the command, so `metadata_tool.zookeeper_faults` adds it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path


class ZooKeeperError(Exception):
    """Base class. The text says what happened. Attributes hold what advice depends on."""


class DecodeError(Exception):
    """Bytes that are not in the expected format. Decoders raise no other error."""


class ConnectionBroken(Exception):
    """The connection of a session broke, or the server sent something that the protocol does not allow."""


class Unreachable(ZooKeeperError):
    """No server accepted a session in time."""

    def __init__(self, servers: str, seconds: float, reasons: Mapping[str, str]) -> None:
        """`reasons` are the last failures, by server."""
        details = ", ".join(f"{server} ({reason})" for server, reason in reasons.items())
        super().__init__(
            f"no ZooKeeper server answered at {servers} within {seconds:.0f} s{': ' if details else ''}{details}"
        )


class TooOld(ZooKeeperError):
    """The server lacks multi-reads or persistent watches."""

    def __init__(self, version: str) -> None:
        super().__init__(f"ZooKeeper {version or 'of an unknown version'} cannot read many znodes at once")


class OperationMissing(Exception):
    """The server does not know a kind of request. `captured` turns it into TooOld, with the server's version."""


class TreeWatchUnsupported(ZooKeeperError):
    """The server cannot watch a whole tree."""

    def __init__(self) -> None:
        super().__init__("ZooKeeper cannot watch a tree because it runs with WatchManagerOptimized")


class LoginRefused(ZooKeeperError):
    """The server refused the login by scheme and credential."""

    def __init__(self) -> None:
        super().__init__("ZooKeeper refused the login")


class LoginDemanded(ZooKeeperError):
    """The server closes sessions that have not logged in."""

    def __init__(self) -> None:
        super().__init__("ZooKeeper demands a login and closes sessions without one")


class OtherLoginDemanded(ZooKeeperError):
    """The server closes sessions that have logged in by SASL alone."""

    def __init__(self) -> None:
        super().__init__("ZooKeeper demands another login than SASL and closes sessions without one")


class SaslRefused(ZooKeeperError):
    """The server refused the login by SASL."""

    def __init__(self, host: str, mechanism: str) -> None:
        super().__init__(f"ZooKeeper at {host} refused the login by SASL {mechanism}")
        self.mechanism = mechanism


class SaslNotOffered(ZooKeeperError):
    """The server is not configured for SASL."""

    def __init__(self, host: str) -> None:
        super().__init__(f"ZooKeeper at {host} offers no SASL")


class SaslMismatch(ZooKeeperError):
    """The server's answers do not belong to the mechanism."""

    def __init__(self, host: str, mechanism: str, reason: str) -> None:
        super().__init__(f"ZooKeeper at {host} does not speak SASL {mechanism}: {reason}")


class NoTicket(ZooKeeperError):
    """Kerberos gives no ticket. `code` is Kerberos' error (krb5.h), 0 if there is none."""

    def __init__(self, host: str, reason: str, code: int) -> None:
        super().__init__(f"Kerberos gives no ticket for ZooKeeper at {host}: {reason}")
        self.code = code


class KeytabUnreadable(ZooKeeperError):
    """The keytab cannot be opened."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"the keytab {path} cannot be read: {reason}")


class KeyMissing(ZooKeeperError):
    """The keytab has no usable key."""

    def __init__(self, path: str, principal: str, reason: str) -> None:
        super().__init__(f"the keytab {path} has no key of {principal or 'any principal'} ({reason})")


class LibraryMissing(ZooKeeperError):
    """GSSAPI needs a library that is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(f"SASL GSSAPI needs {library}, which is not installed")


class AuthoritiesUnusable(ZooKeeperError):
    """The file of certificate authorities cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"the certificate authorities in {path} cannot be used: {reason}")


class CertificateUnusable(ZooKeeperError):
    """The client certificate or its key cannot be used."""

    def __init__(self, certificate: str, key: str, reason: str) -> None:
        super().__init__(f"the certificate {certificate} with the key {key} cannot be used: {reason}")


class Untrusted(ZooKeeperError):
    """The TLS handshake failed."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"TLS with ZooKeeper at {server} failed: {reason}")


class SpeaksTls(ZooKeeperError):
    """A port speaks TLS, and the client does not."""

    def __init__(self, server: str) -> None:
        super().__init__(f"ZooKeeper at {server} speaks TLS, and this connection did not")


class SpeaksNoTls(ZooKeeperError):
    """A port speaks no TLS, and the client does."""

    def __init__(self, server: str) -> None:
        super().__init__(f"TLS with ZooKeeper at {server} failed: this port speaks no TLS")


class AnswerUnclear(ZooKeeperError):
    """A server accepts connections, but does not show whether it serves."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"{server} accepts connections, but does not show whether it serves: {reason}")


class NameUnresolved(ZooKeeperError):
    """Name resolution failed, which is not the answer that a name does not exist."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(
            f"the name of member {server} cannot be resolved ({reason}), so it is unknown whether the member runs"
        )


class SessionLost(ZooKeeperError):
    """The connection broke, or the server's answers cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the ZooKeeper session was lost while reading: {reason}")


class ZnodeUnreadable(ZooKeeperError):
    """A znode, its ACL or a change of it is hidden from this login."""

    def __init__(self, message: str, rights: str) -> None:
        """`rights` are those that the login needs, and where."""
        super().__init__(message)
        self.rights = rights


class ReadRefused(ZooKeeperError):
    """The server refused to read a znode for a reason other than rights."""

    def __init__(self, path: str, code: int) -> None:
        super().__init__(f"znode {path} cannot be read: ZooKeeper error {code}")


class WriteRefused(ZooKeeperError):
    """The server refused to write a znode."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"znode {path} cannot be written, {why}")
        self.path = path


class ChrootMissing(ZooKeeperError):
    """The chroot does not exist."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the chroot {path} does not exist")


class ChrootDeleted(ZooKeeperError):
    """The chroot was deleted during a capture."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the chroot {path} was deleted while it was read")


class NeverConsistent(ZooKeeperError):
    """The tree changed too fast to be read at one zxid."""

    def __init__(self, rounds: int) -> None:
        super().__init__(f"the tree changed faster than it could be read, {rounds} times in a row")


class SpoolDamaged(ZooKeeperError):
    """What was read back from disk is not what was written."""

    def __init__(self) -> None:
        super().__init__("a file of the capture was damaged while it was in use")


class DataDirNotEmpty(ZooKeeperError):
    """The data directory holds data."""

    def __init__(self, path: Path, found: Sequence[str]) -> None:
        super().__init__(f"the data directory {path} is not empty, it holds {', '.join(found[:3])}")


class DataMisplaced(ZooKeeperError):
    """A directory has snapshots or logs beside `version-2`, where no server looks for them."""

    def __init__(self, path: Path, found: Sequence[str]) -> None:
        super().__init__(f"the data directory {path} holds {', '.join(found[:3])}, not in version-2 but beside it")


class DataDirLocked(ZooKeeperError):
    """Another process holds the lock of the data directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the data directory {path} is in use by another process")


class DataDirTooSmall(ZooKeeperError):
    """There is not enough room."""

    def __init__(self, path: Path, free: int, needed: int) -> None:
        super().__init__(f"the data directory {path} has {free} bytes free and needs {needed}")


class DataDirUnusable(ZooKeeperError):
    """The data directory cannot be read or written."""

    what = "data directory"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the {self.what} {path} cannot be used: {reason}")


class LogDirUnusable(DataDirUnusable):
    """The directory of the transaction log (`dataLogDir`), if it is a different one, cannot be read or written."""

    what = "transaction log directory"
