"""Trees of znodes for tests: hypothesis strategies, and snapshots and archives made of them."""

import gzip
import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from metadata_tool import archive
from metadata_tool.broker_metadata.broker_file import BrokerFile
from metadata_tool.broker_metadata.records import Record, encode
from metadata_tool.manifest import FORMAT_VERSION, Manifest, SnapshotFile, snapshot_name
from metadata_tool.zookeeper.jute import Acl, pack_acls
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.stat import Stat

ZXID = 0x5_0000_0064
"""The zxid of the snapshots made here. No znode made here is newer."""

PATIENT = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
"""For every property test. Slowness on a busy machine is not a failure."""
EXAMPLES = PATIENT.max_examples
"""How many examples a property test tries, unless it says more."""

int32s = st.integers(-(1 << 31), (1 << 31) - 1)
int64s = st.integers(-(1 << 63), (1 << 63) - 1)
_any_names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
_like_names = st.text(
    "a-~", min_size=1, max_size=3
)  # some of them start with others, and continue with a character that sorts before or after a slash
names = (_any_names | _like_names).filter(lambda name: name not in {".", ".."})
acls = st.lists(st.builds(Acl, int32s, st.text(max_size=8), st.text(max_size=8)), max_size=4)
acl_tables = st.dictionaries(int64s.filter(lambda key: key != OPEN_ACL_KEY), acls.map(pack_acls), max_size=4)
stats = st.builds(Stat, int64s, int64s, int64s, int64s, int32s, int32s, int32s, int64s, int64s)
_zxids = st.integers(0, ZXID)
_kept_stats = st.builds(Stat, _zxids, _zxids, int64s, int64s, int32s, int32s, int32s, st.just(0), _zxids)
_some_stats = st.lists(_kept_stats, min_size=1, max_size=3)  # drawing nine numbers for each znode takes long
_datas = st.none() | st.binary(max_size=40)
_parents = st.lists(st.tuples(names, st.integers(0, 1 << 16)), max_size=15)


def client_stat(stat: Stat, length: int = 0, children: int = 0) -> bytes:
    """The 68 bytes that a client gets for a stored Stat, as DataNode.copyStat computes them with Java's int."""
    cversion = (2 * stat.cversion - children + (1 << 31)) % (1 << 32) - (1 << 31)
    zxids_and_times = (stat.czxid, stat.mzxid, stat.ctime, stat.mtime)
    versions = (stat.version, cversion, stat.aversion)
    return struct.pack(">qqqqiiiqiiq", *zxids_and_times, *versions, stat.ephemeral_owner, length, children, stat.pzxid)


def encoded(nodes: Iterable[Node]) -> tuple[bytes, int]:
    """The bytes of znodes in a snapshot, and the number of znodes."""
    each = [node.encode() for node in nodes]
    return b"".join(each), len(each)


@st.composite
def paths(draw: st.DrawFn) -> list[bytes]:
    """The paths of a tree, in tree order."""
    found = [b""]
    for name, parent in draw(_parents):
        found.append(found[parent % len(found)] + b"/" + name.encode())
    return in_tree_order(found)


@st.composite
def trees(draw: st.DrawFn, keys: Iterable[int] = ()) -> list[Node]:
    """The znodes of a backup's tree, in tree order. Each ACL is one of the keys, or the open one. Some share a stat."""
    of_keys = st.sampled_from([OPEN_ACL_KEY, *keys])
    packed = [stat.pack() for stat in draw(_some_stats)]
    return [
        Node(path, draw(_datas), draw(of_keys), packed[number % len(packed)])
        for number, path in enumerate(draw(paths()))
    ]


@st.composite
def tables_and_trees(draw: st.DrawFn) -> tuple[dict[int, bytes], list[Node]]:
    """A table of ACLs (key to encoded ACL), and a tree that uses it."""
    table = draw(acl_tables)
    return table, draw(trees(table))


def in_tree_order(found: Iterable[bytes]) -> list[bytes]:
    """The paths depth first with sorted siblings, each path once."""
    return sorted(set(found), key=lambda path: path.split(b"/"))


def node(path: bytes, data: bytes | None = b"x", acl: int = OPEN_ACL_KEY, **stat: int) -> Node:
    """A znode that a backup can have, with the given fields."""
    return Node(path, data, acl, Stat(1, 1, 0, 0, 0, 0, 0, 0, 1)._replace(**stat).pack())


