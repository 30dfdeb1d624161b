"""Backups that were changed by accident or on purpose are refused in one line or restored equal, at a bounded cost."""

import gzip
import hashlib
import io
import random
import shutil
import struct
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from metadata_tool import archive
from metadata_tool.broker_metadata.broker_file import BrokerFile
from metadata_tool.broker_metadata.records import (
    MAX_LINE,
    Hole,
    Position,
    Record,
    SavedCursor,
    SavedSchemas,
    SchemaVersion,
    encode,
)
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported
from metadata_tool.manifest import Manifest, SnapshotFile
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.stat import Stat
from support import metadata
from support.faults import Fault, Nursery, contents, nursery
from support.tool import assert_refused
from support.trees import ZXID, length_and, manifest_of, sealed, small_table, snapshot_bytes, snapshot_head, tar_gz

EACH, EACH_OF_A_SOAK = 4000, 70_000
"""Mutations at each of three levels."""
RESTORED, RESTORED_IN_A_SOAK = 40, 2000
"""How many of those that are not refused are restored too."""
MEMORY = 600 << 20
"""Bytes of memory that a backup may cost at most: several times the largest possible field."""
NAME = "pulsar-1700000000123.tar.gz"
"""The zxid in the manifests made here."""
BLOCK = tarfile.BLOCKSIZE
SEAL = 13
EDGES = (0, 1, -1, ZXID, ZXID + 1, 1 << 62, (1 << 63) - 1, -(1 << 63), 1 << 31)
PATHS = (
    b"",
    b"/",
    b"//",
    b"/a/",
    b"a",
    b"/..",
    b"/admin/../x",
    b"/admin/.",
    b"/\xff",
    b"/a\0b",
    b"/no/parent",
    b"/x\n",
)
CHANGED = (b"/zookeeper", b"/metadata-backup", b"/ledgers/idgen")
"""Znodes that a restore creates."""


def tree() -> list[Node]:
    """A tree with every kind of value that a restore decodes."""
    namespace = metadata.NAMESPACE
    content = {
        "/admin/policies/public": metadata.as_json(allowedClusters=["c1"]),
        "/admin/policies/public/default": metadata.as_json(replication_clusters=["c1"]),
        "/ledgers/00/0000/L0007": b"BookieMetadataFormatVersion 3",
        "/ledgers/cookies/bookie-0:3181": b"cookie",
        "/ledgers/idgen": b"",
        f"{namespace}/orders": metadata.ledgers((3, True), (7, False)),
        f"{namespace}/orders/billing": metadata.cursor(5),
        "/schemas/public/default/orders": b"schema",
    }
    nodes = metadata.tree(content)
    return [node._replace(acl=OPEN_ACL_KEY if number % 3 else 1) for number, node in enumerate(nodes)]


NODES, TABLE = tree(), small_table()
SNAPSHOT = snapshot_bytes(NODES, TABLE)
MANIFEST = manifest_of(SNAPSHOT, len(NODES))


def packed(snapshot: bytes, nodes: int) -> bytes:
    """A backup of this snapshot, with a manifest that matches."""
    manifest = manifest_of(snapshot, nodes)
    return tar_gz((archive.MANIFEST, manifest.encode()), (manifest.snapshot.name, snapshot))


def with_broker(content: bytes) -> bytes:
    """A backup with this `broker.json`, and with a manifest that matches."""
    described = BrokerFile(len(content), hashlib.sha256(content).hexdigest(), {"schemas": 1, "cursor": 1})
    members = (archive.MANIFEST, MANIFEST.with_broker(described).encode()), (MANIFEST.snapshot.name, SNAPSHOT)
    return tar_gz(*members, (described.name, content))


RECORDS: list[Record] = [
    SavedSchemas("public/default/orders", 7, 8, (SchemaVersion(0, bytes(32), "JSON", "{}", {"a": "b"}, 5),)),
    SavedCursor("public/default/persistent/orders/billing", 7, Position(3, 4), (Hole(Position(3, 5), Position(4, 0)),)),
]
BROKER_JSON = b"".join(encode(record) for record in RECORDS)
GOOD = with_broker(BROKER_JSON)
WITH_BROKER = archive.Archive(io.BytesIO(GOOD)).manifest
TAR = gzip.decompress(GOOD)
HEADERS = (0, TAR.index(MANIFEST.snapshot.name.encode() + b"\0"), TAR.index(b"broker.json\0"))


