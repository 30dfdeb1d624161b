import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.errors import CredentialsRejected
from metadata_tool.store.credentials import Keys, read_keys
from support.mounted_secret import MountedSecret
from support.trees import PATIENT

NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
SECRET = "zq7secret"


def files(generation: int, *, token: bool = False) -> dict[str, str]:
    """The files of a generation, with or without a session token."""
    return {name: f"{name}-{generation}" for name in NAMES[: 3 if token else 2]}


def keys(generation: int, *, token: bool = False) -> Keys:
    """What must be read from them."""
    return Keys(*files(generation, token=token).values())


def plain(directory: Path, contents: dict[str, str]) -> Path:
    """An ordinary directory with these files."""
    directory.mkdir(exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_text(content)
    return directory


@pytest.mark.parametrize("token", [False, True])
def test_ordinary_directory(token: bool, tmp_path: Path) -> None:
    """Keys are read from the files that have the variables' names. A session token is optional."""
    assert keys(1, token=token) == read_keys(plain(tmp_path, files(1, token=token)))


def test_mounted_secret(tmp_path: Path) -> None:
    """Keys are read from a mounted Secret, before and after it changes."""
    secret = MountedSecret(tmp_path / "secret", files(1))
    assert keys(1) == read_keys(secret.directory)
    secret.write(files(2, token=True))
    assert keys(2, token=True) == read_keys(secret.directory)


def test_linked_directory(tmp_path: Path) -> None:
    """A directory that is itself a link is followed each time."""
    link = tmp_path / "link"
    for generation in (1, 2):
        link.unlink(missing_ok=True)
        link.symlink_to(plain(tmp_path / str(generation), files(generation)))
        assert keys(generation) == read_keys(link)


@pytest.mark.parametrize("blank", ["\n", "\r\n", " \t", "\n\n"])
def test_white_space_is_cut(blank: str, tmp_path: Path) -> None:
    """White space around a value does not count. A token of white space counts as missing."""
    contents = {name: f"{blank}{value}{blank}" for name, value in files(1).items()}
    assert keys(1) == read_keys(plain(tmp_path, contents | {"AWS_SESSION_TOKEN": blank}))


def remove(file: Path) -> None:
    """Nothing is there."""
    file.unlink()


def become_directory(file: Path) -> None:
    """A directory is there instead."""
    file.unlink()
    file.mkdir()


def loop(file: Path) -> None:
    """A link to itself is there instead."""
    file.unlink()
    file.symlink_to(file.name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (become_directory, "cannot be read (Is a directory)"),
        (loop, "cannot be read (Too many levels of symbolic links)"),
        (lambda file: file.write_bytes(SECRET.encode() + b"\xff"), "is not ASCII text"),
        (lambda file: file.write_bytes(f"{SECRET}ä".encode()), "is not ASCII text"),
        (lambda file: file.write_text(f"{SECRET}\nmore"), "contains more than one line, or control characters"),
    ],
)
def test_unusable_file(name: str, spoil: Callable[[Path], Any], reason: str, tmp_path: Path) -> None:
    """The error names an unusable file, its setting and the reason on one line, without the content."""
    assert_names(name, spoil, reason, tmp_path)


@pytest.mark.parametrize("name", NAMES[:2])
@pytest.mark.parametrize(
    ("spoil", "reason"), [(remove, "does not exist"), (lambda file: file.write_text(" \n"), "is empty")]
)
def test_missing_key(name: str, spoil: Callable[[Path], Any], reason: str, tmp_path: Path) -> None:
    """A key that is not there, or empty, is named in the same way."""
    assert_names(name, spoil, reason, tmp_path)


def assert_names(name: str, spoil: Callable[[Path], Any], reason: str, directory: Path) -> None:
    """Spoil one file. The error must name it, and say which files are needed."""
    spoil(plain(directory, files(1, token=True)) / name)
    with pytest.raises(CredentialsRejected) as caught:
        read_keys(directory)
    assert f"{directory / name} (S3_CREDENTIALS_DIR) {reason}" == caught.value.message
    assert "Put the files AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY there" in caught.value.hint
    assert SECRET not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_missing_directory(tmp_path: Path) -> None:
    """If the directory does not exist, the error names the first file that is missing."""
    with pytest.raises(CredentialsRejected, match=r"nowhere/AWS_ACCESS_KEY_ID .* does not exist"):
        read_keys(tmp_path / "nowhere")


def test_keys_hide_their_secrets() -> None:
    """Printed keys never show the secret key or the token."""
    shown = repr(Keys("access", SECRET, SECRET))
    assert SECRET not in shown


@settings(PATIENT)
@given(swaps=st.sets(st.integers(0, 20), max_size=4), tokens=st.lists(st.booleans(), min_size=5, max_size=5))
def test_swaps_while_reading(swaps: set[int], tokens: list[bool]) -> None:
    """Whenever the Secret is replaced during a read, all keys are of the newest generation."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        secret = MountedSecret(Path(directory) / "secret", files(0, token=tokens[0]))
        generation, steps = 0, 0

        def swapping(step: Callable[..., Any]) -> Callable[..., Any]:
            def swapped(*arguments: Any) -> Any:
                nonlocal generation, steps
                if steps in swaps:
                    generation += 1
                    secret.write(files(generation, token=tokens[generation]))
                steps += 1
                return step(*arguments)

            return swapped

        patch.setattr(os.path, "realpath", swapping(os.path.realpath))
        patch.setattr(Path, "read_text", swapping(Path.read_text))
        found = read_keys(secret.directory)
        assert keys(generation, token=tokens[generation]) == found


def test_swaps_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Secret that changes faster than it can be read is an error, not an endless wait."""
    secret = MountedSecret(tmp_path / "secret", files(1))
    read = Path.read_text

    def swapped(*arguments: Any) -> str:
        secret.write(files(2))
        return read(*arguments)

    monkeypatch.setattr(Path, "read_text", swapped)
    with pytest.raises(CredentialsRejected, match="were replaced 10 times while they were read") as caught:
        read_keys(secret.directory)
    assert "stop it" in caught.value.hint
