"""Helpers for local files."""

import hashlib
from pathlib import Path

import pytest

from metadata_tool.files import sha256, sync_directory


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_sha256(size: int, tmp_path: Path) -> None:
    """The SHA-256 of a file is the one of its content."""
    path, content = tmp_path / "file", bytes(range(256)) * (size // 256 + 1)
    path.write_bytes(content[:size])
    assert hashlib.sha256(content[:size]).digest() == sha256(path)


def test_sync_directory(tmp_path: Path) -> None:
    """A directory is synced, and its files stay as they are."""
    (tmp_path / "file").write_text("content")
    sync_directory(tmp_path)
    assert "content" == (tmp_path / "file").read_text()


def test_sync_of_something_else(tmp_path: Path) -> None:
    """A path that is missing or not a directory is an error."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "missing")