def any_bytes(dice: random.Random, content: bytes) -> bytes:
    """Bytes with a few of them changed, lost, repeated, put in, or moved."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        at, size = dice.randrange(len(changed) + 1), dice.choice((1, 1, 2, 8, 60, BLOCK))
        part = bytes(changed[at : at + size])
        other = dice.randrange(len(changed) + 1)
        match dice.randrange(7):
            case 0 | 1:
                changed[at : at + 1] = bytes([dice.randrange(256)])
            case 2:
                changed[at : at + size] = b""
            case 3:
                changed[at:at] = part
            case 4:
                changed[at:at] = dice.choice((dice.randbytes(size), bytes(size)))
            case 5:
                changed[at : at + size], changed[other : other + size] = changed[other : other + size], part
            case 6:
                del changed[at:]
    return bytes(changed)


def of_file(dice: random.Random) -> bytes:
    """The compressed file, changed or with something after it."""
    tails = (b"\0" * dice.randrange(2000), dice.randbytes(20), GOOD, gzip.compress(b""), gzip.compress(b"tail"))
    return GOOD + dice.choice(tails) if dice.random() < 0.1 else any_bytes(dice, GOOD)


def of_tar(dice: random.Random) -> bytes:
    """The tar, changed, and compressed again."""
    kinds = (lambda _: any_bytes(dice, TAR), with_header, with_blocks, with_members)
    return gzip.compress(dice.choice(kinds)(dice), 1, mtime=0)


def with_header(dice: random.Random) -> bytes:
    """A changed header with a valid checksum."""
    at = dice.choice(HEADERS)
    header = bytearray(TAR[at : at + BLOCK])
    names = (
        b"/etc/passwd",
        b"../../escape",
        b"version-2/snapshot.1",
        b"a" * 100,
        b"",
        b"\xff",
        b"x\ny",
        b"manifest.json",
    )
    numbers = (
        b"77777777777\0",
        b"\x80" + b"\0" * 3 + b"\x7f" * 8,
        b"\xff" * 12,
        b"-1\0",
        b"",
        b"0" * 11 + b"\0",
        b"zz\0",
    )
    name, number = dice.choice(names), dice.choice(numbers)
    match dice.randrange(5):
        case 0:
            header[0:100] = name.ljust(100, b"\0")
        case 1:
            header[124:136] = number.ljust(12, b"\0")
        case 2:
            header[156] = dice.choice(b"\0" + b"01234567xgLKSDMNVXA")
        case 3:
            header[156:257] = dice.choice(b"12").to_bytes(1, "big") + name.ljust(100, b"\0")
        case 4:
            header[dice.randrange(BLOCK)] = dice.randrange(256)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return TAR[:at] + bytes(header) + TAR[at + BLOCK :]


def with_blocks(dice: random.Random) -> bytes:
    """Whole blocks in another order, twice, or missing."""
    blocks = [TAR[at : at + BLOCK] for at in range(0, len(TAR), BLOCK)]
    one, other = dice.randrange(len(blocks)), dice.randrange(len(blocks))
    match dice.randrange(3):
        case 0:
            blocks[one], blocks[other] = blocks[other], blocks[one]
        case 1:
            blocks.insert(other, blocks[one])
        case 2:
            del blocks[one]
    return b"".join(blocks)


def with_members(dice: random.Random) -> bytes:
    """Members in another order, more of them, or of another kind."""
    name = MANIFEST.snapshot.name
    members: list[tuple[str | tarfile.TarInfo, bytes]] = [(archive.MANIFEST, WITH_BROKER.encode()), (name, SNAPSHOT)]
    members.append(("broker.json", BROKER_JSON))
    extra = tarfile.TarInfo(dice.choice(("/abs", "../up", "version-2", name, archive.MANIFEST, "n" * 300, "ü")))
    extra.type = dice.choice((tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE))
    extra.linkname = dice.choice(("", "/etc/passwd", name))
    members.insert(dice.randrange(4), (extra, b"extra" if extra.isreg() else b""))
    if dice.random() < 0.3:
        dice.shuffle(members)
    return gzip.decompress(tar_gz(*members))


def of_snapshot(dice: random.Random) -> bytes:
    """The changed snapshot, with checksums and a manifest that match."""
    if dice.random() < 0.3:
        return packed(sealed(any_bytes(dice, SNAPSHOT[:-SEAL])), len(NODES))
    nodes = list(NODES)
    for _ in range(dice.choice((1, 1, 2))):
        change_nodes(dice, nodes)
    few = dice.random() < 0.05
    sessions = {1: 30_000} if dice.random() < 0.02 else {}
    trailers = [bytes(8)] if dice.random() < 0.02 else []
    return packed(snapshot_bytes(nodes, {} if few else TABLE, sessions, trailers), len(nodes))


def change_nodes(dice: random.Random, nodes: list[Node]) -> None:
    """A znode is changed, lost, moved, or there twice."""
    at, other = dice.randrange(len(nodes)), dice.randrange(len(nodes))
    match dice.randrange(8):
        case 0:
            nodes[at], nodes[other] = nodes[other], nodes[at]
        case 1 if len(nodes) > 1:
            del nodes[at]
        case 2:
            nodes.insert(other, nodes[at])
        case 3:
            nodes[at] = nodes[at]._replace(path=dice.choice((*PATHS, nodes[at].path + b"-", nodes[other].path)))
        case 4:
            nodes[at] = nodes[at]._replace(acl=dice.choice((OPEN_ACL_KEY, 1, *EDGES)))
        case 5 | 6:
            data = nodes[at].data or b"x"
            nodes[at] = nodes[at]._replace(data=dice.choice((None, b"", any_bytes(dice, data), dice.randbytes(50))))
        case 7:
            nodes[at] = nodes[at]._replace(stat=other_stat(dice, nodes[at].stat))


def other_stat(dice: random.Random, stat: bytes) -> bytes:
    """A stat with any value in one field."""
    field = dice.choice(Stat._fields)
    value = dice.choice((*EDGES, dice.getrandbits(63)))
    if field in ("version", "cversion", "aversion"):
        value = (value & 0xFFFF_FFFF) - (1 << 31)
    return Stat.unpack(stat)._replace(**{field: value}).pack()


class Said(NamedTuple):
    """The content of a snapshot: encoded ACLs by key, and znodes."""

    acls: dict[int, bytes]
    nodes: list[Node]


def parsed(snapshot: bytes) -> Said:
    """Read a snapshot, as far as this test needs it, without the program's code."""
    stream = io.BytesIO(snapshot)

    def number(form: str) -> int:
        return int(struct.unpack(form, stream.read(struct.calcsize(form)))[0])

    def field() -> bytes | None:
        size = number(">i")
        return None if size == -1 else stream.read(size)

    magic, version, _, sessions = struct.unpack(">4siqi", stream.read(20))
    assert (b"ZKSN", 2, 0) == (magic, version, sessions)
    acls = {}
    for _ in range(number(">i")):
        key, begin = number(">q"), stream.tell()
        for _ in range(number(">i")):
            number(">i"), field(), field()
        acls[key] = snapshot[begin : stream.tell()]
    nodes = []
    while (path := field()) != b"/":
        assert path is not None
        nodes.append(Node(path, field(), number(">q"), stream.read(60)))
    return Said(acls, nodes)


