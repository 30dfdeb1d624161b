"""How reads are shared out to requests, and when they go out."""

import socket
import struct
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.lifecycle import Checkpoint
from metadata_tool.zookeeper.acls import AclTable
from metadata_tool.zookeeper.marks import Marks
from metadata_tool.zookeeper.protocol import Reply
from metadata_tool.zookeeper.reads import REPLY_BYTES, Gentleness, Reads, portions
from metadata_tool.zookeeper.session import Session
from metadata_tool.zookeeper.wire import Wire, Wires
from support.trees import PATIENT

sized = st.lists(st.tuples(st.integers(), st.integers(1, 300), st.integers(0, 2 * REPLY_BYTES)), max_size=30)


@PATIENT
@given(sized, st.integers(1, 10))
def test_portions(items: list[tuple[int, int, int]], most: int) -> None:
    """All are read, in their order; no request or reply is larger than its bound, unless it is of one alone."""
    made = list(portions(((item, *item[1:]) for item in items), most, 1000))
    assert items == [item for portion in made for item in portion]
    for portion in made:
        assert 1 <= len(portion) <= most
        within = sum(item[1] for item in portion) <= 1000 and sum(item[2] for item in portion) <= REPLY_BYTES
        assert within or len(portion) == 1


class Alone:
    """A session whose server is a socket."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def more(self, _: int) -> list[Wire]:
        """No connections but the one."""
        return []

    def wires(self) -> Wires:
        """The one."""
        return Wires([self.wire], Checkpoint())

    def unsupported(self) -> None:
        """Never so."""


def test_late_reads_go_out_first() -> None:
    """What is asked for when a reply arrives is on its way before the reply is taken apart: it must be read soon."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    wire = Wire(ours, 15.0)
    session = cast("Session", Alone(wire))
    reads = Reads(session, Marks(lambda _: True, lambda _: True), AclTable(), Gentleness())
    sent: list[bytes] = []

    def done(_zxid: int, _replies: list[Reply]) -> None:
        sent.append(theirs.recv(1000))

    def ask_late(_zxid: int) -> None:
        reads.multi_read([b"/late"], lambda *_: None)

    reads.multi_read([], done, ask_late)
    reads.wires.pump()
    theirs.recv(1000)
    theirs.sendall(struct.pack(">iiqi", 25, 1, 7, 0) + struct.pack(">i?i", -1, True, -1))
    reads.wires.pump()
    wire.close()
    theirs.close()
    assert [True] == [b"/late" in request for request in sent]
