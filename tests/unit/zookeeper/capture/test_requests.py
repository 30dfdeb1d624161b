"""The answers to the requests of a capture."""

import struct

import pytest

from metadata_tool.zookeeper.capture.requests import ReadZnodes
from metadata_tool.zookeeper.errors import DecodeError
from metadata_tool.zookeeper.protocol import GET_CHILDREN

LAST = struct.pack(">i?i", -1, True, -1)
NO_CHILDREN = struct.pack(">i?ii", GET_CHILDREN, False, 0, 0)


def test_list_of_children_instead_of_data() -> None:
    """An answer to another read than that of the data is an error: the znode would count as read, and as unchanged."""
    with pytest.raises(DecodeError, match="0 answers to 1 reads of data"):
        ReadZnodes.of([b"/a"]).replies(NO_CHILDREN + LAST)
