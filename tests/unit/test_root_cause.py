"""Errors of the system behind errors of a place."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metadata_tool.cli import main
from metadata_tool.errors import OpenFilesExhausted, SpoolFailed
from metadata_tool.root_cause import explained, is_full_disk
from metadata_tool.workspace import workspace
from support.backups import make_backup


@contextmanager
def open_files(limit: int) -> Iterator[None]:
    """This process may open few files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def next_descriptor() -> int:
    """The number that the next file gets."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


@pytest.mark.parametrize("verb", ["verify", "list"])
def test_too_many_open_files(verb: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that may open no more files says so, and does not blame the directory that it opens."""
    point = make_backup(folder)
    settings = {"BUCKET": f"file://{folder}", "BACKUP_PREFIX": point.name.prefix, "SPOOL_DIR": str(tmp_path)}
    arguments = [str(point)] if verb == "verify" else []
    main([verb, *arguments], settings)  # everything is imported by now
    capsys.readouterr()
    limit = next_descriptor()
    with open_files(limit):
        assert OpenFilesExhausted.exit_code == main([verb, *arguments], settings)
    said = (
        f"error: too many files are open, and this process may open {limit}. Raise the limit on open files (ulimit -n)."
    )
    assert said == capsys.readouterr().err.splitlines()[-1]


def fail(number: int) -> None:
    """Fail as a library does, by an error of the system."""
    try:
        raise OSError(number, "an error of the system")
    except OSError as error:
        raise OSError("an error of a library") from error


@pytest.mark.parametrize(
    ("number", "kind", "full"),
    [
        (errno.EMFILE, OpenFilesExhausted, False),
        (errno.ENFILE, OpenFilesExhausted, False),
        (errno.ENOSPC, SpoolFailed, True),
        (errno.EDQUOT, SpoolFailed, True),
        (errno.EROFS, SpoolFailed, False),
    ],
)
def test_cause_of_a_cause(number: int, kind: type[Exception], tmp_path: Path, *, full: bool) -> None:
    """The cause is found through the errors of libraries."""
    with pytest.raises(SpoolFailed) as caught, workspace(tmp_path):
        fail(number)
    assert (kind, full) == (type(explained(caught.value)), is_full_disk(caught.value))


def test_errors_in_a_circle() -> None:
    """Errors that name each other as their context end the search."""
    first, second = SpoolFailed("first"), OSError(errno.EIO, "second")
    first.__context__, second.__context__ = second, first
    assert first is explained(first)
