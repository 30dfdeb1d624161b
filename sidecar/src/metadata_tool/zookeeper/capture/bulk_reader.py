"""Reads many znodes in bounded batches: first ACLs, whose answers hold the data length and the number of children.

    paths ──> batches ──> ACLs: cached, or read over several connections (AclFetcher)
                  └─────> planned reads, bounded by what the ACLs tell of sizes (batches.py)
                              └──> one multi-read each: data, stats, lists of children
                                       └──> multi-reads of more lists, where children were not expected
                                                └──> a Part, in the order of the paths

Data and lists of children are read by multi-reads, on the connection that events use, so each reply with data clears
the marks of its znodes. A request never makes the server collect more than `reply_bytes` in its heap, if sizes are
known.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from metadata_tool.zookeeper import limits, protocol
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.acl_fetcher import AclBatch, AclFetcher, AclQuery
from metadata_tool.zookeeper.capture.acl_table import AclReply, AclTable, ZnodeAcl
from metadata_tool.zookeeper.capture.batches import PlannedRead, chunks, in_batches, planned
from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.capture.multi_read import MultiReadResult, decoded, require_gone
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.capture.requests import only_answer
from metadata_tool.zookeeper.errors import DecodeError
from metadata_tool.zookeeper.limits import NAME_BYTES, ReadLimits
from metadata_tool.zookeeper.net.messages import Reply, Request
from metadata_tool.zookeeper.protocol import OP_BYTES, Refusal, on_wire_each
from metadata_tool.zookeeper.protocol import Reply as ReadReply


@dataclass(frozen=True, slots=True)
class Part:
    """Znodes that were read at one zxid. Their lists of children may be later ones: what comes or goes has events.

    `content` holds the encoded znodes in the order of `paths`, without those that no longer exist, and `nodes` is their
    number. For the paths in `unknown`, the ACL belongs to another version than data and stat.
    """

    zxid: int
    paths: Sequence[bytes]
    content: bytes
    nodes: int
    unknown: Sequence[bytes]
    lists: Sequence[tuple[bytes, list[bytes]]]
    """The path and the sorted names of children of each znode with children, if they were wanted."""


@dataclass(frozen=True)
class Reading:
    """What reads of one capture share. `connections` are those for ACLs, besides the one with the events."""

    tracker: ChangeTracker
    table: AclTable
    limits: ReadLimits = field(default_factory=ReadLimits)
    connections: int = 0


@dataclass(slots=True)
class _Read:
    """A planned read that was sent, and its result so far. It is over once no list of children is missing."""

    plan: PlannedRead
    zxid: int = 0
    result: MultiReadResult | None = None
    lists: dict[bytes, list[bytes]] = field(default_factory=dict)
    missing: deque[list[bytes]] = field(default_factory=deque)
    over: bool = False

    def part(self) -> Part:
        """The result."""
        assert self.result
        lists = [(path, sorted(self.lists[path])) for path in self.result.parents] if self.lists else []
        return Part(self.zxid, self.plan.paths, self.result.content, self.result.nodes, self.result.unknown, lists)


@dataclass(slots=True, eq=False)
class ReadPlanned(Request):
    """The multi-read of a planned read."""

    read: _Read = field(kw_only=True)


@dataclass(slots=True, eq=False)
class ReadLists(Request):
    """A multi-read of lists of children, whose number is known only since the data was read."""

    read: _Read = field(kw_only=True)
    paths: Sequence[bytes] = field(kw_only=True)


class _Batch:
    """Znodes whose ACLs are known from the cache, or asked for."""

    def __init__(self, paths: list[bytes], cached: Sequence[ZnodeAcl | None], fetcher: AclFetcher) -> None:
        self.paths, self.on_wire = paths, on_wire_each(paths)
        self.cached = cached
        self._some_cached = any(cached)
        asked = self.on_wire
        if self._some_cached:
            asked = [path for path, acl in zip(self.on_wire, cached, strict=True) if acl is None]
        self._query: AclQuery = fetcher.ask(asked)

    @property
    def answered(self) -> bool:
        """Whether all ACLs are there."""
        return not self._query.missing

    def acls(self) -> list[AclReply]:
        """The ACLs of all paths."""
        if not self._some_cached:
            return self._query.replies()
        answers = iter(self._query.replies())
        return [next(answers) if acl is None else acl for acl in self.cached]


class BulkReader(Phase):
    """Reads the ACL, data and stat of each znode and, if wanted, its list of children, in the order of the paths.

    Raises, from all methods:
        ZnodeUnreadable, ReadRefused: the login cannot read a znode or its whole ACL, or the server refuses it.
        OperationMissing: the server knows no multi-read.
        DecodeError, ConnectionBroken: an answer is malformed, or an error.
    """

    def __init__(
        self,
        reading: Reading,
        paths: Iterable[bytes],
        keep: Callable[[Part], None],
        *,
        name: str,
        children: bool,
        cache: AclCache | None = None,
    ) -> None:
        """`keep` gets the results. ACLs in the cache are not read again."""
        super().__init__(reading.tracker)
        self.name = name
        self._table, self._limits = reading.table, reading.limits
        self._fetcher = AclFetcher(reading.connections, reading.limits.acls)
        self._batches = chunks(paths, reading.limits.batch)
        self._keep = keep
        self._children = children
        self._cache = cache
        self._exhausted = False
        self._asking: deque[_Batch] = deque()
        self._planned: deque[PlannedRead] = deque()
        self._reading: deque[_Read] = deque()
        self._lists: list[Request] = []
        """Reads of lists that are to be sent."""

    @property
    def done(self) -> bool:
        """Whether all has been read and kept."""
        return self._exhausted and not (self._asking or self._planned or self._reading)

    @property
    def rest(self) -> float:  # type: ignore[override]  # a constant of other phases
        """While ACLs are awaited, each read of the sockets gets several answers."""
        return 0.0 if all(batch.answered for batch in self._asking) else limits.ACL_REST

    def start(self) -> list[Request]:
        """Ask for the first ACLs."""
        return self.on_idle()

    def on_reply(self, reply: Reply) -> Iterable[list[Request]]:
        """Take a reply. What follows from it can wait."""
        request = reply.request
        if type(request) is AclBatch:
            self._fetcher.on_reply(reply)
        elif type(request) is ReadPlanned:
            self._on_znodes(request.read, *only_answer(reply))
        elif type(request) is ReadLists:
            self._on_lists(request, *only_answer(reply))
        return ()

    def on_idle(self) -> list[Request]:
        """Hand on what is complete, and ask for as much as may be in flight."""
        requests, self._lists = self._lists, []
        while True:
            self._ask_acls()
            requests += self._read_planned()
            while self._reading and self._reading[0].over:
                self._keep(self._reading.popleft().part())
            if not (self._next_is_ready() and not self._reading):
                return requests + self._fetcher.next()

    def _next_is_ready(self) -> bool:
        return bool(self._planned) or bool(self._asking and self._asking[0].answered)

    def _ask_acls(self) -> None:
        while not self._exhausted and len(self._asking) < limits.ACL_BATCHES_AHEAD:
            paths = next(self._batches, None)
            if paths is None:
                self._exhausted = True
            else:
                cached = self._cache.acls(paths) if self._cache else [None] * len(paths)
                self._asking.append(_Batch(paths, cached, self._fetcher))

    def _read_planned(self) -> Iterator[Request]:
        """Send planned reads, up to the number that may be in flight."""
        busy = sum(not read.over for read in self._reading)
        while True:
            if not self._planned:
                if not (self._asking and self._asking[0].answered):
                    return
                self._plan(self._asking.popleft())
            plan = self._planned[0]
            if busy >= self._limits.in_flight * (limits.SMALL_READS_FACTOR if plan.guessed else 1):
                return
            self._planned.popleft()
            if plan.guessed and self._cache and self._cache.empty:
                self._ask_without_cache(plan)
                return
            read = _Read(plan)
            self._reading.append(read)
            busy += 1
            lists = on_wire_each(plan.parents) if self._children else ()
            yield ReadPlanned(protocol.MULTI_READ, [protocol.multi_read(plan.on_wire, lists)], read=read)

    def _plan(self, batch: _Batch) -> None:
        cached = [acl is not None for acl in batch.cached]
        self._planned.extend(planned(batch.paths, batch.on_wire, batch.acls(), cached, self._limits))

    def _ask_without_cache(self, plan: PlannedRead) -> None:
        """Ask for the ACLs of this plan and of those behind it. Their sizes were guessed by a cache that was wrong."""
        paths = [path for each in (plan, *self._planned) for path in each.paths]
        self._planned.clear()
        self._asking.appendleft(_Batch(paths, [None] * len(paths), self._fetcher))

    def _on_znodes(self, read: _Read, zxid: int, body: bytes) -> None:
        plan = read.plan
        self.tracker.reply(zxid)
        self.tracker.clear(plan.paths)
        result = decoded(plan.paths, plan.on_wire, plan.acls, body, self._table)
        read.zxid, read.result = zxid, result
        _keep_lists(read.lists, plan.parents if self._children else (), protocol.read_replies(body, result.end))
        if self._cache and plan.guessed:
            self._cache.judge(len(result.unknown), result.end - plan.expected)
        if self._children:
            read.missing.extend(self._missing(read.lists, result.parents))
        self._list_next(read)

    def _missing(self, lists: Mapping[bytes, object], parents: Mapping[bytes, int]) -> Iterator[list[bytes]]:
        """The parents whose lists have not been read, in batches bounded by their current sizes."""
        sizes = (
            (path, len(path) + OP_BYTES, NAME_BYTES * children)
            for path, children in parents.items()
            if path not in lists
        )
        return in_batches(sizes, self._limits)

    def _on_lists(self, request: ReadLists, zxid: int, body: bytes) -> None:
        self.tracker.reply(zxid)
        _keep_lists(request.read.lists, request.paths, protocol.read_replies(body))
        self._list_next(request.read)

    def _list_next(self, read: _Read) -> None:
        """Read lists of children, one batch after the other. Then the read is over."""
        if not read.missing:
            read.over = True
            return
        paths = read.missing.popleft()
        request = protocol.multi_read((), on_wire_each(paths))
        self._lists.append(ReadLists(protocol.MULTI_READ, [request], read=read, paths=paths))


def _keep_lists(lists: dict[bytes, list[bytes]], paths: Sequence[bytes], replies: Sequence[ReadReply]) -> None:
    if len(replies) != len(paths):
        raise DecodeError(f"{len(replies)} answers to {len(paths)} reads of children")
    for path, reply in zip(paths, replies, strict=True):
        if isinstance(reply, Refusal):
            require_gone(path, reply)  # deleted since its data was read, which has an event
            lists[path] = []
        elif isinstance(reply, list):
            lists[path] = reply
        else:
            raise DecodeError("the reply to getChildren holds data")
