"""Encrypted and signed backups in a store: who can open them, who can know what they are, and what is refused."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metadata_tool.accept import accept
from metadata_tool.backup_cache import CachedBackups
from metadata_tool.catalog import Backup, RestorePoint, backups
from metadata_tool.encryption import container
from metadata_tool.encryption.keyed_store import KeyedStore, is_encrypted
from metadata_tool.encryption.keys import NO_KEYS, BackupKeys
from metadata_tool.errors import ArchiveCorrupt, BackupEncrypted, BackupUnsigned, SettingError, ToolError
from metadata_tool.fetch import fetched, verify
from metadata_tool.files import sha256
from metadata_tool.history import read_manifest
from metadata_tool.known_backups import KnownBackups
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.manifest import Manifest
from metadata_tool.prune_plan import Planner
from metadata_tool.pruner import Pruner
from metadata_tool.retention import Retention
from metadata_tool.store.directory import DirectoryStore
from support.backups import TIMESTAMP, location, make_backup
from support.keys import KeySet, joined

HOUR = 3_600_000


class World:
    """A directory of encrypted backups, and the keys."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.keys, self.others = KeySet(directory / "keys"), KeySet(directory / "others")
        self.place, self.spool = directory / "place", directory / "spool"
        for each in (self.place, self.spool):
            each.mkdir()

    def store(self, keys: BackupKeys) -> KeyedStore:
        """The directory, with these keys."""
        return KeyedStore(DirectoryStore(location(self.place)), keys)

    def save(
        self, keys: BackupKeys, timestamp: int = TIMESTAMP, prefix: str = "pulsar", **changes: object
    ) -> RestorePoint:
        """Save a backup with these keys, with these changes to its manifest."""
        described: dict[str, Any] = {"coverage": {"secretNamespace": 1}, "identity": {"clusters": ["c"]}, **changes}
        made = make_backup(self.spool, prefix, timestamp, **described)
        path = self.spool / str(made.name)
        self.store(keys).save(path, sha256(path), path.name, Heartbeat())
        self.plain = path.read_bytes()
        for each in self.spool.iterdir():
            each.unlink()
        return RestorePoint(location(self.place), made.name)

    def read(self, point: RestorePoint, keys: BackupKeys) -> Manifest:
        """Fetch and verify it as a restore does."""
        with fetched(point, self.store(keys), self.spool, Heartbeat()) as path:
            assert self.plain == path.read_bytes()
            return verify(point, path, Heartbeat())

    def file(self, point: RestorePoint) -> Path:
        """The file in the store."""
        return self.place / str(point.name)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """No backups yet."""
    return World(tmp_path)


def refused(error: type[ToolError], said: str, work: Callable[[], object]) -> None:
    """The work raises this error, whose message has this text and no key."""
    with pytest.raises(error) as caught:
        work()
    assert said in str(caught.value)
    assert not re.search("SECRET-KEY-1[0-9A-Z]", str(caught.value))


def test_holder_of_the_key_reads_it(world: World) -> None:
    """What is fetched is the backup, byte for byte, and nothing is left beside it."""
    point = world.save(world.keys.of_service)
    assert is_encrypted(world.file(point))
    assert TIMESTAMP == world.read(point, world.keys.of_operator).timestamp
    assert [] == list(world.spool.iterdir())


def test_file_tells_nothing(world: World) -> None:
    """The file has no text of the manifest and no gzip. Two of the same backup differ."""
    point = world.save(world.keys.of_service)
    first = world.file(point).read_bytes()
    assert not [text for text in (b"pulsar", b"zxid", b"secretNamespace", b"\x1f\x8b\x08") if text in first]
    world.file(point).unlink()
    world.save(world.keys.of_service)
    assert first != world.file(point).read_bytes()


def test_key_that_is_missing(world: World) -> None:
    """Without a private key, the error names the backup and the setting, and leaves no file."""
    point = world.save(world.keys.of_service)
    for keys in (NO_KEYS, world.keys.of_service):
        refused(
            BackupEncrypted,
            f"{point} cannot be used, it is encrypted, and there is no key",
            partial(world.read, point, keys),
        )
    assert [] == list(world.spool.iterdir())


