"""TLS to ZooKeeper (`secureClientPort`): trusted authorities, the client certificate, and why a handshake fails.

While servers are looked for, each attempt may fail for reasons that pass. Missing trust does not pass, so it is checked
before, with the same settings.
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
from metadata_tool.zookeeper.net import four_letter
from metadata_tool.zookeeper.net.sockets import reason

_TLS_RECORD = re.compile(rb"[\x15\x16]\x03")
"""How an alert or the answer to a handshake begins (RFC 8446, 5.1)."""


@dataclass(frozen=True)
class Tls:
    """PEM files (empty: none): authorities beside the system's, certificate and key. And the key's password."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    key_password: str = field(default="", repr=False)
    check_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """The client's side of TLS with these settings.

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
            raise AuthoritiesUnusable(self.ca, reason(error)) from error
        try:
            if self.cert:
                context.load_cert_chain(self.cert, self.key, self.key_password)
        except OSError as error:
            raise CertificateUnusable(self.cert, self.key, reason(error)) from error
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
                # a refused client certificate shows at the first read
                four_letter.ask((host, port), four_letter.IS_OK, context, until=four_letter.OK)
            except (ssl.SSLError, ConnectionResetError) as error:
                failed.append(failure(f"{host}:{port}", (host, port), error))
            except (OSError, UnicodeError):  # UnicodeError: no host can have this name
                continue
            else:
                return
        if failed:
            raise failed[0]

    def of_peer(self) -> ssl.SSLContext:
        """The context for a server that a session is open with, whose name was checked and may now be an IP address."""
        context = self.context()
        context.check_hostname = False
        return context


def failure(server: str, address: tuple[str, int], error: ssl.SSLError | ConnectionResetError) -> ZooKeeperError:
    """The error for a handshake that failed. SpeaksNoTls if the server answers without TLS."""
    if not isinstance(error, ssl.SSLCertVerificationError) and _speaks_plainly(address):
        return SpeaksNoTls(server)
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        return Untrusted(server, "the server closed the connection, so it may demand a client certificate")
    return Untrusted(server, reason(error))


def _speaks_plainly(address: tuple[str, int]) -> bool:
    """Whether a server answers a four-letter command without TLS, even if it refuses the command."""
    with suppress(OSError):
        return bool(re.match(r"[A-Za-z]", four_letter.ask(address, four_letter.STATUS)))
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
