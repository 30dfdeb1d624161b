"""Shows a backup, a scrub and a restore on one machine, with a real ZooKeeper and an embedded S3.

Everything runs on loopback and in a temporary directory. Only the cache of downloads remains afterwards.
"""

import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import boto3
from kazoo.client import KazooClient

from ci.parts.cache import PartMissing
from ci.parts.java import java
from ci.parts.zookeeper import NEWEST, zookeeper
from metadata_tool.errors import OffloadedLedgersLost
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo
from support import seed
from support.comparison import Tree, differences, read_tree
from support.embedded_s3 import KEYS, embedded_s3
from support.offload import Offloaded, path_of, topic_value
from support.tool import Service, run, succeed
from support.zookeeper import ZooKeeper, client, standalone

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "my-backuprestore"
OFFLOADS = "my-offloads"
TOPICS = {
    "shop/default/persistent/orders": range(1, 4),
    "shop/default/persistent/payments": range(4, 6),
    "public/default/persistent/clicks": range(6, 8),
}
"""Ledgers of each topic. All but the last of a topic are offloaded."""


def main() -> int:
    """Run the demo. The exit code is 0 only if the restored tree equals the saved one."""
    try:
        say(f"getting ZooKeeper {NEWEST} and a Java runtime (a minute the first time)")
        java()
        zookeeper(NEWEST)
    except PartMissing as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="metadata-demo-") as name:
        return play(Path(name))


def play(directory: Path) -> int:
    """Run the demo in this directory, and return its exit code."""
    with embedded_s3(directory, BUCKET) as endpoint:
        say(f"an embedded S3 with the bucket {BUCKET} runs at {endpoint}")
        settings = {**KEYS, "AWS_ENDPOINT_URL_S3": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        settings |= {"BUCKET": f"s3a://{BUCKET}", "BACKUP_PREFIX": "pulsar-backup"}
        with standalone(NEWEST, directory / "old") as old:
            say(f"a ZooKeeper runs at {old.address}, creating a small tree like Pulsar's")
            with client(old.address, seed.ADMIN) as filling:
                seed.pulsar(filling, topics=0)
                offload(filling, endpoint)
                seed.everything(filling, wide=1_000)
                saved = read_tree(filling)
                serve(
                    old, settings, directory
                )  # with the client connected, to show that its ephemeral znodes are not saved
        if not scrub(settings, endpoint):
            return verdict(["the scrubs did not find what is there and what is not"], len(saved))
        say("ZooKeeper is stopped, and its data is lost")
        point = succeed("list", settings=settings).splitlines()[1].split()[-1]
        return restore(point, settings, saved, directory)


def offload(filling: KazooClient, endpoint: str) -> None:
    """Create topics whose closed ledgers are in the bucket of tiered storage, but for the last one of each."""
    say(f"the closed ledgers of {len(TOPICS)} topics are offloaded to the bucket {OFFLOADS}")
    s3 = s3_client(endpoint)
    s3.create_bucket(Bucket=OFFLOADS)
    for topic, numbers in TOPICS.items():
        *closed, last = (Offloaded(UUID(int=number), number, topic) for number in numbers)
        for ledger in closed:
            s3.put_object(Bucket=OFFLOADS, Key=ledger.data_key, Body=ledger.data())
            s3.put_object(Bucket=OFFLOADS, Key=ledger.index_key, Body=ledger.index())
        info = ManagedLedgerInfo.FromString(topic_value(closed, OFFLOADS))
        info.ledgerInfo.add(ledgerId=last.ledger_id, entries=last.entries, size=last.size, timestamp=last.created)
        filling.create(path_of(topic), info.SerializeToString(), makepath=True)


def s3_client(endpoint: str) -> "S3Client":
    """A client of the embedded S3."""
    session = boto3.session.Session(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"])
    return session.client("s3", region_name=KEYS["AWS_REGION"], endpoint_url=endpoint)


def scrub(settings: dict[str, str], endpoint: str) -> bool:
    """Scrub the newest backup, delete an object, and scrub again. Whether both found what is true."""
    say(f"metadata-tool scrub: is every ledger that the backup calls offloaded really in {OFFLOADS}?")
    before = run("scrub", settings=settings)
    print(before.said + before.output, end="")
    lost = Offloaded(UUID(int=2), 2)
    say(f"somebody deletes {lost.data_key} from {OFFLOADS}, and metadata-tool scrub runs again")
    s3_client(endpoint).delete_object(Bucket=OFFLOADS, Key=lost.data_key)
    after = run("scrub", settings=settings)
    print(after.output + after.said, end="")
    return (before.exit_code, after.exit_code) == (0, OffloadedLedgersLost.exit_code)


def serve(old: ZooKeeper, settings: dict[str, str], directory: Path) -> None:
    """Run the service until there is a backup, and show what the admin port answers."""
    own = {"ZOOKEEPER_SERVERS": old.address, "ZOOKEEPER_AUTH": f"digest:{seed.ADMIN}", "SCRUB_INTERVAL": "86400"}
    service = Service({**settings, **own}, directory / "serve.log")
    try:
        say(f"metadata-tool serve runs, with its admin port at {service.port}")
        service.wait_for("backup_count", 1)
        service.wait_for("backup_scrub_last_success_timestamp_seconds", 1)
        for path in ("/backup/latest", "/backup/list", "/backup/coverage", "/healthz", "/metrics"):
            curl(service.url + path)
    finally:
        service.process.stop()
    print(service.process.output(), end="")


def restore(point: str, settings: dict[str, str], saved: Tree, directory: Path) -> int:
    """Restore into a new data directory, start a ZooKeeper there, and compare the trees. Returns the exit code."""
    fresh = directory / "new" / "data"
    fresh.mkdir(parents=True)
    say(f"metadata-tool restore {point}")
    restoring = {"RESTORE_POINT": point, "ZOOKEEPER_DATA_DIR": str(fresh), "RESTORE_SCOPE": "bookies-kept"}
    outcome = run("restore", settings={**settings, **restoring})
    print(outcome.said + outcome.output, end="")
    if outcome.exit_code:
        return verdict([f"the restore ended with exit code {outcome.exit_code}"], len(saved))
    with standalone(NEWEST, directory / "new") as new, client(new.address, seed.ADMIN) as reading:
        say(f"a new ZooKeeper runs at {new.address}, comparing the two trees znode by znode")
        return verdict(list(differences(saved, read_tree(reading))), len(saved))


def verdict(wrong: list[str], compared: int) -> int:
    """Print the differences and the result. Returns the exit code."""
    for line in wrong[:20]:
        print(f"  {line}")
    if wrong:
        print(f"\nFAILED: the restored tree differs from the saved one in {len(wrong)} of {compared} znodes")
        return 1
    print(f"\nEQUAL: all {compared} znodes came back with their data, stats and ACLs")
    return 0


def curl(url: str) -> None:
    """Print what the admin port answers. Of the metrics, only those of backups."""
    print(f"$ curl {url}")
    if shutil.which("curl"):
        text = subprocess.run(["curl", "--silent", url], capture_output=True, text=True, check=True).stdout
    else:
        with urllib.request.urlopen(url) as reply:
            text = reply.read().decode()
    if url.endswith("/metrics"):
        text = "\n".join(line for line in text.splitlines() if line.startswith("backup_"))
    print(f"{text.rstrip()}\n")


def say(text: str) -> None:
    """Print the next step."""
    print(f"\n==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