def test_key_that_is_wrong(world: World) -> None:
    """With another private key, the error says that it does not fit."""
    point = world.save(world.keys.of_service)
    wrong = BackupKeys(identity_file=world.others.identity_file)
    refused(BackupEncrypted, "no key in ENCRYPTION_IDENTITY_FILE opens it", lambda: world.read(point, wrong))


def test_key_file_that_is_lost(world: World) -> None:
    """A file that does not exist, is empty, or is of something else is refused by name."""
    point = world.save(world.keys.of_service)
    for content, said in (
        (None, "cannot be read (No such file or directory)"),
        (b"# nothing\n", "is not valid, it has no private key"),
        (b"AGE-SECRET-KEY-1NONSENSE", "is not valid, line 1 is not a private key of age"),
    ):
        path = world.directory / "lost"
        if content is not None:
            path.write_bytes(content)
        keys = BackupKeys(identity_file=path)
        refused(SettingError, f"ENCRYPTION_IDENTITY_FILE {path} {said}", partial(world.read, point, keys))


def test_keys_that_were_rotated(world: World) -> None:
    """After a rotation, a file with both keys reads old and new backups. For the time between, there may be two."""
    both = replace(world.keys.of_service, recipients=(world.keys.recipient, world.others.recipient))
    new = replace(world.others.of_service, signing_file=world.others.signing_file)
    points = [world.save(keys, TIMESTAMP + n) for n, keys in enumerate((world.keys.of_service, both, new))]
    old_files, new_files = world.keys, world.others
    every = BackupKeys(
        identity_file=joined(world.directory / "identities", old_files.identity_file, new_files.identity_file),
        accepted_file=joined(world.directory / "accepted", old_files.accepted_file, new_files.accepted_file),
    )
    for point in points:
        with fetched(point, world.store(every), world.spool, Heartbeat()) as path:
            assert verify(point, path, Heartbeat())
    with fetched(points[1], world.store(BackupKeys(identity_file=new_files.identity_file)), world.spool, Heartbeat()):
        pass


@pytest.mark.fault("Encryption", "a backup is of another writer, or not signed")
def test_backup_of_another_writer(world: World) -> None:
    """A backup that is signed by another, or not signed, is refused if there is a key whose signature is accepted."""
    operator = world.keys.of_operator
    forged = replace(world.keys.of_service, signing_file=world.others.signing_file)
    point = world.save(forged)
    refused(
        BackupUnsigned, "its signature is of no key in SIGNING_PUBLIC_KEY_FILE", lambda: world.read(point, operator)
    )
    assert world.read(point, BackupKeys(identity_file=operator.identity_file))
    plain = world.save(NO_KEYS, TIMESTAMP + 1)
    refused(BackupUnsigned, f"{plain} cannot be used, it is not signed", lambda: world.read(plain, operator))
    assert world.read(plain, BackupKeys(identity_file=operator.identity_file))
    assert [] == list(world.spool.iterdir())


@pytest.mark.fault("Encryption", "a backup has the signature of another one")
def test_signature_of_another_backup(world: World) -> None:
    """A signature fits one manifest alone, and the manifest has the SHA-256 of the tree."""
    points = [world.save(world.keys.of_service, TIMESTAMP + n) for n in (0, 1)]
    (one, other), at = (bytearray(world.file(point).read_bytes()) for point in points), 0
    at = one.index(container.SIGNATURE.encode()) + 512
    place = other.index(container.SIGNATURE.encode()) + 512
    one[at : at + 64] = other[place : place + 64]
    world.file(points[0]).write_bytes(one)
    refused(BackupUnsigned, "its signature is of no key", lambda: world.read(points[0], world.keys.of_operator))


@pytest.mark.fault("Encryption", "a file of keys has other content")
@pytest.mark.parametrize("kind", ["signing", "accepted"])
def test_files_that_are_no_keys(kind: str, world: World) -> None:
    """A file without such a key, or with one of another kind, is refused by name."""
    point = world.save(world.keys.of_service)
    wrong = world.directory / "wrong"
    wrong.write_text("nonsense")
    if kind == "signing":
        keys, name = replace(world.keys.of_service, signing_file=wrong), "SIGNING_KEY_FILE"
        refused(SettingError, f"{name} {wrong} is not valid, it has no key", lambda: world.save(keys, 1))
        wrong.write_bytes(world.keys.accepted_file.read_bytes())
        refused(SettingError, f"{name} {wrong} is not valid, one of its keys", lambda: world.save(keys, 2))
    else:
        keys, name = replace(world.keys.of_operator, accepted_file=wrong), "SIGNING_PUBLIC_KEY_FILE"
        refused(SettingError, f"{name} {wrong} is not valid, it has no key", partial(world.read, point, keys))
        wrong.write_bytes(world.keys.signing_file.read_bytes())
        refused(SettingError, f"{name} {wrong} is not valid, one of its keys", partial(world.read, point, keys))


