import hashlib
import io
import struct
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.jute import Acl, pack_acls
from metadata_tool.zookeeper.limits import SNAPSHOT_CHUNK, SnapshotLimits
from metadata_tool.zookeeper.snapshot import Node, SnapshotError, SnapshotReader, Written, printable, tree_key, write
from metadata_tool.zookeeper.stat import Stat
from support.trees import (
    EXAMPLES,
    PATIENT,
    ZXID,
    acl_tables,
    in_tree_order,
    int32s,
    int64s,
    length_and,
    node,
    paths,
    sealed,
    small_table,
    small_tree,
    snapshot_bytes,
    snapshot_head,
    stats,
    tables_and_trees,
    trees,
)

SMALL = snapshot_bytes(small_tree(), small_table())
DIGEST = struct.pack(">qiq", 0, 2, -5)
LAST_ZXID = struct.pack(">q", ZXID + 7)
END = length_and(b"/")

Content = tuple[dict[int, bytes], dict[int, int], list[Node]]


class Dribble:
    """A stream that gives a few bytes at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        self._file = io.BytesIO(content)
        self._size = size

    def read(self, size: int, /) -> bytes:
        """As a file does, but fewer."""
        return self._file.read(min(size, self._size))


class Endless:
    """A stream with a given start and endless zeros. The test fails if more than a few MB are read."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning
        self._left = 8 << 20

    def read(self, size: int, /) -> bytes:
        """As a file does."""
        self._left -= size
        if self._left < 0:
            pytest.fail("it reads on and on")
        part, self._beginning = self._beginning[:size], self._beginning[size:]
        return part.ljust(size, b"\0")


def read(content: bytes) -> Content:
    """Everything that a snapshot holds: ACLs, sessions, znodes."""
    reader = SnapshotReader(io.BytesIO(content))
    nodes = list(reader.nodes())
    return reader.header.acls, reader.header.sessions, nodes


def read_or_refused(content: bytes) -> Content | None:
    """Everything that a snapshot holds, None where it was refused."""
    try:
        return read(content)
    except SnapshotError:
        return None


def with_trailers(*trailers: bytes) -> bytes:
    """The small snapshot with trailers."""
    return snapshot_bytes(small_tree(), small_table(), trailers=trailers)


@PATIENT
@given(tables_and_trees())
@example((small_table(), small_tree()))
def test_round_trip(table_and_tree: tuple[dict[int, bytes], list[Node]]) -> None:
    """Any tree is read back from its snapshot: null and empty data, any ACL table, any path."""
    table, tree = table_and_tree
    out = io.BytesIO()
    write(out, table, (node.encode() for node in tree))
    assert (table, {}, tree) == read(out.getvalue())


@PATIENT
@given(tables_and_trees())
@example((small_table(), small_tree()))
def test_written_bytes(table_and_tree: tuple[dict[int, bytes], list[Node]]) -> None:
    """A snapshot has the bytes of ZooKeeper's format, and the returned counts and checksum are right."""
    table, tree = table_and_tree
    expected = snapshot_bytes(tree, table)
    out = io.BytesIO()
    written = write(out, table, (node.encode() for node in tree))
    assert expected == out.getvalue()
    assert Written(len(tree), len(expected), hashlib.sha256(expected).hexdigest()) == written


@PATIENT
@given(acl_tables, st.dictionaries(int64s, int32s), trees())
def test_sessions(table: dict[int, bytes], sessions: dict[int, int], tree: list[Node]) -> None:
    """A server's own snapshot, which has sessions, is read too."""
    assert (table, sessions, tree) == read(snapshot_bytes(tree, table, sessions))


@PATIENT
@given(tables_and_trees(), st.integers(1, 40))
def test_tiny_chunks(table_and_tree: tuple[dict[int, bytes], list[Node]], size: int) -> None:
    """A stream that gives a few bytes at a time makes no difference."""
    table, tree = table_and_tree
    reader = SnapshotReader(Dribble(snapshot_bytes(tree, table, trailers=[DIGEST, LAST_ZXID]), size))
    assert tree == list(reader.nodes())
    assert (table, ZXID + 7) == (reader.header.acls, reader.last_zxid)


