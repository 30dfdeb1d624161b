"""The layout of an encrypted file, read as if an attacker had written it."""

import io

import pytest

from metadata_tool.encryption import container
from metadata_tool.errors import ArchiveCorrupt


class Endless(io.RawIOBase):
    """A file that has more data than fits into memory. Counts what was read."""

    count = 0

    def read(self, size: int = -1, /) -> bytes:
        """As much as is asked for."""
        assert size >= 0, "it is read to its end"
        self.count += size
        return bytes(size)


def test_data_after_the_end() -> None:
    """Of what follows the content, no more is read than must be there."""
    file = Endless()
    with pytest.raises(ArchiveCorrupt, match="does not end after its content"):
        container.require_end(file, 7)  # type: ignore[arg-type]
    assert file.count < 1 << 14