def test_public_keys_are_checked_at_the_start(world: World) -> None:
    """A recipient that is none, or that comes without a signing key, is refused. It is not repeated."""
    world.keys.identity_file.read_text()
    refused(SettingError, "SIGNING_KEY_FILE is not", BackupKeys((world.keys.recipient,)).checked)
    private = world.keys.identity_file.read_text().splitlines()[-1]
    wrong = replace(world.keys.of_service, recipients=(world.keys.recipient, private))
    refused(SettingError, "ENCRYPTION_RECIPIENT is not valid, key 2 is not a public key", wrong.checked)
    lost = replace(world.keys.of_service, signing_file=world.directory / "lost")
    refused(SettingError, "SIGNING_KEY_FILE", lost.checked)
    assert world.keys.of_service == world.keys.of_service.checked()


@pytest.mark.fault("Encryption", "only the private key is set")
def test_nothing_is_saved_in_the_clear(world: World) -> None:
    """With a private key alone, no backup is saved, because it would not be encrypted. Other files are as they are."""
    refused(SettingError, "would be saved without encryption", lambda: world.save(world.keys.of_operator))
    record = world.spool / "pulsar-drill-passed-1.json"
    record.write_text("{}")
    world.store(world.keys.of_service).save(record, sha256(record), record.name, Heartbeat())
    assert "{}" == (world.place / record.name).read_text()
    assert b"{}" == world.store(NO_KEYS).read_start(record.name, 100)


def test_service_knows_its_own_backups(world: World) -> None:
    """The signing key tells which cluster a backup is of and at which zxid, and no name of a namespace."""
    point = world.save(world.keys.of_service)
    (backup,) = backups(world.store(NO_KEYS), "pulsar")
    found = read_manifest(world.store(world.keys.of_service), backup)
    whole = world.read(point, world.keys.of_operator)
    assert replace(whole, coverage=None, summary=None) == found
    assert whole.coverage
    refused(
        BackupEncrypted,
        "no key opens it or has sealed its manifest",
        lambda: read_manifest(world.store(NO_KEYS), backup),
    )
    other = BackupKeys(signing_file=world.others.signing_file)
    refused(
        BackupEncrypted, "no key opens it or has sealed its manifest", lambda: read_manifest(world.store(other), backup)
    )
    assert whole == read_manifest(world.store(world.keys.of_operator), backup)
    rotated = joined(world.directory / "both", world.others.signing_file, world.keys.signing_file)
    assert found == read_manifest(world.store(BackupKeys(signing_file=rotated)), backup)


def test_seal_of_a_restore_point(world: World) -> None:
    """Of a restore point that was made, the signing key tells that it was, and no name of a namespace."""
    origin = {"kind": "reconciled", "namespaces": {"secretNamespace": {}}, "namespaceCount": 1}
    world.save(world.keys.of_service, origin=origin)
    (backup,) = backups(world.store(NO_KEYS), "pulsar")
    assert {"kind": "reconciled"} == read_manifest(world.store(world.keys.of_service), backup).origin
    assert origin == read_manifest(world.store(world.keys.of_operator), backup).origin


@pytest.mark.fault("Encryption", "a backup has the sealed manifest of another one")
def test_seal_of_another_backup(world: World) -> None:
    """A file with the sealed part of another backup counts as renamed, and is refused."""
    points = [world.save(world.keys.of_service, TIMESTAMP + n) for n in (0, 1)]
    world.file(points[0]).write_bytes(world.file(points[1]).read_bytes())
    backup = Backup(points[0].name, str(points[0]), 1)
    refused(ArchiveCorrupt, "was renamed", lambda: read_manifest(world.store(world.keys.of_service), backup))
    with pytest.raises(ArchiveCorrupt, match="was renamed"):
        world.read(points[0], world.keys.of_operator)