def test_chunks_of_any_size() -> None:
    """However many bytes a stream gives at a time, the same znodes are read."""
    tree = [*small_tree(), node(b"/b", None), node(b"/b/a-longer-name", bytes(99)), node(b"/c")]
    content = snapshot_bytes(tree, small_table(), trailers=[DIGEST, LAST_ZXID])
    for size in range(1, len(content) + 2):
        reader = SnapshotReader(Dribble(content, size))
        assert tree == list(reader.nodes())
        assert ZXID + 7 == reader.last_zxid


class Pieces(io.BytesIO):
    """A file that keeps the sizes of what is written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, content: Any, /) -> int:
        """As a file does."""
        written = super().write(content)
        self.sizes.append(written)
        return written


def test_written_in_pieces() -> None:
    """A snapshot is written in a few pieces of a bounded size, however many znodes it has."""
    tree = [node(b""), *(node(b"/%05d" % number, bytes(1000)) for number in range(3000))]
    out = Pieces()
    written = write(out, {}, (node.encode() for node in tree))
    assert max(out.sizes) <= SNAPSHOT_CHUNK + len(tree[-1].encode())
    assert len(out.sizes) <= written.size // SNAPSHOT_CHUNK + 2


@pytest.mark.parametrize("size", [1 << 16, (1 << 18) - 1, 1 << 18, 1 << 20])
def test_large_data(size: int) -> None:
    """Znodes larger than any buffer come through."""
    tree = [node(b"", bytes(size)), node(b"/a", b"x"), node(b"/b", b"y" * size), node(b"/b/c", b"z" * (size + 1))]
    out = io.BytesIO()
    written = write(out, {}, (node.encode() for node in tree))
    assert snapshot_bytes(tree) == out.getvalue()
    assert written.size == len(out.getvalue())
    assert ({}, {}, tree) == read(out.getvalue())


@pytest.mark.parametrize(
    ("trailers", "expected"),
    [
        pytest.param((), (True, None, None), id="none"),
        pytest.param((DIGEST,), (False, 0, None), id="digest"),
        pytest.param((LAST_ZXID,), (False, None, ZXID + 7), id="last zxid"),
        pytest.param((DIGEST, LAST_ZXID), (False, 0, ZXID + 7), id="both"),
    ],
)
def test_trailers(trailers: tuple[bytes, ...], expected: tuple[bool, int | None, int | None]) -> None:
    """What newer servers add after the first seal is read, and changes nothing about the tree."""
    reader = SnapshotReader(io.BytesIO(with_trailers(*trailers)))
    assert small_tree() == list(reader.nodes())
    assert expected == (reader.bare, reader.digest_zxid, reader.last_zxid)


def own_seal(trailer: bytes) -> bytes:
    """A trailer whose seal covers only itself."""
    return SMALL + sealed(trailer)


AFTER_END, CHECKSUM = "there are bytes after the end", r"the checksum at byte \d+ does not match"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(with_trailers(LAST_ZXID, DIGEST), CHECKSUM, id="wrong order"),
        pytest.param(with_trailers(DIGEST, DIGEST), AFTER_END, id="digest twice"),
        pytest.param(with_trailers(LAST_ZXID, LAST_ZXID), AFTER_END, id="last zxid twice"),
        pytest.param(with_trailers(b""), AFTER_END, id="seal of nothing"),
        pytest.param(own_seal(DIGEST), CHECKSUM, id="digest seal not cumulative"),
        pytest.param(own_seal(LAST_ZXID), CHECKSUM, id="last zxid seal not cumulative"),
        pytest.param(SMALL[:-1] + b"x", r"the seal at byte \d+ is broken", id="seal of another name"),
        pytest.param(SMALL + b"\0", AFTER_END, id="a byte more"),
        pytest.param(SMALL + bytes(21), CHECKSUM, id="zeros like a last zxid"),
        pytest.param(SMALL + bytes(1000), AFTER_END, id="many zeros"),
        pytest.param(SMALL + SMALL, AFTER_END, id="twice"),
    ],
)
def test_wrong_end(content: bytes, why: str) -> None:
    """Nothing but ZooKeeper's own trailers may follow a snapshot, each with a seal that covers all before it."""
    with pytest.raises(SnapshotError, match=why):
        read(content)


