"""What passes between a connection and those who use it: requests one way, replies and events the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

EVENTS = 0
"""The number of the connection with the events. Others, for ACLs, follow."""

Answer = tuple[int, int, bytes]
"""The zxid, error (0: none) and body of one reply."""


@dataclass(slots=True, eq=False)
class Request:
    """Requests of one kind (such as getACL) that are sent together, and whose replies are passed on together.

    `bodies` holds at least one. Subclasses add what the sender needs to understand the reply.
    """

    kind: int
    bodies: Sequence[bytes]
    connection: int = EVENTS


class Reply(NamedTuple):
    """The answers to a request, in the order of its bodies. None of them is THROTTLED."""

    request: Request
    answers: list[Answer]


class Event(NamedTuple):
    """A watch event: its type, its path (the root is empty), and its zxid (-1 before ZooKeeper 3.9)."""

    kind: int
    path: bytes
    zxid: int


class Throttled(NamedTuple):
    """Some answers to a request were THROTTLED: its connection must send those again after `pause` seconds."""

    request: Request
    pause: float
