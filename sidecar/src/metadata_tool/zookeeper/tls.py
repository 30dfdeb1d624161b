"""TLS to ZooKeeper (`secureClientPort`): whom to trust, who we are, and what is wrong where a handshake fails.

kazoo tries again and again without saying why; so each server is asked once before, by the same rules.
"""

import socket
import ssl
from dataclasses import dataclass, field

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import AuthoritiesUnusable, CertificateUnusable, Untrusted


@dataclass(frozen=True)
class Tls:
    """PEM files: authorities (empty: the system's), our certificate and its key (empty: none), the key's password."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    key_password: str = field(default="", repr=False)
    check_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """What kazoo makes of the same.

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
        """Shake hands with one of these, in their order.

        Raises:
            Untrusted: with those that answer, it fails.
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
        """What a server answers to a four-letter command; the one of a session, which may be known by its IP alone.

        Raises:
            OSError: it does not answer.
        """
        return _ask(self.of_peer(), host, port, word)

    def of_peer(self) -> ssl.SSLContext:
        """For a server that a session has, and that may be known by its IP alone: its name is not checked again."""
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
    """Why a handshake fails; empty where it does not, None where nobody answers."""
    try:
        _ask(context, host, port, b"ruok")  # a certificate of ours that is refused shows when something is read
    except ssl.SSLError as error:
        return _reason(error)
    except ConnectionResetError:
        return "it hung up, as for want of a certificate, or where it speaks no TLS"
    except OSError:
        return None
    return ""


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or str(error)).replace("_", " ").lower()


def _why_unusable(error: OSError) -> str:
    return _reason(error) if isinstance(error, ssl.SSLError) else error.strerror or str(error)
