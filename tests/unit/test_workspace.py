"""Temporary directories below SPOOL_DIR."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metadata_tool.errors import BackupMissing, SpoolFailed
from metadata_tool.workspace import workspace

KILLED_AT_WORK = """
import os, signal, sys
from pathlib import Path
from metadata_tool.workspace import workspace
with workspace(Path(sys.argv[1])) as workdir:
    (workdir / "half").write_text("of the work")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_at_work(spool_dir: Path) -> Path:
    """The directory of a process that was killed while it worked."""
    before = set(spool_dir.iterdir())
    subprocess.run([sys.executable, "-c", KILLED_AT_WORK, str(spool_dir)], check=False, timeout=60)
    (left,) = set(spool_dir.iterdir()) - before
    return left


def test_workspace_is_a_directory_below_the_spool(tmp_path: Path) -> None:
    """A workspace is a directory below SPOOL_DIR."""
    with workspace(tmp_path) as workdir:
        (workdir / "file").write_text("work")
        assert [workdir] == list(tmp_path.iterdir())


def test_workspace_is_private(tmp_path: Path) -> None:
    """Only the owner can read a workspace, because it has all of the metadata."""
    with workspace(tmp_path) as workdir:
        assert 0o700 == workdir.stat().st_mode & 0o777


def test_workspace_is_removed(tmp_path: Path) -> None:
    """A workspace is removed when the work is done."""
    with workspace(tmp_path) as workdir:
        (workdir / "directory").mkdir()
        (workdir / "directory" / "file").write_text("work")
    assert [] == list(tmp_path.iterdir())


def fail_at_work(spool_dir: Path, error: BaseException) -> None:
    """Work that fails."""
    with workspace(spool_dir) as workdir:
        (workdir / "file").write_text("work")
        raise error


@pytest.mark.parametrize("error", [BackupMissing("gone"), RuntimeError("a fault"), KeyboardInterrupt()])
def test_workspace_is_removed_after_a_failure(error: BaseException, tmp_path: Path) -> None:
    """A workspace is removed when the work fails, and the error stays the same."""
    with pytest.raises(type(error)) as caught:
        fail_at_work(tmp_path, error)
    assert error is caught.value
    assert [] == list(tmp_path.iterdir())


def test_workspaces_are_separate(tmp_path: Path) -> None:
    """Two runs in one SPOOL_DIR have a workspace each, and the second does not remove the first."""
    with workspace(tmp_path) as first:
        (first / "file").write_text("of the first")
        with workspace(tmp_path) as second:
            assert first != second
        assert "of the first" == (first / "file").read_text()


def test_workspace_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    """The next run removes the workspace of a killed run."""
    left = kill_at_work(tmp_path)
    assert (left / "half").exists()
    with workspace(tmp_path):
        assert not left.exists()


def test_files_of_others_are_kept(tmp_path: Path) -> None:
    """Only workspaces are removed, no other files in SPOOL_DIR."""
    (tmp_path / "other-tool").mkdir()
    kept = [tmp_path / "other-tool" / "lock", tmp_path / "metadata-tool-notes", tmp_path / "lock"]
    for path in kept:
        path.write_text("kept")
    kill_at_work(tmp_path)
    with workspace(tmp_path):
        pass
    assert ["kept"] * len(kept) == [path.read_text() for path in kept]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_failing_disk(number: int, tmp_path: Path) -> None:
    """A file that cannot be written is reported as an error of SPOOL_DIR with the system's reason."""
    reason = OSError(number, "the reason")
    with pytest.raises(SpoolFailed, match="SPOOL_DIR") as caught, workspace(tmp_path):
        raise reason
    assert f"SPOOL_DIR {tmp_path} cannot be used: the reason" == caught.value.message
    assert [] == list(tmp_path.iterdir())


def test_broken_pipe(tmp_path: Path) -> None:
    """A broken pipe is not reported as an error of SPOOL_DIR."""
    with pytest.raises(BrokenPipeError), workspace(tmp_path):
        raise BrokenPipeError(errno.EPIPE, "gone")


@pytest.mark.parametrize("name", ["missing", "file"])
def test_spool_is_not_a_directory(name: str, tmp_path: Path) -> None:
    """A SPOOL_DIR that is missing or a file is named, and not created."""
    (tmp_path / "file").write_text("a file")
    with pytest.raises(SpoolFailed, match=f"SPOOL_DIR {tmp_path / name} "), workspace(tmp_path / name):
        pass
    assert [tmp_path / "file"] == list(tmp_path.iterdir())


def a_pipe(path: Path) -> None:
    """A pipe that nobody reads."""
    path.mkdir()
    os.mkfifo(path / "lock")


def a_link(path: Path) -> None:
    """A link to a directory of somebody else's work."""
    target = path.with_name("elsewhere")
    target.mkdir()
    (target / "lock").touch()
    path.symlink_to(target)


def a_linked_lock(path: Path) -> None:
    """A lock that is a link to another file."""
    path.mkdir()
    (path / "file").touch()
    (path / "lock").symlink_to(path / "file")


def a_file(path: Path) -> None:
    """A file."""
    path.touch()


def a_strangers_directory(path: Path) -> None:
    """A directory of another user."""
    path.mkdir()
    (path / "lock").touch()
    os.chown(path, 10_000, 10_000)


@pytest.mark.parametrize("make", [a_pipe, a_link, a_linked_lock, a_file, a_strangers_directory])
def test_what_others_have_made(make: Callable[[Path], None], tmp_path: Path) -> None:
    """Whatever others make in a shared SPOOL_DIR under the name of a workspace is left alone, and holds nothing up."""
    if make is a_strangers_directory and os.geteuid() != 0:
        pytest.skip("only root can give a directory to another user")
    make(tmp_path / "metadata-tool-x")
    before = sorted(tmp_path.rglob("*"))
    with workspace(tmp_path):
        """Work."""
    assert before == sorted(tmp_path.rglob("*"))
