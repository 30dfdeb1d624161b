"""A directory for the work in progress, gone afterwards; what a killed run left behind is cleared by the next."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metadata_tool.errors import SpoolFailed

_PREFIX = "metadata-tool-"
_LOCK = "lock"


@contextmanager
def workspace(spool_dir: Path) -> Iterator[Path]:
    """An empty directory below `spool_dir`.

    Raises:
        SpoolFailed: it cannot be made, or anything written to it fails, as on a full disk.
    """
    try:
        with scratch(spool_dir) as directory:
            yield directory
    except BrokenPipeError:
        raise  # a reader of our output has gone: not the directory's fault
    except OSError as error:
        raise SpoolFailed(
            f"SPOOL_DIR {spool_dir} cannot be used: {error.strerror or error}",
            "It must be writable, with room for about two and a half times the tree",
        ) from error


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """The same below any directory; its failures are OSErrors."""
    _clear_leftovers(parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True) as name:
        new = Path(name, "new-lock")
        lock = os.open(new, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(new.with_name(_LOCK))  # it shows once it is held, or another run might clear it
            yield Path(name)
        finally:
            os.close(lock)


def _clear_leftovers(spool_dir: Path) -> None:
    """Remove our directories whose lock nobody holds: their process is dead."""
    for lock_file in spool_dir.glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            lock = os.open(lock_file, os.O_WRONLY)
        except OSError:
            continue  # another user's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock_file.parent, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(lock)