def small_tree() -> list[Node]:
    """A small tree with null, empty and non-ASCII data. Its ACL 1 is in `small_table`."""
    return [
        node(b"", None, cversion=2),
        node(b"/admin", b"", cversion=1),
        node(b"/admin/policies", b'{"a": 1}', 1, mzxid=ZXID),
        node(b"/admin-2", "ä".encode()),
    ]


def small_table() -> dict[int, bytes]:
    """The ACLs of `small_tree`."""
    return {1: pack_acls([Acl(31, "digest", "admin:secret"), Acl(1, "world", "anyone")])}


def length_and(value: bytes | None) -> bytes:
    """A string or a buffer as a snapshot has it, null included."""
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


def snapshot_head(table: Mapping[int, bytes], sessions: Mapping[int, int] | None = None) -> bytes:
    """The bytes of a snapshot before its first znode."""
    sessions = sessions or {}
    parts = [b"ZKSN", struct.pack(">iqi", 2, -1, len(sessions))]
    parts += [struct.pack(">qi", *session) for session in sessions.items()]
    parts += [struct.pack(">i", len(table))]
    parts += [struct.pack(">q", key) + table[key] for key in sorted(table)]
    return b"".join(parts)


def sealed(content: bytes) -> bytes:
    """The content and the seal (checksum) of all of it."""
    return content + struct.pack(">q", zlib.adler32(content)) + length_and(b"/")


def snapshot_bytes(
    nodes: Iterable[Node],
    table: Mapping[int, bytes] | None = None,
    sessions: Mapping[int, int] | None = None,
    trailers: Iterable[bytes] = (),
) -> bytes:
    """A snapshot in ZooKeeper's format (FileSnap). Each trailer gets a seal."""
    body = b"".join(
        length_and(node.path) + length_and(node.data) + struct.pack(">q", node.acl) + node.stat for node in nodes
    )
    snapshot = sealed(snapshot_head(table or {}, sessions) + body + length_and(b"/"))
    for trailer in trailers:
        snapshot = sealed(snapshot + trailer)
    return snapshot


def manifest_of(snapshot: bytes, nodes: int, **changes: Any) -> Manifest:
    """A manifest that matches the snapshot, except for the changes."""
    name = snapshot_name(changes.get("zxid", ZXID))
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        tool_version="1.0.0",
        prefix="pulsar",
        timestamp=1_700_000_000_123,
        zookeeper_version="3.9.5",
        zxid=ZXID,
        first_zxid=ZXID - 1,
        nodes=nodes,
        data_bytes=10,
        ephemerals=1,
        unproven_acls=4,
        chroot="",
        managed_ledger_path="/managed-ledgers",
        snapshot=SnapshotFile(name, len(snapshot), hashlib.sha256(snapshot).hexdigest()),
    )
    return replace(manifest, **changes)


def make_archive(
    path: Path,
    nodes: list[Node],
    table: Mapping[int, bytes] | None = None,
    records: Iterable[Record] | None = None,
    **changes: Any,
) -> Manifest:
    """Pack an archive of these znodes into a new file, and return its manifest, which has the changes.

    With `records`, the archive has a `broker.json` of these.
    """
    content = snapshot_bytes(nodes, table)
    manifest = manifest_of(content, len(nodes), **changes)
    with TemporaryDirectory() as directory:
        snapshot, broker = Path(directory, "snapshot"), Path(directory, "broker")
        snapshot.write_bytes(content)
        if records is not None:
            broker.write_bytes(b"".join(map(encode, records)))
            manifest = manifest.with_broker(BrokerFile.of(broker))
        archive.pack(path, manifest, snapshot, lambda: None, broker if manifest.broker else None)
    return manifest


def archive_bytes(
    nodes: list[Node], table: Mapping[int, bytes] | None = None, records: Iterable[Record] | None = None
) -> bytes:
    """The bytes that `make_archive` writes."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "archive")
        make_archive(path, nodes, table, records)
        return path.read_bytes()


def tar_gz(*members: tuple[str | tarfile.TarInfo, bytes], tail: bytes = b"") -> bytes:
    """A gzipped tar of these members. The tail comes after the tar, inside the gzip stream."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue() + tail, 1, mtime=0)
