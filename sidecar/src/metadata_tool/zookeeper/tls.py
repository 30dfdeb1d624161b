"""TLS to ZooKeeper (`secureClientPort`): trusted authorities, the client certificate, and why a handshake fails.

kazoo retries, and does not say why. So each server is tried once before, with the same settings.
"""

import socket
import ssl
from dataclasses import dataclass, field

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import AuthoritiesUnusable, CertificateUnusable, Untrusted


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
            Untrusted: it failed with all that answered.
            AuthoritiesUnusable, CertificateUnusable: a file cannot be used.
        """
        context, failed = self.context(), list[tuple[str, str]]()
        for host, port in servers:
            failure = _failure(context, host, port)
            if failure == "":
                return
            failed += [(f"{host}:{port}", failure)] if failure else []
        if failed:
            raise Untrusted(*failed[0])

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


def _failure(context: ssl.SSLContext, host: str, port: int) -> str | None:
    """Why a handshake fails. Empty if it succeeds, None if the server does not answer."""
    try:
        _ask(context, host, port, b"ruok")  # a refused client certificate shows at the first read
    except ssl.SSLError as error:
        return _reason(error)
    except ConnectionResetError:
        return "the server closed the connection, so it may demand a client certificate, or speak no TLS"
    except OSError:
        return None
    return ""


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or str(error)).replace("_", " ").lower()


def _why_unusable(error: OSError) -> str:
    return _reason(error) if isinstance(error, ssl.SSLError) else error.strerror or str(error)
