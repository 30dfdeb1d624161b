"""Reads ACLs in batches over several connections. They cannot be part of a multi-read, so each is a request."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from metadata_tool.zookeeper import limits, protocol
from metadata_tool.zookeeper.capture.acl_table import AclReply, acl_replies
from metadata_tool.zookeeper.net.messages import EVENTS, Reply, Request


class AclQuery:
    """The ACLs of several znodes. `replies` is complete once no batch is missing."""

    def __init__(self, paths: Sequence[bytes], batch: int) -> None:
        """`paths` are encoded for a request."""
        self.batches = [paths[begin : begin + batch] for begin in range(0, len(paths), batch)]
        self.missing = len(self.batches)
        self._replies: list[list[AclReply]] = [[] for _ in self.batches]

    def answer(self, number: int, replies: list[AclReply]) -> None:
        """Take the replies to one batch."""
        self._replies[number] = replies
        self.missing -= 1

    def replies(self) -> list[AclReply]:
        """All replies in the order of the paths, each from its own zxid."""
        return [reply for batch in self._replies for reply in batch]


@dataclass(slots=True, eq=False)
class AclBatch(Request):
    """One batch of a query."""

    query: AclQuery = field(kw_only=True)
    number: int = field(kw_only=True)


class AclFetcher:
    """Keeps a bounded number of batches in flight on each connection."""

    def __init__(self, connections: int, batch: int) -> None:
        """`connections` are those besides the one with the events, which is used if there are none."""
        numbers = range(1, connections + 1) or [EVENTS]
        self._idle = deque(number for number in numbers for _ in range(limits.ACL_BATCHES_IN_FLIGHT))
        self._batch = batch
        self._todo: deque[tuple[AclQuery, int]] = deque()

    def ask(self, paths: Sequence[bytes]) -> AclQuery:
        """Begin to read the ACLs of these encoded paths."""
        query = AclQuery(paths, self._batch)
        self._todo.extend((query, number) for number in range(len(query.batches)))
        return query

    def on_reply(self, reply: Reply) -> None:
        """Take the reply to a batch.

        Raises:
            DecodeError: an answer ends too early.
        """
        request = reply.request
        assert isinstance(request, AclBatch)
        request.query.answer(request.number, acl_replies(reply.answers))
        self._idle.append(request.connection)

    def next(self) -> list[Request]:
        """The requests that may be sent now."""
        requests: list[Request] = []
        while self._todo and self._idle:
            query, number = self._todo.popleft()
            requests.append(
                AclBatch(protocol.GET_ACL, query.batches[number], self._idle.popleft(), query=query, number=number)
            )
        return requests