@pytest.mark.parametrize("entry", [(None, b"id"), (b"scheme", None), (None, None)])
def test_acl_without_a_text(entry: tuple[bytes | None, bytes | None]) -> None:
    """An ACL without a scheme or an id is refused, because no server loads it."""
    acl = struct.pack(">ii", 1, 31) + b"".join(map(length_and, entry))
    with pytest.raises(SnapshotError, match="an ACL has no scheme or no id, near byte"):
        read(snapshot_bytes([node(b"")], {1: acl}))


def test_acls_are_bounded() -> None:
    """A table of ACLs that would take all memory is refused."""
    table = {key: pack_acls([Acl(31, "digest", f"user-{key}:secret")]) for key in range(1, 10)}
    content = snapshot_bytes([node(b"")], table)
    assert table == SnapshotReader(io.BytesIO(content)).header.acls
    with pytest.raises(SnapshotError, match="its ACLs take more than 100 bytes"):
        SnapshotReader(io.BytesIO(content), SnapshotLimits(acls=100))


def test_acls_at_their_limit() -> None:
    """The table of ACLs may take as many bytes as its limit says, wherever it begins, and no byte more."""
    table = {key: pack_acls([Acl(31, "digest", f"user-{key}:secret")]) for key in range(1, 10)}
    content = snapshot_bytes([node(b"")], table, {7: 4000, 8: 4000})
    size = len(snapshot_head(table)) - len(snapshot_head({})) + 4
    assert table == SnapshotReader(io.BytesIO(content), SnapshotLimits(acls=size)).header.acls
    with pytest.raises(SnapshotError, match=f"its ACLs take more than {size - 1} bytes"):
        SnapshotReader(io.BytesIO(content), SnapshotLimits(acls=size - 1))


def test_acl_at_its_limit() -> None:
    """An ACL may take as many bytes as its limit says, wherever it is, and no byte more."""
    table = {key: pack_acls([Acl(31, "digest", "admin:secret"), Acl(1, "world", "anyone")]) for key in (1, 2)}
    content = snapshot_bytes([node(b"")], table)
    size = len(table[1])
    assert table == SnapshotReader(io.BytesIO(content), SnapshotLimits(acl=size)).header.acls
    with pytest.raises(SnapshotError, match=f"an ACL takes more than {size - 1} bytes"):
        SnapshotReader(io.BytesIO(content), SnapshotLimits(acl=size - 1))


@pytest.mark.parametrize(("table", "sessions"), [({5: pack_acls([]), 7: pack_acls([])}, {}), ({}, {5: 4000, 7: 4000})])
def test_header_at_its_limit(table: dict[int, bytes], sessions: dict[int, int]) -> None:
    """A header may have as many ACLs, and as many sessions, as its limit says, and not one more."""
    content = snapshot_bytes([node(b"")], table, sessions)
    reader = SnapshotReader(io.BytesIO(content), SnapshotLimits(header_items=2))
    assert (table, sessions) == (reader.header.acls, reader.header.sessions)
    with pytest.raises(SnapshotError, match="a list claims 2 items"):
        SnapshotReader(io.BytesIO(content), SnapshotLimits(header_items=1))


encoded_znodes = st.builds(
    Node, st.binary(max_size=20), st.none() | st.binary(max_size=99), int64s, stats.map(Stat.pack)
)


