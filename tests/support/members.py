"""Members of an ensemble as the chart's own scripts start them, on loopback instead of in pods."""

import contextlib
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError
from kazoo.handlers.threading import KazooTimeoutError

from ci.chart import CHART
from ci.parts.java import java
from support.certificates import Authority, Certificate
from support.processes import Process, eventually, free_port
from support.zookeeper import class_path, quick_start

PATIENCE = 90
"""Seconds: a bound for a machine under load, not an expectation."""

_QUIET = logging.getLogger("members")
_QUIET.disabled = True
"""Settings for clients of servers that start and stop."""

_PULSAR = """#!/bin/bash
# The part of Pulsar's program that the scripts use.
command=$1
shift
export CLASSPATH=$CLASS_PATH
case $command in
  zookeeper) exec "$JAVA" {options} $OPTS org.apache.zookeeper.server.quorum.QuorumPeerMain "$PULSAR_ZK_CONF" ;;
  zookeeper-shell) exec "$JAVA" {options} $PULSAR_MEM org.apache.zookeeper.ZooKeeperMain "$@" ;;
esac
"""
_CONF = """tickTime=500
initLimit=20
syncLimit=10
dataDir={data}
clientPort={port}
clientPortAddress={host}
admin.serverPort={admin}
admin.serverAddress={host}
4lw.commands.whitelist=ruok, srvr
maxClientCnxns=0
standaloneEnabled=false
reconfigEnabled=true
"""


@dataclass(frozen=True)
class Option:
    """What an option of the chart adds to members: lines of zookeeper.conf, and a script after ensemble.sh."""

    conf: str = ""
    script: str = ""


_PLAIN = Option()
LOG_VOLUME = Option("dataLogDir={logs}\n", "log_volume.sh")
"""zookeeper.volumes.useSeparateDiskForTxlog."""
TLS = Option(
    """secureClientPort={secure}
secureClientPortAddress={host}
serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory
sslQuorum=true
sslQuorumReloadCertFiles=true
"""
    + "".join(
        f"{prefix}{store}.location={{tmp}}/zookeeper-tls/{file}\n{prefix}{store}.type=PEM\n"
        for prefix in ("ssl.", "ssl.quorum.")
        for store, file in (("keyStore", "tls-combined.pem"), ("trustStore", "ca.crt"))
    ),
    "tls.sh",
)
"""tls.zookeeper.enabled."""


