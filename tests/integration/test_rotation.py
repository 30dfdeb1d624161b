"""Keys of S3 in a directory: they are read at every use, so that they rotate without a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool.errors import CredentialsRejected
from metadata_tool.store import parse_location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.limits import PART_SIZE
from metadata_tool.store.s3 import S3Store
from support import seed
from support.backups import keep
from support.mounted_secret import MountedSecret
from support.proxy import proxy
from support.readiness import probe
from support.s3 import ACCESS_KEY, SECRET_KEY, Bucket, S3Server, new_bucket, s3_server
from support.tool import Service, assert_refused, run, succeed
from support.zookeeper import ZooKeeper, client, standalone

OLD = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": f"{SECRET_KEY}\n"}
NEW = {"AWS_ACCESS_KEY_ID": "another-tester", "AWS_SECRET_ACCESS_KEY": "another-secret\n"}


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A ZooKeeper with a small tree."""
    with standalone(NEWEST, tmp_path_factory.mktemp("zookeeper")) as server:
        with client(server.address) as source:
            seed.pulsar(source, topics=3)
        yield server


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """An S3 server whose keys a test may change."""
    with s3_server(tmp_path / "s3") as server:
        yield server


@pytest.fixture
def secret(tmp_path: Path) -> MountedSecret:
    """The mounted keys, which are right at first."""
    return MountedSecret(tmp_path / "secret", OLD)


def settings_of(bucket: Bucket, zookeeper: ZooKeeper, secret: MountedSecret) -> dict[str, str]:
    """Settings with keys in a directory. The keys in the environment are wrong."""
    wrong = {"AWS_ACCESS_KEY_ID": "wrong", "AWS_SECRET_ACCESS_KEY": "wrong", "AWS_SESSION_TOKEN": "wrong"}
    return {
        **bucket.settings,
        **wrong,
        "S3_CREDENTIALS_DIR": str(secret.directory),
        "ZOOKEEPER_SERVERS": zookeeper.address,
        "BACKUP_INTERVAL": "1",
    }


@pytest.fixture
def settings(bucket: Bucket, zookeeper: ZooKeeper, secret: MountedSecret) -> dict[str, str]:
    """The same for the server that all tests share."""
    return settings_of(bucket, zookeeper, secret)


def succeeding(service: Service) -> None:
    """Wait until a backup has succeeded that was begun from now on."""
    failed = service.metric("backup_failure_count")
    good = service.metric("backup_count") - failed
    service.process.wait_until(
        lambda: service.metric("backup_count") - service.metric("backup_failure_count") > good + 1
    )


@pytest.mark.fault("Service", "the keys are refused, then replaced")
def test_keys_rotate_without_a_restart(
    own_s3: S3Server, zookeeper: ZooKeeper, secret: MountedSecret, tmp_path: Path
) -> None:
    """Refused keys make the service unready, with the reason. The service then uses the new keys without a restart."""
    bucket = new_bucket(own_s3)
    service = Service(settings_of(bucket, zookeeper, secret), tmp_path / "log")
    try:
        succeeding(service)
        assert (0, "") == probe(service.port)
        own_s3.stop()
        own_s3.start(*(value.strip() for value in NEW.values()))
        refused = f"the object store refused the credentials for {bucket.settings['BUCKET']}"
        service.process.wait_until(lambda: refused in service.get("/readyz")[1])
        assert (503, 200, 502) == tuple(service.get(path)[0] for path in ("/readyz", "/healthz", "/backup/list"))
        exit_code, said = probe(service.port)
        assert (1, True) == (exit_code, said.startswith(f"the last backup failed: {refused}")), said
        secret.write(NEW)
        succeeding(service)
        assert (200, 200) == tuple(service.get(path)[0] for path in ("/readyz", "/backup/list"))
        assert (0, "") == probe(service.port)
        page = service.get("/readyz")[1] + service.get("/metrics")[1] + said
    finally:
        assert 0 == service.process.stop()
    assert "Traceback" not in service.process.output()
    assert not [value for value in (SECRET_KEY, "another-secret") if value in service.process.output() + page]