@PATIENT
@given(encoded_znodes, int64s)
@example(node(b"", None, 5, czxid=8, aversion=9), 7)
@example(node(b"/a", b"", 5, czxid=8, aversion=9), 7)
@example(node(b"/a/b", b"1", 5, czxid=8, aversion=9), 7)
def test_encoded_znode(found: Node, other: int) -> None:
    """An encoded znode is read as it was encoded, and its ACL can be read and replaced in the encoded form."""
    encoded, stat = found.encode(), Stat.unpack(found.stat)
    assert found == Node.decode(encoded)
    assert found._replace(acl=other).encode() == snapshot.with_acl(encoded, other)
    for part in (encoded, snapshot.tail_of(encoded)):
        assert found.acl == snapshot.acl_of(part)
        assert struct.pack(">q", stat.czxid) + struct.pack(">i", stat.aversion) == b"".join(snapshot.version_of(part))
    assert struct.pack(">q", found.acl) + found.stat == snapshot.tail_of(encoded)


@PATIENT
@given(encoded_znodes)
@example(node(b"/a", b"1", 5))
def test_encoded_from_slices(found: Node) -> None:
    """A znode is encoded in the same way from data that has its length before it."""
    assert found.encode() == snapshot.encode_sliced(found.path, length_and(found.data), found.acl, found.stat)


@pytest.mark.parametrize("owner", [0, 1, -(1 << 63), 0x100_0000_0000_0000])
def test_encoded_ephemeral(owner: int) -> None:
    """An encoded znode is ephemeral if it has an owner."""
    assert (owner != 0) == snapshot.is_ephemeral(node(b"/a", ephemeral_owner=owner).encode())


def test_split() -> None:
    """Encoded znodes are split at their ends. What an incomplete one leaves is not lost: its start is returned."""
    nodes = [(node.path, node.encode()) for node in small_tree()]
    content = b"".join(encoded for _, encoded in nodes)
    ends = list(accumulate(len(encoded) for _, encoded in nodes))
    for cut in range(len(content) + 1):
        complete = [end for end in ends if end <= cut]
        assert (nodes[: len(complete)], max(complete, default=0)) == snapshot.split(content[:cut])


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ([], [b"", b"/b", b"/b/d"]),
        ([b"/c"], [b"", b"/b", b"/b/d", b"/c"]),
        ([b"/c", b"/b/c", b"/a"], [b"", b"/a", b"/b", b"/b/c", b"/b/d", b"/c"]),
        ([b"/b/e", b"/b", b"/e", b""], [b"", b"/b", b"/b/d", b"/b/e", b"/e"]),
    ],
)
def test_inserted_paths(added: list[bytes], expected: list[bytes]) -> None:
    """Added znodes come in their places, before, between and after the others."""
    tree = [node(path, b"saved") for path in (b"", b"/b", b"/b/d")]
    found = list(snapshot.inserted(tree, [node(path, b"added") for path in added]))
    assert expected == [node.path for node in found]
    assert tree == [node for node in found if node.data == b"saved"]


@PATIENT
@given(trees(), trees(), st.data())
def test_inserted(tree: list[Node], others: list[Node], data: st.DataObject) -> None:
    """Added znodes come in their places, in whatever order they were added. Those that exist stay as they are."""
    also = data.draw(st.lists(st.sampled_from(tree)))
    added = {found.path: found._replace(acl=99) for found in data.draw(st.permutations([*others, *also]))}
    expected = added | {found.path: found for found in tree}
    actual = list(snapshot.inserted(tree, added.values()))
    assert [expected[path] for path in in_tree_order(expected)] == actual


def test_merged_takes_no_memory() -> None:
    """Of any number of added znodes, only the next one is read ahead."""
    paths = [f"/{number:04}".encode() for number in range(1000)]
    read: list[bytes] = []

    def added() -> Iterator[Node]:
        for path in paths:
            read.append(path)
            yield node(path)

    for count, found in enumerate(snapshot.merged([node(b""), node(b"/zz")], added())):
        assert (count == 0 or found.path in [*paths, b"/zz"], True) == (True, len(read) <= count + 1)
    assert paths == read


