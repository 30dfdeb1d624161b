"""One client of the admin port: its socket, what it has sent, and what it has not taken yet."""

import socket
from enum import Enum, auto
from typing import Any


class State(Enum):
    """What a connection waits for."""

    REQUEST = auto()
    """For the client to send a request."""
    APP = auto()
    """For the app to answer."""
    READER = auto()
    """For the client to read the answer."""
    END = auto()
    """For the client to close the connection, after its last answer."""
    CLOSED = auto()


class Connection:
    """The connection of one client. No method blocks. Each raises OSError if the client is gone."""

    def __init__(self, client: socket.socket, peer: tuple[Any, ...]) -> None:
        client.setblocking(False)
        self.socket = client
        self.peer = peer
        self.state = State.REQUEST
        self.deadline = 0.0
        """When the wait must end, in seconds of time.monotonic()."""
        self.watched = 0
        """Events that the selector waits for."""
        self.received = b""
        self.closes = False
        """Whether the answer is the last one."""
        self._answer = b""
        self._sent = 0

    def receive(self, size: int) -> bytes | None:
        """Up to `size` bytes that have arrived. None if nothing has arrived, empty if the client sends no more."""
        try:
            return self.socket.recv(size)
        except BlockingIOError:
            return None

    def begin(self, data: bytes, *, closes: bool) -> None:
        """Make this the answer to send."""
        self._answer, self._sent, self.closes = data, 0, closes

    def send(self) -> bool:
        """Send as much as the client takes. Returns whether that is all."""
        with memoryview(self._answer) as data:
            try:
                self._sent += self.socket.send(data[self._sent :])
            except BlockingIOError:
                return False
        if self._sent < len(self._answer):
            return False
        self._answer = b""
        return True

    @property
    def held(self) -> int:
        """Bytes of memory that the answer takes."""
        return len(self._answer)

    def end(self) -> None:
        """Announce that nothing follows. What the client still sends is read, or a reset could destroy the answer."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection, and drop what was received and not sent."""
        self.state = State.CLOSED
        self._answer = self.received = b""
        self.socket.close()
