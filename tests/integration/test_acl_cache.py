"""Captures that know ACLs from the one before, on real servers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_acl

from ci.parts.zookeeper import NEWEST
from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.capture import bulk_reader
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.acl_table import AclTable
from metadata_tool.zookeeper.capture.multi_read import MultiReadResult, decoded
from metadata_tool.zookeeper.capture.rules import ALL_RULES, Rules
from metadata_tool.zookeeper.jute import OPEN_ACL, Acl, pack_acls
from metadata_tool.zookeeper.limits import ReadLimits
from metadata_tool.zookeeper.protocol import GET_ACL, multi_read
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, SnapshotReader
from metadata_tool.zookeeper.stat import Stat
from support.broken_rules import SameZxid
from support.capturing import Taken, take
from support.relay import relay
from support.zookeeper import client, standalone

ZNODES = 300
GROWN, LARGE = 100, 300_000
PARENTS, CHILDREN = 10, 300
CLOSED = [make_acl("world", "anyone", read=True, admin=True)]
CLOSED_ACL = pack_acls([Acl(17, "world", "anyone")])
Found = dict[str, tuple[bytes, bytes]]
"""Encoded ACL and stat by path."""


@pytest.fixture
def known(tmp_path: Path) -> Iterator[AclCache]:
    """An empty cache."""
    made = AclCache(tmp_path)
    yield made
    made.forget()


def read(taken: Taken) -> Found:
    """The znodes of a capture, without ZooKeeper's own."""
    with taken.snapshot.open("rb") as file:
        reader = SnapshotReader(file)
        table = {OPEN_ACL_KEY: OPEN_ACL, **reader.header.acls}
        nodes = {node.path.decode(): (table[node.acl], node.stat) for node in reader.nodes()}
    return {path: found for path, found in nodes.items() if not path.startswith("/zookeeper")}


def test_only_what_is_new_is_asked_for(tmp_path: Path, known: AclCache) -> None:
    """The second of two captures asks for few ACLs, and has all of the current ones."""
    asked: Counter[int] = Counter()

    def count(kind: int) -> bool:
        asked[kind] += 1
        return False

    with (
        standalone(NEWEST, tmp_path) as server,
        client(server.address) as source,
        relay(server.address) as (address, meddling),
    ):
        meddling.throttles = count
        for number in range(ZNODES):
            source.create(f"/{number}", b"", acl=CLOSED if number % 2 else None)
        take(address, tmp_path / "first", known=known)
        all_of_them = asked[GET_ACL]
        asked.clear()
        change(source)
        second = read(take(address, tmp_path / "second", known=known))
        few = asked[GET_ACL]
        expected = read(take(address, tmp_path / "third"))
    assert expected == second
    assert [CLOSED_ACL, CLOSED_ACL, OPEN_ACL] == [expected[path][0] for path in ("/set", "/2", "/3")]
    assert all_of_them > ZNODES
    assert few < ZNODES / 10


def change(source: KazooClient) -> None:
    """A new znode, one whose ACL is set, and two that are deleted and created again with another."""
    source.create("/set", b"")
    source.set_acls("/set", CLOSED)
    source.set_acls("/1", CLOSED)
    source.delete("/2")
    source.create("/2", b"", acl=CLOSED)
    source.delete("/3")
    source.create("/3", b"")


def captured_anew(tmp_path: Path, known: AclCache, rules: Rules = ALL_RULES) -> tuple[bytes, bytes]:
    """The ACLs of two znodes with the same path and zxid: one here, and one in an ensemble that was set up again."""
    found: list[Found] = []
    for name, acl in (("old", CLOSED), ("new", None)):
        with standalone(NEWEST, tmp_path / name) as server:
            with client(server.address) as source:
                source.create("/a", b"", acl=acl)
            found.append(read(take(server.address, tmp_path / f"capture-{name}", known=known, rules=rules)))
    (old, old_stat), (new, new_stat) = (each["/a"] for each in found)
    assert Stat.unpack(old_stat).czxid == Stat.unpack(new_stat).czxid
    return old, new


