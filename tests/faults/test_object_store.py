"""A restore from a failing object store continues if it can, or ends with one line and touches nothing."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metadata_tool import errors
from metadata_tool.errors import Stopped, StoreFailed, StoreUnreachable, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store import parse_location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.limits import TransferLimits
from metadata_tool.store.s3 import S3Store
from support.processes import Process, free_port
from support.proxy import Faults, proxy
from support.s3 import Bucket, S3Server, new_bucket
from support.tool import Outcome, assert_refused, environment, run, succeed
from support.trees import make_archive, node

NAME = "pulsar-1623721488825.tar.gz"
KEY = f"team/prod/{NAME}"
ZNODES = 40
ZNODE = 100_000
"""Bytes of each, which no compression makes fewer: 4 MB in all."""
PAUSES = TransferLimits().pauses


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup of some megabytes."""
    path = tmp_path_factory.mktemp("made") / NAME
    nodes = [node(b"", None), *(node(b"/%02d" % number, os.urandom(ZNODE)) for number in range(ZNODES))]
    make_archive(path, nodes, timestamp=1_623_721_488_825, data_bytes=ZNODES * ZNODE)
    return path.read_bytes()


@pytest.fixture(scope="module")
def kept(s3: S3Server, content: bytes) -> Bucket:
    """The bucket that holds it."""
    bucket = new_bucket(s3)
    put(bucket, content)
    return bucket


def put(bucket: Bucket, content: bytes) -> None:
    """Keep a backup."""
    bucket.server.client().put_object(Bucket=bucket.name, Key=KEY, Body=content, ChecksumAlgorithm="SHA256")


def flipped(body: bytes) -> bytes:
    """Bytes of which one in the middle is another."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


class Restore:
    """The program, its two directories, and what stands between it and the object store."""

    def __init__(self, bucket: Bucket, endpoint: str, faults: Faults, directory: Path) -> None:
        self.bucket, self.faults = bucket, faults
        self.data, self.spool = directory / "data", directory / "spool"
        self.uri = f"s3a://{bucket.name}/{KEY}"
        for made in (self.data, self.spool):
            made.mkdir()
        self.settings = {
            **bucket.settings,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "RESTORE_POINT": self.uri,
            "RESTORE_SCOPE": "bookies-kept",
            "ALLOW_OLDER": "true",  # nothing is listed: every request that is counted fetches
            "ZOOKEEPER_DATA_DIR": str(self.data),
            "SPOOL_DIR": str(self.spool),
        }

    def run(self, verb: str = "restore", **changes: str) -> Outcome:
        """Restore, or verify."""
        return run(verb, *([self.uri] if verb == "verify" else []), settings={**self.settings, **changes})

    def refused(self, error: type[ToolError], naming: str, outcome: Outcome) -> None:
        """It ended with this error, and has touched nothing."""
        assert_refused(error, naming, outcome)
        self.nothing_is_left()

    def nothing_is_left(self) -> None:
        """Neither directory holds anything."""
        assert ([], []) == (list(self.data.iterdir()), list(self.spool.iterdir()))

    def restored(self) -> dict[str, bytes]:
        """The files of the data directory."""
        return {str(path.relative_to(self.data)): path.read_bytes() for path in self.data.rglob("*") if path.is_file()}


@pytest.fixture
def restore(kept: Bucket, tmp_path: Path) -> Iterator[Restore]:
    """A restore of that backup through a proxy that makes faults on demand."""
    with proxy(kept.server.port) as (endpoint, faults):
        yield Restore(kept, endpoint, faults, tmp_path)


@pytest.fixture(scope="module")
def expected(kept: Bucket, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a restore without faults leaves in the data directory."""
    plain = Restore(kept, kept.server.endpoint, Faults(), tmp_path_factory.mktemp("plain"))
    succeed("restore", settings=plain.settings)
    return plain.restored()


@pytest.mark.parametrize("verb", ["restore", "verify"])
@pytest.mark.parametrize(
    ("status", "error", "naming"),
    [
        (403, errors.BucketDenied, "the object store denied GetObject for s3a://{bucket}/team/prod (403)"),
        (404, errors.BackupMissing, "s3a://{bucket}/team/prod/pulsar-1623721488825.tar.gz does not exist"),
        (500, errors.StoreFailed, "the object store failed GetObject for s3a://{bucket}/team/prod (500)"),
        (503, errors.StoreFailed, "the object store failed GetObject for s3a://{bucket}/team/prod (503)"),
    ],
)
@pytest.mark.fault("Object store", "an error answer during a restore")
def test_status(verb: str, status: int, error: type[ToolError], naming: str, restore: Restore) -> None:
    """An error answer has its own exit code. The request is tried again if that may help, but not forever."""
    restore.faults.status = status
    outcome = restore.run(verb)
    restore.refused(error, naming.format(bucket=restore.bucket.name), outcome)
    assert (3 if status >= 500 else 1) == restore.faults.requests


