"""Makes the metadata of a Pulsar cluster out of its bucket of tiered storage alone."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from metadata_tool.errors import SettingError
from metadata_tool.pulsar import new_metadata
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo, OffloadDriverMetadata
from metadata_tool.pulsar.paths import CLUSTER_NAME, Layout
from metadata_tool.tiered_storage.candidate_table import Edit
from metadata_tool.tiered_storage.candidates import NotTaken, Rejected, Upload, by_topic, choose
from metadata_tool.tiered_storage.contract import DescribedBucket
from metadata_tool.tiered_storage.limits import MAX_PARTITIONS
from metadata_tool.tiered_storage.reconcile_result import namespace_of
from metadata_tool.tiered_storage.reconciled_tree import offloaded
from metadata_tool.tiered_storage.rescue_result import RescueResult
from metadata_tool.tiered_storage.rescue_table import RescueTable
from metadata_tool.tiered_storage.scrub import ledger_objects
from metadata_tool.tiered_storage.unused import Unusable
from metadata_tool.tiered_storage.uploads import LedgerUploads, read_uploads

_NAME = re.compile(r"(?:(?!\.{1,2}/)[-=:.\w]+/){2,3}persistent/(?!\.{1,2}\Z)[-.*+%\w]+", re.ASCII)
"""Names of tenants, clusters and namespaces as NamedEntity allows them, and a topic's as URLEncoder writes it."""
_PARTITION = re.compile(r"(?P<topic>.+)-partition-(?P<number>0|[1-9][0-9]{0,8})")
_OWN_TENANT = "pulsar/"
_OWN_NAMES = re.compile(r"__.*|.*__transaction_pending_ack(?:-partition-[0-9]+)?")


@dataclass(frozen=True)
class RescueScope:
    """What is wanted of a bucket: tenants or namespaces (none: all), and what these clusters wrote (none: any one)."""

    wanted: tuple[str, ...] = ()
    clusters: frozenset[str] = frozenset()

    def includes(self, topic: str) -> bool:
        """Whether a topic is wanted."""
        return not self.wanted or any(topic.startswith(f"{each}/") for each in self.wanted)


@dataclass(frozen=True)
class NewCluster:
    """The cluster's name (empty: the one that the objects name), and where its metadata goes."""

    name: str
    layout: Layout
    driver: OffloadDriverMetadata


class Rescue:
    """One rescue. The znodes are in the table afterwards."""

    def __init__(self, bucket: str, table: RescueTable, scope: RescueScope, heartbeat: Callable[[], None]) -> None:
        self.result = RescueResult(bucket)
        self._table = table
        self._scope = scope
        self._heartbeat = heartbeat
        self._writers: set[str] = set()

    def find(self, bucket: DescribedBucket, requests: int) -> None:
        """Note every ledger of the bucket that can be read.

        Raises:
            ToolError: the bucket cannot be listed or read.
            SettingError: several clusters wrote what is wanted, and none was chosen.
        """
        name = self.result.bucket
        self._table.add_objects(name, ledger_objects(name, bucket, self.result, self._heartbeat))
        self.result.highest_id = self._table.highest_id()
        self._table.find()
        for found in read_uploads(self._table.found(), {name: bucket}, requests, self._heartbeat):
            self._add(found)
        if len(self._writers) > 1 and not self._scope.clusters:
            raise SettingError(
                f"the bucket {name} has ledgers of the clusters {', '.join(sorted(self._writers))}",
                "Name those that are wanted by --cluster. If one of them was renamed, name it with both names",
            )

    def _add(self, found: LedgerUploads) -> None:
        self.result.not_taken.update(found.problems)
        named, others = by_topic(found.uploads, self._scope.clusters)
        if others:
            self.result.not_taken[NotTaken.OTHER_CLUSTER] += others
        taken = {}
        for topic, uploads in named.items():
            if reason := self._not_taken(topic):
                self.result.not_taken[reason] += len(uploads)
            else:
                taken[topic] = uploads
        for topic, uploads in taken.items():
            self._writers |= {upload.cluster for upload in uploads if CLUSTER_NAME.fullmatch(upload.cluster)}
            chosen = choose(uploads, None)
            if len(taken) > 1:
                chosen = Rejected("uploads of one ledger that name different topics")
            if isinstance(chosen, Upload):
                self._table.add_rescued(topic, found.ledger_id, chosen)
            else:
                self.result.add_unusable(Unusable(topic, found.ledger_id, promised=False, why=chosen.why))

    def _not_taken(self, topic: str) -> NotTaken | None:
        if not _NAME.fullmatch(topic):
            return NotTaken.NO_PATH
        if topic.startswith(_OWN_TENANT) or _OWN_NAMES.fullmatch(topic.rpartition("/")[2]):
            return NotTaken.SYSTEM
        return None if self._scope.includes(topic) else NotTaken.NOT_WANTED

    def build(self, new: NewCluster, time: int) -> None:
        """Make the znodes of the cluster. Ledgers of unknown time get this one (epoch ms).

        Raises:
            SettingError: the name of the cluster is not known.
        """
        cluster = self.result.cluster = new.name or self._only_writer()
        root = new.layout.chroot
        self._table.add_znode("")
        for path, data in new_metadata.bookkeeper(f"{cluster} {self.result.bucket}").items():
            self._table.add_znode(f"{root}{path}", data)
        self._table.add_znode(f"{root}/admin/clusters/{cluster}", new_metadata.cluster())
        self._table.add_znode(f"{root}{new.layout.managed_ledger_path}")
        for topic, ledgers in self._table.rescued():
            self._heartbeat()
            self._add_topic(topic, ledgers, new, time)
        for topic, partitions in self._table.partitioned():
            path = f"{root}/admin/partitioned-topics/{topic}"
            self._table.add_znode(path, new_metadata.partitioned_topic(partitions))
            for counts in self.result.counts_of(topic):
                counts.partitioned_topics += 1

    def _only_writer(self) -> str:
        if len(self._writers) == 1:
            return next(iter(self._writers))
        state = f"the clusters {', '.join(sorted(self._writers))}" if self._writers else "no cluster"
        raise SettingError(
            f"the objects in {self.result.bucket} name {state}, so the new cluster's name is not known",
            "Set CLUSTER_NAME to the name of the new cluster",
        )

    def _add_topic(self, topic: str, ledgers: list[Edit], new: NewCluster, time: int) -> None:
        root, cluster, namespace = new.layout.chroot, self.result.cluster, namespace_of(topic)
        info = ManagedLedgerInfo(ledgerInfo=[offloaded(None, each, new.driver, time) for each in ledgers])
        data = info.SerializeToString(deterministic=True)
        self._table.add_znode(f"{root}{new.layout.managed_ledger_path}/{topic}", data)
        tenant = namespace.partition("/")[0]
        self._table.add_znode(f"{root}/admin/policies/{tenant}", new_metadata.tenant(cluster))
        self._table.add_znode(f"{root}/admin/policies/{namespace}", new_metadata.namespace(cluster))
        for counts in self.result.counts_of(topic):
            counts.topics += 1
            counts.ledgers += len(ledgers)
            counts.entries += sum(each.entries for each in ledgers)
            counts.bytes += sum(each.size for each in ledgers)
        match = _PARTITION.fullmatch(topic)
        if match and int(match["number"]) < MAX_PARTITIONS:
            self._table.add_partition(match["topic"], int(match["number"]) + 1)
