"""Values of managed-ledger and cursor znodes."""

import contextlib
import struct
import zlib
from collections.abc import Callable

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.codec import UndecodableError, encode, managed_cursor, managed_ledger, require_complete
from metadata_tool.pulsar.managed_ledger_pb2 import Compression, ManagedLedgerInfo
from support.trees import PATIENT


def flushed(stream: "zlib._Compress", value: bytes) -> bytes:
    """Compressed as CompressionCodecZLib does it: flushed, but never ended."""
    return stream.compress(value) + stream.flush(zlib.Z_SYNC_FLUSH)


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "NONE": bytes,
    "LZ4": lambda value: bytes(cramjam.lz4.compress_block(value, store_size=False)),
    "ZLIB": lambda value: flushed(zlib.compressobj(), value),
    "ZSTD": lambda value: bytes(cramjam.zstd.compress(value)),
    "SNAPPY": lambda value: bytes(cramjam.snappy.compress_raw(value)),
}
int64s = st.integers(-(1 << 63), (1 << 63) - 1)


def compressed(name: str, value: bytes, size: int | None = None) -> bytes:
    """A compressed value as brokers write it. `size` is the size that its header claims."""
    head = Compression(compressionType=name, uncompressedSize=len(value) if size is None else size).SerializeToString()
    return struct.pack(">Hi", 0x4778, len(head)) + head + COMPRESSIONS[name](value)


@st.composite
def infos(draw: st.DrawFn) -> ManagedLedgerInfo:
    """Lists of ledgers."""
    info = ManagedLedgerInfo()
    for ledger_id, entries, complete in draw(st.lists(st.tuples(int64s, int64s, st.booleans()), max_size=20)):
        ledger = info.ledgerInfo.add(ledgerId=ledger_id, entries=entries)
        if complete:
            ledger.offloadContext.complete = True
    return info


SMALL = ManagedLedgerInfo(ledgerInfo=[{"ledgerId": n, "entries": 100, "size": 4096} for n in range(50)])


@PATIENT
@given(infos(), st.sampled_from([None, *COMPRESSIONS]))
def test_round_trip(info: ManagedLedgerInfo, name: str | None) -> None:
    """A list of ledgers is decoded, plain and with every compression that Pulsar has."""
    value = info.SerializeToString()
    assert info == managed_ledger(value if name is None else compressed(name, value))


@PATIENT
@given(infos(), st.sampled_from([None, *COMPRESSIONS]))
def test_compressed_as_before(info: ManagedLedgerInfo, name: str | None) -> None:
    """A new value has the same compression as the saved one, or is plain too."""
    saved = SMALL.SerializeToString() if name is None else compressed(name, SMALL.SerializeToString())
    new = encode(info, saved)
    assert info == managed_ledger(new)
    assert (name is not None) == new.startswith(b"\x47\x78")
    assert saved[:8] == encode(SMALL, saved)[:8]  # the magic, the size of the header, the type of compression


@pytest.mark.parametrize("name", [name for name in COMPRESSIONS if name != "NONE"])
def test_long_lists_stay_small(name: str) -> None:
    """A list of ledgers that only fits in a znode because it is compressed still fits when it is written again."""
    long = ManagedLedgerInfo(ledgerInfo=[{"ledgerId": n, "entries": 50_000, "size": 1 << 27} for n in range(50_000)])
    saved = compressed(name, long.SerializeToString())
    assert len(encode(long, saved)) < 1.1 * len(saved)


def test_empty_value() -> None:
    """A topic with an empty value has no ledgers."""
    assert ManagedLedgerInfo() == managed_ledger(b"")


@PATIENT
@given(st.binary(min_size=1, max_size=20))
def test_unknown_fields_are_kept(value: bytes) -> None:
    """A field that a later Pulsar adds is kept."""
    later = SMALL.SerializeToString() + b"\xfa\x07" + bytes([len(value)]) + value  # field 127, bytes
    assert sorted(later) == sorted(managed_ledger(later).SerializeToString())


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_truncated(name: str) -> None:
    """A truncated value cannot be decoded, or is complete because the missing bytes did not matter."""
    whole = compressed(name, SMALL.SerializeToString())
    accepted = []
    for cut in range(7, len(whole)):
        try:
            accepted.append(managed_ledger(whole[:cut]))
        except UndecodableError:
            continue
    assert [] == [info for info in accepted if info != SMALL]
    assert len(accepted) < 8


def test_zlib_that_was_ended() -> None:
    """A ZLIB stream that was ended is decoded too."""
    value = SMALL.SerializeToString()
    head = compressed("ZLIB", value)[: -len(COMPRESSIONS["ZLIB"](value))]
    assert SMALL == managed_ledger(head + zlib.compress(value))


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("size", [0, 1, 399, 401, 1 << 20, (1 << 31) - 1, -1])
def test_wrong_size(name: str, size: int) -> None:
    """A compressed value with a wrong size in its header is refused."""
    value = compressed(name, b"\0" * 400, size)
    with pytest.raises(UndecodableError):
        managed_ledger(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"\xff", "not a ManagedLedgerInfo"),
        (b"\x47\x78\0\0\0\0", "its compression header is incomplete"),
        (b"\x47\x78\xff\xff\xff\xff", "its compression header is truncated"),
        (compressed("LZ4", SMALL.SerializeToString())[:8], "its compression header is truncated"),
        (b"\x47\x78\0\0\0\1\xff", "its compression header is damaged"),
        (compressed("NONE", b"abc", -1), "its compression header claims -1 bytes"),
        (compressed("NONE", b"abc", 64 << 20), "its NONE data has 3 bytes instead of 67108864"),
        (compressed("NONE", b"abc", (64 << 20) + 1), "its compression header claims 67108865 bytes"),
        (compressed("ZLIB", b"\0" * 400, 1), "its ZLIB data has 2 bytes instead of 1"),  # no more is decompressed
        (compressed("ZLIB", b"abc")[:10] + b"\xff" * 8, "its ZLIB data is damaged"),
    ],
)
def test_why_it_is_refused(value: bytes, said: str) -> None:
    """What is refused says why."""
    with pytest.raises(UndecodableError, match=f"^{said}$"):
        managed_ledger(value)


@PATIENT
@given(st.binary(max_size=200))
def test_anything(value: bytes) -> None:
    """Any bytes are decoded or raise UndecodableError, and nothing else."""
    for value_or_compressed in (value, b"\x47\x78" + value):
        for read in (managed_ledger, managed_cursor):
            with contextlib.suppress(UndecodableError):
                read(value_or_compressed)


def test_required_field() -> None:
    """A cursor without its required field is refused."""
    with pytest.raises(UndecodableError, match="a required field is missing"):
        require_complete(managed_cursor(b""))
    with pytest.raises(UndecodableError, match="a required field is missing"):
        encode(managed_cursor(b""), b"")
