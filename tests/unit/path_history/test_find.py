"""Paths that match a pattern, over backups."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from metadata_tool.archive import Archive, opened
from metadata_tool.catalog import Backup
from metadata_tool.errors import ArchiveCorrupt
from metadata_tool.path_history import find
from metadata_tool.path_history.find import Found
from metadata_tool.path_history.names import pattern
from support.backups import make_backup
from support.damage import damaged_gzip

TREES: list[Mapping[bytes, bytes | None]] = [
    {b"": None, b"/a": b"", b"/a/gone": b"", b"/a/kept": b""},
    {b"": None, b"/a": b"", b"/a/between": b"", b"/a/kept": b""},
    {b"": None, b"/a": b"", b"/a/kept": b"", b"/a/new": b""},
]


def found(folder: Path, glob: str, damaged: int | None = None) -> Found:
    """What is found in backups of the trees, of which one may be damaged."""
    backups = []
    for number, tree in enumerate(TREES):
        point = make_backup(folder, timestamp=number * 1000, tree=tree)
        backups.append(Backup(point.name, str(point), 1))
    if damaged is not None:
        path = folder / str(backups[damaged].name)
        path.write_bytes(damaged_gzip(path.read_bytes()))

    @contextmanager
    def opening(backup: Backup) -> Iterator[Archive]:
        with opened(folder / str(backup.name)) as file:
            yield file

    return find.find(lambda _: pattern(glob), backups, opening)


def test_where_paths_were_seen(tmp_path: Path) -> None:
    """Each path comes with the backups that have it first and last, if these are not all."""
    result = found(tmp_path, "/a/*")
    assert [
        "/a/gone  (last seen 1970-01-01T00:00:00.000Z, gone 1970-01-01T00:00:01.000Z)",
        "/a/kept",
        (
            "/a/between  (first seen 1970-01-01T00:00:01.000Z, last seen 1970-01-01T00:00:01.000Z, "
            "gone 1970-01-01T00:00:02.000Z)"
        ),
        "/a/new  (first seen 1970-01-01T00:00:02.000Z)",
    ] == list(result.lines())
    uris = [f"file://{tmp_path}/pulsar-{number * 1000}.tar.gz" for number in range(3)]
    assert {"path": "/a/gone", "firstSeen": uris[0], "lastSeen": uris[0]} == result.to_json()["paths"][0]


def test_the_root(tmp_path: Path) -> None:
    """The root is a path like others."""
    assert ["/"] == list(found(tmp_path, "/").lines())


def test_many_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that matches too much is cut off, and that is said."""
    monkeypatch.setattr(find, "MOST", 2)
    result = found(tmp_path, "/**")
    assert (2, "only the first 2 paths are shown", False) == (
        len(result.matches),
        list(result.lines())[-1],
        result.to_json()["complete"],
    )


def test_damaged_backup(tmp_path: Path) -> None:
    """A damaged backup is an error, so no path is called gone because of it."""
    with pytest.raises(ArchiveCorrupt):
        found(tmp_path, "/**", damaged=1)
