import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.zookeeper.errors import DecodeError
from metadata_tool.zookeeper.jute import (
    OPEN_ACL,
    Acl,
    buffer,
    pack_acls,
    read_buffer,
    unpack_acls,
)
from support.trees import PATIENT, acls


@PATIENT
@given(st.none() | st.binary(), st.binary(), st.binary())
def test_buffer_round_trip(value: bytes | None, before: bytes, after: bytes) -> None:
    """A buffer, null or empty or full, comes back from the middle of a message."""
    encoded = buffer(value)
    expected = (value, len(before) + len(encoded))
    assert expected == read_buffer(before + encoded + after, len(before))


@pytest.mark.parametrize(
    ("value", "expected"), [(None, b"\xff\xff\xff\xff"), (b"", b"\0\0\0\0"), (b"ab", b"\0\0\0\2ab")]
)
def test_buffer_bytes(value: bytes | None, expected: bytes) -> None:
    """A buffer is its length in four bytes, big-endian, and its content. Null is the length -1."""
    assert expected == buffer(value)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0\0\0", id="length cut"),
        pytest.param(b"\0\0\0\1", id="content missing"),
        pytest.param(b"\0\0\0\3ab", id="content cut"),
        pytest.param(b"\x7f\xff\xff\xffab", id="largest"),
        pytest.param(b"\xff\xff\xff\xfe", id="-2"),
        pytest.param(b"\x80\0\0\0", id="smallest"),
    ],
)
def test_buffer_that_does_not_fit(source: bytes) -> None:
    """A buffer that claims too many bytes or a negative number is refused."""
    with pytest.raises(DecodeError, match=r"too early|claims"):
        read_buffer(source, 0)


@PATIENT
@given(acls, st.binary(), st.binary())
def test_acl_round_trip(entries: list[Acl], before: bytes, after: bytes) -> None:
    """An ACL comes back from the middle of a message."""
    encoded = pack_acls(entries)
    expected = (entries, len(before) + len(encoded))
    assert expected == unpack_acls(before + encoded + after, len(before))


def test_acl_bytes() -> None:
    """The open ACL has the bytes that ZooKeeper gives it."""
    expected = b"\0\0\0\1\0\0\0\x1f\0\0\0\5world\0\0\0\6anyone"
    assert expected == OPEN_ACL


@PATIENT
@given(acls, st.data())
def test_acl_cut(entries: list[Acl], data: st.DataObject) -> None:
    """An ACL that ends too early is refused, wherever it was cut."""
    encoded = pack_acls(entries)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError, match=r"too early|claims"):
        unpack_acls(encoded[:cut])


def test_acl_not_utf8() -> None:
    """An ACL whose text is not UTF-8, as Java writes some characters, comes back byte for byte."""
    encoded = pack_acls([Acl(31, "digest", "user")]).replace(b"user", b"\xed\xa0\x80r")
    assert encoded == pack_acls(unpack_acls(encoded)[0])
