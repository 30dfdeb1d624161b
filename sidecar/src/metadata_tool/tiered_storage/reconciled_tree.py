"""The tree of a backup with the changes of a reconciliation: lists of ledgers, and the counters of ledger ids."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from metadata_tool.pulsar import codec
from metadata_tool.pulsar.id_counters import KnownIds, with_ids
from metadata_tool.pulsar.managed_ledger_pb2 import LedgerInfo, ManagedLedgerInfo, OffloadContext, OffloadDriverMetadata
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Topic, TopicDecoder
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.tiered_storage.candidate_table import CandidateTable, Edit
from metadata_tool.tiered_storage.drivers import Drivers, is_understood
from metadata_tool.tiered_storage.object_names import halves_of, uuid_of
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import as_set


@dataclass(frozen=True)
class ReconciledTree:
    """The edits in the table, and what they need. Changed znodes get the tree's own `zxid`, and `time` (epoch ms)."""

    layout: Layout
    table: CandidateTable
    drivers: Drivers
    zxid: int
    time: int

    def nodes(self, saved: Iterable[Node], summary: TreeSummary, highest_id: int) -> Iterator[Node]:
        """The new tree. `saved` is in tree order, and so is the result.

        `summary` is that of `saved`, and `highest_id` is the highest ledger id in the buckets. The counters also know
        the ids of ledgers that leave their lists.
        """
        if not summary.has_ledgers or (highest_id <= summary.highest_id and not self.table.has_edits()):
            return self._edited(saved)
        known = KnownIds(max(highest_id, summary.highest_id), self.zxid, self.time)
        return with_ids(self._edited(saved), known, summary, self.layout.chroot)

    def _edited(self, saved: Iterable[Node]) -> Iterator[Node]:
        decoder, edits = TopicDecoder(self.layout), self.table.edits()
        number, (changing, changes) = 0, next(edits, _NONE)
        for node in saved:
            topic = decoder.decode(node.path, node.data) if changing else None
            if not isinstance(topic, Topic):
                yield node
                continue
            number += 1
            if number != changing:
                yield node
                continue
            yield self._changed(node, topic, changes)
            changing, changes = next(edits, _NONE)

    def _changed(self, node: Node, topic: Topic, edits: Sequence[Edit]) -> Node:
        """The topic's znode with another list, as if a client had set it."""
        saved = {each.ledgerId: each for each in topic.info.ledgerInfo}
        new = {each.ledger_id: each for each in edits}
        kept = [each for each in topic.info.ledgerInfo if each.ledgerId not in new]
        kept += [self._ledger(saved.get(each.ledger_id), topic, each) for each in edits if each.uuid]
        info = ManagedLedgerInfo()
        info.CopyFrom(topic.info)
        del info.ledgerInfo[:]
        info.ledgerInfo.extend(sorted(kept, key=lambda each: each.ledgerId))
        data = codec.encode(info, node.data or b"")
        return Node(node.path, data, node.acl, as_set(node.stat, self.zxid, self.time))

    def _ledger(self, saved: LedgerInfo | None, topic: Topic, edit: Edit) -> LedgerInfo:
        context = saved.offloadContext if saved else OffloadContext()
        same = context.HasField("uidMsb") and uuid_of(context.uidMsb, context.uidLsb) == edit.uuid
        if same and is_understood(context.driverMetadata, edit.bucket):
            driver = context.driverMetadata
        else:
            driver = self.drivers.metadata(topic.namespace, topic.info, edit.bucket)
        return offloaded(saved, edit, driver, self.time)


def offloaded(saved: LedgerInfo | None, edit: Edit, driver: OffloadDriverMetadata, time: int) -> LedgerInfo:
    """A ledger that is offloaded completely. What the list has of it stays, and unknown fields, too.

    It counts as deleted from BookKeeper, because bookies that are new do not have it. If it is not known when it was
    created, it gets this time (epoch ms).
    """
    assert edit.uuid  # it is not to be removed
    ledger = LedgerInfo()
    ledger.CopyFrom(saved or LedgerInfo(ledgerId=edit.ledger_id))
    ledger.entries, ledger.size = edit.entries, edit.size
    ledger.timestamp = ledger.timestamp or edit.created or time
    context = ledger.offloadContext
    context.driverMetadata.CopyFrom(driver)
    context.uidMsb, context.uidLsb = halves_of(edit.uuid)
    context.complete = context.bookkeeperDeleted = True
    context.timestamp = context.timestamp or ledger.timestamp
    context.ClearField("offloadSegment")
    return ledger


_NONE: tuple[int, list[Edit]] = (0, [])
