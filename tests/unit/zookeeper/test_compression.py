"""Compressed snapshots are read as they were before, and damaged ones are refused."""

import base64
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.zookeeper.compression import opened
from metadata_tool.zookeeper.snapshot import SnapshotError, SnapshotReader
from support.compressed import COMPRESS, SNAPPY_HEAD, snappy, snappy_block
from support.trees import PATIENT, small_table, small_tree, snapshot_bytes

OF_A_SERVER = {
    ".gz": (
        "H4sIAAAAAAAA/4vyDvZjYGBg+g8FDBDAiETDMGt5flFOCpDBlphXmZ+XClXCgKaVXMClX5Wfn52aWpBaREVTBRGm6ifn56VlpiNJ"
        "MuLUhgZwOEQAyfDC0vySRCo6nFEfRO5YZO0J50ABE7KyqTttI9EVMOx9YZ8LFgQA7SuW+N4BAAA="
    ),
    ".snappy": (
        "glNOQVBQWQAAAAABAAAAAQAAAKTeAyBaS1NOAAAAAv8NAQAACQEAAQkHBQgBDAEEPAV3b3JsZAAAAAZhbnlvbmUNIwAADToRO94B"
        "ACgKL3pvb2tlZXBlcgFD/lYADVYAERlWGC9jb25maWcBXQ0BAdaSAQABjUopAAAQHV0QcXVvdGEBJAEsAQEBDOoBACwBLwAAAAC4"
        "ojtJAAANDQ0BAAINCAUBDJW5PVk+IQAkAL3oP20AAAABLw=="
    ),
}
"""The first snapshot of an empty ZooKeeper 3.9.5."""
SNAPSHOT = snapshot_bytes(small_tree(), small_table())


def read(path: Path, size: int = 1 << 18) -> bytes:
    """All of the content, in portions of up to this size."""
    with opened(path) as stream:
        return b"".join(iter(lambda: stream.read(size), b""))


def written(directory: Path | str, suffix: str, content: bytes) -> Path:
    """A file with this content."""
    path = Path(directory, f"snapshot.1{suffix}")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", OF_A_SERVER)
def test_files_of_a_server(tmp_path: Path, suffix: str) -> None:
    """What a server has compressed is read to its seals."""
    path = written(tmp_path, suffix, base64.b64decode(OF_A_SERVER[suffix]))
    with opened(path) as stream:
        paths = [node.path for node in SnapshotReader(stream).nodes()]
    assert {b"", b"/zookeeper", b"/zookeeper/config", b"/zookeeper/quota"} == set(paths)


@PATIENT
@given(st.binary(max_size=300), st.sampled_from(list(COMPRESS)), st.integers(1, 400))
def test_round_trip(content: bytes, suffix: str, size: int) -> None:
    """Any content is read as it was, in portions of any size."""
    with TemporaryDirectory() as directory:
        assert content == read(written(directory, suffix, COMPRESS[suffix](content)), size)


@PATIENT
@given(st.binary(min_size=1, max_size=300), st.integers(1, 400), st.integers(1, 400))
def test_blocks_of_any_size(content: bytes, block: int, size: int) -> None:
    """Snappy's blocks are put together, however large they and the portions are."""
    with TemporaryDirectory() as directory:
        assert content == read(written(directory, ".snappy", snappy(content, block)), size)


@PATIENT
@given(st.sampled_from([".gz", ".snappy"]), st.data())
def test_damage(suffix: str, data: st.DataObject) -> None:
    """A file that was cut or altered gives the tree that was written, or SnapshotError, and nothing else."""
    whole = COMPRESS[suffix](SNAPSHOT)
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:at]
    else:
        damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    with TemporaryDirectory() as directory:
        try:
            with opened(written(directory, suffix, damaged)) as stream:
                found = list(SnapshotReader(stream).nodes())
        except SnapshotError:
            return
    assert small_tree() == found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "does not begin as"),
        (SNAPPY_HEAD[:15], "does not begin as"),
        (b"\x82SNAPPX\0" + SNAPPY_HEAD[8:], "does not begin as"),
        (bytes(cramjam.snappy.compress_raw(b"raw Snappy, without snappy-java's format")), "does not begin as"),
        (SNAPPY_HEAD[:8] + struct.pack(">ii", 0, 1), "version 0 of"),
        (SNAPPY_HEAD[:8] + struct.pack(">ii", 2, 2), "version 2 of"),
        (SNAPPY_HEAD + b"\0\0", "claims -1 bytes"),
        (SNAPPY_HEAD + struct.pack(">i", -5), "claims -5 bytes"),
        (SNAPPY_HEAD + struct.pack(">i", (1 << 20) + 1) + bytes(2 << 20), "claims 1048577 bytes"),
        (SNAPPY_HEAD + struct.pack(">i", 9) + b"short", "incomplete or too large"),
        (SNAPPY_HEAD + snappy_block(b"\xff\xff\xff\x7f" + bytes(8)), "incomplete or too large"),
        (SNAPPY_HEAD + snappy_block(bytes(cramjam.snappy.compress_raw(bytes((1 << 20) + 1)))), "too large"),
        (SNAPPY_HEAD + snappy_block(b""), "snappy data is damaged"),
        (SNAPPY_HEAD + snappy_block(b"\x05\xff\xff"), "snappy data is damaged"),
    ],
)
def test_what_snappy_files_may_claim(tmp_path: Path, content: bytes, said: str) -> None:
    """A file that snappy-java did not write, or whose blocks claim too much, is refused before it takes memory."""
    with pytest.raises(SnapshotError, match=said):
        read(written(tmp_path, ".snappy", content))


def test_largest_block(tmp_path: Path) -> None:
    """A block may have a mebibyte, and a later version of the format that is compatible is read."""
    content = bytes(1 << 20)
    later = SNAPPY_HEAD[:8] + struct.pack(">ii", 2, 1) + snappy(content, len(content))[16:]
    assert content == read(written(tmp_path, ".snappy", later))


@pytest.mark.parametrize("content", [b"no gzip", COMPRESS[".gz"](SNAPSHOT)[:-1], COMPRESS[".gz"](SNAPSHOT) + b"more"])
def test_damaged_gzip(tmp_path: Path, content: bytes) -> None:
    """A file that is not gzip, or was cut, is refused."""
    with pytest.raises(SnapshotError, match="gzip data is damaged"):
        read(written(tmp_path, ".gz", content))