def assert_is_tree(said: Said) -> None:
    """Every znode has a parent, comes once and in order, has a valid path and a known ACL, and is not too new."""
    paths = [node.path for node in said.nodes]
    assert b"" == paths[0]
    assert sorted(set(paths), key=lambda path: path.split(b"/")) == paths
    assert {path.rpartition(b"/")[0] for path in paths} <= set(paths)
    for node in said.nodes:
        names = node.path.decode().split("/")[1:]
        assert not {"", ".", ".."} & set(names), node.path
        assert b"\0" not in node.path
        stat = Stat.unpack(node.stat)
        assert (0, True) == (stat.ephemeral_owner, max(stat.czxid, stat.mzxid, stat.pzxid) <= ZXID)
        assert node.acl in {*said.acls, OPEN_ACL_KEY}


def verified(content: bytes, file: Path) -> tuple[Manifest, list[Node]] | str:
    """The content of a backup, or the line with which it is refused."""
    file.write_bytes(content)
    nodes: list[Node] = []
    try:
        return archive.verify(file, lambda: None, nodes.append), nodes
    except (ArchiveCorrupt, ArchiveUnsupported) as error:
        line = str(error)
    assert line.isprintable(), ascii(line)
    return line


def dice_of() -> random.Random:
    """A random generator whose seed is printed."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.mark.parametrize("mutated", [of_file, of_tar])
@pytest.mark.fault("Backups in the bucket", "4,000 random changes of a backup")
def test_file(mutated: Callable[[random.Random], bytes], tmp_path: Path, *, soak: bool) -> None:
    """A file or a tar that was changed is refused, or holds the same tree and the same broker metadata."""
    dice, count, same = dice_of(), EACH_OF_A_SOAK if soak else EACH, 0
    assert (WITH_BROKER, NODES) == verified(GOOD, tmp_path / "good")
    for _ in range(count):
        found = verified(mutated(dice), tmp_path / "mutated")
        if not isinstance(found, str):
            assert (MANIFEST.snapshot, len(NODES), NODES) == (found[0].snapshot, found[0].nodes, found[1])
            (tmp_path / "broker.json").unlink(missing_ok=True)
            assert archive.extract_broker(tmp_path / "mutated", tmp_path / "broker.json", lambda: None)
            assert BROKER_JSON == (tmp_path / "broker.json").read_bytes()
            same += 1
    print(f"{count} mutations {mutated.__name__}: {count - same} refused, {same} the same tree")
    assert 0 < same < count / 2


@pytest.fixture
def born(tmp_path: Path) -> Iterator[Nursery]:
    """Runs the program."""
    with nursery(tmp_path / "said") as made:
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Settings that restore the backup called NAME into an empty directory."""
    for name in ("data", "spool"):
        (tmp_path / name).mkdir()
    directories = {"ZOOKEEPER_DATA_DIR": str(tmp_path / "data"), "SPOOL_DIR": str(tmp_path / "spool")}
    return {**directories, "RESTORE_POINT": f"file://{tmp_path}/{NAME}"}


