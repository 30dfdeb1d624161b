"""Reads S3 keys from a directory, such as a mounted Kubernetes Secret, so that they rotate without a restart."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from metadata_tool.errors import CredentialsRejected
from metadata_tool.store.limits import KEY_READS

ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_HINT = f"Put the files {ACCESS_KEY} and {SECRET_KEY} there, for example by mounting a Secret"


@dataclass(frozen=True)
class Keys:
    """The credentials of an S3 client."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def read_keys(directory: Path, setting: str = "S3_CREDENTIALS_DIR") -> Keys:
    """The current keys, all of the same generation of the Secret. `setting` is what the directory was set by.

    Raises:
        CredentialsRejected: a file is missing, empty, unreadable or not text. The message names its path.
    """
    for _ in range(KEY_READS):
        generation = _generation(directory)
        try:
            found = _read(_Folder(directory, setting), generation)
        except CredentialsRejected:
            if generation == _generation(directory):
                raise
        else:
            if generation == _generation(directory):
                return found
    raise CredentialsRejected(
        f"the keys in {directory} ({setting}) were replaced {KEY_READS} times while they were read",
        "Find the program that replaces the keys, and stop it",
    )


def _generation(directory: Path) -> Path:
    """The real directory of the files.

    Kubernetes replaces all files of a volume at once. Each file is a link to `..data/<name>`, and `..data` is a link
    to a directory. Every update makes a new directory, moves the link to it, and deletes the old directory.
    """
    link = directory / "..data"
    return Path(os.path.realpath(link if os.path.islink(link) else directory))  # noqa: PTH114  # raises no OSError


def _read(folder: "_Folder", generation: Path) -> Keys:
    return Keys(
        _required(folder, generation, ACCESS_KEY),
        _required(folder, generation, SECRET_KEY),
        _value(folder, generation, SESSION_TOKEN),
    )


def _required(folder: "_Folder", generation: Path, name: str) -> str:
    value = _value(folder, generation, name)
    if value is None:
        state = "is empty" if (generation / name).exists() else "does not exist"
        raise folder.unusable(name, state)
    return value


def _value(folder: "_Folder", generation: Path, name: str) -> str | None:
    """The text of a file without white space around it. None if there is no file, or no text in it."""
    try:
        value = (generation / name).read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise folder.unusable(name, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise folder.unusable(name, "is not ASCII text") from None  # the cause holds the secret
    if not value.isprintable():
        raise folder.unusable(name, "contains more than one line, or control characters")
    return value or None


@dataclass(frozen=True)
class _Folder:
    """A directory with keys, and the setting that names it."""

    path: Path
    setting: str

    def unusable(self, name: str, state: str) -> CredentialsRejected:
        """The error for one of its files."""
        return CredentialsRejected(f"{self.path / name} ({self.setting}) {state}", _HINT)
