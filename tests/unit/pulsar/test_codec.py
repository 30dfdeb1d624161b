"""Managed ledgers and cursors as znodes hold them."""

import contextlib
import struct
import zlib
from collections.abc import Callable

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.codec import UndecodableError, encode, managed_cursor, managed_ledger, require_whole
from metadata_tool.pulsar.managed_ledger_pb2 import Compression, ManagedLedgerInfo
from support.trees import PATIENT


def flushed(stream: "zlib._Compress", value: bytes) -> bytes:
    """As CompressionCodecZLib does it: flushed, never ended."""
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
    """A value as a broker writes it that compresses; `size` is what the header claims."""
    head = Compression(compressionType=name, uncompressedSize=len(value) if size is None else size).SerializeToString()
    return struct.pack(">Hi", 0x4778, len(head)) + head + COMPRESSIONS[name](value)


@st.composite
def infos(draw: st.DrawFn) -> ManagedLedgerInfo:
    """Any list of ledgers."""
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
    """A list of ledgers is read, plain and in every compression that Pulsar has."""
    value = info.SerializeToString()
    assert info == managed_ledger(value if name is None else compressed(name, value))


@PATIENT
@given(infos(), st.sampled_from([None, *COMPRESSIONS]))
def test_written_as_it_was_saved(info: ManagedLedgerInfo, name: str | None) -> None:
    """What takes a value's place is compressed as that was, or plain as that was."""
    saved = SMALL.SerializeToString() if name is None else compressed(name, SMALL.SerializeToString())
    written = encode(info, saved)
    assert info == managed_ledger(written)
    assert (name is not None) == written.startswith(b"\x47\x78")
    assert saved[:8] == encode(SMALL, saved)[:8]  # the magic, its header's size, the kind of compression


@pytest.mark.parametrize("name", [name for name in COMPRESSIONS if name != "NONE"])
def test_long_lists_stay_small(name: str) -> None:
    """A list of ledgers that only fits because it is compressed still fits when it has been written anew."""
    long = ManagedLedgerInfo(ledgerInfo=[{"ledgerId": n, "entries": 50_000, "size": 1 << 27} for n in range(50_000)])
    saved = compressed(name, long.SerializeToString())
    assert len(encode(long, saved)) < 1.1 * len(saved)


def test_nothing_is_an_empty_list() -> None:
    """A topic without data has no ledgers."""
    assert ManagedLedgerInfo() == managed_ledger(b"")


@PATIENT
@given(st.binary(min_size=1, max_size=20))
def test_unknown_fields_are_kept(value: bytes) -> None:
    """What a later Pulsar adds is written again as it was."""
    later = SMALL.SerializeToString() + b"\xfa\x07" + bytes([len(value)]) + value  # field 127, of bytes
    assert sorted(later) == sorted(managed_ledger(later).SerializeToString())


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_cut(name: str) -> None:
    """A compressed value that was cut is no list of ledgers, or, where nothing that matters was cut, the whole one."""
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
    """A stream that was ended is read, too."""
    value = SMALL.SerializeToString()
    head = compressed("ZLIB", value)[: -len(COMPRESSIONS["ZLIB"](value))]
    assert SMALL == managed_ledger(head + zlib.compress(value))


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("size", [0, 1, 399, 401, 1 << 20, (1 << 31) - 1, -1])
def test_wrong_size(name: str, size: int) -> None:
    """A compressed value of another size than it claims is refused, and takes no more memory than it claims."""
    value = compressed(name, b"\0" * 400, size)
    with pytest.raises(UndecodableError):
        managed_ledger(value)


@PATIENT
@given(st.binary(max_size=200))
def test_anything(value: bytes) -> None:
    """Any bytes are read or refused as undecodable, nothing else."""
    for value_or_compressed in (value, b"\x47\x78" + value):
        for read in (managed_ledger, managed_cursor):
            with contextlib.suppress(UndecodableError):
                read(value_or_compressed)


def test_cursor_needs_its_ledger() -> None:
    """A cursor without the one field that it must have is none."""
    with pytest.raises(UndecodableError, match="a field is missing"):
        require_whole(managed_cursor(b""))
    with pytest.raises(UndecodableError, match="a field is missing"):
        encode(managed_cursor(b""), b"")
