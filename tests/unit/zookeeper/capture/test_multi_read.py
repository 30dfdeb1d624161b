"""Decoding the reply to a multi-read into the znodes of a snapshot."""

import struct
from enum import Enum
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.capture.acl_table import UNKNOWN, AclReply, AclTable, acl_replies
from metadata_tool.zookeeper.capture.multi_read import MultiReadResult, decoded
from metadata_tool.zookeeper.errors import ConnectionBroken, DecodeError, ReadRefused, ZnodeUnreadable
from metadata_tool.zookeeper.jute import OPEN_ACL, Acl, buffer, pack_acls
from metadata_tool.zookeeper.protocol import Refusal
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.stat import Stat
from support.trees import PATIENT, acls, client_stat, encoded, stats

LAST = struct.pack(">i?i", -1, True, -1)
GONE = struct.pack(">i?ii", -1, False, -101, -101)
AT = struct.pack(">i?i", 4, False, 0)
NEW = Stat(1, 1, 0, 0, 0, 0, 0, 0, 1)


class Before(Enum):
    """What happened to a znode between the read of its ACL and that of its data."""

    NOTHING = "nothing"
    CHANGED = "data and children changed"
    ACL_CHANGED = "another ACL was set"
    CREATED = "it was created"


class Znode(NamedTuple):
    """A znode that exists. `before` is what happened to it after its ACL was read."""

    path: bytes
    data: bytes | None
    stat: Stat
    children: int
    acl: bytes
    before: Before

    @property
    def current(self) -> bool:
        """Whether its ACL belongs to the version that was read."""
        return self.before in (Before.NOTHING, Before.CHANGED)


znodes = st.builds(
    Znode,
    st.binary(max_size=20),
    st.none() | st.binary(max_size=50),
    st.builds(
        lambda stat, changes: stat._replace(**changes),
        stats,
        st.fixed_dictionaries(
            {
                "ephemeral_owner": st.sampled_from([0, 0, 7]),
                "aversion": st.sampled_from([0, 0, 1]),
                "cversion": st.sampled_from([0, 3]),
            }
        ),
    ),
    st.integers(0, 5),
    st.just(OPEN_ACL) | acls.filter(bool).map(pack_acls),
    st.sampled_from(Before),
)


def answers(asked: list[Znode | None]) -> bytes:
    """The reply of a server."""
    parts = [AT + buffer(znode.data) + wire(znode) if znode else GONE for znode in asked]
    return b"".join(parts) + LAST


def wire(znode: Znode) -> bytes:
    """Its stat, as a client gets it."""
    return client_stat(znode.stat, len(znode.data or b""), znode.children)


def acl_of(znode: Znode | None) -> AclReply:
    """What was answered when its ACL was asked for."""
    if znode is None or znode.before == Before.CREATED:
        return Refusal(-101)
    if znode.before == Before.NOTHING:
        return answered(znode.acl + wire(znode))
    stat = znode.stat if znode.current else znode.stat._replace(aversion=znode.stat.aversion ^ 1)
    return answered(znode.acl + client_stat(stat, 1000, 3))


def answered(body: bytes) -> AclReply:
    """The answer to getACL with this body."""
    (reply,) = acl_replies([(1, 0, body)])
    return reply


def result(asked: list[Znode | None], body: bytes, table: AclTable) -> MultiReadResult:
    """Take the answer apart."""
    paths = [each.path if each else b"/gone" for each in asked]
    return decoded(paths, protocol.on_wire_each(paths), list(map(acl_of, asked)), body, table)


def of_one(acl: AclReply, body: bytes) -> MultiReadResult:
    """Take the answer about a single znode apart."""
    return decoded([b"/a"], [protocol.on_wire(b"/a")], [acl], body, AclTable())


ADMIN_ACL = pack_acls([Acl(31, "digest", "admin:secret")])
ONE_OF_EACH_KIND = [
    None,
    Znode(b"", None, NEW._replace(cversion=3), 3, OPEN_ACL, Before.NOTHING),
    Znode(b"/a", b"", NEW, 0, ADMIN_ACL, Before.NOTHING),
    Znode(b"/b", b"1", NEW, 0, ADMIN_ACL, Before.CHANGED),
    Znode(b"/c", b"22", NEW._replace(ephemeral_owner=7), 0, OPEN_ACL, Before.CREATED),
    None,
    Znode(b"/d", b"333", NEW._replace(aversion=1), 0, ADMIN_ACL, Before.ACL_CHANGED),
    Znode(b"/e", b"4444", NEW, 0, OPEN_ACL, Before.CREATED),
    Znode(b"/f", b"whose children are gone", NEW._replace(cversion=3), 0, OPEN_ACL, Before.NOTHING),
]