class Member:
    """One pod. Its volumes and its files stay after its end."""

    def __init__(self, version: str, directory: Path, ordinal: int, ports: Sequence[int], option: Option) -> None:
        self.ordinal, self.host = ordinal, f"127.0.0.{ordinal + 1}"
        self.data, self.logs, self.secret = (directory / name for name in ("data", "logs", "secret"))
        self._config, self.tmp, self._version = directory / "config", directory / "tmp", version
        follower, election, self._client, admin, self._secure = ports
        for made in (self.data, self.logs, self._config, self.tmp, directory / "bin"):
            made.mkdir(parents=True)
        for script in ("start.sh", "ensemble.sh", "probe.sh", "ready.sh"):
            shutil.copy(CHART / "files" / script, self._config)
        if option.script:
            with (self._config / "ensemble.sh").open("a") as file:
                file.write((CHART / "files" / option.script).read_text())
        values = {"data": self.data, "logs": self.logs, "port": self._client, "host": self.host, "admin": admin}
        values |= {"tmp": self.tmp, "secure": self._secure}
        (self._config / "zookeeper.conf").write_text((_CONF + option.conf).format(**values))
        line = f"server.{{id}}=127.0.0.{{id}}:{follower}:{election}:{{role}};127.0.0.{{id}}:{self._client}\n"
        (self._config / "member").write_text(line)
        pulsar = directory / "bin" / "pulsar"
        pulsar.write_text(
            _PULSAR.replace("{options}", " ".join(("-Xmx256m", "-XX:-UsePerfData", *quick_start(version))))
        )
        pulsar.chmod(0o755)
        self._process: Process | None = None

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{self.host}:{self._client}"

    @property
    def secure_address(self) -> str:
        """`host:port` for clients with TLS."""
        return f"{self.host}:{self._secure}"

    def give(self, authority: Authority, certificate: Certificate) -> None:
        """Mount a Secret with a certificate, or replace its content, as the kubelet does."""
        version = self.secret / f"..{time.monotonic_ns()}"
        version.mkdir(parents=True)
        content = {"ca.crt": authority.path, "tls-combined.pem": certificate.both}
        for name, source in content.items():
            shutil.copy(source, version / name)
            if not (self.secret / name).is_symlink():
                (self.secret / name).symlink_to(f"..data/{name}")
        (self.secret / "..data_tmp").symlink_to(version.name)
        (self.secret / "..data_tmp").rename(self.secret / "..data")

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    def want(self, replicas: int) -> None:
        """Write the values into the pod, as the kubelet does."""
        (self._config / "replicas").write_text(f"{replicas}\n")

    def start(self, java_options: str = "") -> None:
        """Start the pod."""
        environment = {
            "OPTS": java_options,
            **os.environ,
            "POD_NAME": f"snpe-pulsar-zookeeper-{self.ordinal}",
            "ZOOKEEPER_DATA": str(self.data),
            "ZOOKEEPER_DATA_LOG": str(self.logs),
            "ZOOKEEPER_TLS": str(self.secret),
            "TMPDIR": str(self.tmp),
            "ENSEMBLE_PAUSE": "0.3",
            "JAVA": java(),
            "CLASS_PATH": class_path(self._version),
        }
        command = ["env", "--chdir", str(self._config.parent), "bash", str(self._config / "start.sh")]
        self._process = Process(command, self._config.parent / "log", environment)

    def stop(self) -> None:
        """End the pod as Kubernetes does."""
        if self._process:
            self._process.stop()
            self._process.kill()  # processes of its group that still run
        self._process = None

    def terminate(self) -> None:
        """Send SIGTERM, and wait for the end of the pod's first process."""
        assert self._process
        self._process.stop()

    def forget(self) -> None:
        """Ignore the log so far."""
        (self._config.parent / "log").write_text("")

    def wait(self) -> int:
        """Wait until the pod's first process ends by itself. Returns its exit code."""
        assert self._process
        return self._process.wait()

    def lose_volume(self) -> None:
        """Delete the content of the volume."""
        shutil.rmtree(self.data)
        self.data.mkdir()

    def command_lines(self) -> str:
        """The command lines of all running processes of the pod."""
        lines = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self._config.parent) in line:
                    lines.append(line)
        return "\n".join(lines)

    def said(self) -> str:
        """The log of the pod."""
        return (self._config.parent / "log").read_text(errors="replace")

    def mode(self) -> str:
        """`leader`, `follower` or `observer`. Empty while the member is not part of a quorum."""
        with contextlib.suppress(OSError), socket.create_connection((self.host, self._client), timeout=5) as connection:
            connection.sendall(b"srvr")
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
            return answer.partition("Mode: ")[2].partition("\n")[0]
        return ""

    def ready(self) -> bool:
        """Whether the readiness probe succeeds."""
        command = ["bash", str(self._config / "ready.sh"), self.host, str(self._client)]
        probe = Process(command, self._config.parent / "probe.log", {**os.environ, "TMPDIR": str(self.tmp)})
        return probe.wait() == 0


