"""Releases with a running service, each with the servers that it depends on."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

from kazoo.client import KazooClient

from ci.parts.zookeeper import NEWEST
from metadata_tool.broker_metadata.collector import CLUSTERS
from support import seed
from support.fake_broker import Replies, Reply, fake_broker
from support.metadata import as_json, cursor, ledgers
from support.offload import Offloaded, offload, path_of, topic_value
from support.prometheus import Target
from support.proxy import Faults, proxy
from support.s3 import S3Server, new_bucket
from support.tool import Service
from support.zookeeper import ZooKeeper, client, standalone

INTERVAL = 10
"""Seconds from one backup to the next."""
PARTS, PART = 10, 20_000
"""Znodes that are nearly all of the tree's bytes: how many, and the size of each."""
_TOPIC, _OTHER_TOPIC = "public/default/persistent/t1", "public/default/persistent/t2"
LEDGERS = [Offloaded(UUID(int=number), number, _TOPIC) for number in range(1, 4)]
"""The ledgers that the tree marks as offloaded."""
_OFFLOADS = "offloads"
"""The bucket that the tree names. Each service that scrubs has one of its own in its place."""
_KEEPER = {"AWS_ACCESS_KEY_ID": "keeper", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-keeper"}
"""A user with the rights that a bucket's policy gives."""


class Shared:
    """A ZooKeeper with a Pulsar, and an S3 server. Nothing happens to them."""

    def __init__(self, directory: Path, s3: S3Server, stack: ExitStack) -> None:
        self.directory = directory
        self.s3 = s3
        self.stack = stack
        self.zookeeper = stack.enter_context(standalone(NEWEST, directory / "zookeeper"))
        fill(self.zookeeper)
        s3.add_user(*_KEEPER.values())
        self.discover: Callable[[], None] = lambda: None
        """Lets Prometheus find pods that have moved."""


def fill(zookeeper: ZooKeeper) -> None:
    """Let it have a Pulsar with three offloaded ledgers, one that is not offloaded, and a subscription."""
    with client(zookeeper.address) as source:
        seed.pulsar(source, topics=3)
        source.create(path_of(_TOPIC), topic_value(LEDGERS, _OFFLOADS), makepath=True)
        source.create(path_of(_OTHER_TOPIC), ledgers((10, False), (11, False)))
        source.create(path_of(f"{_OTHER_TOPIC}/subscription"), cursor(5))
        for number in range(PARTS):
            source.create(f"/part-{number}", os.urandom(PART))


class Site:
    """A release: a service, and what it depends on."""

    def __init__(self, name: str, shared: Shared) -> None:
        self.name = name
        self.directory = shared.directory / name
        self.directory.mkdir()
        self.bucket, self.offloads, self.copies = (new_bucket(shared.s3) for _ in range(3))
        self.s3 = shared.s3
        self.zookeeper = shared.zookeeper
        self._shared = shared
        self.settings = {
            **self.bucket.settings,
            "BACKUP_PREFIX": "pulsar",
            "BACKUP_INTERVAL": str(INTERVAL),
            "ZOOKEEPER_SERVERS": shared.zookeeper.address,
            "ZOOKEEPER_CONNECT_TIMEOUT": "2",
            "AWS_MAX_ATTEMPTS": "1",
            "SPOOL_DIR": str(self.directory / "spool"),
        }
        (self.directory / "spool").mkdir()
        self.store = Faults()
        """What the proxy before its object store does, if there is one."""
        self._started: list[Service] = []

    @property
    def service(self) -> Service:
        """The one that runs, or was the last to run."""
        return self._started[-1]

    def serve(self, wrapped: tuple[str, ...] = (), **settings: str) -> None:
        """Start its service, with settings of its own."""
        self.settings |= settings
        self._started.append(Service(self.settings, self.directory / "log", wrapped=wrapped))
        self.service.process.wait_until(lambda: self.service.get("/healthz")[0] == 200)

    def stop(self) -> None:
        """End all that it has started."""
        for service in self._started:
            service.process.stop()

    def move(self) -> None:
        """Start another pod in place of this one, at another address, which Prometheus finds before this one ends."""
        before = self.service
        self.serve()
        self._shared.discover()
        before.process.stop()

    @property
    def target(self) -> Target:
        """Its pod, as Prometheus finds it."""
        return Target(self.service.port, self.name, f"{self.name}-pulsar-backup-0")

    def wait_for_backup(self) -> None:
        """Wait until a backup that began after now has ended."""
        enough = self.service.metric("backup_count") + 2
        self.service.wait_for("backup_count", enough)

    def copy_elsewhere(self, *rights: str) -> None:
        """Let the service keep copies in a bucket on which its user has these rights."""
        self.copies.allow(_KEEPER["AWS_ACCESS_KEY_ID"], *rights)
        self.settings["BACKUP_COPIES"] = f"s3a://{self.copies.name}/copies"

    def own_zookeeper(self) -> None:
        """Let the service back up a ZooKeeper of its own, with the same tree."""
        self.zookeeper = self._shared.stack.enter_context(standalone(NEWEST, self.directory / "zookeeper"))
        fill(self.zookeeper)
        self.settings["ZOOKEEPER_SERVERS"] = self.zookeeper.address

    def client(self) -> KazooClient:
        """A client of its ZooKeeper."""
        return self._shared.stack.enter_context(client(self.zookeeper.address))

    def proxied_store(self) -> None:
        """Let the service reach its object store through a proxy."""
        self.settings["AWS_ENDPOINT_URL_S3"], self.store = self._shared.stack.enter_context(proxy(self.s3.port))

    def scrub(self) -> None:
        """Let the service scrub its bucket of tiered storage, which has all offloaded ledgers."""
        offload(self.offloads, *LEDGERS)
        self.settings |= {"SCRUB_INTERVAL": "1", "TIERED_STORAGE_BUCKETS": f"{_OFFLOADS}={self.offloads.name}"}

    def ask_denying_broker(self) -> None:
        """Let the service ask a broker that denies everything."""
        broker = self._shared.stack.enter_context(fake_broker(default=Reply(403, b'{"reason":"denied"}')))
        self.settings["BROKER_SERVICE_URL"] = broker.url

    def ask_broker(self) -> None:
        """Let the service ask a broker that gives out the position of the subscription."""
        stats = {"cursors": {"subscription": {"markDeletePosition": "3:7", "individuallyDeletedMessages": "[]"}}}
        replies: dict[str, Replies] = {
            CLUSTERS: Reply(body=b'["demo"]'),
            f"/admin/v2/persistent/{_OTHER_TOPIC.replace('/persistent', '')}/internalStats": Reply(
                body=as_json(**stats)
            ),
        }
        broker = self._shared.stack.enter_context(fake_broker(replies))
        self.settings["BROKER_SERVICE_URL"] = broker.url

    def tell_heartbeats(self) -> None:
        """Let the service ask an address after each good backup, which answers."""
        answering = self._shared.stack.enter_context(fake_broker(default=Reply()))
        self.settings["HEARTBEAT_URL"] = f"{answering.url}/ping/a-secret-of-the-heartbeat"

    def allow(self, *rights: str) -> None:
        """Let the service be a user with these rights on its bucket, who may read tiered storage."""
        self.settings |= _KEEPER
        user = _KEEPER["AWS_ACCESS_KEY_ID"]
        self.bucket.allow(user, *rights)
        self.offloads.allow(user, "s3:ListBucket", "s3:GetObject")