def test_cut() -> None:
    """A truncated snapshot is refused, except before a trailer, where it is a complete one."""
    content = with_trailers(DIGEST, LAST_ZXID)
    expected = [len(SMALL), len(with_trailers(DIGEST))]
    assert expected == [cut for cut in range(len(content)) if read_or_refused(content[:cut]) is not None]


def test_place_of_a_cut() -> None:
    """The message about a truncated snapshot says at which byte it ends."""
    for cut in range(len(SMALL)):
        with pytest.raises(SnapshotError, match=f"it ends too early, at byte {cut}$"):
            read(SMALL[:cut])


@pytest.mark.parametrize("bit", range(8))
def test_flipped_bit(bit: int) -> None:
    """A snapshot with one bit changed is refused, whichever bit it is."""
    content = with_trailers(DIGEST, LAST_ZXID)
    accepted = []
    for offset in range(len(content)):
        changed = bytearray(content)
        changed[offset] ^= 1 << bit
        if read_or_refused(bytes(changed)) is not None:
            accepted.append(offset)
    expected: list[int] = []
    assert expected == accepted


@settings(PATIENT, max_examples=3 * EXAMPLES)
@given(st.integers(0, len(SMALL) - 1), st.integers(0, len(SMALL) - 1))
def test_swapped_bytes(first: int, second: int) -> None:
    """A snapshot with two bytes swapped is refused."""
    assume(SMALL[first] != SMALL[second])
    changed = bytearray(SMALL)
    changed[first], changed[second] = changed[second], changed[first]
    with pytest.raises(SnapshotError):
        read(bytes(changed))


@settings(PATIENT, max_examples=3 * EXAMPLES)
@given(trees(), st.data())
def test_changed_part(tree: list[Node], data: st.DataObject) -> None:
    """A snapshot of which some part was replaced, removed or added is refused, never read as another tree."""
    content = snapshot_bytes(tree)
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 8)))
    changed = content[:start] + data.draw(st.binary(max_size=8)) + content[end:]
    assume(changed != content)
    with pytest.raises(SnapshotError):
        read(changed)


@settings(PATIENT, max_examples=3 * EXAMPLES)
@given(st.binary())
@example(b"")
def test_any_bytes(content: bytes) -> None:
    """Bytes that are not a snapshot are refused, even if they start like one."""
    with pytest.raises(SnapshotError):
        read(content)
    with pytest.raises(SnapshotError):
        read(snapshot_head({}) + content)


def with_body(body: bytes) -> bytes:
    """A snapshot of this body, whose seal fits."""
    return sealed(snapshot_head({}) + body + END)


def with_head(head: bytes) -> bytes:
    """A snapshot of this head, with a root and a seal that fits."""
    return sealed(head + node(b"").encode() + END)


def data_of_size(size: int) -> bytes:
    """A znode whose data claims this size, which an ACL and a stat follow."""
    return length_and(b"/a") + struct.pack(">i", size) + node(b"", b"").encode()[8:]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(with_head(b"ZKLG" + snapshot_head({})[4:]), "ZKSN", id="magic of a log"),
        pytest.param(with_head(struct.pack(">4siqii", b"ZKSN", 3, -1, 0, 0)), "version 3", id="version"),
        pytest.param(with_head(struct.pack(">4siqii", b"ZKSN", 2, -1, -1, 0)), "claims -1", id="sessions null"),
        pytest.param(with_head(struct.pack(">4siqii", b"ZKSN", 2, -1, 0, -2)), "claims -2", id="ACLs negative"),
        pytest.param(with_head(snapshot_head({1: struct.pack(">i", -1)})), "claims -1", id="ACL null"),
        pytest.param(with_body(length_and(None) + node(b"").encode()[4:]), "no path", id="path null"),
        pytest.param(with_body(struct.pack(">i", -2)), "claims -2 bytes", id="path negative"),
        pytest.param(with_body(length_and(b"") + struct.pack(">i", -(1 << 31))), "claims -", id="data negative"),
        pytest.param(with_body(node(b"").encode() + data_of_size(-2)), "claims -2 bytes", id="data before a stat"),
        pytest.param(with_body(struct.pack(">i", (1 << 31) - 1)), "claims 2147483647 bytes", id="path huge"),
        pytest.param(with_body(length_and(b"") + struct.pack(">i", (64 << 20) + 1)), "claims 67108865", id="data huge"),
        pytest.param(with_body(length_and(b"") + struct.pack(">i", 64 << 20)), "too early", id="data not there"),
    ],
)
def test_damaged_field(content: bytes, why: str) -> None:
    """A field that makes no sense is refused even under a seal that fits, and the message says why."""
    with pytest.raises(SnapshotError, match=why):
        read(content)


