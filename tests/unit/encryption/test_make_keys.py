"""Keys that the program makes: they work, nobody else may read them, and nothing is overwritten."""

import os
from pathlib import Path

import pytest

from metadata_tool.encryption.keys import BackupKeys
from metadata_tool.encryption.make_keys import make_keys
from metadata_tool.encryption.protect import protect, unprotect
from metadata_tool.errors import BackupUnsigned, SettingError
from metadata_tool.files import sha256
from support.backups import make_backup

FILES = ["identity.txt", "signing.pem", "signing.pub"]


def keys_in(directory: Path, recipient: str) -> tuple[BackupKeys, BackupKeys]:
    """The keys of a service, and those of an operator."""
    identity, signing, accepted = (directory / name for name in FILES)
    service = BackupKeys((recipient,), signing_file=signing)
    return service.checked(), BackupKeys(identity_file=identity, accepted_file=accepted)


def test_keys_work(tmp_path: Path) -> None:
    """A backup that is encrypted with them is opened with them, and is not accepted with others."""
    folders = [tmp_path / "a", tmp_path / "b"]
    (service, operator), (_, other) = (keys_in(folder, make_keys(folder)) for folder in folders)
    plain = tmp_path / str(make_backup(tmp_path).name)
    encrypted, opened = tmp_path / "encrypted", tmp_path / "opened"
    protect(plain, sha256(plain), encrypted, service, lambda: None)
    unprotect(encrypted, opened, operator, lambda: None)
    assert plain.read_bytes() == opened.read_bytes()
    forger = BackupKeys(identity_file=operator.identity_file, accepted_file=other.accepted_file)
    with pytest.raises(BackupUnsigned):
        unprotect(encrypted, tmp_path / "forged", forger, lambda: None)


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    """Files and a new directory are the owner's alone, whatever the umask is."""
    before = os.umask(0)
    try:
        make_keys(tmp_path / "keys")
    finally:
        os.umask(before)
    made = [tmp_path / "keys", *sorted((tmp_path / "keys").iterdir())]
    assert [0o40700, *[0o100600] * 3] == [path.stat().st_mode for path in made]
    assert FILES == [path.name for path in made[1:]]


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_overwritten(name: str, tmp_path: Path) -> None:
    """If one of the files is there, it stays as it is, and there is no other one."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(SettingError, match=f"{name} exists already, and was not overwritten"):
        make_keys(tmp_path)
    assert [(name, "mine")] == [(path.name, path.read_text()) for path in tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["missing/keys", "file"])
def test_directory_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    """A directory that cannot be made is an error that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=name):
        make_keys(tmp_path / name)
    assert ["file"] == [path.name for path in tmp_path.iterdir()]


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk fills up in the middle, no file is left."""
    left = iter([None, None])

    def sync(_: int) -> None:
        if next(left, "full"):
            (tmp_path / "identity.txt").unlink()  # somebody else may remove it, too
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(SettingError, match="No space left on device"):
        make_keys(tmp_path)
    assert [] == list(tmp_path.iterdir())
