"""The znode of a topic's schema."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.schema_locator import LocatedVersion, last_tombstone, versions
from metadata_tool.pulsar.schema_locator_pb2 import SchemaIndexEntry, SchemaLocator
from support.trees import PATIENT

WRITTEN_BY_4_0_8 = bytes.fromhex(
    "0a0a080212040806100 01a00".replace(" ", "")
    + "122a0800120408041000"
    + "1a20"
    + "2d" * 32
    + "120a080212040806100 01a00".replace(" ", "")
)


def locator(hashes: list[bytes]) -> bytes:
    """A locator of versions with these hashes."""
    index = [
        SchemaIndexEntry(version=number, position={"ledgerId": 4 + number, "entryId": 0}, hash=sha256)
        for number, sha256 in enumerate(hashes)
    ]
    return SchemaLocator(info=index[-1], index=index).SerializeToString()


@PATIENT
@given(st.lists(st.just(b"") | st.binary(min_size=32, max_size=32), min_size=1, max_size=9))
def test_round_trip(hashes: list[bytes]) -> None:
    """Every version comes with its hash, in order, and the last tombstone is found."""
    found = versions(locator(hashes))
    assert [LocatedVersion(number, sha256) for number, sha256 in enumerate(hashes)] == list(found)
    assert max((number for number, sha256 in enumerate(hashes) if not sha256), default=-1) == last_tombstone(found)


def test_written_by_pulsar() -> None:
    """The bytes of a broker are read: one version, and a tombstone."""
    assert (LocatedVersion(0, b"\x2d" * 32), LocatedVersion(2, b"")) == versions(WRITTEN_BY_4_0_8)


@pytest.mark.parametrize("value", [b"", b"\xff", b"\x12\x00", locator([b"1" * 32])[:-3]])
def test_damaged(value: bytes) -> None:
    """A damaged locator is refused."""
    with pytest.raises(UndecodableError, match="not a SchemaLocator"):
        versions(value)
