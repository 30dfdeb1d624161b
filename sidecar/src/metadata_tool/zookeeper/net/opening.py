"""Opens sessions: finds a server that accepts one, connects to it, and plays the handshake on the socket."""

import logging
import socket
import time
from contextlib import closing
from typing import NamedTuple

from metadata_tool.lifecycle import Every, Heartbeat
from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import ConnectionBroken, Unreachable
from metadata_tool.zookeeper.net import addresses, four_letter
from metadata_tool.zookeeper.net.addresses import Endpoint
from metadata_tool.zookeeper.net.ensemble import Ensemble
from metadata_tool.zookeeper.net.handshake import READ_ONLY, Steps, handshake
from metadata_tool.zookeeper.net.sockets import connected, reason
from metadata_tool.zookeeper.net.tls import Tls, is_spoken

log = logging.getLogger(__name__)


class Opened(NamedTuple):
    """A socket with a session, and the session timeout in seconds that its server granted."""

    socket: socket.socket
    session_timeout: float


def find(ensemble: Ensemble, heartbeat: Heartbeat) -> tuple[Endpoint, Opened]:
    """Open a session with one of the servers, tried for `ensemble.patience` seconds, which is logged now and then.

    Raises:
        Unreachable: no server accepted a session in that time.
        ZooKeeperError: a server refused the login or demands another, there is no ticket, or a library is missing.
    """
    begin, time_to_say = time.monotonic(), Every(limits.LOG_INTERVAL)
    pauses, reasons = iter(limits.CONNECT_PAUSES), dict[str, str]()
    while True:
        endpoints, unresolved = addresses.resolved(ensemble.servers)
        reasons |= unresolved
        for endpoint in endpoints:
            heartbeat()
            try:
                return endpoint, open_session(ensemble, endpoint)
            except ConnectionBroken as error:
                reasons[endpoint.host_port] = _why(error, endpoint, ensemble.tls)
        now = time.monotonic()
        if now - begin > ensemble.patience:
            raise Unreachable(ensemble.servers, ensemble.patience, reasons)
        if time_to_say():
            log.warning("ZooKeeper is not reachable at %s, still trying (%.0f s)", ensemble.servers, now - begin)
        if heartbeat.sleep(min(next(pauses, limits.CONNECT_PAUSES[-1]), max(begin + ensemble.patience - now, 0.01))):
            heartbeat()


def open_session(ensemble: Ensemble, endpoint: Endpoint) -> Opened:
    """Open one session with the server at this address.

    Raises:
        ZooKeeperError: the server refused the login or demands another, there is no ticket, or a library is missing.
        ConnectionBroken: it did not succeed.
    """
    log.debug("connecting to %s at %s", endpoint.host_port, endpoint.address)
    context = ensemble.tls.context() if ensemble.tls else None
    try:
        opened = connected((endpoint.address, endpoint.port), limits.SESSION_TIMEOUT, context, endpoint.name)
    except OSError as error:
        raise ConnectionBroken(reason(error)) from error
    try:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.settimeout(limits.SESSION_TIMEOUT / len(addresses.servers(ensemble.servers)))  # so each gets its turn
        session_timeout = _played(handshake(endpoint.name, ensemble.login, ensemble.sasl), opened)
    except BaseException:
        opened.close()
        raise
    log.debug("%s granted a session with a timeout of %.1f s", endpoint.host_port, session_timeout)
    return Opened(opened, session_timeout)


def _played(steps: Steps[float], opened: socket.socket) -> float:
    """The result of a handshake that is played on this socket."""
    with closing(steps):
        try:
            step = next(steps)
            while True:
                try:
                    received = _done(step, opened)
                except OSError as error:
                    step = steps.throw(ConnectionBroken(reason(error)))
                else:
                    step = steps.send(received)
        except StopIteration as end:
            return float(end.value)


def _done(step: bytes | int, opened: socket.socket) -> bytes:
    """Send bytes, or receive this number of them."""
    if isinstance(step, bytes):
        opened.sendall(step)
        return b""
    received = bytearray()
    while len(received) < step:
        chunk = opened.recv(step - len(received))
        if not chunk:
            raise ConnectionError("the server closed the connection")
        received += chunk
    return bytes(received)


def _why(error: ConnectionBroken, endpoint: Endpoint, tls: Tls | None) -> str:
    """Why a server opened no session, if it can be asked for a better reason."""
    address = (endpoint.address, endpoint.port)
    if not tls and is_spoken(address):
        return "it speaks TLS, and this connection did not"
    if four_letter.is_read_only(address, tls.of_peer() if tls else None):  # it hangs up on clients that may write
        return READ_ONLY
    return str(error)
