"""Backup files: what is written, and what is refused."""

import errno
import gzip
import hashlib
import io
import subprocess
import tarfile
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from metadata_tool import archive
from metadata_tool.archive import Archive, opened
from metadata_tool.broker_metadata.broker_file import BrokerFile
from metadata_tool.broker_metadata.records import (
    Hole,
    NotSaved,
    Position,
    Record,
    SavedCursor,
    SavedPolicies,
    SavedSchemas,
    SchemaVersion,
    encode,
)
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported, SpoolFailed, Stopped
from metadata_tool.files import sha256
from metadata_tool.manifest import USE_ANOTHER, Manifest, SnapshotFile
from metadata_tool.zookeeper.snapshot import Node
from support.trees import (
    EXAMPLES,
    PATIENT,
    ZXID,
    archive_bytes,
    make_archive,
    manifest_of,
    node,
    small_table,
    small_tree,
    snapshot_bytes,
    tables_and_trees,
    tar_gz,
)

Content = tuple[Manifest, dict[int, bytes], list[Node]]

SNAPSHOT = snapshot_bytes(small_tree(), small_table())
MANIFEST = manifest_of(SNAPSHOT, len(small_tree()))
TEXT = MANIFEST.encode()
NAME = MANIFEST.snapshot.name
SMALL = archive_bytes(small_tree(), small_table())
TAR = gzip.decompress(SMALL)
SNAPSHOT_AT = TAR.index(SNAPSHOT)
TEXT_AT = TAR.index(TEXT)


def never() -> None:
    """A heartbeat that never stops the work."""


def stop() -> None:
    """A heartbeat that stops the work."""
    raise Stopped("stopped by the test")


def read_nodes(content: bytes) -> list[Node]:
    """The znodes in an archive."""
    return list(Archive(io.BytesIO(content)).tree().nodes)


def read(content: bytes) -> Content:
    """The content of an archive."""
    archive = Archive(io.BytesIO(content))
    tree = archive.tree()
    return archive.manifest, dict(tree.acls), list(tree.nodes)


def read_or_refused(content: bytes) -> Content | None:
    """The content of an archive, None if it is refused."""
    try:
        return read(content)
    except (ArchiveCorrupt, ArchiveUnsupported):
        return None


WHOLE = read(SMALL)


@PATIENT
@given(tables_and_trees())
def test_round_trip(table_and_tree: tuple[dict[int, bytes], list[Node]]) -> None:
    """Any tree is read as it was written: manifest, ACLs and znodes."""
    table, tree = table_and_tree
    assert (manifest_of(snapshot_bytes(tree, table), len(tree)), table, tree) == read(archive_bytes(tree, table))


def test_file(tmp_path: Path) -> None:
    """An archive is read from a file."""
    path = tmp_path / "backup.tar.gz"
    manifest = make_archive(path, small_tree(), small_table(), prefix="other")
    with opened(path) as backup:
        assert (manifest, small_tree()) == (backup.manifest, list(backup.tree().nodes))


@pytest.mark.parametrize("size", [1, 300_000, 3 << 20])
def test_large_data(size: int) -> None:
    """Znodes larger than any buffer are read as they were written."""
    tree = [node(b"", b"r" * size), node(b"/a", bytes(size)), node(b"/b", b"b" * (size + 1))]
    assert tree == read_nodes(archive_bytes(tree))


def test_padding_of_any_size() -> None:
    """A snapshot may end at any position in a tar block."""
    trees = [[node(b"", bytes(size))] for size in range(1000, 1000 + tarfile.BLOCKSIZE)]
    assert trees == [read_nodes(archive_bytes(tree)) for tree in trees]


def test_same_bytes() -> None:
    """The same manifest and snapshot give the same archive in another directory, byte for byte."""
    assert SMALL == archive_bytes(small_tree(), small_table())


