"""A whole Pulsar on a cluster that can be lost and restored, and all messages that a client there has sent."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ci.chart import CHART
from support.client_pod import ClientPod
from support.cluster import RELEASE, Release, Surroundings, eventually, items, kubectl
from support.guide import Guide
from support.helm import merged

OFFLOADS = "offloads"
SPACE = "shop/orders"
"""The namespace of all topics."""
PARTITIONS = [f"parts-partition-{number}" for number in range(3)]
CLUSTER = f"{RELEASE}-pulsar"
VERSIONS = 3
"""Of the schema of a typed topic. The program in the pod has as many."""
PATIENCE = 280
"""Seconds: a bound for a machine under load, not an expectation."""
MEMORY = 8 << 30
"""Bytes that all pods of a cluster together may take."""

TOOLS = "zookeeper.customTools"
RESTORE = f"{TOOLS}.restore"


def settings(file: Path) -> dict[str, str]:
    """A values file as it would be given by `--set`."""
    return dict(_flat(yaml.safe_load(file.read_text()), ""))


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value) if isinstance(value, bool) else str(value)


EXAMPLES = CHART / "examples"
_NEWEST = settings(EXAMPLES / "restore.yaml")
RESTORING = {**_NEWEST, f"{RESTORE}.tieredStorage.reconcile": "true"}
"""The example's values for a restore from the newest backup, and what makes it newer than the backup."""
KEEPING = {**_NEWEST, f"{RESTORE}.scope": "bookies-kept"}
"""The same for bookies that were kept."""
SUBSCRIPTIONS = ("start", "middle", "end", "holes")
_PEAK = "cat /sys/fs/cgroup/memory.peak 2> /dev/null || cat /sys/fs/cgroup/memory/memory.max_usage_in_bytes"
_WHOLE = ("zookeeper", "bookie", "broker", "toolset", "backup")

Position = tuple[int, int]
"""Ledger and entry."""


@dataclass
class Topic:
    """What was sent to a topic (a partition), in order, and what its subscriptions have acknowledged."""

    name: str
    kind: str = "plain"
    """Also `batches`, `json` or `avro`."""
    exact: bool = False
    """Whether the subscriptions were saved exactly: the topic was closed since they moved, and has no batches."""
    sent: list[tuple[str, Position]] = field(default_factory=list)
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    offloaded: set[int] = field(default_factory=set)
    """Its offloaded ledgers."""
    saved: set[int] = field(default_factory=set)
    """The ledgers that the last backup knows."""
    numbered: int = 0
    """How many messages were ever sent, and so the number of the next one."""

    @property
    def typed(self) -> bool:
        """Whether it has a schema."""
        return self.kind in ("json", "avro")

    @property
    def reading(self) -> str:
        """How its messages are read."""
        return self.version(VERSIONS)

    def version(self, number: int) -> str:
        """A kind of messages: of this version of the schema, if it has one."""
        return f"{self.kind}-{number}" if self.typed else self.kind

    def contents(self) -> list[str]:
        """All messages."""
        return [content for content, _ in self.sent]

    def entries(self) -> int:
        """How many entries are in offloaded ledgers: a batch is one."""
        return len({position for _, position in self.sent if position[0] in self.offloaded})

    def all_acknowledged(self) -> None:
        """Every subscription has read all messages."""
        self.acknowledged = {name: set(self.contents()) for name in self.acknowledged}


@dataclass(frozen=True)
class Point:
    """A backup, and what was offloaded when it was made."""

    uri: str
    ledgers: int
    entries: int


