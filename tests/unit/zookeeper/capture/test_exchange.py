"""The exchange passes on everything in its order: a phase that saw an event too late would be wrong."""

from collections.abc import Iterator
from typing import cast

from metadata_tool.zookeeper.capture import exchange
from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.capture.scope import Scope
from metadata_tool.zookeeper.net.loop import Loop
from metadata_tool.zookeeper.net.messages import Event, Reply, Request
from metadata_tool.zookeeper.protocol import CHANGED, SYNC

FIRST, URGENT, IDLE = (Request(SYNC, [name]) for name in (b"first", b"urgent", b"idle"))
TWO = 2
EVENTS = [Event(CHANGED, b"/a", 1), Event(CHANGED, b"/b", 2)]


class Recorded(Phase):
    """Notes what it gets, and is done with the second reply."""

    def __init__(self, seen: list[object]) -> None:
        super().__init__(ChangeTracker(Scope()))
        self.seen = seen
        self.replies = 0

    @property
    def done(self) -> bool:
        """Whether it has both replies."""
        return self.replies == TWO

    def start(self) -> list[Request]:
        """Its first request."""
        return [FIRST]

    def on_event(self, event: Event) -> None:
        """Note it."""
        self.seen.append(event)

    def on_reply(self, _reply: Reply) -> Iterator[list[Request]]:
        """Note it, with an urgent request in between."""
        self.seen.append("reply")
        yield [URGENT]
        self.seen.append("rest of the reply")
        self.replies += 1

    def on_idle(self) -> list[Request]:
        """A request that can wait."""
        return [IDLE]


class Network:
    """Has the same items for every pump, and notes what is sent."""

    def __init__(self, seen: list[object]) -> None:
        self.seen = seen

    def send(self, requests: list[Request]) -> None:
        """Note them."""
        self.seen += [request.bodies[0] for request in requests]

    def write(self) -> None:
        """Note it."""
        self.seen.append("written")

    def pump(self, _rest: float) -> Iterator[Reply | Event]:
        """An event, a reply, an event."""
        self.seen.append("pump")
        yield from (EVENTS[0], Reply(FIRST, []), EVENTS[1])


def test_order() -> None:
    """Items are passed on as they came, and urgent requests are sent before the rest of a reply is handled."""
    seen: list[object] = []
    exchange.run(Recorded(seen), cast("Loop", Network(seen)), lambda _: seen.append("progress"))
    turn = ["pump", EVENTS[0], "reply", b"urgent", "written", "rest of the reply", EVENTS[1], b"idle", "progress"]
    assert [b"first", *turn, *turn] == seen
