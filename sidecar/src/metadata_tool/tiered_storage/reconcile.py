"""Compares a backup with tiered storage: which ledgers were offloaded since, and which cannot be read any more."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from metadata_tool.pulsar.coverage import is_offloaded
from metadata_tool.pulsar.managed_ledger_pb2 import LedgerInfo, ManagedLedgerInfo
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Topic, TopicDecoder
from metadata_tool.tiered_storage.candidate_table import CandidateTable, KnownTopic
from metadata_tool.tiered_storage.candidates import (
    Listed,
    NotTaken,
    Rejected,
    TopicEnd,
    Upload,
    by_topic,
    choose,
    not_taken,
    own_clusters,
)
from metadata_tool.tiered_storage.claims import claims
from metadata_tool.tiered_storage.contract import DescribedBucket, StoredObject
from metadata_tool.tiered_storage.drivers import Drivers
from metadata_tool.tiered_storage.object_names import uuid_of
from metadata_tool.tiered_storage.reconcile_result import Kind, ReconcileResult
from metadata_tool.tiered_storage.scrub import ScrubJob, Verdict, ledger_objects, verdicts
from metadata_tool.tiered_storage.scrub_result import State
from metadata_tool.tiered_storage.unused import Unusable
from metadata_tool.tiered_storage.uploads import LedgerUploads, read_uploads
from metadata_tool.zookeeper.snapshot import Node


class TopicNotes:
    """Notes the topics of a tree whose znodes come one by one, in tree order."""

    def __init__(self, layout: Layout, table: CandidateTable) -> None:
        self.drivers = Drivers()
        self._decoder = TopicDecoder(layout)
        self._table = table
        self._count = 0

    def add(self, node: Node) -> None:
        """Take the next znode."""
        topic = self._decoder.decode(node.path, node.data)
        if not isinstance(topic, Topic):
            return
        self._count += 1
        info = topic.info
        ledgers = [(each.ledgerId, _listed(each)) for each in info.ledgerInfo if not is_offloaded(each)]
        self._table.add_topic(self._count, topic.managed_ledger, _end(info), ledgers)
        self._table.add_claims(claims(topic))
        self.drivers.note(topic.namespace, info)


def _end(info: ManagedLedgerInfo) -> TopicEnd | None:
    """The end of a list, None if it is empty."""
    last = max((each.ledgerId for each in info.ledgerInfo), default=None)
    return None if last is None else TopicEnd(last, info.HasField("terminatedPosition"))


def _listed(ledger: LedgerInfo) -> Listed:
    context = ledger.offloadContext
    uuid = uuid_of(context.uidMsb, context.uidLsb) if context.HasField("uidMsb") else None
    return Listed(ledger.entries, ledger.size, uuid)


class _Candidate(NamedTuple):
    """A topic that may have a ledger of the bucket, and the uploads that name the topic."""

    name: str
    topic: KnownTopic
    listed: Listed | None
    uploads: list[Upload]


class Reconciliation:
    """One comparison. The topics are in the table, and so are the changes to their lists afterwards."""

    def __init__(
        self,
        job: ScrubJob,
        table: CandidateTable,
        drivers: Drivers,
        clusters: Sequence[str],
        heartbeat: Callable[[], None],
    ) -> None:
        """`clusters` are those of the tree."""
        self.result = ReconcileResult(buckets=drivers.buckets)
        self._job = job
        self._table = table
        self._in_tree = clusters
        self._heartbeat = heartbeat

    def run(self, open_bucket: Callable[[str], DescribedBucket]) -> ReconcileResult:
        """Compare the tree with its buckets.

        Raises:
            ToolError: a bucket cannot be listed or read.
        """
        buckets = {name: Noting(open_bucket(name)) for name in self.result.buckets}
        for name, bucket in buckets.items():
            self._table.add_objects(name, ledger_objects(name, bucket, self.result, self._heartbeat))
        self.result.highest_id = self._table.highest_id()
        for verdict in verdicts(self._job, self._table, buckets, self._heartbeat):
            self._add_promised(verdict)
        if old := self._table.find():
            self.result.not_taken[NotTaken.OLD] += old
        seen = frozenset[str]().union(*(bucket.writers for bucket in buckets.values()))
        own = own_clusters(seen, self._in_tree)
        for found in read_uploads(self._table.found(), buckets, self._job.requests, self._heartbeat):
            self._add_found(found, own)
        for lost in self._table.lost():
            self.result.add(Kind.LEFT_OUT, lost.topic, lost.entries, lost.size)
            self.result.add_unusable(Unusable(lost.topic, lost.ledger_id, promised=True, why=lost.why))
        return self.result

    def _add_promised(self, verdict: Verdict) -> None:
        claim = verdict.claim
        self.result.add(Kind.PROMISED, claim.topic, claim.entries, claim.size)
        if verdict.state is State.NOT_CHECKED:
            self.result.add(Kind.NOT_CHECKED, claim.topic, claim.entries, claim.size)
            self.result.not_checked[verdict.why] += 1
        elif verdict.state is not State.PROVEN:
            topic = self._table.topic(claim.topic)
            assert topic  # its claims were noted with it
            listed = Listed(claim.entries, claim.size, claim.uuid, promised=True)
            self._table.add_lost(topic.number, claim.ledger_id, listed, f"{verdict.state}, {verdict.why}")

    def _add_found(self, found: LedgerUploads, own: frozenset[str]) -> None:
        """Add a ledger of the bucket to the list of its topic, if it is one that the topic got after the backup."""
        self.result.not_taken.update(found.problems)
        possible = list(self._candidates(found, own))
        possible = [each for each in possible if each.listed] or possible
        for each in possible:
            chosen = choose(each.uploads, each.listed)
            if len(possible) > 1:
                chosen = Rejected("uploads of one ledger that name different topics")
            if isinstance(chosen, Upload):
                promised = each.listed is not None and each.listed.promised
                self._table.add_edit(each.topic.number, found.ledger_id, chosen)
                kind = Kind.REPLACED if promised else Kind.ADDED
                self.result.add(kind, each.name, chosen.index.entries, chosen.index.size)
            elif not (each.listed and each.listed.promised):
                self.result.add_unusable(Unusable(each.name, found.ledger_id, promised=False, why=chosen.why))

    def _candidates(self, found: LedgerUploads, own: frozenset[str]) -> Iterator[_Candidate]:
        named, others = by_topic(found.uploads, own)
        if others:
            self.result.not_taken[NotTaken.OTHER_CLUSTER] += others
        for name, uploads in named.items():
            topic = self._table.topic(name)
            listed = topic and self._table.listed(topic.number, found.ledger_id)
            if reason := not_taken(found.ledger_id, topic and topic.end, listed):
                self.result.not_taken[reason] += len(uploads)
            elif topic:
                yield _Candidate(name, topic, listed, uploads)


class Noting:
    """A bucket that notes which clusters wrote the objects that were read."""

    def __init__(self, bucket: DescribedBucket) -> None:
        self.writers: set[str] = set()
        self._bucket = bucket

    def objects(self) -> Iterator[tuple[str, int]]:
        """See `ReadableBucket.objects`."""
        return self._bucket.objects()

    def read(self, key: str, limit: int) -> bytes | None:
        """See `ReadableBucket.read`."""
        found = self.get(key, limit)
        return found.content if found else None

    def get(self, key: str, limit: int) -> StoredObject | None:
        """See `DescribedBucket.get`."""
        found = self._bucket.get(key, limit)
        if found and found.cluster:
            self.writers.add(found.cluster)
        return found
