"""Temporary directories that are removed after use. The next run removes those of a killed run."""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metadata_tool.errors import SpoolFailed

_PREFIX = "metadata-tool-"
_LOCK = "lock"


@contextmanager
def workspace(spool_dir: Path) -> Iterator[Path]:
    """An empty directory below `spool_dir` (SPOOL_DIR), removed at the end.

    Raises:
        SpoolFailed: the directory cannot be created, or the caller could not use it (OSError), as on a full disk.
    """
    with explained(spool_dir), scratch(spool_dir) as directory:
        yield directory


@contextmanager
def explained(spool_dir: Path) -> Iterator[None]:
    """Turns an OSError of the block into an error about SPOOL_DIR.

    Raises:
        SpoolFailed: the block could not use the directory, as on a full disk.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output has ended, the directory is fine
    except OSError as error:
        raise SpoolFailed(
            f"SPOOL_DIR {spool_dir} cannot be used: {error.strerror or error}",
            "Make it a writable directory with free space for about 2.5 times the size of the tree",
        ) from error


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """An empty directory below `parent`, removed at the end.

    Raises:
        OSError: the directory cannot be created.
    """
    _remove_abandoned(parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True) as name:
        unheld = Path(name, "new-lock")
        lock = os.open(unheld, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unheld.rename(unheld.with_name(_LOCK))  # the lock is held by now, so no other run removes the directory
            yield Path(name)
        finally:
            os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    """Remove directories of runs that were killed. No process holds the lock of such a directory.

    Anyone may make files of these names in a shared directory, such as a pipe that nobody reads, or a link.
    """
    for directory in parent.glob(f"{_PREFIX}*"):
        try:
            if _is_own_directory(directory):
                _remove_unless_locked(directory)
        except OSError:
            continue  # another run has removed it, or holds its lock


def _is_own_directory(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _remove_unless_locked(directory: Path) -> None:
    lock = os.open(directory / _LOCK, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)
