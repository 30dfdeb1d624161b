from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.tiered_storage.index import MANAGED_LEDGER, IndexDamagedError, OffloadIndex
from metadata_tool.tiered_storage.ledger_metadata_pb2 import LedgerMetadata
from support.offload import Offloaded, index_of

UUID_1 = UUID("c5a6d6e0-0d5e-4b0c-9c59-2b1c7a5f0001")


@st.composite
def ledgers(draw: st.DrawFn) -> Offloaded:
    """An offloaded ledger of one block or more."""
    entries = draw(st.integers(1, 1 << 40))
    data_length = draw(st.integers(1, 1 << 40))
    count = draw(st.integers(1, min(5, entries, data_length)))
    firsts = (
        sorted(draw(st.sets(st.integers(1, entries - 1), min_size=count - 1, max_size=count - 1))) if count > 1 else []
    )
    offsets = (
        sorted(draw(st.sets(st.integers(1, data_length - 1), min_size=count - 1, max_size=count - 1)))
        if count > 1
        else []
    )
    blocks = [
        (first, part, offset) for part, (first, offset) in enumerate(zip([0, *firsts], [0, *offsets], strict=True))
    ]
    return Offloaded(
        draw(st.uuids()),
        draw(st.integers(0, 1 << 62)),
        draw(st.text(max_size=40)),
        entries,
        draw(st.integers(0, 1 << 50)),
        data_length,
        draw(st.integers(0, 1 << 50)),
        blocks,
    )


@given(ledgers())
def test_index(ledger: Offloaded) -> None:
    """An index tells the data object's length, and topic, entries, size and time of its ledger."""
    expected = OffloadIndex(ledger.data_length, ledger.entries, ledger.size, ledger.created, ledger.managed_ledger)
    assert expected == OffloadIndex.parse(ledger.index())


@given(ledgers(), st.data())
def test_cut(ledger: Offloaded, data: st.DataObject) -> None:
    """An index that was cut, or has bytes after its end, is refused."""
    index = ledger.index()
    with pytest.raises(IndexDamagedError):
        OffloadIndex.parse(index[: data.draw(st.integers(0, len(index) - 1))])
    with pytest.raises(IndexDamagedError):
        OffloadIndex.parse(index + b"x")


@given(ledgers(), st.data())
def test_damage(ledger: Offloaded, data: st.DataObject) -> None:
    """A damaged byte is refused, or changes a value that is compared with the ledger list or the data object."""
    index = bytearray(ledger.index())
    position = data.draw(st.integers(0, len(index) - 1))
    index[position] ^= data.draw(st.integers(1, 255))
    with suppress(IndexDamagedError):
        assert OffloadIndex.parse(bytes(index))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Bytes that are not an index are refused, and never an exception of another kind."""
    with pytest.raises(IndexDamagedError):
        OffloadIndex.parse(data)


GOOD = Offloaded(UUID_1, 7)


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (b"", "fewer than a header"),
        (b"\0" * 40, "does not start as an index does"),
        (index_of(b"", 6000, [(0, 1, 0)]), "cannot be read|not closed"),
        (index_of(b"\xff", 6000, [(0, 1, 0)]), "cannot be read"),
        (index_of(b"\x18\x00", 6000, [(0, 1, 0)]), "not closed"),
        (Offloaded(UUID_1, 7, blocks=[]).index(), "first block"),
        (Offloaded(UUID_1, 7, blocks=[(1, 1, 0)]).index(), "first block"),
        (Offloaded(UUID_1, 7, blocks=[(0, 1, 5)]).index(), "first block"),
        (Offloaded(UUID_1, 7, blocks=[(0, 1, 0), (0, 2, 10)]).index(), "not in order"),
        (Offloaded(UUID_1, 7, blocks=[(0, 1, 0), (5, 2, 0)]).index(), "not in order"),
        (Offloaded(UUID_1, 7, blocks=[(0, 1, 0), (100, 2, 10)]).index(), "beyond the end"),
        (Offloaded(UUID_1, 7, blocks=[(0, 1, 0), (99, 2, 6000)]).index(), "beyond the end"),
        (Offloaded(UUID_1, 7, entries=0, size=1).index(), "bytes, and no entry"),
    ],
)
def test_why_it_is_refused(index: bytes, why: str) -> None:
    """A refusal says what is wrong."""
    with pytest.raises(IndexDamagedError, match=why):
        OffloadIndex.parse(index)


def metadata(**fields: Any) -> bytes:
    """The metadata of a ledger."""
    return LedgerMetadata(**{"length": 5000, "lastEntryId": 99, **fields}).SerializeToString()


def with_block_header(length: int) -> bytes:
    """An index whose blocks have headers of this length."""
    index = index_of(metadata(), 6000, [(0, 9, 0), (3, 2, 10)])
    return index[:16] + length.to_bytes(8, "big") + index[24:]


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (index_of(metadata(length=-1), 6000, [(0, 1, 0)]), "not closed"),
        (index_of(metadata(lastEntryId=-2, length=0), 6000, [(0, 1, 0)]), "not closed"),
        (with_block_header(0), "a length that cannot be"),
        (index_of(metadata(), 6000, [(0, 9, 0), (3, 2, 10), (3, 3, 20)]), "not in order"),
        (index_of(metadata(lastEntryId=0), 6000, [(0, 1, 0), (1, 2, 10)]), "beyond the end"),
        (
            index_of(metadata(customMetadata=[{"key": MANAGED_LEDGER, "value": b"\xff"}]), 6000, [(0, 1, 0)]),
            "not UTF-8",
        ),
        (Offloaded(UUID_1, 7).index() + b"x", "by its header"),
    ],
)
def test_what_cannot_be(index: bytes, why: str) -> None:
    """Lengths and ids that no broker writes are refused, each for its own reason."""
    with pytest.raises(IndexDamagedError, match=why):
        OffloadIndex.parse(index)


def test_smallest_block_header() -> None:
    """Blocks may have any header that is not empty, and come from parts in any order."""
    assert 6000 == OffloadIndex.parse(with_block_header(1)).data_length


def test_ledger_without_a_topic() -> None:
    """Ledgers of old versions do not name their topic."""
    assert "" == OffloadIndex.parse(Offloaded(UUID_1, 7, managed_ledger="").index()).managed_ledger
