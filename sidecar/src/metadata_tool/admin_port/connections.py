"""All open connections, in the order in which they began to wait, and which to close if there are too many."""

import time
from collections.abc import Iterator

from metadata_tool.admin_port.connection import Connection, State


class Connections:
    """Open connections, those that have waited longest first."""

    def __init__(self) -> None:
        self._by_age: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._by_age)

    def __iter__(self) -> Iterator[Connection]:
        """A snapshot: the connections may change meanwhile."""
        return iter(list(self._by_age))

    def waits(self, connection: Connection, state: State, seconds: float = float("inf")) -> None:
        """Note what a connection waits for from now on, and for how many seconds at most."""
        connection.state, connection.deadline = state, time.monotonic() + seconds
        self._by_age.pop(connection, None)
        self._by_age[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection that was closed."""
        self._by_age.pop(connection, None)

    @property
    def unfinished(self) -> bool:
        """Whether a request has arrived whose answer the client has not read yet."""
        return any(connection.state in (State.APP, State.READER) for connection in self._by_age)

    def overdue(self) -> list[Connection]:
        """The connections whose deadline has passed."""
        now = time.monotonic()
        return [connection for connection in self._by_age if connection.deadline < now]

    def longest_waiting(self) -> Connection | None:
        """The connection to close if there are too many. It has waited longest for its client, or else for the app."""
        for connection in self._by_age:
            if connection.state is not State.APP:
                return connection
        return next(iter(self._by_age), None)

    def too_much_unsent(self, limit: int) -> Iterator[Connection]:
        """Connections to close so that unread answers take at most `limit` bytes: oldest first, never the newest."""
        readers = [connection for connection in self._by_age if connection.state is State.READER]
        held = sum(connection.held for connection in readers)
        for reader in readers[:-1]:
            if held <= limit:
                return
            held -= reader.held
            yield reader
