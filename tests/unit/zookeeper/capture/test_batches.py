"""How reads are divided into requests."""

from itertools import islice
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.zookeeper.capture.acl_table import ZnodeAcl
from metadata_tool.zookeeper.capture.batches import in_batches, planned
from metadata_tool.zookeeper.jute import OPEN_ACL
from metadata_tool.zookeeper.limits import REPLY_BYTES, ReadLimits
from metadata_tool.zookeeper.protocol import OP_BYTES, on_wire_each
from metadata_tool.zookeeper.stat import SHARED, Stat
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
    def acl(self) -> ZnodeAcl:
        """The answer to getACL."""
        return ZnodeAcl(OPEN_ACL, client_stat(STAT)[SHARED], self.data, self.children)

    @property
    def in_request(self) -> int:
        """Its bytes in a request for data and children."""
        return 2 * (len(self.path) + OP_BYTES)

    @property
    def in_reply(self) -> int:
        """Its bytes in a reply with 64 bytes per child. With a cached ACL its size is unknown."""
        return 100 + max(self.data, UNKNOWN_BYTES * self.known) + 64 * self.children


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
    limits = ReadLimits(request_bytes=REQUEST_BYTES)
    paths, known = [znode.path for znode in znodes], [znode.known for znode in znodes]
    remaining = iter(znodes)
    for part in planned(paths, on_wire_each(paths), [znode.acl for znode in znodes], known, limits):
        shared = list(islice(remaining, len(part.paths)))
        asks, gets = sum(znode.in_request for znode in shared), sum(znode.in_reply for znode in shared)
        assert [(znode.path, znode.acl) for znode in shared] == list(zip(part.paths, part.acls, strict=True))
        assert on_wire_each(part.paths) == part.on_wire
        assert [znode.path for znode in shared if znode.children and not znode.known] == part.parents
        assert (gets, any(znode.known for znode in shared)) == (part.expected, part.guessed)
        assert (asks <= REQUEST_BYTES and gets <= REPLY_BYTES) or len(shared) == 1
    assert [] == list(remaining)
