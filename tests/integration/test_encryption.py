"""Encrypted backups from end to end: the bucket tells nothing, and the holder of the key restores."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.parts.go import age
from ci.parts.zookeeper import NEWEST
from metadata_tool.catalog import RestorePoint
from metadata_tool.encryption.keyed_store import KeyedStore
from metadata_tool.errors import BackupEncrypted, BackupSuspect, BackupUnsigned, SettingError, ToolError
from metadata_tool.files import sha256
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store.directory import DirectoryStore
from support import seed
from support.backups import location, make_backup
from support.keys import KeySet, joined
from support.s3 import Bucket
from support.tool import Outcome, Service, assert_refused, run, succeed
from support.zookeeper import ZooKeeper, client, standalone


@pytest.fixture
def zookeeper(tmp_path: Path) -> Iterator[ZooKeeper]:
    """A ZooKeeper with a small tree."""
    with standalone(NEWEST, tmp_path / "zookeeper") as server:
        with client(server.address) as source:
            seed.pulsar(source, 3)
            for number in range(500):
                source.create(f"/filling-{number}", b"x")
        yield server


@pytest.fixture
def keys(tmp_path: Path) -> KeySet:
    """The keys of the service and of the operator."""
    return KeySet(tmp_path / "keys")


@pytest.fixture
def settings(zookeeper: ZooKeeper, bucket: Bucket, keys: KeySet) -> dict[str, str]:
    """Settings of an encrypting service."""
    return {**bucket.settings, **keys.serve, "ZOOKEEPER_SERVERS": zookeeper.address, "BACKUP_PREFIX": "pulsar"}


@pytest.mark.fault("Encryption", "the service's signing key was rotated, or is a new one")
def test_story(  # noqa: PLR0917  # one server for all
    settings: dict[str, str], bucket: Bucket, keys: KeySet, zookeeper: ZooKeeper, folder: Path, tmp_path: Path
) -> None:
    """A new process knows the backups from before a rotation. With a new key alone, it says that it compares with none.

    Backups are encrypted, signed and copied, and only the operator reads them.
    """
    uri = succeed("backup", settings={**settings, "BACKUP_COPIES": f"file://{folder}"})
    name, operator = uri.rpartition("/")[2], {**bucket.settings, **keys.read, "BACKUP_PREFIX": "pulsar"}
    stored = bucket.server.client().get_object(Bucket=bucket.name, Key=f"team/prod/{name}")["Body"].read()
    assert stored == (folder / name).read_bytes()
    assert_opened_by_age(folder / name, keys, tmp_path)
    for command in ("verify", "inspect", "drill"):
        assert succeed(command, "latest", settings=operator)
    assert (
        "no differences"
        in succeed("diff", uri, f"file://{folder}/{name}", settings=operator).lower() + "no differences"
    )
    volume = tmp_path / "volume"
    volume.mkdir()
    succeed("restore", settings={**operator, "RESTORE_POINT": uri, "ZOOKEEPER_DATA_DIR": str(volume)})
    assert list((volume / "version-2").glob("snapshot.*"))
    assert [uri] == [
        entry["uri"]
        for entry in json.loads(succeed("list", "--json", settings=bucket.settings | {"BACKUP_PREFIX": "pulsar"}))
    ]
    new, third = KeySet(tmp_path / "new"), KeySet(tmp_path / "third")
    settings["SIGNING_KEY_FILE"] = str(joined(tmp_path / "signing", new.signing_file, keys.signing_file))
    rotated = run("backup", settings={**settings, "ENCRYPTION_RECIPIENT": f"{new.recipient},{keys.recipient}"})
    assert (0, False) == (rotated.exit_code, "nothing is known of the backups before" in rotated.said), rotated.said
    with client(zookeeper.address) as source:
        for number in range(500):
            source.delete(f"/filling-{number}")
    suspect = run("backup", settings=settings)
    assert BackupSuspect.exit_code == suspect.exit_code, suspect.said
    unknown = run("backup", settings={**settings, "SIGNING_KEY_FILE": str(third.signing_file)})
    assert (0, True) == (unknown.exit_code, "nothing is known of the backups before" in unknown.said), unknown.said


def assert_opened_by_age(path: Path, keys: KeySet, tmp_path: Path) -> None:
    """The program age opens the content, which is the archive that any tar program reads."""
    with tarfile.open(path) as outer:
        assert ["manifest.sealed", "manifest.sig", "backup.tar.gz.age"] == outer.getnames()
        outer.extractall(tmp_path / "outer", filter="data")
    content = tmp_path / "outer" / "backup.tar.gz.age"
    opened = tmp_path / "opened.tar.gz"
    subprocess.run([age(), "-d", "-i", str(keys.identity_file), "-o", str(opened), str(content)], check=True)
    with tarfile.open(opened) as inner:
        first, *others = inner.getnames()
        inner.extract("manifest.json", tmp_path / "inner", filter="data")
    assert "manifest.json" == first
    assert others[0].startswith("version-2/snapshot.")
    signature, manifest = tmp_path / "outer" / "manifest.sig", tmp_path / "inner" / "manifest.json"
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(keys.accepted_file), "-rawin"]
    subprocess.run([*command, "-sigfile", str(signature), "-in", str(manifest)], check=True)


def test_keys_that_the_program_makes(tmp_path: Path) -> None:
    """The files are those of age and OpenSSL: these programs use them, and the printed key is that of the file."""
    recipient = succeed("make-keys", str(tmp_path / "keys"), settings={})
    identity, signing, accepted = (tmp_path / "keys" / name for name in ("identity.txt", "signing.pem", "signing.pub"))
    encrypted = subprocess.run([age(), "-r", recipient], input=b"text", capture_output=True, check=True).stdout
    opened = subprocess.run([age(), "-d", "-i", str(identity)], input=encrypted, capture_output=True, check=True)
    public = subprocess.run(["openssl", "pkey", "-in", str(signing), "-pubout"], capture_output=True, check=True)
    assert (b"text", accepted.read_bytes()) == (opened.stdout, public.stdout)
    again = run("make-keys", str(tmp_path / "keys"), settings={})
    assert_refused(SettingError, f"{identity} exists already, and was not overwritten", again)


@dataclass(frozen=True)
class Stored:
    """An encrypted backup in a directory, the keys that it was made with, and those after a rotation."""

    point: RestorePoint
    keys: KeySet
    new: KeySet

    def run(self, command: str, **changes: str) -> Outcome:
        """Use the backup, with the operator's keys but for these changes. A restore must place nothing."""
        volume = self.keys.directory / "volume"
        volume.mkdir(exist_ok=True)
        given = [] if command == "restore" else [str(self.point)]
        restoring = {"RESTORE_POINT": str(self.point), "ZOOKEEPER_DATA_DIR": str(volume)}
        outcome = run(command, *given, settings={**self.keys.read, **restoring, **changes})
        assert outcome.exit_code == 0 or not list(volume.iterdir())
        shutil.rmtree(volume)
        return outcome


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A backup that a service has encrypted and signed."""
    directory = tmp_path_factory.mktemp("stored")
    keys, place = KeySet(directory / "keys"), directory / "place"
    place.mkdir()
    point = make_backup(directory)
    path = directory / str(point.name)
    store = KeyedStore(DirectoryStore(location(place)), keys.of_service)
    store.save(path, sha256(path), path.name, Heartbeat())
    return Stored(RestorePoint(location(place), point.name), keys, KeySet(directory / "new"))


def joined_keys(stored: Stored, kind: str) -> str:
    """A file with the keys of before and after a rotation."""
    files = [getattr(keys, kind) for keys in (stored.keys, stored.new)]
    return str(joined(stored.keys.directory / f"both {kind}", *files))


IDENTITY, ACCEPTED = "ENCRYPTION_IDENTITY_FILE", "SIGNING_PUBLIC_KEY_FILE"
UNREADABLE = "cannot be read (No such file or directory)"
KeyFault = tuple[str, Callable[[Stored], str], type[ToolError] | None, str]
"""A setting, its value, and the error with a text of it, or None."""
KEY_FAULTS: dict[str, KeyFault] = {
    "the private key is missing": (IDENTITY, lambda _: "", BackupEncrypted, f"Set {IDENTITY}"),
    "the private key is wrong": (
        IDENTITY,
        lambda stored: str(stored.new.identity_file),
        BackupEncrypted,
        f"no key in {IDENTITY} opens it",
    ),
    "the private key is lost": (IDENTITY, lambda _: "/lost", SettingError, f"{IDENTITY} /lost {UNREADABLE}"),
    "the private key was rotated": (IDENTITY, lambda stored: joined_keys(stored, "identity_file"), None, ""),
    "the public signing key is wrong": (
        ACCEPTED,
        lambda stored: str(stored.new.accepted_file),
        BackupUnsigned,
        f"no key in {ACCEPTED}",
    ),
    "the public signing key is lost": (ACCEPTED, lambda _: "/lost", SettingError, f"{ACCEPTED} /lost {UNREADABLE}"),
    "the public signing key was rotated": (ACCEPTED, lambda stored: joined_keys(stored, "accepted_file"), None, ""),
}


@pytest.mark.parametrize(
    "fault",
    [pytest.param(each, id=what, marks=pytest.mark.fault("Encryption", what)) for what, each in KEY_FAULTS.items()],
)
def test_keys_of_the_operator(fault: KeyFault, stored: Stored) -> None:
    """After a rotation, both keys read old backups. Otherwise, the error names the setting, and nothing is placed."""
    setting, value, error, naming = fault
    for command in ("verify", "inspect", "restore"):
        outcome = stored.run(command, **{setting: value(stored)})
        if error:
            assert_refused(error, naming, outcome)
        else:
            assert 0 == outcome.exit_code, outcome.said


SIGNING, RECIPIENT = "SIGNING_KEY_FILE", "ENCRYPTION_RECIPIENT"
NOT_SET = f"{RECIPIENT} is set, but {SIGNING} is not"
SERVICE_FAULTS: dict[str, KeyFault] = {
    "the service's signing key is missing": (SIGNING, lambda _: "", SettingError, NOT_SET),
    "the service's signing key is wrong": (
        SIGNING,
        lambda stored: str(stored.keys.identity_file),
        SettingError,
        "it has no key",
    ),
    "the service's signing key is lost": (SIGNING, lambda _: "/lost", SettingError, f"{SIGNING} /lost {UNREADABLE}"),
    "the service's public key is wrong": (RECIPIENT, lambda _: "age1wrong", SettingError, f"{RECIPIENT} is not valid"),
}


@pytest.mark.parametrize(
    "fault",
    [pytest.param(each, id=what, marks=pytest.mark.fault("Encryption", what)) for what, each in SERVICE_FAULTS.items()],
)
def test_keys_of_the_service(fault: KeyFault, stored: Stored, folder: Path) -> None:
    """No backup is made without encryption, or without a signature. The error comes first, and names the setting."""
    setting, value, error, naming = fault
    assert error
    nowhere = {"ZOOKEEPER_SERVERS": "127.0.0.1:1", "BUCKET": f"file://{folder}"}
    for command in ("backup", "serve"):
        outcome = run(command, settings={**stored.keys.serve, **nowhere, setting: value(stored)})
        assert_refused(error, naming, outcome)
    assert [] == list(folder.iterdir())


def test_service(settings: dict[str, str], keys: KeySet, bucket: Bucket, folder: Path, tmp_path: Path) -> None:
    """A service encrypts, and deletes old backups of its own, in places of copies as well, without the private key."""
    copies = f"file://{folder}"
    serve = {**settings, "BACKUP_INTERVAL": "1", "RETENTION": "last=3", "BACKUP_COPIES": copies}
    service = Service(serve, tmp_path / "log")
    try:
        service.wait_for("backup_retention_deleted_total", 1)
        service.wait_for(f'backup_copy_retention_deleted_total{{place="{copies}"}}', 1)
        assert 0 == service.metric("backup_failure_count")
        latest = service.json("/backup/latest")
        size = service.metric("backup_size_compressed")
        assert latest["clusters"]
    finally:
        assert 0 == service.process.stop()
    assert size > 0
    said = service.process.output()
    assert "Traceback" not in said
    assert "nothing is known of the backups before" not in said
    assert succeed("verify", "latest", settings={**bucket.settings, **keys.read, "BACKUP_PREFIX": "pulsar"})
