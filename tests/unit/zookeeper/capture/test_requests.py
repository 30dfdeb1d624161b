"""The answers to the requests of a capture."""

import struct

import pytest

from metadata_tool.zookeeper.capture.requests import ReadZnodes
from metadata_tool.zookeeper.errors import DecodeError
from metadata_tool.zookeeper.protocol import GET_CHILDREN, NO_NODE, REFUSED

LAST = struct.pack(">i?i", -1, True, -1)
GONE = struct.pack(">i?ii", REFUSED, False, NO_NODE, NO_NODE)
NO_CHILDREN = struct.pack(">i?ii", GET_CHILDREN, False, 0, 0)


@pytest.mark.parametrize(("answers", "said"), [(b"", 0), (GONE, 1), (GONE + GONE, 2)])
def test_list_of_children_instead_of_data(answers: bytes, said: int) -> None:
    """An answer to another read than that of the data is an error: the znode would count as read, and as unchanged."""
    with pytest.raises(DecodeError, match=f"2 reads of data have {said} answers, and 1 lists of children"):
        ReadZnodes.of([b"/a", b"/b"]).replies(answers + NO_CHILDREN + LAST)
