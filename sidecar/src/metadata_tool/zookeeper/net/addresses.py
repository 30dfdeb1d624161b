"""The servers of a connect string, such as `zk-0:2181,zk-1:2181,[::1]:2181/chroot`, and their addresses."""

import random
import re
import socket
from typing import NamedTuple

_PORT = 2181
_SERVER = re.compile(r"\[?(?P<host>.*?)\]?(?::(?P<port>[0-9]+))?")


class Endpoint(NamedTuple):
    """One address of a server. Its name is that of its certificate and of its Kerberos principal."""

    name: str
    address: str
    port: int

    @property
    def host_port(self) -> str:
        """As messages show it."""
        return f"{self.name}:{self.port}"


def split(server: str) -> tuple[str, int]:
    """The name and the port of one server."""
    match = _SERVER.fullmatch(server)
    return (match["host"], int(match["port"] or _PORT)) if match else (server, _PORT)


def servers(connect_string: str) -> list[tuple[str, int]]:
    """The names and ports of all servers. A chroot is left out."""
    listed = connect_string.partition("/")[0].split(",")
    return [(name.lower(), port) for name, port in (split(server.strip()) for server in listed if server.strip())]


def resolved(connect_string: str) -> tuple[list[Endpoint], dict[str, str]]:
    """All addresses of all servers, in random order, and why names of servers could not be resolved.

    The order spreads clients over the servers. An address that belongs to several names is there for each of them.
    """
    endpoints, failed = list[Endpoint](), dict[str, str]()
    for name, port in servers(connect_string):
        try:
            found = socket.getaddrinfo(name, port, proto=socket.IPPROTO_TCP)
        except (socket.gaierror, UnicodeError) as error:
            failed[f"{name}:{port}"] = f"its name cannot be resolved ({_why(error)})"
        else:
            endpoints += [Endpoint(name, str(address[0]), int(address[1])) for *_, address in found]
    random.shuffle(endpoints)
    return endpoints, failed


def _why(error: socket.gaierror | UnicodeError) -> str:
    return str(error.strerror) if isinstance(error, socket.gaierror) else "it is no host name"