def test_endless_acl() -> None:
    """An ACL that never ends is refused before it fills the memory: it is limited as every field is."""
    head = struct.pack(">4siqii", b"ZKSN", 2, -1, 0, 1) + struct.pack(">qi", 1, (1 << 31) - 1)
    with pytest.raises(SnapshotError):
        SnapshotReader(Endless(head), SnapshotLimits(field=1 << 16, acl=1 << 16))


def test_huge_field() -> None:
    """A field that claims more than any znode holds is refused without being read."""
    head = snapshot_head({}) + length_and(b"") + struct.pack(">i", (64 << 20) + 1)
    reader = SnapshotReader(Endless(head))
    with pytest.raises(SnapshotError, match="claims"):
        list(reader.nodes())


def test_little_is_read_ahead() -> None:
    """Large data is read without what follows it."""
    beginning = snapshot_head({}) + length_and(b"") + struct.pack(">i", 2 << 20)
    found = next(SnapshotReader(Endless(beginning)).nodes())
    assert Node(b"", bytes(2 << 20), 0, bytes(60)) == found


@PATIENT
@given(tables_and_trees())
@example((small_table(), small_tree()))
def test_in_tree_order(table_and_tree: tuple[dict[int, bytes], list[Node]]) -> None:
    """Any tree that a backup may hold passes, unchanged."""
    table, tree = table_and_tree
    assert tree == list(snapshot.in_tree_order(tree, table, ZXID))


ROOT = node(b"")

LATER = f"zxid {ZXID + 1:#x}, later than the snapshot's {ZXID:#x}"
WRONG_TREES = [
    pytest.param([], "not even the root", id="empty"),
    pytest.param([node(b"/a")], "not the root", id="root missing"),
    pytest.param([node(b"/a"), ROOT], "not the root", id="root not first"),
    pytest.param([ROOT, ROOT], "twice", id="root twice"),
    pytest.param([ROOT, node(b"/a"), node(b"/a")], "twice", id="twice"),
    pytest.param([ROOT, node(b"/a"), node(b"/a/b"), node(b"/a")], "twice", id="twice with a child between"),
    pytest.param([ROOT, node(b"/b"), node(b"/a")], "out of order", id="siblings out of order"),
    pytest.param([ROOT, node(b"/a"), node(b"/a-b"), node(b"/a/b")], "out of order", id="string order"),
    pytest.param([ROOT, node(b"/a"), node(b"/b"), node(b"/a/b")], "out of order", id="level order"),
    pytest.param([ROOT, node(b"/a/b")], "/a/b has no parent", id="orphan"),
    pytest.param([ROOT, node(b"/a"), node(b"/ab/c")], "no parent", id="orphan beside a prefix"),
    pytest.param([ROOT, node(b"/a"), node(b"/a/b/c")], "no parent", id="orphan below a grandparent"),
    pytest.param([ROOT, node(b"a")], "not the path", id="no slash"),
    pytest.param([ROOT, node(b"/a/")], "not the path", id="slash at the end"),
    pytest.param([ROOT, node(b"//a")], "not the path", id="two slashes"),
    pytest.param([ROOT, node(b"/")], "not the path", id="only a slash"),
    pytest.param([ROOT, node(b"/.")], "not the path", id="dot"),
    pytest.param([ROOT, node(b"/..")], "not the path", id="dots"),
    pytest.param([ROOT, node(b"/a"), node(b"/a/../b")], "not the path", id="dots within"),
    pytest.param([ROOT, node(b"/a\0b")], "not the path", id="NUL"),
    pytest.param([ROOT, node(b"/\xff")], "not UTF-8", id="not UTF-8"),
    pytest.param([ROOT, node(b"/a", acl=5)], "unknown ACL 5", id="unknown ACL"),
    pytest.param([node(b"", acl=0)], "unknown ACL 0", id="unknown ACL of root"),
    pytest.param([ROOT, node(b"/a", ephemeral_owner=1)], "ephemeral", id="ephemeral"),
    pytest.param([ROOT, node(b"/a", ephemeral_owner=-(1 << 63))], "ephemeral", id="container"),
    pytest.param([ROOT, node(b"/a", czxid=ZXID + 1)], LATER, id="created later"),
    pytest.param([ROOT, node(b"/a", mzxid=ZXID + 1)], LATER, id="changed later"),
    pytest.param([node(b"", pzxid=ZXID + 1)], LATER, id="children later"),
]


