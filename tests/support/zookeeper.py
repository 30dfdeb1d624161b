"""Real ZooKeeper servers on loopback: standalone, and ensembles."""

import base64
import contextlib
import hashlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from kazoo.client import KazooClient

from ci.parts.cache import cached
from ci.parts.java import java, major
from ci.parts.zookeeper import zookeeper
from metadata_tool.apache_chart.start_command import start_command
from metadata_tool.zookeeper import jute
from support.processes import Process, free_port

SUPERUSER = "super:secret"
LIKE_IN_PRODUCTION = ("-XX:+UseG1GC",)
_CLASSES = "classes.jsa"


def digest_id(login: str) -> str:
    """The id in an ACL for `user:password` (DigestAuthenticationProvider.generateDigest)."""
    user = login.partition(":")[0]
    return f"{user}:{base64.b64encode(hashlib.sha1(login.encode()).digest()).decode()}"


def class_path(version: str) -> str:
    """All jars of a version except logback, which without configuration logs everything."""
    jars = Path(zookeeper(version)).parent.glob("*.jar")
    return os.pathsep.join(str(jar) for jar in jars if not jar.name.startswith("logback"))


@cache
def quick_start(version: str) -> tuple[str, ...]:
    """Java's options for servers that live for seconds.

    One is an archive of ZooKeeper's loaded classes, with which a start takes two thirds of the processor time. Java
    ignores an archive that another Java or other jars have made. Java 12 and earlier write none.
    """
    quick = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    if major(java()) < 13:
        return quick
    folder = cached(f"zookeeper-{version}-member-java-{major(java())}", lambda target: _write_classes(version, target))
    return (*quick, f"-XX:SharedArchiveFile={folder / _CLASSES}", "-Xshare:auto", "-Xlog:cds=off")


def _write_classes(version: str, target: Path) -> None:
    """Let Java write the classes of a member of an ensemble that was asked for all that tests ask for."""
    with tempfile.TemporaryDirectory() as directory:
        ensemble = Ensemble(version, Path(directory), quick=False)
        _, member, _ = ensemble.servers
        member.java_options = (f"-XX:ArchiveClassesAtExit={target / _CLASSES}", "-Xlog:cds=off")
        try:
            ensemble.start()
            with client(member.address) as asking:
                asking.create("/written", b"")
                asking.set("/written", b"again")
                asking.get_children("/")
                asking.delete("/written")
            with contextlib.suppress(urllib.error.HTTPError):  # the oldest one does not go with this Jetty
                urllib.request.urlopen(f"http://{member.admin_address}/commands/ruok").read()
        finally:
            ensemble.stop()


class ZooKeeper:
    """One server. Its data directory stays after its end."""

    def __init__(
        self,
        version: str,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        *,
        heap: str = "512m",
        host: str = "127.0.0.1",
        java_options: Sequence[str] = (),
        quick: bool = True,
    ) -> None:
        """Create a server without starting it.

        `settings` are lines of zoo.cfg, `heap` is Java's limit. Java's options are those of a quick start unless
        `quick` is False, and `java_options`.
        """
        self._heap = heap
        self.java_options = (*(quick_start(version) if quick else ()), *java_options)
        self.host = host
        self.version = version
        self.data_dir = directory / "data"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self._directory = directory
        self._settings = dict(settings or {})
        self.secure: ssl.SSLContext | None = None
        """If it is set, the server has no other client port than its secureClientPort."""
        self.as_in_the_chart = False
        """Whether it is started as the chart's script does: it tells that it has data since a restore, and has no vote
        while it is empty.
        """
        self._process: Process | None = None

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self._client_port}"

    @property
    def _client_port(self) -> int:
        return int(self._settings["secureClientPort"]) if self.secure else self.port

    def start(self) -> None:
        """Start the server. `wait` returns when it serves."""
        config = {
            "dataDir": str(self.data_dir),
            "clientPort": str(self.port),
            "clientPortAddress": self.host,
            "tickTime": "500",
            "initLimit": "20",
            "syncLimit": "10",
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "srvr,ruok",
            "maxClientCnxns": "0",
            **self._settings,
        }
        for name in ("clientPort", "clientPortAddress") if self.secure else ():
            del config[name]
        file = self._directory / "zoo.cfg"
        file.write_text("".join(f"{key}={value}\n" for key, value in config.items()))
        options = [
            f"-Xmx{self._heap}",
            "-XX:-UsePerfData",
            *self.java_options,
            f"-Dzookeeper.DigestAuthenticationProvider.superDigest={digest_id(SUPERUSER)}",
            "-Dzookeeper.extendedTypesEnabled=true",
            "-Dznode.container.checkIntervalMs=500",
            *self._origin(),
        ]
        if self.as_in_the_chart:
            has_run = any(self.data_dir.glob("version-2/log.*"))
            options += ["-Dzookeeper.db.autocreate=false", f"-Dmetadata-backup.has-run={str(has_run).lower()}"]
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        command = [java(), *options, "-cp", class_path(self.version), main, str(file)]
        self._process = Process(command, self._directory / "log")

    def wait(self) -> None:
        """Wait until it serves clients."""
        assert self._process
        self._process.wait_until(lambda: "Mode: " in self._srvr())

    def mode(self) -> str:
        """`standalone`, `leader` or `follower`."""
        return self._srvr().partition("Mode: ")[2].partition("\n")[0]

    def epoch(self) -> int:
        """How many leaders there have been, as far as this server knows. 0 while it does not serve."""
        zxid = self._srvr().partition("Zxid: ")[2].partition("\n")[0]
        return int(zxid, 16) >> 32 if zxid else 0

    @property
    def admin_address(self) -> str:
        """Where its AdminServer listens: `host:port`."""
        return f"{self._settings['admin.serverAddress']}:{self._settings['admin.serverPort']}"

    @property
    def runs(self) -> bool:
        """Whether the server and its AdminServer answer, even without a quorum."""
        host, _, port = self.admin_address.rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5):
            return bool(self._srvr())
        return False

    def stop(self) -> None:
        """End it, by SIGTERM."""
        if self._process:
            self._process.stop()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        assert self._process
        self._process.send(number)

    def kill(self) -> None:
        """End it, by SIGKILL."""
        if self._process:
            self._process.kill()

    def _origin(self) -> list[str]:
        """The options of the command for members of other charts: digest of the restore's marker, restore point."""
        script = f'{start_command(str(self.data_dir))} echo "$OPTS"'
        return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()

    def _srvr(self) -> str:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host, self._client_port), timeout=5) as plain,
            self.secure.wrap_socket(plain, server_hostname=self.host) if self.secure else plain as connection,
        ):
            connection.sendall(b"srvr")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        return ""