@pytest.mark.fault("Encryption", "the service cannot read its own backups")
def test_retention(world: World) -> None:
    """After a start, the service deletes nothing until it has made three backups. The holder of the key can at once."""
    points = [world.save(world.keys.of_service, TIMESTAMP - hours * HOUR) for hours in range(6)]
    service, operator = world.store(world.keys.of_service), world.store(world.keys.of_operator)
    rules = Retention.parse("last=3")
    planner = Planner(rules, service, "pulsar", world.spool)
    assert [] == planner.plan(Heartbeat()).to_delete
    for backup in backups(service, "pulsar")[:3]:
        manifest = read_manifest(service, backup)
        plan = planner.plan(Heartbeat(), (backup, manifest))
    assert [point.name for point in points[:2:-1]] == [backup.name for backup in plan.to_delete]
    done = Pruner(operator).prune(Planner(rules, operator, "pulsar", world.spool).plan(Heartbeat()), Heartbeat())
    assert 3 == len(done.deleted) == len(list(world.place.iterdir()))


def test_cached_copies_stay_encrypted(world: World) -> None:
    """A cached copy is the file of the store, is used again, and needs the key each time."""
    point, cache = world.save(world.keys.of_service), world.directory / "cache"
    (backup,) = backups(world.store(NO_KEYS), "pulsar")

    def manifest(keys: BackupKeys) -> Manifest:
        with CachedBackups(world.store(keys), world.spool, Heartbeat(), cache, 1 << 30).opened(backup) as file:
            return file.manifest

    assert manifest(world.keys.of_operator).coverage
    assert [world.file(point).read_bytes()] == [path.read_bytes() for path in cache.iterdir()]
    world.file(point).unlink()
    assert manifest(world.keys.of_operator).coverage
    refused(BackupEncrypted, "there is no key", lambda: manifest(NO_KEYS))
    assert [] == list(world.spool.iterdir())


def test_service_fetches_nothing_in_vain(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the service cannot open is not fetched, and is tried once."""
    for hours in range(4):
        world.save(world.keys.of_service, TIMESTAMP - hours * HOUR)
    store, begun = world.store(world.keys.of_service), list[str]()
    read, known = store.raw.read_start, KnownBackups(store, world.spool)

    def noted(name: str, limit: int) -> bytes:
        begun.append(name)
        return read(name, limit)

    monkeypatch.setattr(store.raw, "read_start", noted)
    monkeypatch.setattr(store.raw, "fetch", lambda *_: pytest.fail("it was fetched"))
    (newest, *_) = backups(store, "pulsar")
    for _ in range(2):
        known.begin(backups(store, "pulsar"), None)
        assert known.good(newest, Heartbeat()) is None
    assert [str(newest.name)] == begun


def test_accepted_backup_keeps_its_bytes(world: World) -> None:
    """The accepted copy of a suspect backup is the same encrypted file, and needs the private key to be made."""
    point = world.save(world.keys.of_service, prefix="pulsar-suspect")
    refused(BackupEncrypted, "it is encrypted", lambda: accept(point, world.store(NO_KEYS), world.spool, Heartbeat()))
    accept(point, world.store(world.keys.of_operator), world.spool, Heartbeat())
    assert world.file(point).read_bytes() == (world.place / str(point.name.sound)).read_bytes()


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, RestorePoint, bytes]:
    """An encrypted backup, and the bytes of its file."""
    world = World(tmp_path_factory.mktemp("damage"))
    point = world.save(world.keys.of_service)
    return world, point, world.file(point).read_bytes()


@pytest.mark.fault("Encryption", "any byte of an encrypted backup changes, or its end is lost")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage(encrypted: tuple[World, RestorePoint, bytes], data: st.DataObject) -> None:
    """A file that is cut off, or has a changed bit or more bytes, is refused, or is the backup byte for byte."""
    world, point, content = encrypted
    at = data.draw(st.integers(0, len(content) - 1))
    damaged = data.draw(
        st.sampled_from(
            [
                content[:at],
                content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :],
                content + b"\0" * (at % 3 + 1),
                content[:at] + os.urandom(3) + content[at:],
            ]
        )
    )
    world.file(point).write_bytes(damaged)
    with suppress(ArchiveCorrupt, BackupUnsigned, BackupEncrypted):
        assert world.read(point, world.keys.of_operator)  # if the seal or a time in a header has changed
    assert [] == list(world.spool.iterdir())
