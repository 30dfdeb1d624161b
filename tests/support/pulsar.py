"""A real Pulsar on loopback: bookies, a broker, their admin API. ZooKeeper and the object store are given."""

import itertools
import json
import os
import socket
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import urllib3

from ci.parts.java import java
from ci.parts.pulsar import with_offloader
from support import processes
from support.processes import Process, free_port
from support.s3 import ACCESS_KEY, SECRET_KEY

PATIENCE = 180
"""Seconds: a bound for a machine under load, not an expectation."""
SMALL = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData"


_RETRIES = urllib3.Retry(connect=0, read=0, redirect=5, remove_headers_on_redirect=())
"""A broker names the one that serves a topic: with the same token."""
eventually = partial(processes.eventually, patience=PATIENCE)


@dataclass
class Pulsar:
    """One cluster: where its ZooKeeper is, where it offloads to, how it compresses its metadata. Nothing runs yet."""

    version: str
    directory: Path
    zookeeper: str
    endpoint: str
    bucket: str
    settings: Mapping[str, str] = field(default_factory=dict)
    name: str = "c1"
    bookies: int = 2
    ledger_disks: Path | None = None
    bookie_ports: list[int] = field(default_factory=list)
    bookie_settings: Sequence[Mapping[str, str]] = ()
    """More settings of the first bookies, one after the other."""
    brokers: int = 1
    token: str | None = None
    """What the admin API asks for."""

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.service_ports = [free_port() for _ in range(self.brokers)]
        self.web_ports = [free_port() for _ in range(self.brokers)]
        self.bookie_ports = self.bookie_ports or [free_port() for _ in range(self.bookies)]
        self.disks = self.ledger_disks or self.directory / "bookies"
        self.bookie_web_ports = [free_port() for _ in self.bookie_ports]
        self._bookies: dict[int, Process] = {}
        self._processes: list[Process] = []

    @property
    def service_url(self) -> str:
        """What clients connect to: the first broker."""
        return f"pulsar://127.0.0.1:{self.service_ports[0]}"

    @property
    def web_url(self) -> str:
        """The admin API of the first broker."""
        return f"http://127.0.0.1:{self.web_ports[0]}"

    def start(self) -> None:
        """Initialise the metadata, as operators do on every install, and start bookies and brokers."""
        initialising = ["initialize-cluster-metadata", "--cluster", self.name]
        initialising += ["--metadata-store", f"zk:{self.zookeeper}", "--configuration-metadata-store"]
        initialising += [f"zk:{self.zookeeper}", "--web-service-url", self.web_url]
        process = self._run("initialize", [*initialising, "--broker-service-url", self.service_url], {})
        assert process.wait() == 0, process.output()[-3000:]
        more = itertools.chain(self.bookie_settings, itertools.repeat({}))
        for number, settings in zip(range(len(self.bookie_ports)), more, strict=False):
            self._start_bookie(number, settings)
        started = [self._start_broker(number) for number in range(self.brokers)]
        self.broker = started[0]
        for number, broker in enumerate(started):
            broker.wait_until(partial(self._serves, number))

    def restart_bookie(self, number: int, settings: Mapping[str, str]) -> None:
        """Stop a bookie, and start it with these settings beside the usual ones."""
        self._bookies[number].stop()
        self._start_bookie(number, settings).wait_until(lambda: self._bookie_serves(number))

    def ask_bookie(self, number: int, path: str, method: str = "GET") -> str:
        """What a bookie answers by HTTP."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.bookie_web_ports[number]}{path}", method=method)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return str(reply.read(), "utf-8")

    def entry_logs(self, number: int) -> set[Path]:
        """The files with the entries of a bookie."""
        return set((self.disks / str(number) / "ledgers" / "current").glob("*.log"))

    def shell(self, number: int, *arguments: str) -> str:
        """What `bookkeeper shell` says with a bookie's configuration."""
        file = self.directory / f"bookie-{number}.conf"
        environment = {"BOOKIE_CONF": str(file), "BOOKIE_LOG_DIR": str(self.directory / "logs")}
        (self.directory / "shell.log").unlink(missing_ok=True)
        process = self._run("shell", ["shell", *arguments], environment, "bookkeeper")
        assert process.wait() == 0, process.output()[-3000:]
        return process.output()

    def kill(self) -> None:
        """SIGKILL to all of it."""
        for process in self._processes:
            process.kill()

    def get(self, path: str) -> Any:
        """`GET /admin/v2/…`, decoded."""
        return self._ask("GET", path)

    def put(self, path: str, body: Any = None) -> Any:
        """`PUT /admin/v2/…`."""
        return self._ask("PUT", path, body)

    def post(self, path: str, body: Any = None) -> Any:
        """`POST /admin/v2/…`."""
        return self._ask("POST", path, body)

    def delete(self, path: str) -> Any:
        """`DELETE /admin/v2/…`."""
        return self._ask("DELETE", path)

    def log(self) -> str:
        """What the first broker said."""
        return self.broker.output()

    def _start_broker(self, number: int) -> Process:
        name = "broker" if number == 0 else f"broker-{number}"
        file = self._conf(name, self._broker(number))
        self._processes.append(self._run(name, ["broker"], {"PULSAR_BROKER_CONF": str(file)}))
        return self._processes[-1]

    def _start_bookie(self, number: int, settings: Mapping[str, str]) -> Process:
        file = self._conf(f"bookie-{number}", {**self._bookie(number, self.bookie_ports[number]), **settings})
        self._bookies[number] = self._run(f"bookie-{number}", ["bookie"], {"PULSAR_BOOKKEEPER_CONF": str(file)})
        self._processes.append(self._bookies[number])
        return self._bookies[number]

    def _bookie_serves(self, number: int) -> bool:
        try:
            return bool(self.ask_bookie(number, "/api/v1/bookie/is_ready"))
        except OSError:
            return False

    def _serves(self, number: int) -> bool:
        try:
            return self.name in self._ask("GET", "clusters", web_port=self.web_ports[number])
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: Any = None, web_port: int | None = None) -> Any:
        url = f"http://127.0.0.1:{web_port or self.web_ports[0]}/admin/v2/{path}"
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        try:
            reply = urllib3.request(method, url, body=data, headers=headers, timeout=60, retries=_RETRIES)
        except urllib3.exceptions.HTTPError as error:
            raise OSError(f"{method} {path}: {error}") from error
        if reply.status >= 400:
            raise OSError(f"{method} {path}: {reply.status} {reply.data.decode()}")
        return json.loads(reply.data) if reply.data else None

    def _run(self, name: str, arguments: list[str], environment: Mapping[str, str], program: str = "pulsar") -> Process:
        hosts = self.directory / "hosts"
        hosts.write_text(
            f"127.0.0.1 localhost {socket.gethostname()}\n"
        )  # no other name resolves: nothing outside can be asked
        settings = {
            **{key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")},
            "JAVA_HOME": str(Path(java()).resolve().parents[1]),
            "PULSAR_MEM": "-Xms64m -Xmx640m -XX:MaxDirectMemorySize=768m",
            "BOOKIE_MEM": "-Xms64m -Xmx384m -XX:MaxDirectMemorySize=384m",
            "PULSAR_GC": SMALL,
            "BOOKIE_GC": SMALL,
            "PULSAR_GC_LOG": " ",
            "PULSAR_EXTRA_OPTS": f"-Djdk.net.hosts.file={hosts}",
            "BOOKIE_EXTRA_OPTS": f"-Djdk.net.hosts.file={hosts}",
            "PULSAR_LOG_DIR": str(self.directory / "logs"),
            "PULSAR_STOP_TIMEOUT": "1",
            "ACCESS_KEY_ID": ACCESS_KEY,
            "ACCESS_KEY_SECRET": SECRET_KEY,
            **environment,
        }
        file = str(with_offloader(self.version) / "bin" / program)
        return Process([file, *arguments], self.directory / f"{name}.log", settings)

    def _conf(self, name: str, settings: Mapping[str, str]) -> Path:
        file = self.directory / f"{name}.conf"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return file

    def _bookie(self, number: int, port: int) -> dict[str, str]:
        disk = self.disks / str(number)
        return {
            "bookiePort": str(port),
            "allowLoopback": "true",
            "listeningInterface": "lo",
            "advertisedAddress": "127.0.0.1",
            "journalDirectory": str(disk / "journal"),
            "ledgerDirectories": str(disk / "ledgers"),
            "metadataServiceUri": f"metadata-store:zk:{self.zookeeper}",
            "ledgerStorageClass": "org.apache.bookkeeper.bookie.storage.ldb.DbLedgerStorage",
            "dbStorage_writeCacheMaxSizeMb": "16",
            "dbStorage_readAheadCacheMaxSizeMb": "16",
            "dbStorage_rocksDB_blockCacheSize": str(16 << 20),
            "journalMaxSizeMB": "16",
            "journalPreAllocSizeMB": "4",
            "journalSyncData": "false",
            "entryLogFilePreallocationEnabled": "false",
            "logSizeLimit": str(1 << 20),  # what is collected shows by files that go
            "gcWaitTime": "2000",
            "diskUsageThreshold": "0.99",
            "diskUsageWarnThreshold": "0.99",
            "httpServerEnabled": "false",
            "httpServerClass": "org.apache.bookkeeper.http.vertx.VertxHttpServer",
            "httpServerPort": str(self.bookie_web_ports[number]),
            "httpServerHost": "127.0.0.1",
        }

    def _broker(self, number: int) -> dict[str, str]:
        return {
            "clusterName": self.name,
            "metadataStoreUrl": f"zk:{self.zookeeper}",
            "configurationMetadataStoreUrl": f"zk:{self.zookeeper}",
            "bindAddress": "127.0.0.1",
            "advertisedAddress": "127.0.0.1",
            "brokerServicePort": str(self.service_ports[number]),
            "webServicePort": str(self.web_ports[number]),
            "numIOThreads": "2",
            "numHttpServerThreads": "8",
            "loadBalancerOverrideBrokerNicSpeedGbps": "1",
            "defaultNumberOfNamespaceBundles": "1",
            "managedLedgerDefaultEnsembleSize": "1",
            "managedLedgerDefaultWriteQuorum": "1",
            "managedLedgerDefaultAckQuorum": "1",
            "managedLedgerMaxEntriesPerLedger": "50",
            "managedLedgerMinLedgerRolloverTimeMinutes": "0",
            "managedLedgerCacheSizeMB": "16",
            "managedLedgerOffloadDriver": "S3",
            "managedLedgerOffloadBucket": self.bucket,
            "managedLedgerOffloadServiceEndpoint": self.endpoint,
            "managedLedgerOffloadMaxThreads": "2",
            "managedLedgerOffloadMaxBlockSizeInBytes": str(5 << 20),
            **self.settings,
        }
