"""The tools that verify captures: the tree from a server's own log, and a comparison that finds every difference."""

import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from ci.parts.zookeeper import NEWEST, OLDEST
from metadata_tool.zookeeper import jute, snapshot
from metadata_tool.zookeeper.jute import Acl
from metadata_tool.zookeeper.snapshot import Node, SnapshotReader
from metadata_tool.zookeeper.stat import Stat, stored_stat
from support import truth
from support.latency import delayed
from support.processes import eventually
from support.seed import ADMIN
from support.zookeeper import client, create_container, create_with_ttl, standalone

KINDS = {
    "container", "create", "delete", "ephemeral", "multi", "quota", "recreate", "sequential", "sessions", "set",
    "setacl", "subtree", "ttl",
}  # fmt: skip
WIRE_STAT = struct.Struct(">qqqqiiiqiiq")
LOG_HEADER, RECORD_HEAD = 16, 12
CHANGED = "/zookeeper/quota"
OTHER_ACLS = jute.pack_acls([Acl(1, "world", "anyone")])


class Written(NamedTuple):
    """A server after a load: the tree that a client read, its zxid, and the log's trees at that zxid and before."""

    version: str
    load: truth.Load
    data_dir: Path
    captured: Path
    zxid: int
    truth: Path
    earlier: Path


@pytest.fixture(scope="module", params=[NEWEST, pytest.param(OLDEST, marks=pytest.mark.soak)])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """A server that still runs, without writes, after a load of every kind. A client has an ephemeral there."""
    directory = tmp_path_factory.mktemp("truth")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JAVA_TOOL_OPTIONS", "-Dznode.container.checkIntervalMs=500")
        with standalone(request.param, directory) as server:
            with truth.load(server.address, 1000, seed=1, znodes=1000, quota=30, subtree=20, setacl=20) as load:
                time.sleep(3)
            with client(server.address, ADMIN) as reader:
                reader.create("/ephemeral", ephemeral=True)
                create_container(reader, "/container", b"")
                create_with_ttl(reader, "/ttl", b"", 3_600_000)
                captured = directory / "captured"
                zxid = eventually("a quiet server", lambda: copy(reader, captured), patience=60)
                truths = truth.replay(request.param, server.data_dir, [zxid, zxid - 500], directory / "truth")
            yield Written(request.param, load, server.data_dir, captured, zxid, truths[zxid], truths[zxid - 500])


def copy(reader: KazooClient, target: Path) -> int:
    """Write the tree as a client reads it. Returns its zxid, or 0 if the tree changed meanwhile."""
    reader.get("/")
    zxid = int(reader.last_zxid)
    keys: dict[bytes, int] = {}
    try:
        nodes = list(read(reader, "", keys))
    except NoNodeError:
        return 0
    with target.open("wb") as file:
        snapshot.write(file, {key: acl for acl, key in keys.items()}, (node.encode() for node in nodes))
    return zxid if zxid == reader.last_zxid else 0


def read(reader: KazooClient, path: str, keys: dict[bytes, int]) -> Iterator[Node]:
    """A znode and all below it, as a backup has them, in tree order. `keys` are the keys of the ACLs."""
    data, stat = reader.get(path or "/")
    if stat.ephemeralOwner:
        return
    acl = jute.pack_acls([Acl(acl.perms, acl.id.scheme, acl.id.id) for acl in reader.get_acls(path or "/")[0]])
    yield Node(path.encode(), data, keys.setdefault(acl, len(keys)), stored_stat(WIRE_STAT.pack(*stat)))
    for name in sorted(reader.get_children(path or "/"), key=str.encode):
        yield from read(reader, f"{path}/{name}", keys)


def test_the_load_writes_everything(written: Written) -> None:
    """Each kind of write was made, and only the writes that should fail did."""
    assert written.load.succeeded.keys() == KINDS
    assert written.load.failed.keys() == {"failing"}
    assert {"BADVERSION", "NODEEXISTS", "NONODE", "NOTEMPTY"} == written.load.errors.keys()


def test_the_truth_is_what_a_client_reads(written: Written) -> None:
    """The log, replayed by ZooKeeper's own classes, gives what the quiet server shows: containers and TTLs, too."""
    comparison = truth.compare(written.captured, written.truth)
    assert [] == comparison.differences
    assert comparison.znodes > 900
    with written.truth.open("rb") as file:
        owners = {node.path: Stat.unpack(node.stat).ephemeral_owner for node in SnapshotReader(file).nodes()}
    assert all(owners[path] for path in (b"/ephemeral", b"/container", b"/ttl"))


def test_the_truth_of_another_zxid_is_another(written: Written) -> None:
    """Trees of two zxids differ in many fields."""
    fields = {difference.field for difference in truth.differences(written.captured, written.earlier)}
    assert {"missing", "extra", "data", "mzxid", "pzxid", "cversion"} <= fields


