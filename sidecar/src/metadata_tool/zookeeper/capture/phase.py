"""A phase of a capture as a state machine without sockets and clocks: replies and events in, requests out.

Whoever runs a phase passes on the items of each connection in the order in which they arrived, one after the other:

    start ──> requests
    event ──> on_event
    reply ──> on_reply ──> urgent requests, sent before the rest of the reply is handled
    nothing more has arrived ──> on_idle ──> requests
    ... until `done`

`exchange.py` runs phases over sockets. A test may run them over a model of a server, in any interleaving.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.net.messages import Event, Reply, Request


class Phase(ABC):
    """One phase. `rest` is how many seconds to sleep before each read, so that one read gets several replies."""

    name = ""
    """Under which its duration is counted, empty for a short phase."""
    rest = 0.0
    progress = ""
    """What to say of it while it takes long."""

    def __init__(self, tracker: ChangeTracker) -> None:
        self.tracker = tracker

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether it has its result."""

    @abstractmethod
    def start(self) -> list[Request]:
        """The first requests."""

    def on_event(self, event: Event) -> None:
        """Take an event."""
        self.tracker.event(event)

    @abstractmethod
    def on_reply(self, reply: Reply) -> Iterable[list[Request]]:
        """Take a reply to one of its requests. Requests that it yields are sent before it continues.

        Raises:
            CaptureError of several kinds: the answer is not one that a capture can use. Each phase says which.
        """

    def on_idle(self) -> list[Request]:
        """The requests that are to be sent once nothing more has arrived."""
        return []