@pytest.mark.parametrize(("what", "error"), [("bucket", errors.BucketMissing), ("key", errors.CredentialsRejected)])
@pytest.mark.fault("Object store", "the bucket or the key is wrong")
def test_causes_differ(what: str, error: type[ToolError], restore: Restore) -> None:
    """A missing bucket, a missing backup, wrong keys and a denial have different errors."""
    changes = {
        "bucket": {"RESTORE_POINT": f"s3a://no-such-bucket/{KEY}"},
        "key": {"AWS_SECRET_ACCESS_KEY": "wrong-value"},
    }
    outcome = restore.run(**changes[what])
    restore.refused(error, "s3a://", outcome)
    assert "wrong-value" not in outcome.said


@pytest.mark.parametrize(("status", "error"), [(403, errors.BucketDenied), (503, errors.StoreFailed)])
@pytest.mark.fault("Object store", "listing fails before a restore")
def test_listing_fails(status: int, error: type[ToolError], restore: Restore) -> None:
    """If the search for newer backups fails, the backup is not fetched, and the error says how to restore anyway."""
    restore.faults.status = status
    restore.refused(error, "ALLOW_OLDER=true", restore.run(ALLOW_OLDER="false"))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1"])
@pytest.mark.fault("Object store", "nothing listens at the address")
def test_nobody_is_there(host: str, restore: Restore) -> None:
    """A name that DNS does not know, or a port without a server, is an error."""
    endpoint = f"http://{host}:{free_port()}"
    resolver = {"RES_OPTIONS": "timeout:1 attempts:1"}  # where there is no DNS at all
    outcome = restore.run(AWS_ENDPOINT_URL_S3=endpoint, **resolver)
    restore.refused(errors.StoreUnreachable, f"the object store at {endpoint} does not answer", outcome)


