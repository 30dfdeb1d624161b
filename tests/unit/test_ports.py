import errno
import os
import socket

import pytest

from metadata_tool.errors import PortUnavailable
from metadata_tool.ports import listen


def test_listen() -> None:
    """A port of one address answers there."""
    with listen(0, "PORT", "127.0.0.1") as listening, socket.create_connection(listening.getsockname()):
        pass


def test_listen_everywhere() -> None:
    """Without an address, all answer."""
    with listen(0, "PORT") as listening:
        port = listening.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()


def test_port_in_use() -> None:
    """A port that is in use is named, and the variable to change."""
    with listen(0, "PORT", "127.0.0.1") as listening:
        port = listening.getsockname()[1]
        with pytest.raises(PortUnavailable) as caught:
            listen(port, "PORT", "127.0.0.1")
    assert f"the admin port {port} of 127.0.0.1 is in use. Set PORT to a free port." == str(caught.value)


def test_low_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A low port that this user may not bind is not answered by the advice to take a free one."""

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(PortUnavailable) as caught:
        listen(80, "WEB_SERVER_PORT")
    expected = (
        "the admin port 80 cannot be bound (Permission denied). "
        "Set WEB_SERVER_PORT to a port from 1024, or let this user bind lower ones."
    )
    assert expected == str(caught.value)


def test_address_of_another_machine() -> None:
    """An address that this machine does not have is named."""
    with pytest.raises(PortUnavailable, match=r"port 0 of 192\.0\.2\.1 cannot be bound"):
        listen(0, "PORT", "192.0.2.1")
