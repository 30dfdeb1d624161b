"""Bad input gets one clear line and an exit code of its own, from the real servers that users have."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.security import make_acl, make_digest_acl

from ci.parts.zookeeper import NEWEST, UNSUPPORTED
from metadata_tool import errors
from support import seed
from support.damage import damaged_gzip
from support.processes import free_port
from support.s3 import Bucket
from support.tool import assert_refused, run, succeed
from support.zookeeper import ZooKeeper, client, standalone


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A ZooKeeper with a small tree."""
    with standalone(NEWEST, tmp_path_factory.mktemp("zookeeper")) as server:
        with client(server.address) as source:
            seed.pulsar(source, topics=3)
        yield server


@pytest.fixture
def settings(zookeeper: ZooKeeper, bucket: Bucket) -> dict[str, str]:
    """Valid settings of `backup`."""
    return {**bucket.settings, "ZOOKEEPER_SERVERS": zookeeper.address, "ZOOKEEPER_CONNECT_TIMEOUT": "2"}


def test_settings_work_as_they_are(settings: dict[str, str]) -> None:
    """With valid settings, `backup` prints the address of a backup. The other tests make one setting invalid."""
    assert succeed("backup", settings=settings).startswith(f"{settings['BUCKET']}/metadata-backup-")


@pytest.mark.parametrize("value", ["", "my-bucket", "s3a://", "s3a://x", "http://bucket", "file://relative"])
def test_bucket_setting_is_wrong(value: str, settings: dict[str, str]) -> None:
    """An empty or malformed BUCKET is named."""
    assert_refused(errors.SettingError, "BUCKET is", run("backup", settings={**settings, "BUCKET": value}))


def test_bucket_setting_is_missing(settings: dict[str, str]) -> None:
    """An unset BUCKET is named."""
    del settings["BUCKET"]
    assert_refused(errors.SettingError, "BUCKET is not set", run("backup", settings=settings))


def test_bucket_does_not_exist(settings: dict[str, str]) -> None:
    """A bucket that does not exist is an error."""
    outcome = run("backup", settings={**settings, "BUCKET": "s3a://no-such-bucket"})
    assert_refused(errors.BucketMissing, "s3a://no-such-bucket", outcome)


def test_bucket_is_not_ours(settings: dict[str, str], bucket: Bucket) -> None:
    """A bucket that belongs to another user is an error."""
    bucket.server.add_user("stranger", "another-secret")
    keys = {"AWS_ACCESS_KEY_ID": "stranger", "AWS_SECRET_ACCESS_KEY": "another-secret"}
    outcome = run("backup", settings={**settings, **keys})
    assert_refused(errors.BucketDenied, bucket.name, outcome)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_keys_are_wrong(name: str, settings: dict[str, str]) -> None:
    """Keys that the store does not know are an error, which does not repeat them."""
    outcome = run("backup", settings={**settings, name: "wrong-value"})
    assert_refused(errors.CredentialsRejected, "AWS_ACCESS_KEY_ID", outcome)
    assert "wrong-value" not in outcome.said


def test_there_are_no_keys(settings: dict[str, str], tmp_path: Path) -> None:
    """Missing credentials are an error."""
    del settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"]
    outcome = run("backup", settings={**settings, "HOME": str(tmp_path)})
    assert_refused(errors.CredentialsRejected, "no usable credentials", outcome)