@pytest.mark.fault("Service", "the keys change during an upload")
def test_upload_in_flight_keeps_its_keys(
    bucket: Bucket, secret: MountedSecret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that change during an upload do not disturb it. Later requests use the new ones."""
    with proxy(bucket.server.port) as (endpoint, faults):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        store = S3Store(
            parse_location(f"s3a://{bucket.name}"), StoreOptions("us-east-1", credentials_dir=secret.directory)
        )
        faults.upload_pause = 0.005
        file = tmp_path / "file"
        file.write_bytes(bytes(2 * PART_SIZE))
        changed = False

        def change() -> None:
            nonlocal changed
            if faults.uploading.is_set() and not changed:
                secret.write(NEW)
                changed = True

        keep(store, file, "a-1.tar.gz", change)
        assert changed
        with pytest.raises(CredentialsRejected):
            store.list("a-")
        secret.write(OLD)
        assert {"a-1.tar.gz": 2 * PART_SIZE} == store.list("a-")


@pytest.mark.fault("Service", "the keys are missing at the start")
def test_missing_keys_are_waited_for(
    settings: dict[str, str], bucket: Bucket, secret: MountedSecret, tmp_path: Path
) -> None:
    """A service that starts without its keys says which file is missing, and backs up once they are there."""
    secret.write({"AWS_SESSION_TOKEN": ""})
    service = Service(settings, tmp_path / "log")
    try:
        service.wait_for("backup_failure_count", 1)
        missing = f"{secret.directory}/AWS_ACCESS_KEY_ID (S3_CREDENTIALS_DIR) does not exist"
        assert missing in service.json("/readyz")["error"]
        assert [] == bucket.objects()
        secret.write(OLD)
        succeeding(service)
        assert bucket.objects()
    finally:
        assert 0 == service.process.stop()
    assert "Traceback" not in service.process.output()


def test_every_command_takes_them(settings: dict[str, str], tmp_path: Path) -> None:
    """Every command reads the keys from the directory, and ignores those in the environment."""
    (tmp_path / "data").mkdir()
    uri = succeed("backup", settings=settings)
    assert uri in succeed("list", settings=settings)
    for verb in ("verify", "inspect"):
        assert succeed(verb, uri, settings=settings)
    restore = {"RESTORE_POINT": uri, "ZOOKEEPER_DATA_DIR": str(tmp_path / "data"), "ZOOKEEPER_SERVERS": ""}  # it runs
    assert succeed("restore", settings={**settings, **restore})


@pytest.mark.parametrize("command", ["backup", "list", "restore"])
def test_missing_file_is_one_line(
    command: str, settings: dict[str, str], secret: MountedSecret, tmp_path: Path
) -> None:
    """A command without its keys ends with one line that names the setting, the file and what is wrong with it."""
    secret.write({"AWS_ACCESS_KEY_ID": ACCESS_KEY})
    (tmp_path / "data").mkdir()
    point = f"{settings['BUCKET']}/metadata-backup-1.tar.gz"
    restore = {"RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(tmp_path / "data")}
    alone = {"ZOOKEEPER_SERVERS": ""} if command == "restore" else {}  # it runs
    outcome = run(command, settings={**settings, **restore, **alone})
    assert_refused(CredentialsRejected, "/AWS_SECRET_ACCESS_KEY (S3_CREDENTIALS_DIR) does not exist", outcome)


def test_refused_keys_name_the_directory(settings: dict[str, str], secret: MountedSecret) -> None:
    """Keys that the store does not know are said to be those of the directory."""
    secret.write({"AWS_ACCESS_KEY_ID": "stranger", "AWS_SECRET_ACCESS_KEY": "unknown"})
    outcome = run("list", settings=settings)
    assert_refused(CredentialsRejected, f"in {secret.directory} (S3_CREDENTIALS_DIR)", outcome)
