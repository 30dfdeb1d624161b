"""Takes a port to listen on."""

import errno
import socket

from metadata_tool.errors import PortUnavailable


def listen(port: int, setting: str, address: str = "") -> socket.socket:
    """Listen on a port of one address, or of all, for IPv4 and, where the machine has it, IPv6.

    Raises:
        PortUnavailable: another program has it, or this user may not take it. `setting` names the variable to change.
    """
    try:
        if address:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address, port), family=family)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound ({error.strerror})"
        raise PortUnavailable(f"the admin port {port} {reason}", f"Set {setting} to a free one") from error