def tampered(written: Written, target: Path, change: Callable[[Node], list[Node]]) -> Path:
    """The captured snapshot with one znode changed. The ACL 1000 differs from all others."""
    with written.captured.open("rb") as file:
        reader = SnapshotReader(file)
        nodes = [new for node in reader.nodes() for new in (change(node) if node.path == CHANGED.encode() else [node])]
    with target.open("wb") as file:
        snapshot.write(file, {**reader.header.acls, 1000: OTHER_ACLS}, (node.encode() for node in nodes))
    return target


def with_stat(field: str) -> Callable[[Node], list[Node]]:
    """A change that adds one to this field of the stat."""

    def change(node: Node) -> list[Node]:
        stat = Stat.unpack(node.stat)
        return [node._replace(stat=stat._replace(**{field: getattr(stat, field) + 1}).pack())]

    return change


CHANGES: dict[str, Callable[[Node], list[Node]]] = {
    "data": lambda node: [node._replace(data=b"x")],
    "acl": lambda node: [node._replace(acl=1000)],
    "missing": lambda _: [],
    "extra": lambda node: [node, node._replace(path=b"/zookeeper/quota/extra")],
    **{field: with_stat(field) for field in Stat._fields},
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_difference_is_found(written: Written, tmp_path: Path, field: str) -> None:
    """Every change of a znode is found by the comparison."""
    wrong = tampered(written, tmp_path / "snapshot", CHANGES[field])
    path = "/zookeeper/quota/extra" if field == "extra" else CHANGED
    assert [(path, field)] == [difference[:2] for difference in truth.differences(wrong, written.truth)]


def test_null_is_not_empty(written: Written, tmp_path: Path) -> None:
    """Null and empty data differ."""
    none = tampered(written, tmp_path / "null", lambda node: [node._replace(data=None)])
    empty = tampered(written, tmp_path / "empty", lambda node: [node._replace(data=b"")])
    assert [truth.Difference(CHANGED, "data", None, b"")] == list(truth.differences(none, empty))


def records(log: bytes) -> Iterator[bytes]:
    """The records of a transaction log (FileTxnLog): Adler-32, size, header and transaction, a mark."""
    begin = LOG_HEADER
    while size := int.from_bytes(log[begin + 8 : begin + RECORD_HEAD], "big"):
        end = begin + RECORD_HEAD + size + 1
        yield log[begin:end]
        begin = end


def a_second_later(record: bytes) -> bytes:
    """A valid record of the same transaction at another time."""
    time_at = RECORD_HEAD + 20
    millisecond = int.from_bytes(record[time_at : time_at + 8], "big") + 1000
    body = record[RECORD_HEAD:time_at] + millisecond.to_bytes(8, "big") + record[time_at + 8 : -1]
    return zlib.adler32(body).to_bytes(8, "big") + record[8:RECORD_HEAD] + body + record[-1:]


def test_no_truth_beyond_the_log(written: Written, tmp_path: Path) -> None:
    """A zxid that the log has not reached is refused."""
    with pytest.raises(AssertionError, match=r"the log ends at 0x[0-9a-f]+, before 0x7f"):
        truth.replay(written.version, written.data_dir, [2**63 - 1], tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda log: log[1:], "does not begin at the first transaction"),
        (lambda log: log[:5] + log[6:], "does not begin again where it stopped"),
        (lambda log: [*log[:5], a_second_later(log[5]), *log[6:]], "is not the one"),  # this one creates a znode
    ],
    ids=["beginning", "hole", "change"],
)
def test_no_truth_from_another_log(
    written: Written, tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], message: str
) -> None:
    """A log with a gap is refused, and one with a changed record by the server's digests."""
    log = (written.data_dir / "version-2" / "log.1").read_bytes()
    (tmp_path / "version-2").mkdir()
    (tmp_path / "version-2" / "log.1").write_bytes(log[:LOG_HEADER] + b"".join(change(list(records(log)))))
    with pytest.raises(AssertionError, match=message):
        truth.replay(written.version, tmp_path, [written.zxid], tmp_path)


def test_the_relay_adds_latency(tmp_path: Path) -> None:
    """The relay adds its delay to each round trip. Without a delay, the address is the server's own."""

    def ten_reads(zookeeper: KazooClient) -> float:
        begin = time.monotonic()
        for _ in range(10):
            zookeeper.get("/zookeeper")
        return time.monotonic() - begin

    with standalone(NEWEST, tmp_path) as server:
        with delayed(server.address, 0) as near:
            assert near == server.address
        with delayed(server.address, 40) as far, client(far) as remote:
            assert ten_reads(remote) >= 10 * 0.04
