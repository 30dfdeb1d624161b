"""How reads are split into requests, and when requests are sent."""

import socket
import struct
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple, cast

from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper import bulk_reader
from metadata_tool.zookeeper.acl_cache import AclCache
from metadata_tool.zookeeper.acls import AclReader, AclTable
from metadata_tool.zookeeper.bulk_reader import BulkReader, in_batches
from metadata_tool.zookeeper.changes import ChangeTracker
from metadata_tool.zookeeper.jute import OPEN_ACL
from metadata_tool.zookeeper.limits import REPLY_BYTES, ReadLimits
from metadata_tool.zookeeper.protocol import OP_BYTES, AclReply, Reply, on_wire
from metadata_tool.zookeeper.session import Session
from metadata_tool.zookeeper.stat import Stat
from metadata_tool.zookeeper.wire import Wire, Wires
from support.trees import PATIENT, client_stat

UNKNOWN_BYTES = ReadLimits.unknown_bytes
sized = st.lists(st.tuples(st.integers(), st.integers(1, 300), st.integers(0, 2 * REPLY_BYTES)), max_size=30)


@PATIENT
@given(sized, st.integers(1, 10))
def test_batches(items: list[tuple[int, int, int]], most: int) -> None:
    """All items are read in order, and no request or reply exceeds its limit unless it is for one item."""
    made = list(in_batches(((item, *item[1:]) for item in items), ReadLimits(batch=most, request_bytes=1000)))
    assert items == [item for batch in made for item in batch]
    for batch in made:
        assert 1 <= len(batch) <= most
        within = sum(item[1] for item in batch) <= 1000 and sum(item[2] for item in batch) <= REPLY_BYTES
        assert within or len(batch) == 1


class Sized(NamedTuple):
    """A znode, the bytes of its data, its number of children, and whether its ACL is known."""

    path: bytes
    data: int
    children: int
    known: bool

    @property
    def acl(self) -> bytes:
        """The answer to getACL."""
        return OPEN_ACL + client_stat(STAT, self.data, self.children)

    @property
    def in_request(self) -> int:
        """Its bytes in a request for data and children."""
        return 2 * (len(self.path) + OP_BYTES)

    @property
    def in_reply(self) -> int:
        """Its bytes in a reply with 64 bytes per child. With a cached ACL its size is unknown."""
        return 100 + max(self.data, UNKNOWN_BYTES * self.known) + 64 * self.children


class Telling:
    """Answers for all ACLs at once, both as a cache and as a server."""

    def __init__(self, znodes: Sequence[Sized]) -> None:
        self._znodes = {on_wire(znode.path): znode for znode in znodes}

    def ask(self, paths: Sequence[bytes], then: Callable[[list[AclReply]], None]) -> None:
        """Answer for these, none of which may be in the cache."""
        asked = [self._znodes[path] for path in paths]
        assert not any(znode.known for znode in asked)
        then([znode.acl for znode in asked])

    def replies(self, paths: Sequence[bytes]) -> list[bytes | None]:
        """The cached answers."""
        found = [self._znodes[on_wire(path)] for path in paths]
        return [znode.acl if znode.known else None for znode in found]


STAT = Stat(1, 1, 1, 1, 0, 0, 0, 0, 1)
REQUEST_BYTES = 1000
sizes = st.integers(0, 3) | st.sampled_from([UNKNOWN_BYTES, REPLY_BYTES - 100, REPLY_BYTES, 2 * REPLY_BYTES])
children = st.integers(0, 3) | st.just(REPLY_BYTES // 64)


@st.composite
def batches(draw: st.DrawFn) -> list[Sized]:
    """Znodes with long and short paths."""
    lengths = draw(st.lists(st.sampled_from([1, 40, 300]), min_size=1, max_size=40))
    return [
        Sized(b"/%d" % number + b"x" * length, draw(sizes), draw(children), draw(st.booleans()))
        for number, length in enumerate(lengths)
    ]


@PATIENT
@given(batches())
def test_shares(znodes: list[Sized]) -> None:
    """A batch is read in order, in parts within the limits, with lists of children if their number is known."""
    told = Telling(znodes)
    limits = ReadLimits(request_bytes=REQUEST_BYTES)
    batch = bulk_reader._Batch(
        [znode.path for znode in znodes], limits, cast("AclReader", told), cast("AclCache", told)
    )
    remaining = iter(znodes)
    for part in batch.parts:
        shared = list(islice(remaining, len(part.paths)))
        asks, gets = sum(znode.in_request for znode in shared), sum(znode.in_reply for znode in shared)
        assert [(znode.path, znode.acl) for znode in shared] == list(zip(part.paths, part.acls, strict=True))
        assert [znode.path for znode in shared if znode.children and not znode.known] == part.parents
        assert (gets, any(znode.known for znode in shared)) == (part.expected, part.guessed)
        assert (asks <= REQUEST_BYTES and gets <= REPLY_BYTES) or len(shared) == 1
    assert [] == list(remaining)


class Alone:
    """A session whose server is a socket."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def more(self, _: int) -> list[Wire]:
        """No more connections."""
        return []

    def wires(self) -> Wires:
        """The only connection."""
        return Wires([self.wire], Heartbeat())

    def too_old(self) -> None:
        """Not used."""


def test_late_reads_go_out_first() -> None:
    """Requests that are queued when a reply arrives are sent before the reply is decoded."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    wire = Wire(ours, 15.0)
    session = cast("Session", Alone(wire))
    reader = BulkReader(session, ChangeTracker(lambda _: True, lambda _: True), AclTable(), ReadLimits())
    sent: list[bytes] = []

    def done(_zxid: int, _replies: list[Reply]) -> None:
        sent.append(theirs.recv(1000))

    def ask_late(_zxid: int) -> None:
        reader.multi_read([b"/late"], lambda *_: None)

    reader.multi_read([], done, ask_late)
    reader.wires.pump()
    theirs.recv(1000)
    theirs.sendall(struct.pack(">iiqi", 25, 1, 7, 0) + struct.pack(">i?i", -1, True, -1))
    reader.wires.pump()
    wire.close()
    theirs.close()
    assert [True] == [b"/late" in request for request in sent]