@pytest.mark.fault("Backups in the bucket", "4,000 random changes of a snapshot")
def test_snapshot(settings: dict[str, str], born: Nursery, tmp_path: Path, *, soak: bool) -> None:
    """A changed snapshot is refused, or is a valid tree and is restored."""
    dice, count, taken = dice_of(), EACH_OF_A_SOAK if soak else EACH, 0
    restores = RESTORED_IN_A_SOAK if soak else RESTORED
    for _ in range(count):
        content = of_snapshot(dice)
        found = verified(content, tmp_path / NAME)
        if isinstance(found, str):
            continue
        manifest, nodes = found
        begin = gzip.decompress(content).index(b"ZKSN")
        said = parsed(gzip.decompress(content)[begin : begin + manifest.snapshot.size])
        assert said.nodes == nodes
        assert_is_tree(said)
        taken += 1
        if taken <= restores:
            assert_restored_as(said, settings, born, tmp_path)
    print(f"{count} mutations of the snapshot: {count - taken} refused, {taken} taken, {min(taken, restores)} restored")
    assert restores < taken < count - 100


def assert_restored_as(said: Said, settings: dict[str, str], born: Nursery, directory: Path) -> None:
    """All znodes are restored except those that a restore creates. A restore for new bookies succeeds too."""
    for scope in ("bookies-kept", "bookies-lost"):
        volume = directory / scope
        volume.mkdir()
        own = {**settings, "ZOOKEEPER_DATA_DIR": str(volume), "RESTORE_SCOPE": scope, "ALLOW_PARTIAL": "true"}
        outcome = born.run("restore", settings=own).outcome
        assert 0 == outcome.exit_code, outcome.said
        (file,) = volume.glob("version-2/snapshot.*")
        if scope == "bookies-kept":
            assert content_of(said) == content_of(parsed(file.read_bytes()))
        shutil.rmtree(volume)


def content_of(said: Said) -> list[tuple[bytes, bytes | None, bytes, bytes]]:
    """Paths, data, ACLs and stats of znodes that a restore does not change."""
    acls = {**said.acls, OPEN_ACL_KEY: b"open"}
    return [
        (node.path, node.data, acls[node.acl], node.stat) for node in said.nodes if not node.path.startswith(CHANGED)
    ]


ZEROS = gzip.compress(bytes(1 << 20), 1, mtime=0)
"""A gzip file of a MiB of zeros, for concatenation."""


def bomb(*parts: bytes | int, manifest: Manifest | None = None) -> bytes:
    """A backup whose snapshot has these parts, where a number is MiB of zeros. Only its checksum may be wrong."""
    size = sum(part << 20 if isinstance(part, int) else len(part) for part in parts)
    described = manifest or replace(
        MANIFEST, snapshot=SnapshotFile(MANIFEST.snapshot.name, size, hashlib.sha256().hexdigest())
    )
    head = header(archive.MANIFEST, len(described.encode())) + padded(described.encode())
    body = [ZEROS * part if isinstance(part, int) else gzip.compress(part, 1, mtime=0) for part in parts]
    end = gzip.compress(bytes(-size % BLOCK + 2 * BLOCK), mtime=0)
    return (
        gzip.compress(head + header(described.snapshot.name, described.snapshot.size), mtime=0) + b"".join(body) + end
    )


