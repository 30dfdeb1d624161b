import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.zookeeper import stat as layout
from metadata_tool.zookeeper.stat import Stat, is_ephemeral, stored_stat, without_aversion
from support.trees import PATIENT, client_stat, int64s, stats

counts = st.integers(0, (1 << 31) - 1)


@PATIENT
@given(stats)
def test_stat_round_trip(stat: Stat) -> None:
    """A Stat comes back from the 60 bytes of a snapshot."""
    stored = stat.pack()
    assert (60, stat) == (len(stored), Stat.unpack(stored))


@PATIENT
@given(stats, counts, counts, counts)
def test_stored_stat(stat: Stat, cversion: int, length: int, children: int) -> None:
    """The stored stat is restored from a client's, with any counter and any number of children."""
    expected = stat._replace(cversion=cversion)
    assert expected == Stat.unpack(stored_stat(client_stat(expected, length, children)))


@pytest.mark.parametrize(
    ("seen", "children", "expected"),
    [
        (0, 0, 0),
        (-1, 1, 0),
        (-2, 2, 0),
        (-3, 5, 1),
        (7, 3, 5),
        ((1 << 31) - 1, 1, 1 << 30),
        (-(1 << 31), 0, 1 << 30),
        (-(1 << 31) + 1, 3, (1 << 30) + 2),
        (-2, 0, (1 << 31) - 1),
    ],
)
def test_stored_cversion(seen: int, children: int, expected: int) -> None:
    """Negative and wrapped counters of a client give the stored ones."""
    wire = struct.pack(">qqqqiiiqiiq", 1, 2, 3, 4, 5, seen, 6, 7, 8, children, 9)
    assert expected == Stat.unpack(stored_stat(wire)).cversion


@PATIENT
@given(stats, int64s | st.just(0))
def test_is_ephemeral(stat: Stat, owner: int) -> None:
    """A znode is ephemeral if it has an owner, whichever."""
    assert (owner != 0) == is_ephemeral(client_stat(stat._replace(ephemeral_owner=owner)))


@PATIENT
@given(stats)
def test_slices(stat: Stat) -> None:
    """Every named slice is where both forms of a stat have that field."""
    wire, stored = client_stat(stat, 7, 5), stat.pack()
    long, int_ = struct.Struct(">q").pack, struct.Struct(">i").pack
    for form in (wire, stored):
        assert (long(stat.czxid), long(stat.ctime)) == (form[layout.CZXID], form[layout.CTIME])
        assert (int_(stat.aversion), long(stat.ephemeral_owner)) == (form[layout.AVERSION], form[layout.OWNER])
    assert (int_(stat.cversion), long(stat.pzxid)) == (stored[layout.CVERSION], stored[layout.STORED_PZXID])
    sizes = (wire[layout.DATA_LENGTH], wire[layout.CHILDREN])
    assert (int_(7), int_(5), long(stat.pzxid)) == (*sizes, wire[layout.WIRE_PZXID])
    assert stored == stored[layout.SHARED] + stored[layout.STORED_PZXID]


@PATIENT
@given(stats, st.integers(0, 100))
def test_without_aversion(stat: Stat, aversion: int) -> None:
    """Only aversion makes no difference."""
    other = stat._replace(aversion=aversion)
    assert without_aversion(stat.pack()) == without_aversion(other.pack())
    assert without_aversion(stat.pack()) != without_aversion(other._replace(version=stat.version ^ 1).pack())


@PATIENT
@given(stats, st.binary(max_size=9))
def test_at_end(stat: Stat, before: bytes) -> None:
    """A field of a stat at the end of some bytes is found from the end."""
    for part in (layout.CZXID, layout.OWNER, layout.STORED_PZXID):
        assert stat.pack()[part] == (before + stat.pack())[layout.at_end(part, layout.STORED_SIZE)]