@contextlib.contextmanager
def standalone(
    version: str,
    directory: Path,
    settings: Mapping[str, str] | None = None,
    heap: str = "512m",
    java_options: Sequence[str] = (),
    *,
    quick: bool = True,
    secure: ssl.SSLContext | None = None,
) -> Iterator[ZooKeeper]:
    """A server that serves, stopped afterwards. With a context, it serves by TLS alone."""
    server = ZooKeeper(version, directory, settings, heap=heap, java_options=java_options, quick=quick)
    server.secure = secure
    try:
        server.start()
        server.wait()
        yield server
    finally:
        server.stop()


class Ensemble:
    """Several servers, not started yet: their data directories can be filled before.

    Each has an address of its own, and all have the same ports, as where each is a machine.
    """

    def __init__(self, version: str, directory: Path, size: int = 3, *, quick: bool = True) -> None:
        self.version, self._directory, self._quick = version, directory, quick
        self._ports = [free_port() for _ in range(3)]
        self.admin_port = free_port()
        self.servers = [self.member(number, size) for number in range(1, size + 1)]

    def member(self, number: int, size: int) -> ZooKeeper:
        """A server of an ensemble of this size."""
        follower, election, port = self._ports
        members = {
            f"server.{n}": f"127.0.0.{n}:{follower}:{election}:participant;127.0.0.{n}:{port}"
            for n in range(1, size + 1)
        }
        host = f"127.0.0.{number}"
        admin = {"admin.enableServer": "true", "admin.serverPort": str(self.admin_port), "admin.serverAddress": host}
        settings = {"standaloneEnabled": "false"} | members | admin
        server = ZooKeeper(self.version, self._directory / str(number), settings, port, host=host, quick=self._quick)
        (server.data_dir / "myid").write_text(f"{number}\n")
        return server

    @property
    def address(self) -> str:
        """`host:port,…`."""
        return ",".join(server.address for server in self.servers)

    def start(self) -> None:
        """Start all and wait until each serves."""
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait()

    def stop(self) -> None:
        """End all."""
        for server in self.servers:
            server.stop()


@contextlib.contextmanager
def client(address: str, login: str = "") -> Iterator[KazooClient]:
    """A new kazoo client. `login` is `user:password`."""
    zookeeper_client = KazooClient(address, timeout=30, auth_data=[("digest", login)] if login else None)
    zookeeper_client.start(timeout=60)
    try:
        yield zookeeper_client
    finally:
        zookeeper_client.stop()
        zookeeper_client.close()


class _Create(NamedTuple):
    """A kind of create that kazoo does not offer (CreateRequest, CreateTTLRequest)."""

    type: int
    path: str
    data: bytes
    tail: bytes

    def serialize(self) -> bytes:
        return jute.buffer(self.path.encode()) + jute.buffer(self.data) + jute.OPEN_ACL + self.tail

    def deserialize(self, _source: bytes, _offset: int) -> None:
        return None


def create_container(zookeeper_client: KazooClient, path: str, data: bytes) -> None:
    """Create a container znode, which is deleted after its last child."""
    _send(zookeeper_client, _Create(19, path, data, struct.pack(">i", 4)))


def create_with_ttl(zookeeper_client: KazooClient, path: str, data: bytes, milliseconds: int) -> None:
    """Create a TTL znode, which is deleted when it is unchanged for this time."""
    _send(zookeeper_client, _Create(21, path, data, struct.pack(">iq", 5, milliseconds)))


def _send(zookeeper_client: KazooClient, request: _Create) -> None:
    result = zookeeper_client.handler.async_result()
    zookeeper_client._call(request, result)
    result.get(timeout=30)