def test_no_time_of_writing() -> None:
    """An archive has no time but the backup's, so that it is the same whenever it is written."""
    gzip_time = SMALL[4:8]  # RFC 1952: MTIME
    assert bytes(4) == gzip_time
    with tarfile.open(fileobj=io.BytesIO(SMALL)) as tar:
        assert [MANIFEST.timestamp // 1000] * 2 == [member.mtime for member in tar]


def test_other_bytes() -> None:
    """Another tree gives another archive."""
    assert archive_bytes([*small_tree(), node(b"/z")], small_table()) != SMALL


def test_pack_size(tmp_path: Path) -> None:
    """Packing returns the bytes before compression, and the SHA-256 of the file."""
    snapshot = tmp_path / "snapshot"
    snapshot.write_bytes(SNAPSHOT)
    packed = archive.pack(tmp_path / "archive", MANIFEST, snapshot, never)
    assert (len(TEXT) + len(SNAPSHOT), sha256(tmp_path / "archive")) == packed


def test_pack_stops(tmp_path: Path) -> None:
    """Packing stops if the heartbeat does."""
    snapshot = tmp_path / "snapshot"
    snapshot.write_bytes(SNAPSHOT)
    with pytest.raises(Stopped):
        archive.pack(tmp_path / "archive", MANIFEST, snapshot, stop)


def test_pack_overwrites_nothing(tmp_path: Path) -> None:
    """An existing file is not overwritten."""
    target = tmp_path / "archive"
    target.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        make_archive(target, small_tree(), small_table())
    expected = b"precious"
    assert expected == target.read_bytes()


def test_python_tar() -> None:
    """Any tar program finds two plain files, the manifest first, with the time of the backup."""
    with tarfile.open(fileobj=io.BytesIO(SMALL)) as tar:
        members = tar.getmembers()
        contents = [getattr(tar.extractfile(member), "read", bytes)() for member in members]
    seconds = MANIFEST.timestamp // 1000
    expected = [("manifest.json", tarfile.REGTYPE, seconds), (NAME, tarfile.REGTYPE, seconds)]
    assert expected == [(member.name, member.type, member.mtime) for member in members]
    assert contents == [TEXT, SNAPSHOT]


def test_gnu_tar(tmp_path: Path) -> None:
    """GNU tar extracts an archive into a data directory without a warning."""
    path = tmp_path / "backup.tar.gz"
    path.write_bytes(SMALL)
    command = ["tar", "--extract", "--gzip", "--verbose", "--file", str(path), "--directory", str(tmp_path)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (f"manifest.json\n{NAME}\n", "") == (result.stdout, result.stderr)
    expected = SNAPSHOT
    assert expected == (tmp_path / NAME).read_bytes()


def test_truncated() -> None:
    """A truncated archive is refused, wherever it ends."""
    accepted = [cut for cut in range(len(SMALL)) if read_or_refused(SMALL[:cut])]
    expected: list[int] = []
    assert expected == accepted


@pytest.mark.parametrize("bit", range(8))
def test_flipped_bit(bit: int) -> None:
    """An archive with a flipped bit is refused or has the same content, whichever bit it is."""
    accepted = []
    for offset in range(len(SMALL)):
        changed = bytearray(SMALL)
        changed[offset] ^= 1 << bit
        if read_or_refused(bytes(changed)) not in (None, WHOLE):
            accepted.append(offset)
    expected: list[int] = []
    assert expected == accepted


@pytest.mark.parametrize("offset", [0, 1, 2, -8, -7, -6, -5, -4, -3, -2, -1])
def test_gzip_frame(offset: int) -> None:
    """An archive with a changed gzip magic, method, CRC or length is refused."""
    changed = bytearray(SMALL)
    changed[offset] ^= 0x55
    assert not read_or_refused(bytes(changed))


@settings(PATIENT, max_examples=4 * EXAMPLES)
@given(st.data())
def test_changed_part(data: st.DataObject) -> None:
    """An archive with a part replaced, removed or added is refused or has the same content."""
    start = data.draw(st.integers(0, len(SMALL)))
    end = data.draw(st.integers(start, min(len(SMALL), start + 8)))
    changed = SMALL[:start] + data.draw(st.binary(max_size=8)) + SMALL[end:]
    assert read_or_refused(changed) in (None, WHOLE)


@settings(PATIENT, max_examples=2 * EXAMPLES)
@given(st.integers(0, len(SMALL) - 1), st.integers(0, len(SMALL) - 1), st.integers(1, 64))
def test_swapped_parts(first: int, second: int, size: int) -> None:
    """An archive with two parts swapped is refused or has the same content."""
    first, second = sorted((first, second))
    size = min(size, second - first)
    one, other = SMALL[first : first + size], SMALL[second : second + size]
    changed = SMALL[:first] + other + SMALL[first + size : second] + one + SMALL[second + size :]
    assert read_or_refused(changed) in (None, WHOLE)


@settings(PATIENT, max_examples=3 * EXAMPLES)
@given(st.integers(0, len(TAR) - 1), st.integers(1, 255))
def test_changed_inside(offset: int, mask: int) -> None:
    """A changed tar with a valid gzip CRC is refused or has the same content, except for the text of its manifest."""
    assume(not TEXT_AT <= offset < TEXT_AT + len(TEXT))
    changed = bytearray(TAR)
    changed[offset] ^= mask
    assert read_or_refused(gzip.compress(changed, 1)) in (None, WHOLE)


@pytest.mark.parametrize("offset", [TEXT_AT + len(TEXT), SNAPSHOT_AT + len(SNAPSHOT)])
def test_changed_padding(offset: int) -> None:
    """Data hidden after the end of a member is refused, even with a valid gzip CRC."""
    changed = bytearray(TAR)
    changed[offset] = 1
    assert not read_or_refused(gzip.compress(changed))


def test_changed_snapshot() -> None:
    """Every changed byte of the snapshot is refused, even with a valid gzip CRC."""
    accepted = []
    for offset in range(SNAPSHOT_AT, SNAPSHOT_AT + len(SNAPSHOT)):
        changed = bytearray(TAR)
        changed[offset] ^= 1
        if read_or_refused(gzip.compress(changed, 0)):
            accepted.append(offset)
    expected: list[int] = []
    assert expected == accepted


@settings(PATIENT, max_examples=2 * EXAMPLES)
@given(st.binary())
@example(b"")
def test_anything(content: bytes) -> None:
    """Any other content is refused, compressed or not."""
    assert not read_or_refused(content)
    assert not read_or_refused(gzip.compress(content))
    assert not read_or_refused(tar_gz(("manifest.json", content)))
    assert not read_or_refused(tar_gz(("manifest.json", TEXT), (NAME, content)))


def special(name: str, kind: bytes, target: str = "", content: bytes = SNAPSHOT) -> tuple[tarfile.TarInfo, bytes]:
    """A tar member that is not a plain file, but has content."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info, content


def with_pax(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """A tar member with an extended header before it."""
    info = tarfile.TarInfo(name)
    info.pax_headers = {"comment": "hello"}
    return info, content


def manifest_with(**changes: Any) -> tuple[str, bytes]:
    """The manifest as a tar member, with changed fields of the snapshot."""
    return "manifest.json", replace(MANIFEST, snapshot=replace(MANIFEST.snapshot, **changes)).encode()


FIRST, SECOND = ("manifest.json", TEXT), (NAME, SNAPSHOT)
PASSWD = ("/etc/passwd", b"root::0:0")

WRONG_MEMBERS = [
    pytest.param(tar_gz(), id="no members"),
    pytest.param(tar_gz(FIRST), id="no snapshot"),
    pytest.param(tar_gz(SECOND), id="no manifest"),
    pytest.param(tar_gz(SECOND, FIRST), id="swapped"),
    pytest.param(tar_gz(FIRST, FIRST, SECOND), id="manifest twice"),
    pytest.param(tar_gz(FIRST, SECOND, SECOND), id="snapshot twice"),
    pytest.param(tar_gz(FIRST, SECOND, ("version-2/log.1", b"")), id="third member"),
    pytest.param(tar_gz(PASSWD, FIRST, SECOND), id="something first"),
    pytest.param(tar_gz(FIRST, PASSWD, SECOND), id="something between"),
    pytest.param(tar_gz(FIRST, SECOND, PASSWD), id="something last"),
    pytest.param(tar_gz(("../manifest.json", TEXT), SECOND), id="manifest escapes"),
    pytest.param(tar_gz(("./manifest.json", TEXT), SECOND), id="manifest with a dot"),
    pytest.param(tar_gz(FIRST, (f"../{NAME}", SNAPSHOT)), id="snapshot escapes"),
    pytest.param(tar_gz(FIRST, (f"version-2/../../{NAME}", SNAPSHOT)), id="snapshot escapes from within"),
    pytest.param(tar_gz(FIRST, ("/etc/x", SNAPSHOT)), id="snapshot absolute"),
    pytest.param(tar_gz(FIRST, ("version-2/snapshot.1", SNAPSHOT)), id="snapshot of another zxid"),
    pytest.param(tar_gz(manifest_with(name="../x"), ("../x", SNAPSHOT)), id="both escape"),
    pytest.param(tar_gz(manifest_with(name="/etc/x"), ("/etc/x", SNAPSHOT)), id="both absolute"),
    pytest.param(tar_gz(FIRST, special(NAME, tarfile.SYMTYPE, "/etc/passwd")), id="symlink"),
    pytest.param(tar_gz(FIRST, special(NAME, tarfile.LNKTYPE, "manifest.json")), id="hard link"),
    pytest.param(tar_gz(FIRST, special(NAME, tarfile.DIRTYPE)), id="directory"),
    pytest.param(tar_gz(FIRST, special(NAME, tarfile.FIFOTYPE)), id="pipe"),
    pytest.param(tar_gz(FIRST, special("version-2", tarfile.DIRTYPE, content=b""), SECOND), id="directory between"),
    pytest.param(tar_gz(special("manifest.json", tarfile.SYMTYPE, NAME, TEXT), SECOND), id="manifest is a symlink"),
    pytest.param(tar_gz(with_pax(*FIRST), SECOND), id="pax header"),
    pytest.param(tar_gz(FIRST, with_pax(*SECOND)), id="pax header of the snapshot"),
    pytest.param(tar_gz(FIRST, SECOND, tail=b"x"), id="a byte after the tar"),
    pytest.param(tar_gz(FIRST, SECOND, tail=bytes(5000) + b"x"), id="a byte after zeros"),
    pytest.param(tar_gz(FIRST, SECOND, tail=bytes(1 << 20)), id="many zeros after the tar"),
    pytest.param(tar_gz(FIRST, SECOND) + b"x", id="a byte after the gzip"),
    pytest.param(tar_gz(FIRST, SECOND) + tar_gz(FIRST, SECOND), id="twice"),
    pytest.param(tar_gz(manifest_with(sha256="0" * 64), SECOND), id="wrong SHA-256"),
    pytest.param(tar_gz(manifest_with(sha256=""), SECOND), id="empty SHA-256"),
    pytest.param(tar_gz(manifest_with(size=len(SNAPSHOT) - 1), SECOND), id="size too small"),
    pytest.param(tar_gz(manifest_with(size=len(SNAPSHOT) + 1), SECOND), id="size too large"),
    pytest.param(tar_gz(manifest_with(size=0), SECOND), id="size 0"),
    pytest.param(tar_gz(manifest_with(size=0), (NAME, b"")), id="nothing in the snapshot"),
    pytest.param(tar_gz(("manifest.json", TEXT + b" " * (1 << 20)), SECOND), id="manifest too long"),
    pytest.param(tar_gz(("manifest.json", b"{}"), SECOND), id="manifest empty"),
    pytest.param(tar_gz(("manifest.json", TEXT[:-5]), SECOND), id="manifest cut"),
    pytest.param(TAR, id="not zipped"),
    pytest.param(gzip.compress(SMALL), id="zipped twice"),
    pytest.param(gzip.compress(TAR[: SNAPSHOT_AT + len(SNAPSHOT)]), id="tar cut after the snapshot"),
    pytest.param(zlib.compress(TAR), id="zlib"),
]


def test_hand_made() -> None:
    """A hand-made archive of the right members is read. So the ones below are refused for what is wrong with them."""
    expected = (MANIFEST, small_table(), small_tree())
    assert expected == read(tar_gz(FIRST, SECOND))


@pytest.mark.parametrize("content", WRONG_MEMBERS)
def test_wrong_members(content: bytes) -> None:
    """An archive with other members, or with a manifest that does not match the snapshot, is refused."""
    with pytest.raises(ArchiveCorrupt, match="damaged"):
        read_nodes(content)


def test_later_format() -> None:
    """An archive of a later format is refused as such, whatever follows its manifest."""
    content = tar_gz(("manifest.json", replace(MANIFEST, format_version=3).encode()), ("new", b"new"))
    with pytest.raises(ArchiveUnsupported):
        Archive(io.BytesIO(content))


@pytest.mark.parametrize("nodes", [0, len(small_tree()) - 1, len(small_tree()) + 1])
def test_wrong_count(nodes: int) -> None:
    """An archive with fewer or more znodes than its manifest says is refused."""
    content = tar_gz(("manifest.json", replace(MANIFEST, nodes=nodes).encode()), SECOND)
    with pytest.raises(ArchiveCorrupt, match=f"{len(small_tree())} znodes.* {nodes}"):
        read_nodes(content)


RECORDS: list[Record] = [
    SavedSchemas("t/n/a", 7, 8, (SchemaVersion(0, b"\1" * 32, "JSON", "e30=", {"a": "b"}, 5), SchemaVersion(1, b""))),
    SavedCursor("t/n/persistent/a/s", 7, Position(3, 4), (Hole(Position(3, 5), Position(4, 0)),)),
    SavedPolicies("t/n", 7, "persistent://t/n/a", 8, b"event", 0),
    NotSaved("cursor", "t/n/persistent/b/s", 7, "HTTP 500"),
]
BROKER_JSON = b"".join(map(encode, RECORDS))
WITH_BROKER = archive_bytes(small_tree(), small_table(), RECORDS)
BROKER_TAR = gzip.decompress(WITH_BROKER)
BROKER_AT = BROKER_TAR.index(BROKER_JSON)
DESCRIBED = BrokerFile(
    len(BROKER_JSON),
    hashlib.sha256(BROKER_JSON).hexdigest(),
    {"schemas": 1, "cursor": 1, "topicPolicies": 1},
    {"cursor": 1},
)
THIRD = ("broker.json", BROKER_JSON)


def described_by(**changes: Any) -> tuple[str, bytes]:
    """The manifest of an archive with a broker.json as a tar member, with changes to what it says of that."""
    return "manifest.json", MANIFEST.with_broker(replace(DESCRIBED, **changes)).encode()


def describing(content: bytes, **changes: Any) -> tuple[str, bytes]:
    """The same for another broker.json."""
    return described_by(size=len(content), sha256=hashlib.sha256(content).hexdigest(), **changes)


def extracted(content: bytes, directory: Path) -> bytes | None:
    """The broker.json of an archive. None if it has none."""
    source, target = directory / "archive", directory / "broker.json"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    found = archive.extract_broker(source, target, never)
    assert found == target.exists()
    return target.read_bytes() if found else None


def both_or_refused(content: bytes) -> object:
    """The tree and the broker.json of an archive, None if it is refused. It is refused however it is read."""
    tree, lines = read_or_refused(content), None
    with suppress(ArchiveCorrupt, ArchiveUnsupported):
        lines = b"".join(line for line, _ in Archive(io.BytesIO(content)).broker())
    assert (tree is None) == (lines is None)
    return tree and (tree[1:], lines)


def manifest_with_broker() -> Manifest:
    """The manifest of the archive with a broker.json."""
    return MANIFEST.with_broker(DESCRIBED)


def test_broker_json(tmp_path: Path) -> None:
    """A broker.json is the third member, and is extracted as it was. The tree is read as from any archive."""
    assert (manifest_with_broker(), small_table(), small_tree()) == read(WITH_BROKER)
    assert BROKER_JSON == extracted(WITH_BROKER, tmp_path)
    with tarfile.open(fileobj=io.BytesIO(WITH_BROKER)) as tar:
        assert ["manifest.json", NAME, "broker.json"] == tar.getnames()
    assert read(tar_gz(described_by(), SECOND, THIRD)) == read(WITH_BROKER)


def test_no_broker_json(tmp_path: Path) -> None:
    """An archive without a broker.json extracts none. One that has an empty one extracts that."""
    assert extracted(SMALL, tmp_path) is None
    expected = b""
    assert expected == extracted(archive_bytes(small_tree(), small_table(), []), tmp_path)


def test_pack_size_with_broker_json(tmp_path: Path) -> None:
    """The bytes before compression include the broker.json."""
    snapshot, broker = tmp_path / "snapshot", tmp_path / "broker.json"
    snapshot.write_bytes(SNAPSHOT)
    broker.write_bytes(BROKER_JSON)
    manifest = manifest_with_broker()
    packed = archive.pack(tmp_path / "archive", manifest, snapshot, never, broker)
    assert (len(manifest.encode()) + len(SNAPSHOT) + len(BROKER_JSON), sha256(tmp_path / "archive")) == packed


@settings(PATIENT, max_examples=EXAMPLES // 4)
@given(st.lists(st.integers(0, 1 << 40), max_size=30), st.integers(0, 600))
def test_any_broker_json(ledgers: list[int], padding: int) -> None:
    """Any records are extracted as they were packed, wherever they end in a tar block."""
    records = [
        SavedCursor(f"t/n/persistent/{number:03}/s" + "x" * padding, 7, Position(ledger, -1))
        for number, ledger in enumerate(ledgers)
    ]
    backup = Archive(io.BytesIO(archive_bytes(small_tree(), small_table(), records)))
    assert records == [record for _, record in backup.broker()]


def test_truncated_with_broker_json(*, soak: bool) -> None:
    """A truncated archive with a broker.json is refused, wherever it ends."""
    cuts = range(0, len(WITH_BROKER), 1 if soak else 7)
    accepted = [cut for cut in cuts if both_or_refused(WITH_BROKER[:cut])]
    expected: list[int] = []
    assert expected == accepted


def test_changed_broker_json(*, soak: bool) -> None:
    """Every changed byte of a broker.json is refused, even with a valid gzip CRC."""
    accepted = []
    for offset in range(BROKER_AT, BROKER_AT + len(BROKER_JSON), 1 if soak else 7):
        changed = bytearray(BROKER_TAR)
        changed[offset] ^= 1
        if both_or_refused(gzip.compress(changed, 0)):
            accepted.append(offset)
    expected: list[int] = []
    assert expected == accepted


@settings(PATIENT, max_examples=EXAMPLES // 4)
@given(st.data())
def test_changed_part_with_broker_json(data: st.DataObject) -> None:
    """An archive whose tar was changed is refused or has the same content, except for the text of its manifest."""
    start = data.draw(st.integers(SNAPSHOT_AT, len(BROKER_TAR)))
    end = data.draw(st.integers(start, min(len(BROKER_TAR), start + 8)))
    changed = BROKER_TAR[:start] + data.draw(st.binary(max_size=8)) + BROKER_TAR[end:]
    assert both_or_refused(gzip.compress(changed, 1)) in (None, both_or_refused(WITH_BROKER))


LATER = b'{"record":"later"}\n'


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(tar_gz(FIRST, SECOND, THIRD), "data after its last member", id="format 1"),
        pytest.param(tar_gz(described_by(), SECOND), "no tar header for broker.json", id="missing"),
        pytest.param(tar_gz(described_by(), THIRD, SECOND), f"'broker.json' instead of {NAME}", id="swapped"),
        pytest.param(tar_gz(described_by(), SECOND, THIRD, THIRD), "data after its last member", id="twice"),
        pytest.param(tar_gz(described_by(), SECOND, PASSWD), "'/etc/passwd' instead of broker.json", id="another"),
        pytest.param(
            tar_gz(described_by(), SECOND, special("broker.json", tarfile.SYMTYPE, "/etc/passwd", BROKER_JSON)),
            "'broker.json' instead of broker.json",
            id="symlink",
        ),
        pytest.param(
            tar_gz(described_by(size=len(BROKER_JSON) + 1), SECOND, THIRD), "size of its broker.json differs", id="size"
        ),
        pytest.param(
            tar_gz(described_by(size=len(BROKER_JSON) - 1), SECOND, THIRD), "claims .* for broker.json", id="too large"
        ),
        pytest.param(tar_gz(described_by(sha256="0" * 64), SECOND, THIRD), "SHA-256 of its broker.json", id="sum"),
        pytest.param(
            tar_gz(described_by(saved={"cursor": 1, "topicPolicies": 1}), SECOND, THIRD),
            "counts of schemas in its broker.json differ",
            id="a record more",
        ),
        pytest.param(tar_gz(described_by(not_saved={}), SECOND, THIRD), "counts of cursor", id="more not saved"),
        pytest.param(
            tar_gz(describing(LATER[:-1], saved={}), SECOND, ("broker.json", LATER[:-1])),
            "its broker.json is invalid, line 1: it has no end",
            id="no end",
        ),
    ],
)
def test_wrong_broker_json(content: bytes, what: str, tmp_path: Path) -> None:
    """A broker.json that the manifest does not describe, or that is invalid, is refused however it is read."""
    with pytest.raises(ArchiveCorrupt, match=what):
        read_nodes(content)
    if MANIFEST.encode() not in gzip.decompress(content):
        with pytest.raises(ArchiveCorrupt, match=what):
            extracted(content, tmp_path)


def test_what_later_versions_add_to_broker_json(tmp_path: Path) -> None:
    """Records of a later version, and more of what was not saved than there are lines for, are read."""
    content = BROKER_JSON + LATER
    packed = tar_gz(describing(content, not_saved={"cursor": 9999}), SECOND, ("broker.json", content))
    assert content == extracted(packed, tmp_path)
    assert small_tree() == read_nodes(packed)


def test_wrong_broker_json_of_a_verified_file() -> None:
    """A file that was verified before is read without decoding its broker.json. The checksums still count."""
    content = b"no records"
    backup = Archive(io.BytesIO(tar_gz(describing(content, saved={}), SECOND, ("broker.json", content))))
    assert small_tree() == list(backup.tree(verified=True).nodes)
    backup = Archive(io.BytesIO(tar_gz(described_by(sha256="0" * 64), SECOND, THIRD)))
    with pytest.raises(ArchiveCorrupt, match=r"SHA-256 of its broker\.json"):
        list(backup.tree(verified=True).nodes)


def test_extracting_overwrites_nothing(tmp_path: Path) -> None:
    """An existing file is not overwritten."""
    source, target = tmp_path / "archive", tmp_path / "broker.json"
    source.write_bytes(WITH_BROKER)
    target.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        archive.extract_broker(source, target, never)
    expected = b"precious"
    assert expected == target.read_bytes()


ROOT = node(b"")
OVERLONG = snapshot_bytes([ROOT]) + b"\0"


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        pytest.param(snapshot_bytes([ROOT], sessions={1: 30_000}), "sessions", id="session"),
        pytest.param(snapshot_bytes([ROOT, node(b"/a", ephemeral_owner=5)]), "/a is ephemeral", id="ephemeral"),
        pytest.param(snapshot_bytes([ROOT, node(b"/a/b")]), "/a/b has no parent", id="orphan"),
        pytest.param(snapshot_bytes([ROOT, node(b"/a"), node(b"/a")]), "/a comes twice", id="twice"),
        pytest.param(snapshot_bytes([ROOT, node(b"/b"), node(b"/a")]), "/a comes twice or out", id="out of order"),
        pytest.param(snapshot_bytes([ROOT, node(b"/a", acl=7)]), "unknown ACL 7", id="unknown ACL"),
        pytest.param(snapshot_bytes([ROOT, node(b"/a", mzxid=ZXID + 1)]), "later than", id="newer"),
        pytest.param(snapshot_bytes([ROOT, node(b"/..")]), "not the path", id="bad path"),
        pytest.param(snapshot_bytes([node(b"/a"), ROOT]), "not the root", id="root not first"),
        pytest.param(snapshot_bytes([]), "no znodes", id="empty"),
        pytest.param(snapshot_bytes([ROOT], trailers=[bytes(8)]), "data after its first seal", id="last zxid"),
        pytest.param(snapshot_bytes([ROOT], trailers=[bytes(20)]), "data after its first seal", id="digest"),
        pytest.param(OVERLONG, "after the end", id="a byte more"),
        pytest.param(OVERLONG[:-2], "too early", id="a byte less"),
        pytest.param(b"", "too early", id="nothing"),
        pytest.param(b"ZKLG" + bytes(100), "ZKSN", id="a log"),
    ],
)
def test_wrong_snapshot(snapshot: bytes, why: str) -> None:
    """A snapshot that a backup cannot have is refused even if size and SHA-256 match, and the message says why."""
    manifest = manifest_of(snapshot, snapshot.count(ROOT.stat))
    content = tar_gz(("manifest.json", manifest.encode()), (manifest.snapshot.name, snapshot))
    with pytest.raises(ArchiveCorrupt, match=rf"snapshot is damaged.*{why}"):
        read_nodes(content)


def bomb(manifest: Manifest, name: str, size: int) -> io.BytesIO:
    """An archive that claims a member of this size and has its first GB: zeros, a few MB when compressed."""
    head = tar_gz(("manifest.json", manifest.encode()))
    members = gzip.decompress(head)[: -(-len(manifest.encode()) // 512 + 1) * 512] if name != "manifest.json" else b""
    info = tarfile.TarInfo(name)
    info.size = size
    zipper = zlib.compressobj(1, wbits=31)
    beginning = zipper.compress(members + info.tobuf(tarfile.GNU_FORMAT)) + zipper.flush(zlib.Z_FULL_FLUSH)
    megabyte = zipper.compress(bytes(1 << 20)) + zipper.flush(zlib.Z_FULL_FLUSH)
    return io.BytesIO(beginning + megabyte * 1024)


TERABYTE = SnapshotFile(NAME, 1 << 40, "0" * 64)


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        pytest.param(MANIFEST, "manifest.json", id="manifest"),
        pytest.param(MANIFEST, NAME, id="snapshot"),
        pytest.param(replace(MANIFEST, snapshot=TERABYTE), NAME, id="snapshot, with a manifest that matches"),
    ],
)
def test_bomb(manifest: Manifest, name: str) -> None:
    """A member that claims a terabyte is refused before a tenth of the file is read."""
    file = bomb(manifest, name, 1 << 40)
    with pytest.raises(ArchiveCorrupt):
        list(Archive(file).tree().nodes)
    assert file.tell() < len(file.getvalue()) // 10


@pytest.mark.parametrize("size", [-1, 1 << 63, 1 << 87])
def test_impossible_size(size: int) -> None:
    """A member that claims a negative or an impossible size is refused."""
    with pytest.raises(ArchiveCorrupt):
        list(Archive(bomb(MANIFEST, NAME, size)).tree().nodes)


END = len(TAR[: SNAPSHOT_AT + len(SNAPSHOT)]) + -len(SNAPSHOT) % tarfile.BLOCKSIZE
"""Where the last member's last block ends."""


def with_name(name: bytes) -> bytes:
    """An archive whose first member has this name, and a checksum that fits."""
    header = bytearray(TAR[: tarfile.BLOCKSIZE])
    header[:100] = name.ljust(100, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + TAR[tarfile.BLOCKSIZE :])


def with_byte(offset: int, value: int) -> bytes:
    """An archive in whose tar a byte was changed."""
    return gzip.compress(TAR[:offset] + bytes([value]) + TAR[offset + 1 :])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(SMALL[:-1], "it ends too early", id="cut"),
        pytest.param(gzip.compress(TAR[:100]), "it ends too early", id="tar cut"),
        pytest.param(TAR, "it is not a gzip file, or some of its bytes changed", id="no gzip"),
        pytest.param(gzip.compress(TAR[:END]), "", id="nothing after the members"),
        pytest.param(gzip.compress(bytes(512)), "it has no tar header for manifest.json", id="no header"),
        pytest.param(tar_gz(SECOND), f"it has '{NAME}' instead of manifest.json", id="another member"),
        pytest.param(with_name(b"\xff"), "it has '\\udcff' instead of manifest.json", id="no text"),
        pytest.param(
            tar_gz(("manifest.json", TEXT + b" " * (1 << 20)), SECOND),
            f"its tar header claims {len(TEXT) + (1 << 20)} bytes for manifest.json",
            id="long manifest",
        ),
        pytest.param(
            tar_gz(manifest_with(size=len(SNAPSHOT) + 1), SECOND),
            "the size of its snapshot differs from its manifest",
            id="size",
        ),
        pytest.param(
            tar_gz(manifest_with(sha256="0" * 64), SECOND),
            "the SHA-256 of its snapshot differs from its manifest",
            id="sum",
        ),
        pytest.param(
            with_byte(TEXT_AT + len(TEXT), ord("X")), "the padding after manifest.json is not zero", id="padding"
        ),
        pytest.param(
            with_byte(SNAPSHOT_AT + len(SNAPSHOT), ord("X")), f"the padding after {NAME} is not zero", id="last padding"
        ),
        pytest.param(gzip.compress(TAR[:END] + bytes(20480)), "", id="as much as may follow"),
        pytest.param(gzip.compress(TAR[:END] + bytes(20481)), "it has data after its last member", id="more"),
        pytest.param(gzip.compress(TAR[:END] + b"X" * 512), "it has data after its last member", id="not zero"),
    ],
)
def test_why_it_is_refused(content: bytes, what: str) -> None:
    """An error says exactly what is wrong with an archive, and what to do. Only a few zeros may follow an archive."""
    if not what:
        assert small_tree() == read_nodes(content)
        return
    with pytest.raises(ArchiveCorrupt) as caught:
        read_nodes(content)
    assert (f"the backup file is damaged, {what}", USE_ANOTHER) == (caught.value.message, caught.value.hint)


