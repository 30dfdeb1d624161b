"""Opens sockets, with and without TLS, and says in words why that failed."""

import socket
import ssl


def connected(address: tuple[str, int], seconds: float, context: ssl.SSLContext | None, name: str) -> socket.socket:
    """A connection to this address, by TLS if there is a context. Each step of it may take so many seconds.

    `name` is the one that the certificate must have, if the context checks it.

    Raises:
        OSError: there is none.
    """
    return secured(socket.create_connection(address, timeout=seconds), context, name)


def secured(connection: socket.socket, context: ssl.SSLContext | None, name: str) -> socket.socket:
    """The connection by TLS, if there is a context. It is closed if that fails."""
    if not context:
        return connection
    try:
        return context.wrap_socket(connection, server_hostname=name)
    except BaseException:
        connection.close()
        raise


def reason(error: OSError) -> str:
    """Why a socket or a file for TLS failed, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error) or type(error).__name__