class Pods:
    """The members' pods, as a StatefulSet has them: numbered from 0."""

    def __init__(self, version: str, directory: Path, option: Option = _PLAIN) -> None:
        self._version, self._directory, self._option = version, directory, option
        self._ports = [free_port() for _ in range(5)]
        self.members: list[Member] = []

    @property
    def secure_ports(self) -> list[int]:
        """The ports of each member with TLS: for clients, and for electing a leader."""
        _, election, _, _, secure = self._ports
        return [secure, election]

    def plan(self, replicas: int) -> None:
        """Create pods without starting them, and set their number in the values."""
        while len(self.members) < replicas:
            ordinal = len(self.members)
            directory = self._directory / str(ordinal)
            self.members.append(Member(self._version, directory, ordinal, self._ports, self._option))
        self.want(replicas)

    def want(self, replicas: int) -> None:
        """Write the values into all pods."""
        for member in self.members:
            member.want(replicas)

    def scale(self, replicas: int) -> None:
        """Change `replicaCount`: write the values into the pods, and start or stop pods, all at once."""
        self.plan(replicas)
        for member in self.members[replicas:]:
            member.stop()
        for member in self.members[:replicas]:
            if not member.running:
                member.start()

    def serving(self) -> list[int]:
        """The ordinals of the members that are part of a quorum."""
        return [member.ordinal for member in self.members if member.running and member.mode()]

    def voters(self) -> set[int]:
        """The ids in the ensemble's own list, as every running member reports it. Empty while they differ."""
        lists = [_voters(member) for member in self.members if member.running]
        return lists[0] if lists and all(each == lists[0] for each in lists) else set()

    def wait_for(self, replicas: int) -> None:
        """Wait until the ensemble has this many members, and all serve."""
        wanted = set(range(1, replicas + 1))
        self.eventually(f"{replicas} members", lambda: wanted == self.voters() and len(self.serving()) == replicas)

    def eventually(self, what: str, probe: Callable[[], object]) -> None:
        """Wait for a condition. If it does not come true, show the logs."""
        eventually(what, probe, PATIENCE, self.said)

    def never(self, what: str, probe: Callable[[], object]) -> None:
        """Check that a condition does not come true during many checks of the members."""
        for _ in range(30):
            assert not probe(), f"{what}\n{self.said()}"
            time.sleep(0.2)

    def said(self) -> str:
        """The end of each log."""
        return "\n".join(f"--- {member.ordinal}\n{member.said()[-2500:]}" for member in self.members)

    def stop(self) -> None:
        """End all."""
        for member in self.members:
            member.stop()

    def addresses(self, replicas: int) -> str:
        """The addresses of the first pods for clients, whether these run or not."""
        return ",".join(f"127.0.0.{number}:{self._ports[2]}" for number in range(1, replicas + 1))


def _voters(member: Member) -> set[int]:
    zookeeper = KazooClient(member.address, timeout=10, logger=_QUIET)
    try:
        zookeeper.start(timeout=10)
        lines = zookeeper.get("/zookeeper/config")[0].decode().splitlines()
    except (KazooException, KazooTimeoutError):
        return set()
    finally:
        zookeeper.stop()
        zookeeper.close()
    return {int(line.partition("=")[0].partition(".")[2]) for line in lines if ":participant" in line}


class Writers:
    """Clients that create znodes one after the other, and note each one that was acknowledged."""

    def __init__(self, addresses: str, number: int = 2) -> None:
        self.acknowledged: list[str] = []
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(addresses, each)) for each in range(number)]

    def _write(self, addresses: str, number: int) -> None:
        zookeeper = KazooClient(addresses, timeout=4, logger=_QUIET)
        count = 0
        try:
            while not self._ending.is_set():
                with contextlib.suppress(KazooException, KazooTimeoutError):
                    if not zookeeper.connected:
                        zookeeper.start(timeout=5)
                    path = f"/written-{number}-{count}"
                    with contextlib.suppress(NodeExistsError):  # created, but the answer was lost
                        zookeeper.create(path, b"")
                    self.acknowledged.append(path)
                    count += 1
                time.sleep(0.002)
        finally:
            zookeeper.stop()
            zookeeper.close()

    def have(self, number: int) -> bool:
        """Whether this many creates were acknowledged."""
        return len(self.acknowledged) >= number

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Create znodes until the end of the block."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join()


def lost(acknowledged: Sequence[str], member: Member) -> set[str]:
    """The acknowledged znodes that a member does not have."""
    zookeeper = KazooClient(member.address, timeout=10)
    zookeeper.start(timeout=30)
    try:
        zookeeper.sync("/")
        return set(acknowledged) - {f"/{name}" for name in zookeeper.get_children("/")}
    finally:
        zookeeper.stop()
        zookeeper.close()
