import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.errors import DecodeError
from metadata_tool.zookeeper.jute import buffer
from metadata_tool.zookeeper.protocol import DataReply, Refusal, Reply
from support.trees import EXAMPLES, PATIENT

LAST = struct.pack(">i?i", -1, True, -1)
stats = st.binary(min_size=68, max_size=68)
data = st.none() | st.binary(max_size=300)
replies = st.one_of(
    st.builds(DataReply, data.map(buffer), stats),
    st.lists(st.binary(min_size=1, max_size=30)),
    st.builds(Refusal, st.integers(-200, -1)),
)


def answer(reply: Reply) -> bytes:
    """As a server sends it (MultiResponse)."""
    if isinstance(reply, DataReply):
        return struct.pack(">i?i", 4, False, 0) + reply.data + reply.stat
    if isinstance(reply, Refusal):
        return struct.pack(">i?ii", -1, False, reply.code, reply.code)
    return struct.pack(">i?ii", 8, False, 0, len(reply)) + b"".join(map(buffer, reply))


@PATIENT
@given(st.lists(replies))
def test_replies(expected: list[Reply]) -> None:
    """The reply to a multi-read is decoded: data, null or empty, lists, refusals."""
    assert expected == protocol.read_replies(b"".join(map(answer, expected)) + LAST)


@PATIENT
@given(st.lists(replies, min_size=1), st.data())
def test_cut_replies(whole: list[Reply], choice: st.DataObject) -> None:
    """A truncated reply is an error, or has fewer answers, but never different ones."""
    content = b"".join(map(answer, whole)) + LAST
    cut = content[: choice.draw(st.integers(0, len(content) - 1))]
    try:
        found = protocol.read_replies(cut)
    except DecodeError:
        return
    assert whole[: len(found)] == found
    assert len(found) < len(whole)


@pytest.mark.parametrize("size", [0, -1, -4, -(1 << 31), (1 << 31) - 1])
def test_name_of_a_wrong_size(size: int) -> None:
    """A short reply that claims two thousand million names is an error at once."""
    lists = struct.pack(">i?ii", 8, False, 0, (1 << 31) - 1) + struct.pack(">i", size) + b"name"
    with pytest.raises(DecodeError, match="ends too early"):
        protocol.read_replies(lists + LAST)


def test_no_name() -> None:
    """A child without a name is an error."""
    lists = struct.pack(">i?iiii", 8, False, 0, 2, 0, 1) + b"a"
    with pytest.raises(DecodeError, match="no name"):
        protocol.read_replies(lists + LAST)


def test_unknown_type() -> None:
    """An answer of an unknown type is an error."""
    with pytest.raises(DecodeError, match="unknown type 12"):
        protocol.read_replies(struct.pack(">i?ii", 12, False, 0, 0) + LAST)


def test_multi_read() -> None:
    """A request holds reads of data, then of lists, each as in MultiOperationRecord. The root is a slash."""
    expected = struct.pack(">i?ii", 4, False, -1, 1) + b"/\0" + struct.pack(">i?ii", 8, False, -1, 2) + b"/a\0" + LAST
    assert expected == protocol.multi_read([protocol.on_wire(b"")], [protocol.on_wire(b"/a")])


@pytest.mark.parametrize(("path", "expected"), [(b"/", b""), (b"/a", b"/a"), (None, b"")])
def test_event(path: bytes | None, expected: bytes) -> None:
    """An event has a type and a path. The root is empty, as in a snapshot."""
    assert (3, expected) == protocol.event(struct.pack(">ii", 3, 3) + buffer(path))


writes = st.lists(st.integers(-200, 0), min_size=1, max_size=5)
"""The error of each write, 0 for none."""


def written(errors: list[int]) -> bytes:
    """The answer to writes. If one has an error, each has one, or 0 in its place."""
    each = [struct.pack(">i?ii", -1, False, error, error) for error in errors]
    return b"".join(each if any(errors) else [struct.pack(">i?i", 5, False, 0) + bytes(68)] * len(errors)) + LAST


@settings(PATIENT, max_examples=EXAMPLES // 4)
@given(writes)
def test_errors_of_writes(errors: list[int]) -> None:
    """The answer to writes at once has the error of each. One that was cut off, or is longer, is refused."""
    body = written(errors)
    assert errors == protocol.multi_errors(body)
    for damaged in (*(body[:end] for end in range(len(body))), body + b"\0"):
        with pytest.raises(DecodeError):
            protocol.multi_errors(damaged)


def test_answer_to_other_writes() -> None:
    """An answer of another kind is refused."""
    with pytest.raises(DecodeError, match="unknown type 1"):
        protocol.multi_errors(struct.pack(">i?i", 1, False, 0) + LAST)