def test_endpoint_does_not_answer(settings: dict[str, str]) -> None:
    """An endpoint without a server is an error."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    outcome = run("backup", settings={**settings, "AWS_ENDPOINT_URL_S3": endpoint, "AWS_MAX_ATTEMPTS": "1"})
    assert_refused(errors.StoreUnreachable, endpoint, outcome)


def test_zookeeper_does_not_answer(settings: dict[str, str], bucket: Bucket) -> None:
    """`backup` waits for ZooKeeper for a limited time, then names the address."""
    nowhere = f"127.0.0.1:{free_port()}"
    outcome = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": nowhere})
    assert_refused(errors.ZooKeeperUnreachable, f"at {nowhere} within 2 s", outcome)
    assert [] == bucket.objects()


@pytest.mark.parametrize("value", ["", "host:port", "a:0", "a:2181,,b:2181", "a:2181/x//y", "a b:2181"])
def test_zookeeper_servers_are_wrong(value: str, settings: dict[str, str]) -> None:
    """A malformed ZOOKEEPER_SERVERS is named."""
    outcome = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": value})
    assert_refused(errors.SettingError, "ZOOKEEPER_SERVERS", outcome)


def test_zookeeper_is_too_old(settings: dict[str, str], tmp_path: Path) -> None:
    """For a server below 3.6, the message names the versions that work."""
    with standalone(UNSUPPORTED, tmp_path) as server:
        outcome = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": server.address})
    assert_refused(errors.ZooKeeperUnsupported, f"ZooKeeper {UNSUPPORTED}", outcome)


def test_zookeeper_is_too_old_and_tells_no_version(settings: dict[str, str], tmp_path: Path) -> None:
    """The same if four-letter commands are not allowed."""
    with standalone(UNSUPPORTED, tmp_path, {"4lw.commands.whitelist": "srvr"}) as server:
        server.stop()
        silent = ZooKeeper(UNSUPPORTED, tmp_path, {"4lw.commands.whitelist": "ruok"}, server.port)
        silent.start()
        try:
            outcome = run(
                "backup",
                settings={**settings, "ZOOKEEPER_SERVERS": silent.address, "ZOOKEEPER_CONNECT_TIMEOUT": "60"},
            )
        finally:
            silent.stop()
    assert_refused(errors.ZooKeeperUnsupported, "3.6 and later are supported", outcome)


def test_znode_may_not_be_read(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """A znode that the login cannot read makes the backup fail. The error names its path, and nothing is uploaded."""
    with standalone(NEWEST, tmp_path) as server, client(server.address) as source:
        source.create("/closed", b"", acl=[make_digest_acl("other", "password", all=True)])
        outcome = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": server.address})
    assert_refused(errors.ZnodeUnreadable, "the login cannot read znode /closed", outcome)
    assert [] == bucket.objects()


def test_acl_comes_back_masked(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """Without ADMIN, the server hides digests, so the backup fails and names the znode. Nothing is uploaded."""
    acl = [make_acl("world", "anyone", read=True), make_digest_acl("other", "password", all=True)]
    with standalone(NEWEST, tmp_path) as server, client(server.address) as source:
        source.create("/half-open", b"", acl=acl)
        outcome = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": server.address})
        login = {"ZOOKEEPER_SERVERS": server.address, "ZOOKEEPER_AUTH": "digest:other:password"}
        assert_refused(errors.ZnodeUnreadable, "the server masks the ACL of znode /half-open", outcome)
        assert [] == bucket.objects()
        assert succeed("backup", settings={**settings, **login})


def test_chroot_saves_what_lies_under_it(settings: dict[str, str], tmp_path: Path) -> None:
    """With a chroot, only its subtree is saved, at its real path, with the znodes above it."""
    with standalone(NEWEST, tmp_path) as server, client(server.address) as source:
        source.create("/clusters/one/admin", b"mine", makepath=True)
        source.create("/clusters/one-other", b"not mine", makepath=True)
        source.create("/elsewhere", b"not mine either")
        address = f"{server.address}/clusters/one"
        uri = succeed("backup", settings={**settings, "ZOOKEEPER_SERVERS": address})
        missing = run("backup", settings={**settings, "ZOOKEEPER_SERVERS": f"{server.address}/clusters/two"})
    lines = succeed("inspect", "--tree", uri, settings=settings).splitlines()
    expected = ["/", "clusters", "one", "admin", "zookeeper", "config", "quota"]
    assert expected == [line.split()[0] for line in lines]
    assert_refused(errors.SettingError, "the chroot /clusters/two does not exist", missing)


@pytest.mark.parametrize(
    "value",
    ["", "backup-1.tar.gz", "s3a://bucket/backup.tar.gz", "s3a://bucket/backup-1.tar", "s3a:///backup-1.tar.gz"],
)
def test_restore_point_is_malformed(value: str, settings: dict[str, str], tmp_path: Path) -> None:
    """A RESTORE_POINT that cannot be a backup is refused, and the data directory stays empty."""
    wrong = {"RESTORE_POINT": value, "ZOOKEEPER_DATA_DIR": str(tmp_path)}
    assert_refused(errors.SettingError, "RESTORE_POINT is", run("restore", settings={**settings, **wrong}))
    assert [] == list(tmp_path.iterdir())


def test_restore_point_does_not_exist(settings: dict[str, str], tmp_path: Path) -> None:
    """A RESTORE_POINT that is not in the bucket is refused."""
    point = f"{settings['BUCKET']}/metadata-backup-1.tar.gz"
    wrong = {"RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(tmp_path), "ZOOKEEPER_SERVERS": ""}  # it runs
    assert_refused(errors.BackupMissing, f"{point} does not exist", run("restore", settings={**settings, **wrong}))
    assert [] == list(tmp_path.iterdir())


def test_backup_was_damaged_in_the_bucket(settings: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """A backup with one flipped byte is not restored, and the data directory stays empty."""
    uri = succeed("backup", settings=settings)
    s3, key = bucket.server.client(), bucket.objects()[0]
    content = s3.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket.name, Key=key, Body=damaged_gzip(content))
    restore = {"RESTORE_POINT": uri, "ZOOKEEPER_DATA_DIR": str(tmp_path), "ZOOKEEPER_SERVERS": ""}  # it runs
    assert_refused(errors.ArchiveCorrupt, "damaged", run("verify", uri, settings=settings))
    assert_refused(errors.ArchiveCorrupt, "damaged", run("restore", settings={**settings, **restore}))
    assert [] == list(tmp_path.iterdir())