@PATIENT
@given(st.lists(znodes | st.none(), max_size=6))
@example([*ONE_OF_EACH_KIND])
def test_all_kinds(asked: list[Znode | None]) -> None:
    """Znodes come as a snapshot has them, without deleted ones. Other versions of ACLs and parents are reported."""
    table = AclTable()
    found = result(asked, answers(asked), table)
    unknown = [znode for znode in asked if znode and not znode.current and not znode.stat.ephemeral_owner]
    nodes = [Node(znode.path, znode.data, key(znode, table), znode.stat.pack()) for znode in asked if znode]
    assert encoded(nodes) == (found.content, found.nodes)
    assert [znode.path for znode in unknown] == found.unknown
    assert {znode.path: znode.children for znode in asked if znode and znode.children} == found.parents
    assert len(answers(asked)) - len(LAST) == found.end


def key(znode: Znode, table: AclTable) -> int:
    """Of its ACL: an ephemeral needs none."""
    if znode.stat.ephemeral_owner:
        return OPEN_ACL_KEY
    return table.key(znode.path, znode.acl) if znode.current else UNKNOWN


@PATIENT
@given(st.lists(znodes, min_size=1, max_size=4), st.data())
def test_cut_answers(asked: list[Znode | None], choice: st.DataObject) -> None:
    """A truncated reply is an error, or its end is not where it should be."""
    whole = answers(asked)
    cut = whole[: choice.draw(st.integers(0, len(whole) - len(LAST) - 1))]
    try:
        found = result(asked, cut, AclTable())
    except DecodeError:
        return
    assert found.end > len(cut)


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (-102, ZnodeUnreadable, "cannot read znode /a$"),
        (-127, ConnectionBroken, "throttles"),
        (-1, ReadRefused, "znode /a cannot be read: ZooKeeper error -1$"),
    ],
)
def test_refused(code: int, error: type[Exception], said: str) -> None:
    """A read that is refused for another reason than a deleted znode is an error that says so, and for which znode."""
    with pytest.raises(error, match=said):
        of_one(Refusal(code), struct.pack(">i?ii", -1, False, code, code) + LAST)


def test_acl_that_cannot_be_read() -> None:
    """An error of getACL that no read of the data explains breaks the attempt. It does not count as an unknown ACL."""
    znode = Znode(b"/a", b"", NEW, 0, OPEN_ACL, Before.NOTHING)
    with pytest.raises(ConnectionBroken, match="ZooKeeper's error -112 for the ACL of znode /a"):
        of_one(Refusal(-112), answers([znode]))


def test_rights() -> None:
    """A refused login is told which rights it needs."""
    with pytest.raises(ZnodeUnreadable) as caught:
        of_one(Refusal(-102), struct.pack(">i?ii", -1, False, -102, -102) + LAST)
    assert "READ and ADMIN" in caught.value.rights


def test_masked_acl() -> None:
    """An ACL that the server masks is an error that names the znode, not an ACL to save."""
    znode = Znode(b"/a", b"", NEW, 0, pack_acls([Acl(31, "digest", "admin:x")]), Before.NOTHING)
    with pytest.raises(ZnodeUnreadable, match="ACL of znode /a"):
        result([znode], answers([znode]), AclTable())


def test_missing_acl() -> None:
    """A reply cannot be decoded without an ACL for each path, so no znode is lost."""
    asked = [Znode(path, b"", NEW, 0, OPEN_ACL, Before.NOTHING) for path in (b"/a", b"/b")]
    paths = [znode.path for znode in asked]
    with pytest.raises(ValueError, match="shorter"):
        decoded(paths, protocol.on_wire_each(paths), [acl_of(asked[0])], answers([*asked]), AclTable())


def test_another_type() -> None:
    """An answer to another request is an error."""
    with pytest.raises(DecodeError, match="has type 8"):
        of_one(Refusal(-101), struct.pack(">i?ii", 8, False, 0, 0) + LAST)


def test_half_a_stat() -> None:
    """A reply that ends within a stat is an error that says so."""
    znode = Znode(b"/a", b"", NEW, 0, OPEN_ACL, Before.NOTHING)
    with pytest.raises(DecodeError, match="the reply to a multi-read ends too early"):
        of_one(acl_of(znode), answers([znode])[: -len(LAST) - 9])


def test_too_few() -> None:
    """A reply with too few answers is an error, and not a refusal."""
    with pytest.raises(DecodeError, match="has type -1"):
        of_one(Refusal(-101), LAST)


def test_short_acl() -> None:
    """An answer to getACL that is too short for an ACL and a stat is an error."""
    with pytest.raises(DecodeError, match="an ACL ends too early"):
        answered(bytes(71))