@dataclass
class Seen:
    """The requests and replies: znodes and bytes of each multi-read, and the lists of children in each."""

    znodes: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)

    def decoded(
        self, paths: Sequence[bytes], on_wire: Sequence[bytes], acls: Any, body: bytes, table: AclTable
    ) -> MultiReadResult:
        """The program's own, noted."""
        self.znodes.append(len(paths))
        self.sizes.append(len(body))
        return decoded(paths, on_wire, acls, body, table)

    def multi_read(self, data: Sequence[bytes], lists: Sequence[bytes] = ()) -> bytes:
        """The program's own, noted."""
        self.lists.append(len(lists))
        return multi_read(data, lists)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The requests of a test's captures."""
    noted = Seen()
    monkeypatch.setattr(bulk_reader, "decoded", noted.decoded)
    monkeypatch.setattr(protocol, "multi_read", noted.multi_read)
    return noted


def test_grown(tmp_path: Path, known: AclCache, seen: Seen) -> None:
    """Znodes that have grown are read a few at a time. Then the cache is dropped."""
    with standalone(NEWEST, tmp_path) as server, client(server.address) as source:
        for number in range(GROWN):
            source.create(f"/{number:03d}", b"")
        take(server.address, tmp_path / "first", known=known)
        for number in range(GROWN):
            source.set(f"/{number:03d}", bytes(LARGE))
        seen.sizes.clear()
        gently = ReadLimits(in_flight=1)
        second = read(take(server.address, tmp_path / "second", gently, known=known))
    expected = [OPEN_ACL] * GROWN
    assert expected == [acl for acl, stat in second.values() if Stat.unpack(stat).version == 1]
    assert max(seen.sizes) < 17 * LARGE
    assert max(seen.sizes[-GROWN // 8 :]) < 5 * LARGE, "all ACLs were read by then, so all sizes are known"


@pytest.mark.parametrize("before", [CHILDREN, 1], ids=["as before", "grown"])
def test_large_lists(tmp_path: Path, known: AclCache, seen: Seen, before: int) -> None:
    """Lists of children are requested by their current sizes, a few at a time, and data by the known sizes."""
    small = ReadLimits(reply_bytes=1 << 16, unknown_bytes=1 << 8)
    with standalone(NEWEST, tmp_path) as server, client(server.address) as source:
        for parent in range(PARENTS):
            source.create(f"/{parent}", b"")
        grow(source, range(before))
        take(server.address, tmp_path / "first", small, known=known)
        grow(source, range(before, CHILDREN))
        seen.lists.clear()
        seen.znodes.clear()
        second = read(take(server.address, tmp_path / "second", small, known=known))
    few = (1 << 16) // (64 * CHILDREN)
    assert 1 + PARENTS * (1 + CHILDREN) == len(second)
    assert few == max(seen.lists)
    parents_and_zookeeper = PARENTS + 1
    assert (few if before == CHILDREN else parents_and_zookeeper) == seen.znodes[1], "of the first read below the root"


def grow(source: KazooClient, numbers: range) -> None:
    """Create children of these numbers below each parent."""
    for created in [source.create_async(f"/{parent}/{number}") for parent in range(PARENTS) for number in numbers]:
        created.get()


def test_another_history(tmp_path: Path, known: AclCache) -> None:
    """An ACL of one ensemble is never used for a znode with the same zxid in an ensemble that was set up again."""
    expected = CLOSED_ACL, OPEN_ACL
    assert expected == captured_anew(tmp_path, known)


def test_another_history_by_its_zxid_alone(tmp_path: Path, known: AclCache) -> None:
    """Without the time of the create, a wrong ACL would be used."""
    expected = CLOSED_ACL, CLOSED_ACL
    assert expected == captured_anew(tmp_path, known, Rules(table=SameZxid))