def test_unsound_snapshot_has_a_hint() -> None:
    """A snapshot that no backup holds is refused with what to do."""
    with pytest.raises(ArchiveCorrupt) as caught:
        read_nodes(tar_gz(("manifest.json", manifest_of(OVERLONG, 1).encode()), (NAME, OVERLONG)))
    assert USE_ANOTHER == caught.value.hint


def test_verify(tmp_path: Path) -> None:
    """Verifying reads all of a file, hands out each znode, and returns the manifest. A heartbeat can stop it."""
    path = tmp_path / "backup.tar.gz"
    path.write_bytes(SMALL)
    seen: list[Node] = []
    beats: list[None] = []
    assert MANIFEST == archive.verify(path, lambda: beats.append(None), seen.append)
    assert small_tree() == seen
    assert len(beats) > 2
    with pytest.raises(Stopped):
        archive.verify(path, stop)
    with pytest.raises(Stopped), opened(path, stop):
        pass


def test_disk_fails_while_it_is_read() -> None:
    """A disk that cannot read the file is told apart from a damaged file."""

    class Failing(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(SpoolFailed) as caught:
        Archive(Failing())
    expected = ("the fetched backup cannot be read: Input/output error", "Check the disk of SPOOL_DIR")
    assert expected == (caught.value.message, caught.value.hint)
