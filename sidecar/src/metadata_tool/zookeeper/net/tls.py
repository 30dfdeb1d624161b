"""TLS to ZooKeeper (`secureClientPort`): trusted authorities, the client certificate, and why a handshake fails.

kazoo retries, and does not say why. So each server is tried once before, with the same settings.
"""

import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import (
    AuthoritiesUnusable,
    CertificateUnusable,
    SpeaksNoTls,
    Untrusted,
    ZooKeeperError,
)

_TLS_RECORD = re.compile(rb"[\x15\x16]\x03")
"""How an alert or the answer to a handshake begins (RFC 8446, 5.1)."""


@dataclass(frozen=True)
class Tls:
    """PEM files: authorities (empty: those of the system), certificate and key (empty: none), the key's password."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    key_password: str = field(default="", repr=False)
    check_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """The context that kazoo creates from these settings.

        Raises:
            AuthoritiesUnusable, CertificateUnusable: a file cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        context.check_hostname = self.check_hostname
        try:
            if self.ca:
                context.load_verify_locations(self.ca)
        except OSError as error:
            raise AuthoritiesUnusable(self.ca, _why_unusable(error)) from error
        try:
            if self.cert:
                context.load_cert_chain(self.cert, self.key, self.key_password)
        except OSError as error:
            raise CertificateUnusable(self.cert, self.key, _why_unusable(error)) from error
        return context

    def require_trust(self, servers: list[tuple[str, int]]) -> None:
        """Do a handshake with the first of these servers that answers.

        Raises:
            Untrusted, SpeaksNoTls: it failed with all that answered.
            AuthoritiesUnusable, CertificateUnusable: a file cannot be used.
        """
        context, failed = self.context(), list[ZooKeeperError]()
        for host, port in servers:
            try:
                _ask(context, host, port, b"ruok")  # a refused client certificate shows at the first read
            except (ssl.SSLError, ConnectionResetError) as error:
                failed.append(failure(f"{host}:{port}", (host, port), error))
            except OSError:
                continue
            else:
                return
        if failed:
            raise failed[0]

    def command(self, host: str, port: int, word: bytes) -> str:
        """The answer of a session's server to a four-letter command. Its host name is not checked.

        Raises:
            OSError: it did not answer.
        """
        return _ask(self.of_peer(), host, port, word)

    def of_peer(self) -> ssl.SSLContext:
        """The context for a server that a session is open with, whose name was checked and may now be an IP address."""
        context = self.context()
        context.check_hostname = False
        return context


def _ask(context: ssl.SSLContext, host: str, port: int, word: bytes) -> str:
    with (
        socket.create_connection((host, port), timeout=limits.COMMAND_TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        secure.sendall(word)
        return secure.recv(65536).decode(errors="replace")


def failure(server: str, address: tuple[str, int], error: ssl.SSLError | ConnectionResetError) -> ZooKeeperError:
    """The error for a handshake that failed. SpeaksNoTls if the server answers without TLS."""
    if not isinstance(error, ssl.SSLCertVerificationError) and _speaks_plainly(address):
        return SpeaksNoTls(server)
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        return Untrusted(server, "the server closed the connection, so it may demand a client certificate")
    return Untrusted(server, _reason(error))


def _speaks_plainly(address: tuple[str, int]) -> bool:
    """Whether a server answers a four-letter command without TLS, even if it refuses the command."""
    with suppress(OSError), socket.create_connection(address, timeout=limits.COMMAND_TIMEOUT) as plain:
        plain.sendall(b"srvr")
        return bool(re.match(rb"[A-Za-z]", plain.recv(1)))
    return False


def unchecked(secure: Tls | None) -> ssl.SSLContext:
    """A context that trusts any server, and shows it the client certificate, if there is one."""
    context = secure.context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_spoken(address: tuple[str, int]) -> bool:
    """Whether a server answers a TLS handshake, even if it refuses the handshake."""
    context, sent = unchecked(None), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    with suppress(OSError), socket.create_connection(address, timeout=limits.PROBE_TIMEOUT) as plain:
        plain.sendall(sent.read())
        return bool(_TLS_RECORD.match(plain.recv(2, socket.MSG_WAITALL)))
    return False


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or str(error)).replace("_", " ").lower()


def _why_unusable(error: OSError) -> str:
    return _reason(error) if isinstance(error, ssl.SSLError) else error.strerror or str(error)