@pytest.mark.parametrize("cut", [300_000, 1_000_000])
@pytest.mark.fault("Object store", "a transfer is cut again and again")
def test_cut_again_and_again(cut: int, restore: Restore, content: bytes, expected: dict[str, bytes]) -> None:
    """However often the transfer is cut, the restore is the same, and each byte is sent once."""
    restore.faults.cut = cut
    outcome = restore.run()
    assert 0 == outcome.exit_code, outcome.said
    assert expected == restore.restored()
    assert len(content) == restore.faults.sent
    assert -(-len(content) // cut) == restore.faults.requests
    assert [] == list(restore.spool.iterdir())
    print(f"{restore.faults.requests} requests, {restore.faults.sent} bytes for {len(content)}")


@pytest.mark.fault("Object store", "connections are reset again and again")
def test_reset_again_and_again(restore: Restore, content: bytes, expected: dict[str, bytes]) -> None:
    """The same with connections that are reset, which loses the bytes in flight."""
    restore.faults.cut, restore.faults.cut_by, restore.faults.cuts = 1_000_000, "reset", 10
    restore.faults.download_pause = 0.005  # so that something arrives before
    outcome = restore.run()
    assert 0 == outcome.exit_code, outcome.said
    assert expected == restore.restored()
    assert restore.faults.sent < 2 * len(content)
    print(f"{restore.faults.requests} requests, {restore.faults.sent} bytes for {len(content)}")


@pytest.mark.fault("Object store", "error answers after a cut")
def test_cut_then_errors(restore: Restore, content: bytes, expected: dict[str, bytes]) -> None:
    """If the object store fails for a moment after a cut, the transfer waits, and no byte is fetched twice."""
    restore.faults.cut, restore.faults.cuts = 1_000_000, 1
    restore.faults.statuses = [0, 503, 500]
    outcome = restore.run(AWS_MAX_ATTEMPTS="1")
    assert 0 == outcome.exit_code, outcome.said
    assert expected == restore.restored()
    assert (4, len(content)) == (restore.faults.requests, restore.faults.sent)


@pytest.mark.fault("Object store", "the rest of a transfer is denied")
def test_next_try(restore: Restore, content: bytes, expected: dict[str, bytes]) -> None:
    """If the rest is denied, it is not requested again. A later restore fetches everything."""
    restore.faults.cut = 1_000_000
    restore.faults.statuses = [0, 403]
    restore.refused(errors.BucketDenied, "denied GetObject", restore.run())
    assert (2, 1_000_000) == (restore.faults.requests, restore.faults.sent)
    restore.faults.cut, restore.faults.sent = None, 0
    outcome = restore.run()
    assert 0 == outcome.exit_code, outcome.said
    assert expected == restore.restored()
    assert len(content) == restore.faults.sent


@pytest.mark.fault("Object store", "a transfer is slow")
def test_slow(restore: Restore, expected: dict[str, bytes]) -> None:
    """A slow transfer logs its progress."""
    restore.faults.download_pause = 0.1
    outcome = restore.run()
    assert 0 == outcome.exit_code, outcome.said
    assert expected == restore.restored()
    progress = [text for text in outcome.said.splitlines() if "INFO fetched " in text]
    assert progress, outcome.said
    assert all(" of 4.0 MB), " in text and text.endswith(" s left") for text in progress), outcome.said


@pytest.mark.parametrize("hidden", [False, True], ids=["checksums", "no-checksums"])
@pytest.mark.parametrize("damage", ["other", "fewer", "more"])
@pytest.mark.fault("Object store", "the object store gives other, fewer or more bytes")
def test_wrong_bytes(damage: str, hidden: bool, restore: Restore) -> None:
    """Altered, missing or additional bytes are found by the object store's checksum, or by the backup's own."""
    changes: dict[str, Callable[[bytes], bytes]] = {
        "other": flipped,
        "fewer": lambda body: body[:-1],
        "more": lambda body: body + b"x",
    }
    restore.faults.hide_checksums = hidden
    restore.faults.damage = lambda _, body: changes[damage](body)
    outcome = restore.run()
    if hidden:
        restore.refused(errors.ArchiveCorrupt, NAME, outcome)
    else:
        restore.refused(errors.StoreFailed, f"{NAME} does not match the object store's checksum", outcome)


@pytest.mark.fault("Object store", "other bytes after a cut")
def test_wrong_bytes_after_a_cut(restore: Restore) -> None:
    """They are found in a transfer of several requests, too."""
    restore.faults.cut = 1_000_000
    restore.faults.damage = lambda _, body: flipped(body)
    restore.refused(errors.StoreFailed, f"{NAME} does not match the object store's checksum", restore.run())


@pytest.mark.fault("Object store", "an answer is shorter than its header says")
def test_length_is_a_lie(restore: Restore, content: bytes) -> None:
    """If an answer has fewer bytes than its header says, the rest is requested once, and the restore ends."""
    restore.faults.overstate = 10
    outcome = restore.run()
    restore.refused(errors.StoreFailed, restore.bucket.name, outcome)
    assert (2, True) == (restore.faults.requests, restore.faults.sent >= len(content))


@pytest.mark.fault("Object store", "the object store knows no ranges")
def test_ranges_are_not_known(restore: Restore) -> None:
    """An answer with the start of the object, instead of the rest, is refused."""
    restore.faults.cut, restore.faults.replay = 1_000_000, True
    restore.refused(errors.StoreFailed, f"{NAME} was replaced during its transfer", restore.run())


@pytest.mark.fault("Object store", "the backup is replaced during its transfer")
def test_replaced_meanwhile(s3: S3Server, content: bytes, tmp_path: Path) -> None:
    """Two backups are never mixed, even if both have the same size."""
    bucket = new_bucket(s3)
    put(bucket, content)

    def replace(_: str, body: bytes) -> bytes:
        put(bucket, bytes(len(content)))
        return body

    with proxy(s3.port) as (endpoint, faults):
        restore = Restore(bucket, endpoint, faults, tmp_path)
        faults.cut, faults.damage = 1_000_000, replace
        restore.refused(errors.StoreFailed, f"{NAME} was replaced during its transfer", restore.run())


@pytest.mark.fault("Process", "SIGTERM during a restore whose object store hangs")
def test_stopped_in_mid_transfer(restore: Restore, tmp_path: Path) -> None:
    """SIGTERM ends the restore at once and leaves nothing behind, even if the object store hangs."""
    restore.faults.cut, restore.faults.cut_by = 1_000_000, "silence"
    command = [sys.executable, "-m", "metadata_tool", "restore"]
    process = Process(command, tmp_path / "log", environment(restore.settings))
    process.wait_until(lambda: restore.faults.sent == 1_000_000)
    process.send(signal.SIGTERM)
    assert Stopped.exit_code == process.wait()
    assert "error: stopped before the work was done" == process.output().splitlines()[-1]
    restore.nothing_is_left()


@pytest.fixture
def hasty(restore: Restore, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """The program's store through the same proxy, with as many tries as usual, and shorter waits."""
    for name, value in restore.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    limits = TransferLimits(read=0.3, pauses=tuple(pause / 1000 for pause in PAUSES))
    return S3Store(parse_location(restore.uri.removesuffix(f"/{NAME}")), StoreOptions("us-east-1", limits=limits))


@pytest.mark.fault("Object store", "a connection goes silent")
def test_hangs_for_once(hasty: S3Store, restore: Restore, content: bytes, tmp_path: Path) -> None:
    """A connection without further bytes is replaced by another."""
    restore.faults.cut, restore.faults.cut_by, restore.faults.cuts = 1_000_000, "silence", 2
    hasty.fetch(NAME, tmp_path / "fetched", Heartbeat())
    assert content == (tmp_path / "fetched").read_bytes()
    assert 3 == restore.faults.requests


@pytest.mark.parametrize(
    ("cut_by", "naming"),
    [
        ("close", f"the transfer of .*{NAME} broke off too many times"),
        ("reset", f"the transfer of .*{NAME} broke off too many times"),
        ("silence", "does not answer"),
    ],
)
@pytest.mark.fault("Object store", "every connection goes silent")
def test_nothing_comes_for_good(cut_by: str, naming: str, hasty: S3Store, restore: Restore, tmp_path: Path) -> None:
    """If no further byte arrives, the transfer is tried for some time, then fails."""
    restore.faults.cut, restore.faults.cut_by = 0, cut_by  # type: ignore[assignment]  # as the parameters say
    with pytest.raises(StoreUnreachable, match=naming):
        hasty.fetch(NAME, tmp_path / "fetched", Heartbeat())
    assert 1 + len(PAUSES) == restore.faults.requests


def test_tries_start_over(hasty: S3Store, restore: Restore, content: bytes, tmp_path: Path) -> None:
    """Any byte that arrives starts the tries over, so many failures in all do not end the transfer."""
    failures = len(PAUSES) - 1
    restore.faults.cut = 1_000_000
    restore.faults.statuses = [0, *[503] * failures] * 3
    hasty.fetch(NAME, tmp_path / "fetched", Heartbeat())
    assert content == (tmp_path / "fetched").read_bytes()
    assert 5 + 3 * failures == restore.faults.requests


@pytest.mark.fault("Object store", "errors that stay after a cut")
def test_errors_for_good_after_a_cut(hasty: S3Store, restore: Restore, tmp_path: Path) -> None:
    """An error that stays is the error of the transfer."""
    restore.faults.cut = 1_000_000
    restore.faults.statuses = [0, *[503] * 100]
    with pytest.raises(StoreFailed, match="503"):
        hasty.fetch(NAME, tmp_path / "fetched", Heartbeat())
    assert 2 + len(PAUSES) - 1 == restore.faults.requests


def test_stop_while_it_waits(hasty: S3Store, restore: Restore, tmp_path: Path) -> None:
    """A stop ends the wait between two tries."""
    restore.faults.statuses = [0, *[503] * 100]
    restore.faults.cut = 1_000_000
    heartbeat = Heartbeat()

    def step() -> None:
        if restore.faults.requests > 1:
            heartbeat.stop()
        heartbeat()

    with pytest.raises(Stopped):
        hasty.fetch(NAME, tmp_path / "fetched", step)


@pytest.mark.soak
@pytest.mark.parametrize("cut", [0, 1_000_000])
def test_real_patience(cut: int, restore: Restore, expected: dict[str, bytes]) -> None:
    """With the program's real waits, a silence is survived, and a broken store is an error."""
    restore.faults.cut = cut
    if cut:
        restore.faults.cut_by, restore.faults.cuts = "silence", 1
        outcome = restore.run()
        assert 0 == outcome.exit_code, outcome.said
        assert expected == restore.restored()
    else:
        restore.refused(errors.StoreUnreachable, f"{NAME} broke off too many times", restore.run())