@dataclass
class World:
    """One release after the other, with one object store."""

    surroundings: Surroundings
    release: "PulsarRelease"
    guide: Guide
    topics: dict[str, Topic] = field(default_factory=dict)
    helm: int = 0
    """The version that has installed the release, and removes it. 0: it is not installed."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the release was installed with, besides its values."""
    used: set[int] = field(default_factory=set)
    """The ids of all ledgers before the last disaster, in which a client has sent messages."""
    _begun: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A step, and when it happened."""
        print(f"==> [{time.monotonic() - self._begun:4.0f} s] {text}", flush=True)

    def install(self, helm: int, settings: Mapping[str, str]) -> None:
        """Run `helm install`, and wait for a Pulsar."""
        begun = time.monotonic()
        self.release.install(helm, settings)
        self.installed(helm, settings, begun)

    def installed(self, helm: int, settings: Mapping[str, str], begun: float) -> None:
        """Wait for a Pulsar that was installed by this version of helm with these settings."""
        self.helm, self.settings = helm, settings
        self.wait()
        self.say(f"helm {helm} install: a client is served after {time.monotonic() - begun:.0f} s")

    def wait(self) -> None:
        """Wait until every part is ready and a client is served."""
        for component in ("zookeeper", "bookie", "broker"):
            kubectl("rollout", "status", f"statefulset/{CLUSTER}-{component}", f"--timeout={PATIENCE}s")
        eventually("a client is served", self.serves)

    @staticmethod
    def serves() -> bool:
        """Whether brokers answer a client, and know the cluster."""
        (clusters,) = ClientPod.do(("ask", "GET", "clusters"))
        return isinstance(clusters, list) and CLUSTER in clusters

    def back_up(self) -> "Point":
        """Make a backup now, in the pod of the backup."""
        pod = f"{CLUSTER}-backup-0"
        kubectl("wait", f"pod/{pod}", "--for=condition=Ready", f"--timeout={PATIENCE}s")
        topics = list(self.topics.values())
        for topic, found in zip(topics, ClientPod.do(*(("ledgers", topic.name) for topic in topics)), strict=True):
            topic.saved = {ledger["ledgerId"] for ledger in found}
        return Point(kubectl("exec", pod, "--", "metadata-tool", "backup").strip(), *self.offloaded())

    @staticmethod
    def coverage(point: "Point") -> dict[str, int]:
        """What a backup promises: its coverage of the namespace of the topics."""
        found = kubectl("exec", f"{CLUSTER}-backup-0", "--", "metadata-tool", "inspect", point.uri, "--json")
        return dict(json.loads(found)["manifest"]["coverage"]["namespaces"][SPACE])

    def lose(self, components: Sequence[str] = ("zookeeper", "bookie")) -> None:
        """The disaster: the release is gone, and the volumes of these components."""
        self.before_loss()
        self.release.uninstall(self.helm, components)
        self.after_loss(components)

    def before_loss(self) -> None:
        """Remember which ledgers there were, and say how much memory the pods have taken."""
        self.used |= {ledger for topic in self.topics.values() for _, (ledger, _) in topic.sent}
        self.say(f"all pods together took at most {self.memory() >> 20} MiB of memory")

    def after_loss(self, components: Sequence[str] = ("zookeeper", "bookie")) -> None:
        """The volumes of these components are gone."""
        self.helm = 0
        assert not set(components) & {claim["metadata"]["labels"]["component"] for claim in items("pvc")}
        self.say(f"the release is uninstalled, and volumes are deleted, those of {' and '.join(components)}")

    def memory(self) -> int:
        """The bytes that the containers have taken at most, each at its own worst moment."""
        peaks = {}
        for component in _WHOLE:
            for name in self.release.pods(component):
                peaks[name] = int(kubectl("exec", name, "--", "sh", "-c", _PEAK))
        for component in _WHOLE:
            each = [f"{peak >> 20}" for name, peak in sorted(peaks.items()) if f"-{component}-" in name]
            self.say(f"memory of {component}: {', '.join(each)} MiB")
        assert 0 < sum(peaks.values()) < MEMORY
        return sum(peaks.values())

    @staticmethod
    def report() -> dict[str, Any]:
        """What the restore of the first ZooKeeper reports."""
        file = "/pulsar/data/zookeeper/version-2/restore-report.json"
        return dict(json.loads(kubectl("exec", f"{CLUSTER}-zookeeper-0", "--", "cat", file)))

    def fill(self) -> None:
        """Topics of all kinds with subscriptions and messages. All of them but `late` and `never` are offloaded."""
        infinite = {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}
        tenant = SPACE.partition("/")[0]
        answers = ClientPod.do(
            ("ask", "PUT", f"tenants/{tenant}", {"allowedClusters": [CLUSTER]}),
            ("ask", "PUT", f"namespaces/{SPACE}"),
            ("ask", "POST", f"namespaces/{SPACE}/retention", infinite),
            ("ask", "PUT", f"persistent/{SPACE}/parts/partitions", len(PARTITIONS)),
        )
        assert [None] * 4 == answers
        exact = [Topic(f"{SPACE}/{name}", exact=True) for name in ("plain", *PARTITIONS)]
        typed = [Topic(f"{SPACE}/{kind}", kind, exact=True) for kind in ("json", "avro")]
        others = [Topic(f"{SPACE}/batches", "batches"), Topic(f"{SPACE}/late"), Topic(f"{SPACE}/never")]
        self.topics = {topic.name: topic for topic in (*exact, *typed, *others)}
        self.produce([*exact, *others], 130)
        self.produce(typed, 40)
        self.subscribe(self.topics.values())
        self.offload([*exact, *typed, others[0]])
        self.say(f"{sum(len(topic.sent) for topic in self.topics.values())} messages in {len(self.topics)} topics")

    def named(self, *names: str) -> list[Topic]:
        """The topics of these names."""
        return [self.topics[f"{SPACE}/{name}"] for name in names]

    def produce(self, topics: Iterable[Topic], count: int) -> None:
        """Send `count` messages, of each version of a schema if there is one, and remember where they are."""
        steps = []
        for topic in topics:
            for number in range(1, VERSIONS + 1 if topic.typed else 2):
                steps.append((topic, ("produce", topic.name, topic.version(number), topic.numbered, count)))
                topic.numbered += count
        for (topic, _), found in zip(steps, ClientPod.do(*(step for _, step in steps)), strict=True):
            topic.sent += [(content, (ledger, entry)) for content, ledger, entry in found]

    def subscribe(self, topics: Iterable[Topic]) -> None:
        """Create subscriptions at the start, in the middle, at the end, and with holes."""
        chosen = list(topics)
        steps = [("subscribe", topic.name, topic.reading, len(topic.sent)) for topic in chosen]
        for topic, found in zip(chosen, ClientPod.do(*steps), strict=True):
            topic.acknowledged = {name: set(contents) for name, contents in found.items()}

    def offload(self, topics: Iterable[Topic]) -> None:
        """Close these topics, and offload all that they have."""
        chosen = list(topics)
        for topic, found in zip(chosen, ClientPod.do(*(("offload", topic.name) for topic in chosen)), strict=True):
            topic.offloaded = set(found)
            assert [] == [content for content, (ledger, _) in topic.sent if ledger not in topic.offloaded], topic.name

    def offloaded(self) -> tuple[int, int]:
        """How many ledgers and entries of the topics are offloaded."""
        topics = self.topics.values()
        return sum(len(topic.offloaded) for topic in topics), sum(topic.entries() for topic in topics)

    def forget(self, is_kept: Callable[[Topic, int], bool]) -> int:
        """From now on, only messages in these ledgers are expected. Returns how many others there were."""
        lost = 0
        for topic in self.topics.values():
            kept = [sent for sent in topic.sent if is_kept(topic, sent[1][0])]
            lost, topic.sent = lost + len(topic.sent) - len(kept), kept
        return lost

    def check(self) -> int:
        """Read all expected messages with a reader and with each subscription. Returns how many messages there were."""
        read = 0
        for topic in self.topics.values():
            expected = topic.contents()
            done = [(name, acknowledged) for name, acknowledged in topic.acknowledged.items()]
            missing = [[content for content in expected if content not in acknowledged] for _, acknowledged in done]
            found, *received = ClientPod.do(
                ("read", topic.name, topic.reading),
                *(
                    ("receive", topic.name, topic.reading, name, len(wanted))
                    for (name, _), wanted in zip(done, missing, strict=True)
                ),
            )
            assert expected == found, topic.name
            for (name, _), wanted, got in zip(done, missing, received, strict=True):
                if topic.exact:
                    assert wanted == got, (topic.name, name)
                else:  # what was acknowledged may come again, and nothing may be missing
                    assert ([], set()) == ([each for each in wanted if each not in set(got)], set(got) - set(expected))
            read += len(found)
            topic.all_acknowledged()
        return read

    def check_report(self, point: Point) -> None:
        """What the restore reports is what was offloaded before the backup, and what was offloaded since."""
        total = self.report()["origin"]["namespaces"][SPACE]
        counted = {kind: (total[kind]["ledgers"], total[kind]["entries"]) for kind in ("promised", "added", "leftOut")}
        ledgers, entries = self.offloaded()
        added = (ledgers - point.ledgers, entries - point.entries)
        assert {"promised": (point.ledgers, point.entries), "added": added, "leftOut": (0, 0)} == counted
        self.say(f"the restore brings {point.entries} entries of the backup, and {added[1]} that were offloaded since")

    def check_offloaded(self) -> None:
        """All offloaded messages are read, and no others."""
        lost = self.forget(lambda topic, ledger: ledger in topic.offloaded)
        expected, read = sum(len(topic.sent) for topic in self.topics.values()), self.check()
        assert expected == read
        self.say(f"{expected} messages were offloaded, {read} read by content. {lost} were not offloaded, and are lost")

    def put_back(self) -> None:
        """Wait until the Job of the chart has put back schemas and topic policies."""
        selector = f"release={self.release.name},component=put-back"
        kubectl("wait", "job", f"--selector={selector}", "--for=condition=Complete", f"--timeout={PATIENCE}s")

    def check_schemas(self) -> None:
        """The typed topics have all versions of their schemas, under the numbers that they had."""
        for topic in self.topics.values():
            if topic.typed:
                (found,) = ClientPod.do(("ask", "GET", f"schemas/{topic.name}/schemas"))
                versions = [each["version"] for each in found["getSchemaResponses"]]
                assert list(range(VERSIONS)) == versions, topic.name

    def flows(self) -> None:
        """New messages of every topic are read, behind the old ones, and no ledger's id comes a second time."""
        count = {topic.name: len(topic.sent) for topic in self.topics.values()}
        self.produce(self.topics.values(), 10)
        for topic in self.topics.values():
            new = topic.sent[count[topic.name] :]
            assert not {ledger for _, (ledger, _) in new} & self.used, topic.name
            names = sorted(topic.acknowledged)
            found, *received = ClientPod.do(
                ("read", topic.name, topic.reading),
                *(("receive", topic.name, topic.reading, name, len(new)) for name in names),
            )
            assert topic.contents() == found, topic.name
            expected = [content for content, _ in new]
            assert dict.fromkeys(names, expected) == dict(zip(names, received, strict=True)), topic.name
            topic.all_acknowledged()


