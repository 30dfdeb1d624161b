"""Takes a port to listen on."""

import errno
import socket

from metadata_tool import limits
from metadata_tool.errors import PortUnavailable


def listen(port: int, setting: str, address: str = "") -> socket.socket:
    """Listen on a port of one address, or of all, for IPv4 and, if the machine has it, IPv6.

    Raises:
        PortUnavailable: the port is in use, or this user is not allowed to bind it. `setting` names the variable to
                change.
    """
    try:
        if address:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address, port), family=family, backlog=limits.BACKLOG)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=limits.BACKLOG)
        return socket.create_server(("", port), backlog=limits.BACKLOG)
    except OSError as error:
        raise _explained(error, f"port {port}{address and f' of {address}'}", setting) from error


def _explained(error: OSError, port: str, setting: str) -> PortUnavailable:
    if error.errno == errno.EADDRINUSE:
        return PortUnavailable(f"the admin {port} is in use", f"Set {setting} to a free port")
    hint = f"Set {setting} to a port that can be bound"
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = f"Set {setting} to a port from 1024, or let this user bind lower ones"
    return PortUnavailable(f"the admin {port} cannot be bound ({error.strerror})", hint)