def header(name: str, size: int) -> bytes:
    """A tar header. Sizes beyond 8 GiB are in base 256."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(content: bytes) -> bytes:
    """Content of a tar member, up to the end of its last block."""
    return content + bytes(-len(content) % BLOCK)


def many(count: int) -> bytes:
    """Pairs of a number and an empty list or a timeout of 0, with different numbers."""
    pairs = bytearray(12 * count)
    for plane in range(4):
        runs = b"".join(bytes([value]) * (1 << (8 * plane)) for value in range(min(256, -(-count >> (8 * plane)))))
        pairs[7 - plane :: 12] = (runs * -(-count // len(runs)))[:count]
    return bytes(pairs)


def claim(count: int) -> bytes:
    """A list that claims this many items."""
    return struct.pack(">i", count)


HEAD = snapshot_head({})[:-4]
MANY = 6_000_000
BOMBS = {
    "manifest of zeros": lambda: gzip.compress(header(archive.MANIFEST, 4 << 30), mtime=0) + ZEROS * 4096,
    "manifest of brackets": lambda: gzip.compress(header(archive.MANIFEST, 1 << 20) + b"[" * (1 << 20), mtime=0),
    "snapshot of zeros": lambda: bomb(2048),
    "sound head, then zeros": lambda: bomb(HEAD + claim(0), 2048),
    "zeros behind the snapshot": lambda: GOOD + ZEROS * 2048,
    "field of 2 GiB": lambda: bomb(HEAD + claim(0) + claim(0x7FFF_FFFF), 2047),
    "field of 64 MiB, and the next": lambda: bomb(
        HEAD + claim(0) + length_and(b"") + claim(64 << 20),
        64,
        struct.pack(">q", OPEN_ACL_KEY) + bytes(60) + claim(64 << 20),
        60,
    ),
    "a billion ACLs, all one": lambda: bomb(HEAD + claim(1_000_000_000), 8),
    "an ACL of a billion entries": lambda: bomb(HEAD + claim(1) + bytes(8) + claim(1_000_000_000), 200),
    "broker.json of braces": lambda: with_broker(
        b'{"record":"schemas","versions":[' + b'{"":0},' * (MAX_LINE // 7 - 10) + b"0]}\n"
    ),
    "broker.json of one line": lambda: with_broker(bytes(64 << 20)),
    "millions of ACLs": lambda: bomb(HEAD + claim(MANY), many(MANY), 1),
    "millions of sessions": lambda: bomb(HEAD[:-4] + claim(MANY), many(MANY), 1),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.fault("Backups in the bucket", "a small file that would become large")
def test_bomb(name: str, settings: dict[str, str], born: Nursery, tmp_path: Path) -> None:
    """A small file that would become large is refused within MEMORY, and leaves nothing behind."""
    (tmp_path / NAME).write_bytes(BOMBS[name]())
    (tmp_path / "data" / "myid").write_bytes(b"1\n")
    for verb in (["verify", settings["RESTORE_POINT"]], ["restore"]):
        outcome = born.run(*verb, settings=settings, fault=Fault(memory=MEMORY)).outcome
        assert_refused(ArchiveCorrupt, settings["RESTORE_POINT"], outcome)
        assert ({}, {"myid": b"1\n"}) == (contents(tmp_path / "spool"), contents(tmp_path / "data"))


@pytest.mark.parametrize("size", [8 << 30, (1 << 60) - 1, (1 << 63) - 1])
@pytest.mark.fault("Backups in the bucket", "a file that claims to be huge")
def test_huge_claim(size: int, settings: dict[str, str], born: Nursery, tmp_path: Path) -> None:
    """If header and manifest claim a huge snapshot, no memory is allocated for it in advance."""
    snapshot = replace(MANIFEST.snapshot, size=size)
    (tmp_path / NAME).write_bytes(bomb(SNAPSHOT, manifest=replace(MANIFEST, snapshot=snapshot)))
    verified = born.run("verify", settings["RESTORE_POINT"], settings=settings, fault=Fault(memory=MEMORY)).outcome
    assert_refused(ArchiveCorrupt, settings["RESTORE_POINT"], verified)
    restored = born.run("restore", settings=settings, fault=Fault(memory=MEMORY)).outcome
    assert restored.exit_code in (30, 41), restored.said
    assert "Traceback" not in restored.said
    assert ({}, {}) == (contents(tmp_path / "spool"), contents(tmp_path / "data"))
