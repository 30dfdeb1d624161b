"""Reads many znodes in bounded batches: first ACLs, whose answers hold the data length and the number of children.

Data and lists of children are read by multi-reads, on the connection that events use, so each reply clears the marks
of its znodes. A request never makes the server collect more than `reply_bytes` in its heap, if sizes are known.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, islice
from typing import NamedTuple, TypeVar

from metadata_tool.zookeeper import limits, protocol
from metadata_tool.zookeeper.acl_cache import AclCache
from metadata_tool.zookeeper.acls import AclReader, AclTable, ask_acls
from metadata_tool.zookeeper.changes import ChangeTracker
from metadata_tool.zookeeper.errors import DecodeError, ZooKeeperError
from metadata_tool.zookeeper.limits import NAME_BYTES, READ_BYTES, ReadLimits
from metadata_tool.zookeeper.multi_read import decoded, require_gone
from metadata_tool.zookeeper.protocol import OP_BYTES, AclReply, Refusal, Reply, on_wire_each, sizes
from metadata_tool.zookeeper.session import Session
from metadata_tool.zookeeper.wire import Answers, Requests, Wire, WireError


class Callbacks(NamedTuple):
    """The callbacks for a reply: first `arrived` with its zxid, then `done` with its zxid and body."""

    arrived: Callable[[int], None]
    done: Callable[[int, bytes], None]


class MultiRead:
    """One multi-read. It is sent again if the server throttles it."""

    def __init__(self, wire: Wire, too_old: Callable[[], ZooKeeperError], request: bytes, callbacks: Callbacks) -> None:
        self._too_old = too_old
        self._callbacks = callbacks
        Requests(wire, protocol.MULTI_READ, [request], self._on_reply)

    def _on_reply(self, answers: Answers) -> None:
        ((zxid, error, body),) = answers
        if error == protocol.UNIMPLEMENTED:
            raise self._too_old()
        if error:
            raise WireError(f"ZooKeeper's error {error}")
        self._callbacks.arrived(zxid)
        self._callbacks.done(zxid, body)


@dataclass
class Part:
    """Znodes that are read at one zxid, and the results.

    `content` holds the encoded znodes in the order of `paths`, without those that no longer exist, and `nodes` is their
    number. For the paths in `unknown`, the ACL belongs to another version than data and stat. `lists` are lists of
    children by path.
    """

    paths: Sequence[bytes]
    on_wire: Sequence[bytes]
    """The paths, encoded for a request."""
    acls: Sequence[AclReply]
    parents: Sequence[bytes]
    """The paths with children: before the read by the stats of their ACLs, after the read by their own stats."""
    expected: int
    """The bytes of the reply, lists of children included, as far as sizes are known."""
    guessed: bool
    """Whether some ACLs came from the cache, so that the sizes of these znodes are unknown."""
    zxid: int = 0
    content: bytes = b""
    nodes: int = 0
    unknown: Sequence[bytes] = ()
    lists: dict[bytes, list[bytes]] = field(default_factory=dict)
    done: bool = False

    def children(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """The path and the sorted names of children of each parent."""
        for path in self.parents:
            yield path, sorted(self.lists[path])


class BulkReader:
    """Reads over the connections of a session."""

    def __init__(self, session: Session, tracker: ChangeTracker, table: AclTable, limits: ReadLimits) -> None:
        more = session.more(limits.connections) or [session.wire]
        self.wires = session.wires()
        self.tracker = tracker
        self.limits = limits
        self._table = table
        self._wire = session.wire
        self._acls = AclReader(more, limits.acls)
        self._too_old = session.too_old

    def multi_read(
        self,
        data: Sequence[bytes],
        done: Callable[[int, list[Reply]], None],
        arrived: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Read data and stats. `done` gets the zxid and the replies, and must keep them.

        When the reply arrives, marks are cleared, and `arrived` is called before the reply is decoded.
        """

        def on_arrival(zxid: int) -> None:
            self._clear(zxid, data)
            arrived(zxid)
            self._wire.write()  # requests that it has queued

        self._ask(on_wire_each(data), (), Callbacks(on_arrival, _decoding(len(data), done)))

    def look(self, data: Sequence[bytes], done: Callable[[int, list[Reply]], None]) -> None:
        """Read data and stats that are not kept, so marks stay."""
        self._ask(on_wire_each(data), (), Callbacks(self.tracker.reply, _decoding(len(data), done)))

    def _ask(self, data: Sequence[bytes], lists: Sequence[bytes], callbacks: Callbacks) -> None:
        MultiRead(self._wire, self._too_old, protocol.multi_read(data, lists), callbacks)

    def _clear(self, zxid: int, paths: Sequence[bytes]) -> None:
        self.tracker.reply(zxid)
        self.tracker.clear(paths)

    def ask_acls_here(self, paths: Sequence[bytes], done: Callable[[list[AclReply]], None]) -> None:
        """Read ACLs on the connection of the multi-reads, in order with those."""
        ask_acls(self._wire, on_wire_each(paths), done)

    def read(self, paths: Iterable[bytes], *, children: bool, known: AclCache | None = None) -> Iterator[Part]:
        """Read the ACL, data and stat of each znode and, if wanted, its list of children, in the order of the paths.

        ACLs in the cache `known` are not read again.

        Raises:
            TooOld: the server knows no multi-read.
            WireError: the connection broke.
        """
        batches = _chunks(paths, self.limits.batch)
        asking: deque[_Batch] = deque()
        reading: deque[Part] = deque()
        exhausted = False
        while True:
            while not exhausted and len(asking) < limits.ACL_BATCHES_AHEAD:
                batch = next(batches, None)
                if batch is None:
                    exhausted = True
                else:
                    asking.append(_Batch(batch, self.limits, self._acls, known))
            busy = sum(not part.done for part in reading)
            while asking and asking[0].answered and busy < self._most(asking[0].parts[0]):
                part = asking[0].parts.popleft()
                if not asking[0].parts:
                    asking.popleft()
                if part.guessed and known and known.empty:  # its sizes were guessed from a cache that was dropped
                    asking.appendleft(_Batch(list(part.paths), self.limits, self._acls, None))
                    break
                self._send(part, known, children=children)
                reading.append(part)
                busy += 1
            while reading and reading[0].done:
                yield reading.popleft()
            if exhausted and not asking and not reading:
                return
            if not (asking and asking[0].answered and not reading):
                self.wires.pump(limits.ACL_REST if any(not batch.answered for batch in asking) else 0.0)

    def _most(self, part: Part) -> int:
        return self.limits.in_flight * (limits.SMALL_READS_FACTOR if part.guessed else 1)

    def _send(self, part: Part, known: AclCache | None, *, children: bool) -> None:
        lists = part.parents if children else ()

        def done(zxid: int, body: bytes) -> None:
            result = decoded(part.paths, part.on_wire, part.acls, body, self._table)
            part.zxid, part.content, part.nodes = zxid, result.content, result.nodes
            part.unknown = result.unknown
            part.parents = list(result.parents)
            _keep_lists(part, lists, protocol.read_replies(body, result.end))
            if known and part.guessed:
                known.judge(len(part.unknown), result.end - part.expected)
            if children:
                self._list(part, self._missing(part, result.parents))
            else:
                part.done = True

        self._ask(part.on_wire, on_wire_each(lists), Callbacks(lambda zxid: self._clear(zxid, part.paths), done))

    def _missing(self, part: Part, parents: Mapping[bytes, int]) -> Iterator[list[bytes]]:
        """The parents whose lists have not been read, in batches bounded by their current sizes."""
        sizes_now = [
            (path, len(path) + OP_BYTES, NAME_BYTES * children)
            for path, children in parents.items()
            if path not in part.lists
        ]
        return in_batches(sizes_now, self.limits)

    def _list(self, part: Part, todo: Iterator[list[bytes]]) -> None:
        """Read lists of children, one batch after the other. Then the part is done."""
        paths = next(todo, None)
        if paths is None:
            part.done = True
            return

        def done(_zxid: int, body: bytes) -> None:
            _keep_lists(part, paths, protocol.read_replies(body))
            self._list(part, todo)

        self._ask((), on_wire_each(paths), Callbacks(self.tracker.reply, done))