def _small() -> dict[str, Any]:
    """Makes that Pulsar small. It offloads to the object store of the backups, and both happen on demand alone."""
    quick = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData"
    small = {"requests": {"cpu": "10m", "memory": "128Mi"}}
    return {
        "components": {"bookkeeper": True, "broker": True, "toolset": True},
        "images": {"broker": {"repository": ""}},
        "zookeeper": {
            "configData": {"PULSAR_MEM": "-Xms64m -Xmx128m", "PULSAR_GC": quick, "PULSAR_EXTRA_OPTS": ""},
            "customTools": {
                "backup": {"backupInterval": 86400, "extraEnv": []},
                "restore": {"scope": "bookies-lost"},
            },
        },
        "bookkeeper": {
            "configData": {
                "BOOKIE_MEM": "-Xms64m -Xmx128m -XX:MaxDirectMemorySize=192m",
                "BOOKIE_GC": quick,
                "dbStorage_writeCacheMaxSizeMb": "16",
                "dbStorage_readAheadCacheMaxSizeMb": "16",
                "dbStorage_rocksDB_blockCacheSize": "8388608",
                "journalMaxSizeMB": "16",
                "journalPreAllocSizeMB": "4",
            },
            "volumes": {"journal": {"size": "1Gi"}, "ledgers": {"size": "1Gi"}},
            "resources": small,
            "gracePeriod": 5,
        },
        "broker": {
            "configData": {
                "PULSAR_MEM": "-Xms64m -Xmx256m -XX:MaxDirectMemorySize=256m",
                "PULSAR_GC": quick,
                "numHttpServerThreads": "8",
                "loadBalancerOverrideBrokerNicSpeedGbps": "1",
                "managedLedgerMaxEntriesPerLedger": "50",
                "managedLedgerMinLedgerRolloverTimeMinutes": "0",
                "managedLedgerCacheSizeMB": "16",
            },
            "storageOffload": {
                "driver": "aws-s3",
                "bucket": OFFLOADS,
                "region": "us-east-1",
                "serviceEndpoint": "http://s3:7070",
                "maxBlockSizeInBytes": 5 << 20,
                "managedLedgerOffloadAutoTriggerSizeThresholdBytes": "",
            },
            "resources": small,
            "gracePeriod": 5,
        },
        "toolset": {"configData": {"PULSAR_GC": quick, "BOOKIE_GC": quick}, "resources": small},
        "pulsar_metadata": {"clusterName": ""},
    }


class PulsarRelease(Release):
    """The chart as an operator installs it who has no Pulsar yet: by one command, with the example's values."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        own = directory / "whole.yaml"
        own.write_text(json.dumps(_small()))
        self.files = [EXAMPLES / "whole-pulsar.yaml", *self.files[1:], own]

    def values(self) -> str:
        """All its values files as one."""
        return yaml.safe_dump(merged(*(yaml.safe_load(file.read_text()) for file in self.files)))
