"""The ZooKeeper of a restored cluster: which restore it is from, its brokers, the locators of its schemas.

It also has the lock that only one put-back at a time holds. It uses a `Session`, because kazoo's client has no SASL
without a package that must be compiled, and opens another session if the one with the lock is lost.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from metadata_tool import restore_marker
from metadata_tool.catalog import rfc3339
from metadata_tool.errors import PutBackRunning
from metadata_tool.lifecycle import Every, Heartbeat
from metadata_tool.pulsar import schema_locator
from metadata_tool.pulsar.holds import decode_object
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.pulsar.tree_facts import GLOBAL
from metadata_tool.put_back import limits
from metadata_tool.put_back.held_namespaces import SchemaSettings
from metadata_tool.restore_marker import Marker
from metadata_tool.zookeeper import znodes
from metadata_tool.zookeeper.jute import INT
from metadata_tool.zookeeper.net.session import Session
from metadata_tool.zookeeper.snapshot import printable
from metadata_tool.zookeeper.znodes import Write, Znode

log = logging.getLogger(__name__)

LOCK = "/metadata-backup-put-back"
"""An ephemeral znode while a put-back runs. It is not below the marker, because that is read-only."""
_LATEST = 1 << 47
"""Times (epoch ms) before this one can be written. It is in the year 6429."""
_BROKERS = "/loadbalance/brokers"
_CLUSTERS = "/admin/clusters"


@dataclass(frozen=True)
class Holder:
    """Who runs a put-back, and since when (epoch ms)."""

    host: str
    pid: int
    since: int

    @classmethod
    def own(cls) -> "Holder":
        """This process, from now on."""
        return cls(socket.gethostname(), os.getpid(), time.time_ns() // 1_000_000)

    def to_json(self) -> bytes:
        """The data of the lock."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def in_words(data: bytes) -> str:
        """The data of a lock in words, such as ` on pod-0 (process 7) since 2026-01-31T23:59:59.123Z`."""
        fields = decode_object(data) or {}
        host, pid, since = fields.get("host"), fields.get("pid"), fields.get("since")
        where = f" on {printable(host.encode())}" if isinstance(host, str) else ""
        where += f" (process {pid})" if where and type(pid) is int else ""
        return where + (f" since {rfc3339(since)}" if type(since) is int and 0 <= since < _LATEST else "")


class RestoredEnsemble:
    """Reads and writes in one session, from any thread. Every read sees all earlier writes."""

    def __init__(self, connected: Session, chroot: str) -> None:
        self._session, self._chroot = connected, chroot
        self._lock = threading.Lock()
        self._used = time.monotonic()

    def marker(self) -> Marker | None:
        """The restore that the ensemble is from."""
        with self._own() as connected:
            found = znodes.read(connected, restore_marker.ZNODE)
        return Marker.parse(found.data) if found else None

    def existing(self, paths: Sequence[str]) -> list[str]:
        """Those of these paths, below the chroot, at which there is a znode."""
        with self._own() as connected:
            replies = connected.read_each([self._absolute(path) for path in paths])
        return [path for path, reply in zip(paths, replies, strict=True) if reply]

    def clusters(self) -> frozenset[str]:
        """The names of the Pulsar clusters that it knows."""
        return frozenset(self._children(_CLUSTERS)) - {GLOBAL}

    def brokers(self) -> frozenset[str]:
        """The brokers that are registered now, as `host:port` of their web services."""
        return frozenset(self._children(_BROKERS))

    def located(self, topics: Sequence[str]) -> list[tuple[LocatedVersion, ...]]:
        """The versions of the schemas of topics (paths below `/schemas`), nothing for a topic without.

        Raises:
            UndecodableError: a locator is damaged.
        """
        found: list[tuple[LocatedVersion, ...]] = []
        for begin in range(0, len(topics), limits.LOCATORS_AT_ONCE):
            names = topics[begin : begin + limits.LOCATORS_AT_ONCE]
            with self._own() as connected:
                replies = connected.read_each([self._absolute(f"/schemas/{topic}") for topic in names])
            found += [schema_locator.versions(reply.data[INT.size :]) if reply else () for reply in replies]
        return found

    def settings(self, namespace: str) -> SchemaSettings | None:
        """What the policies of a namespace say of schemas. None if there is no such namespace."""
        found = self.read(self.policies_path(namespace))
        return SchemaSettings.of(found.data) if found else None

    def read(self, path: bytes) -> Znode | None:
        """A znode by its whole path, None if it does not exist."""
        with self._own() as connected:
            return znodes.read(connected, path)

    def set_all(self, writes: Sequence[Write]) -> bool:
        """Set znodes that still have their versions. All are set, or none."""
        with self._own() as connected:
            return znodes.set_all(connected, writes)

    def policies_path(self, namespace: str) -> bytes:
        """The path of the policies of a namespace."""
        return self._absolute(f"/admin/policies/{namespace}")

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Keep the session while the block runs, also without any requests."""
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep_alive, args=(ended,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()

    def lock(self, holder: Holder, heartbeat: Heartbeat) -> None:
        """Take the lock until the session ends, whatever ends it.

        Waits for a put-back that was killed: its lock ends with its session.

        Raises:
            PutBackRunning: another one holds it for longer than the session of a killed one lasts.
        """
        path = self._absolute(LOCK)
        begin, time_to_say = time.monotonic(), Every(limits.LOG_INTERVAL)
        while True:
            with self._own() as connected:
                if znodes.create_ephemeral(connected, path, holder.to_json()):
                    return
                other = znodes.read(connected, path)
            waited = time.monotonic() - begin
            if other and waited > limits.LOCK_SESSIONS * self._session.timeout:
                raise PutBackRunning(
                    f"another put-back is running{Holder.in_words(other.data)}",
                    "Wait until it has ended, then run this again",
                )
            if time_to_say():
                log.info(
                    "another put-back runs%s. If it was killed, its lock ends with its session (waited %.0f s)",
                    Holder.in_words(other.data) if other else "",
                    waited,
                )
            if heartbeat.sleep(limits.LOCK_PAUSE):
                heartbeat()

    def _keep_alive(self, ended: threading.Event) -> None:
        """Keep the session while no thread uses it. If it breaks, the next use raises."""
        while not ended.wait(limits.IDLE):
            if time.monotonic() - self._used < limits.IDLE:
                continue
            try:
                with self._own() as connected:
                    znodes.synchronise(connected)
            except Exception:  # noqa: BLE001  # a thread of its own: every later use raises it
                return

    def _children(self, path: str) -> list[str]:
        with self._own() as connected:
            return [name.decode(errors="replace") for name in znodes.children(connected, self._absolute(path))]

    @contextmanager
    def _own(self) -> Iterator[Session]:
        """The session, for one thread, when its server has seen all that was written."""
        with self._lock:
            znodes.synchronise(self._session)
            yield self._session
            self._used = time.monotonic()

    def _absolute(self, path: str) -> bytes:
        return (self._chroot + path).encode(errors="surrogateescape")