def _decoding(number: int, done: Callable[[int, list[Reply]], None]) -> Callable[[int, bytes], None]:
    def parse(zxid: int, body: bytes) -> None:
        replies = protocol.read_replies(body)
        if len(replies) != number:
            raise DecodeError(f"{len(replies)} answers to {number} reads")
        done(zxid, replies)

    return parse


def _keep_lists(part: Part, paths: Sequence[bytes], replies: Sequence[Reply]) -> None:
    if len(replies) != len(paths):
        raise DecodeError(f"{len(replies)} answers to {len(paths)} reads of children")
    for path, reply in zip(paths, replies, strict=True):
        if isinstance(reply, Refusal):
            require_gone(path, reply)  # deleted since its data was read, which has an event
            part.lists[path] = []
        elif isinstance(reply, list):
            part.lists[path] = reply
        else:
            raise DecodeError("the reply to getChildren holds data")


class _Batch:
    """Znodes whose ACLs are read unless cached. Once `answered`, `parts` are the reads of their data."""

    def __init__(self, paths: list[bytes], limits: ReadLimits, acls: AclReader, known: AclCache | None) -> None:
        self.answered = False
        self.parts: deque[Part] = deque()
        self._paths, self._on_wire = paths, on_wire_each(paths)
        self._limits = limits
        self._known = known.replies(paths) if known else [None] * len(paths)
        self._some_known = any(self._known)
        asked = self._on_wire
        if self._some_known:
            asked = [path for path, acl in zip(self._on_wire, self._known, strict=True) if acl is None]
        if asked:
            acls.ask(asked, self._complete)
        else:
            self._complete([])

    def _complete(self, replies: list[AclReply]) -> None:
        if self._some_known:
            answers = iter(replies)
            replies = [next(answers) if acl is None else acl for acl in self._known]
        self._split(replies)
        self.answered = True

    def _split(self, acls: list[AclReply]) -> None:
        data, children = sizes(acls)
        listed = children
        if self._some_known:
            unknown = self._limits.unknown_bytes
            data = [max(size, unknown) if acl else size for size, acl in zip(data, self._known, strict=True)]
            listed = [0 if acl else number for number, acl in zip(children, self._known, strict=True)]
        for which in self._parts(data, children):
            paths, expected = self._paths[which], _bytes_of(data[which], children[which])
            parents, guessed = list(compress(paths, listed[which])), any(self._known[which])
            self.parts.append(Part(paths, self._on_wire[which], acls[which], parents, expected, guessed))

    def _parts(self, data: Sequence[int], children: Sequence[int]) -> Iterator[slice]:
        """Parts that are bounded by the bytes of request and reply. Most batches are one part and need no loop."""
        requested = 2 * (sum(map(len, self._paths)) + OP_BYTES * len(self._paths))
        if requested <= self._limits.request_bytes and _bytes_of(data, children) <= self._limits.reply_bytes:
            yield slice(0, len(self._paths))
            return
        sized = (
            (number, 2 * (len(path) + OP_BYTES), READ_BYTES + size + NAME_BYTES * names)
            for number, (path, size, names) in enumerate(zip(self._paths, data, children, strict=True))
        )
        for batch in in_batches(sized, replace(self._limits, batch=len(self._paths))):
            yield slice(batch[0], batch[-1] + 1)


def _bytes_of(data: Sequence[int], children: Sequence[int]) -> int:
    """The size of the reply for znodes with these data lengths and numbers of children."""
    return READ_BYTES * len(data) + sum(data) + NAME_BYTES * sum(children)


T = TypeVar("T")


def in_batches(sized: Iterable[tuple[T, int, int]], limits: ReadLimits) -> Iterator[list[T]]:
    """Items in their order, in batches bounded by their number, and by the bytes of their request and reply.

    Each item comes with its bytes in the request and in the reply.
    """
    batch: list[T] = []
    requested = replied = 0
    for item, request_bytes, reply_bytes in sized:
        requested, replied = requested + request_bytes, replied + reply_bytes
        too_large = requested > limits.request_bytes or replied > limits.reply_bytes
        if batch and (too_large or len(batch) >= limits.batch):
            yield batch
            batch, requested, replied = [], request_bytes, reply_bytes
        batch.append(item)
    if batch:
        yield batch


def _chunks(paths: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    remaining = iter(paths)
    while batch := list(islice(remaining, size)):
        yield batch
