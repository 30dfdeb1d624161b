"""What servers do not load, and what their clients cannot read."""

import struct

import pytest

from metadata_tool.zookeeper.jute import Acl, pack_acls
from metadata_tool.zookeeper.limits import JUTE_MAXBUFFER, MAX_DEPTH, REPORTED_ZNODES
from metadata_tool.zookeeper.loadable import LoadCheck, leaves_epochs
from metadata_tool.zookeeper.snapshot import Node
from support.trees import node

LIMIT = 5000


def checked(*nodes: Node, maxbuffer: int = LIMIT) -> LoadCheck:
    """The check of these znodes."""
    check = LoadCheck(maxbuffer)
    assert list(nodes) == list(check.passed_through(nodes))
    return check


@pytest.mark.parametrize(
    ("size", "large", "too_large"),
    [(LIMIT, 0, 0), (LIMIT + 1, 1, 0), (2 * LIMIT, 1, 0), (2 * LIMIT + 1, 0, 1), (9 * LIMIT, 0, 1)],
)
def test_data(size: int, large: int, too_large: int) -> None:
    """Data above the limit is too large for clients, and above twice the limit for servers."""
    check = checked(node(b""), node(b"/a", bytes(size)))
    assert (large, too_large, too_large) == (check.large.count, check.too_large.count, check.unloadable)
    assert [f"/a ({size} bytes)"] * (large + too_large) == check.large.first + check.too_large.first
    assert size * too_large == check.too_large.largest


def test_default_limit() -> None:
    """Without a limit, the one of a server with default settings counts."""
    check = checked(node(b"/a", bytes(2 * JUTE_MAXBUFFER)), maxbuffer=JUTE_MAXBUFFER)
    assert (0, 1) == (LoadCheck().unloadable, check.large.count)
    check.add(node(b"/b", bytes(2 * JUTE_MAXBUFFER + 1)))
    assert 1 == check.unloadable


@pytest.mark.parametrize(("size", "too_large"), [(1124, 0), (1125, 1)])
def test_least_extra(size: int, too_large: int) -> None:
    """A server with a tiny limit adds 1024 bytes to it, for data as for paths."""
    assert too_large == checked(node(b"/a", bytes(size)), maxbuffer=100).unloadable
    assert too_large == checked(node(b"/".ljust(size, b"x")), maxbuffer=100).unloadable


def test_long_path() -> None:
    """A path is a field too. Only its beginning is shown."""
    check = checked(node(b"/" + b"x" * 2 * LIMIT))
    assert [f"/{'x' * 99}… (a path of {2 * LIMIT + 1} bytes)"] == check.too_large.first


@pytest.mark.parametrize("entry", [Acl(31, "x" * 10_001, "id"), Acl(31, "scheme", "x" * 10_001)])
def test_acl(entry: Acl) -> None:
    """The texts of an ACL are fields too. An ACL of many short texts is loaded."""
    check = LoadCheck(LIMIT)
    check.add_acls({1: pack_acls([Acl(31, "digest", "user:secret")] * 1000), 2: pack_acls([])})
    assert 0 == check.unloadable
    check.add_acls({3: pack_acls([Acl(1, "world", "anyone"), entry])})
    assert (["an ACL (10001 bytes)"], 10_001) == (check.too_large.first, check.too_large.largest)


def test_empty_acl() -> None:
    """An ACL without entries has no texts, whatever follows it."""
    check = LoadCheck(1)
    check.add_acls({1: struct.pack(">i", 0)})
    assert 0 == check.unloadable


def test_depth() -> None:
    """A path with more levels than a server's stack allows is found."""
    deepest = b"/x" * MAX_DEPTH
    assert 0 == checked(node(deepest)).unloadable
    check = checked(node(deepest), node(deepest + b"/y"), maxbuffer=JUTE_MAXBUFFER)
    assert (1, [f"{'/x' * 50}… ({MAX_DEPTH + 1} levels)"]) == (check.unloadable, check.too_deep.first)


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        (b"/zookeeper/quota/zookeeper_limits", True),
        (b"/zookeeper/quota/zookeeper_limits/zookeeper_limits", True),
        (b"/zookeeper/quota/zookeeper_limits2/zookeeper_limits", True),
        (b"/zookeeper/quota/zookeeper_stats", False),
        (b"/zookeeper/quota/a/zookeeper_limits", False),
        (b"/zookeeper/quota/zookeeper_limits/a", False),
        (b"/zookeeper_limits", False),
    ],
)
def test_quota(path: bytes, bad: bool) -> None:  # a parameter of the test
    """A quota that belongs to no path is found."""
    check = checked(node(path))
    assert [path.decode()] * bad == check.bad_quotas.first
    assert bad == check.unloadable


def test_encoded() -> None:
    """Encoded znodes are checked in the same way, and passed on."""
    nodes = [node(b""), node(b"/a", bytes(2 * LIMIT + 1)), node(b"/x" * (MAX_DEPTH + 1)), node(b"/y")]
    check = LoadCheck(LIMIT)
    encoded = [each.encode() for each in nodes]
    assert encoded == list(check.passed_through_encoded(encoded))
    assert (1, 1) == (check.too_large.count, check.too_deep.count)


def test_reported_znodes_are_limited() -> None:
    """Of many znodes the first are named, and all are counted. The largest is known, wherever it is."""
    nodes = [node(b"/%03d" % number, bytes(3 * LIMIT + number)) for number in range(REPORTED_ZNODES + 5)]
    found = checked(*nodes).too_large
    assert (REPORTED_ZNODES + 5, REPORTED_ZNODES) == (found.count, len(found.first))
    assert (len(nodes[-1].data or b""), "/000 (15000 bytes)") == (found.largest, found.first[0])


@pytest.mark.parametrize(("epoch", "left"), [(0, True), (5, True), (0x7F00_0000, True), (0x7F00_0001, False)])
def test_epochs(epoch: int, *, left: bool) -> None:
    """An ensemble needs epochs for its elections."""
    assert left == leaves_epochs(epoch << 32 | 0xFFFF_FFFF)