@pytest.mark.parametrize(("tree", "why"), WRONG_TREES)
def test_wrong_tree(tree: list[Node], why: str) -> None:
    """A tree that ZooKeeper would not load, or that no backup holds, is refused, and the message says why."""
    with pytest.raises(SnapshotError, match=why):
        list(snapshot.in_tree_order(tree, {1: b""}, ZXID))


def test_newest_znode() -> None:
    """A znode of the snapshot's own zxid belongs to it."""
    tree = [ROOT, node(b"/a", czxid=ZXID), node(b"/b", mzxid=ZXID), node(b"/c", pzxid=ZXID)]
    assert tree == list(snapshot.in_tree_order(tree, {}, ZXID))


@PATIENT
@given(trees(), st.data())
def test_lost_parent(tree: list[Node], data: st.DataObject) -> None:
    """A tree that lost a znode which has children is refused."""
    parents = {node.path.rpartition(b"/")[0] for node in tree if node.path}
    assume(parents)
    lost = data.draw(st.sampled_from(sorted(parents)))
    with pytest.raises(SnapshotError):
        list(snapshot.in_tree_order([node for node in tree if node.path != lost], {}, ZXID))


@PATIENT
@given(trees(), st.randoms(use_true_random=False))
def test_shuffled(tree: list[Node], random: Random) -> None:
    """A tree in any other order is refused."""
    shuffled = list(tree)
    random.shuffle(shuffled)
    assume(shuffled != tree)
    with pytest.raises(SnapshotError):
        list(snapshot.in_tree_order(shuffled, {}, ZXID))


@PATIENT
@given(paths(), st.randoms(use_true_random=False))
@example([b"", b"/a", b"/a/b", b"/a/b/c", b"/a!", b"/a!/b", b"/a-b", b"/a0", b"/b"], None)
def test_tree_key(found: list[bytes], random: Random | None) -> None:
    """Sorting by the key gives the tree depth first with sorted siblings."""
    shuffled = list(found)
    if random:
        random.shuffle(shuffled)
    assert in_tree_order(found) == sorted(shuffled, key=tree_key)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"", "/"),
        (b"/a/b c", "/a/b c"),
        ("/ä/日".encode(), "/ä/日"),
        (b"/a\nb", r"/a\nb"),
        (b"/\x1b[2J", r"/\x1b[2J"),
        (b"/\xff", r"/\xff"),
        ("/\u202e".encode(), r"/\u202e"),
    ],
)
def test_printable(path: bytes, expected: str) -> None:
    """A path is shown as it is, but for what would upset a terminal."""
    assert expected == printable(path)


@PATIENT
@given(st.binary())
def test_always_printable(path: bytes) -> None:
    """Whatever bytes a path holds, it is shown on one line."""
    shown = printable(path)
    assert shown
    assert shown.isprintable()
