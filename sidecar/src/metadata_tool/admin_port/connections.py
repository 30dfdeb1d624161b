"""All open connections, in the order in which they began to wait. Says which is closed if there are too many."""

import time
from collections.abc import Iterator

from metadata_tool.admin_port.connection import Connection, State


class Connections:
    """Connections by the time since which they wait, longest first."""

    def __init__(self) -> None:
        self._by_age: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._by_age)

    def __iter__(self) -> Iterator[Connection]:
        """A snapshot: the connections may change meanwhile."""
        return iter(list(self._by_age))

    def waits(self, connection: Connection, state: State, seconds: float = float("inf")) -> None:
        """From now on it waits for something else, for at most this time."""
        connection.state, connection.deadline = state, time.monotonic() + seconds
        self._by_age.pop(connection, None)
        self._by_age[connection] = None

    def remove(self, connection: Connection) -> None:
        """It was closed."""
        self._by_age.pop(connection, None)

    @property
    def unfinished(self) -> bool:
        """Whether a request has arrived whose answer has not been taken."""
        return any(connection.state in (State.APP, State.READER) for connection in self._by_age)

    def overdue(self) -> list[Connection]:
        """Those whose time is over."""
        now = time.monotonic()
        return [connection for connection in self._by_age if connection.deadline < now]

    def least_missed(self) -> Connection | None:
        """The one to close for lack of room: it has waited longest for its client, or else for the app."""
        for connection in self._by_age:
            if connection.state is not State.APP:
                return connection
        return next(iter(self._by_age), None)

    def too_much_unsent(self, limit: int) -> Iterator[Connection]:
        """Those to close so that untaken answers hold at most `limit` bytes: oldest first, and never the newest."""
        readers = [connection for connection in self._by_age if connection.state is State.READER]
        held = sum(connection.held for connection in readers)
        for reader in readers[:-1]:
            if held <= limit:
                return
            held -= reader.held
            yield reader
