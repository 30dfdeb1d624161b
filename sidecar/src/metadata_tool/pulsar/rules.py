"""The rules of a recovery as data: which znodes each rule changes, how, and why.

Without one of the rules `id counters`, `topics`, `cookies` and `schemas`, a real Pulsar loses data or does not serve
(tests/disaster/test_rules.py). The other rules remove references to bookies and brokers that no longer exist, or do
what the operator asked for.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from re import Match
from typing import Any

from metadata_tool.broker_metadata.records import Hole, SavedCursor
from metadata_tool.broker_metadata.restorable import Restorable
from metadata_tool.pulsar import codec, ids
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.coverage import is_offloaded
from metadata_tool.pulsar.holds import AUTO_UPDATE, OF_DATA, OF_SCHEMAS, with_settings
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedCursorInfo
from metadata_tool.pulsar.migration import FLAG
from metadata_tool.pulsar.moved_buckets import MovedBuckets
from metadata_tool.pulsar.new_metadata import INFINITE_RETENTION, encoded
from metadata_tool.pulsar.topics import COMPACTION, CURSORS, DEDUPLICATION, HEALTH_CHECKS, TOPICS
from metadata_tool.pulsar.tree_facts import NAMESPACE, V1_NAMESPACE
from metadata_tool.zookeeper.limits import JUTE_MAXBUFFER
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import Stat, as_set


class Scope(StrEnum):
    """What survived: tiered storage alone (BOOKIES_LOST), or everything except ZooKeeper (BOOKIES_KEPT)."""

    BOOKIES_LOST = "bookies-lost"
    BOOKIES_KEPT = "bookies-kept"


@dataclass(frozen=True)
class RecoveryPlan:
    """What a recovery does. Changed znodes get `zxid` and `time` (epoch ms).

    `rename` is (old name, new name) of the cluster. `urls` are (JSON field, value) of the addresses that the cluster
    named `cluster` gets in `/admin/clusters`. If `cluster` is empty, no addresses change. `flat`: the root of the
    ledgers is an id counter, too (TreeSummary). `buckets` are those of tiered storage that have moved. `broker` is what
    brokers gave out, asked for in tree order. `cursor_size` is the most bytes of a cursor with its holes.
    """

    scope: Scope
    counter: ids.Counter
    zxid: int
    time: int
    infinite_retention: bool = False
    cluster: str = ""
    rename: tuple[str, str] | None = None
    urls: tuple[tuple[str, str], ...] = ()
    flat: bool = False
    buckets: MovedBuckets = field(default_factory=MovedBuckets)
    broker: Restorable = field(default_factory=Restorable, compare=False)
    cursor_size: int = JUTE_MAXBUFFER // 2

    def changed(self, node: Node, data: bytes) -> Node:
        """The znode with this data, as if a client had set it. The same znode if it has this data already."""
        if data == node.data:
            return node
        return Node(node.path, data, node.acl, as_set(node.stat, self.zxid, self.time))


Transform = Callable[[Node, Match[bytes], RecoveryPlan], Node | None]
"""Takes a znode and the match of its path. Returns the new znode, or None to remove it with its descendants.

It raises UndecodableError if the znode does not have the content that the path stands for.
"""


@dataclass(frozen=True)
class Rule:
    """One rule. `paths` are patterns (paths.py), `action` and `why` one or two sentences for operators."""

    name: str
    paths: tuple[str, ...]
    action: str
    why: str
    transform: Transform
    scopes: tuple[Scope, ...] = (Scope.BOOKIES_LOST,)


def _remove(_node: Node, _match: Match[bytes], _plan: RecoveryPlan) -> None:
    return None


def _remove_available(node: Node, match: Match[bytes], _plan: RecoveryPlan) -> Node | None:
    return node if match["bookie"] == b"readonly" else None


def _raise_counter(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node:
    high = int(match["digits"]) if "digits" in match.re.groupindex else None
    return _counting_from_next(node, plan) if high == plan.counter.high else node


def _raise_flat_counter(node: Node, _match: Match[bytes], plan: RecoveryPlan) -> Node:
    return _counting_from_next(node, plan) if plan.flat and plan.counter.high is None else node


def _counting_from_next(node: Node, plan: RecoveryPlan) -> Node:
    stat = Stat.unpack(node.stat)
    return node._replace(stat=stat._replace(cversion=plan.counter.next, pzxid=plan.zxid).pack())


def _keep_offloaded(node: Node, _match: Match[bytes], plan: RecoveryPlan) -> Node:
    saved = node.data or b""
    info = codec.require_complete(codec.managed_ledger(saved))
    if not info.ledgerInfo and not info.HasField("terminatedPosition"):
        return node
    kept = []
    for ledger in info.ledgerInfo:
        if is_offloaded(ledger):
            ledger.offloadContext.bookkeeperDeleted = True
            kept.append(ledger)
    del info.ledgerInfo[:]
    info.ledgerInfo.extend(kept)
    info.ClearField("terminatedPosition")
    if kept:
        info.ledgerInfo.add(ledgerId=plan.counter.placeholder_id)
    return plan.changed(node, codec.encode(info, saved))


def _move_ledgers(node: Node, _match: Match[bytes], plan: RecoveryPlan) -> Node:
    if not plan.buckets:
        return node
    saved = node.data or b""
    info = codec.require_complete(codec.managed_ledger(saved))
    return plan.changed(node, codec.encode(info, saved)) if plan.buckets.rewrite(info) else node


def _keep_position(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node | None:
    if match["cursor"] == COMPACTION:
        return None
    saved = node.data or b""
    info = codec.managed_cursor(saved)
    if info.cursorsLedgerId == -1:
        return node
    codec.require_complete(info)  # before a required field that may be missing is set
    info.cursorsLedgerId = -1
    cursor = plan.broker.cursor(node.path[match.start("tenant") :])
    if not cursor or match["cursor"] == DEDUPLICATION or not _is_possible(cursor, plan):
        return plan.changed(node, codec.encode(info, saved))
    info.markDeleteLedgerId, info.markDeleteEntryId = cursor.mark_delete
    info.ClearField("batchedEntryDeletionIndexInfo")  # it belongs to the old position
    data, holes = _with_holes(info, cursor.holes, saved, plan.cursor_size)
    plan.broker.note(cursor, holes)
    return plan.changed(node, data)


def _is_possible(cursor: SavedCursor, plan: RecoveryPlan) -> bool:
    """Whether a position is in ledgers of the lost cluster. At a later one, a subscription would skip new messages."""
    ends = (end for hole in cursor.holes for end in hole)
    if all(place.ledger < plan.counter.next_id for place in (cursor.mark_delete, *ends)):
        return True
    plan.broker.impossible += 1
    return False


def _with_holes(info: ManagedCursorInfo, holes: Sequence[Hole], saved: bytes, limit: int) -> tuple[bytes, int]:
    """The value of a cursor with as many of these holes as fit into the limit, and their number."""

    def value(count: int) -> bytes:
        del info.individualDeletedMessages[:]
        for hole in holes[:count]:
            kept = info.individualDeletedMessages.add()
            kept.lowerEndpoint.ledgerId, kept.lowerEndpoint.entryId = hole.after
            kept.upperEndpoint.ledgerId, kept.upperEndpoint.entryId = hole.last
        return codec.encode(info, saved)

    if len(whole := value(len(holes))) <= limit:
        return whole, len(holes)
    fitting = bisect_left(range(1, len(holes) + 1), True, key=lambda count: len(value(count)) > limit)
    return value(fitting), fitting


def _remove_old_health_checks(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node | None:
    old = plan.rename[0].encode() if plan.rename else None
    return None if match["cluster"] == old and match["broker"] != b"persistent" else node


def _set_own_urls(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node:
    if not plan.cluster or match["cluster"].decode() != plan.cluster:
        return node
    given, saved = dict(plan.urls), _json(node)
    kept = {name: value for name, value in saved.items() if name not in _URLS or name in given}
    return _with_json(node, saved, kept | given, plan)


_URLS = ("serviceUrl", "serviceUrlTls", "brokerServiceUrl", "brokerServiceUrlTls", "proxyServiceUrl")


def _rename_in_tenant(node: Node, _match: Match[bytes], plan: RecoveryPlan) -> Node:
    return _renamed(node, plan, "allowedClusters")


def _rename_in_namespace(node: Node, _match: Match[bytes], plan: RecoveryPlan) -> Node:
    return _renamed(node, plan, "replication_clusters", "allowed_clusters")


def _renamed(node: Node, plan: RecoveryPlan, *fields: str) -> Node:
    if not plan.rename or not node.data:
        return node
    (old, new), saved = plan.rename, _json(node)
    renamed = {
        name: list(dict.fromkeys(new if cluster == old else str(cluster) for cluster in saved[name]))
        for name in fields
        if isinstance(saved.get(name), list)
    }
    return _with_json(node, saved, saved | renamed, plan)


def _retain_infinitely(node: Node, _match: Match[bytes], plan: RecoveryPlan) -> Node:
    if not plan.infinite_retention or not node.data:
        return node
    saved = _json(node)
    return _with_json(node, saved, saved | {"retention_policies": INFINITE_RETENTION}, plan)


def _hold_schemas(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node:
    return _held(node, match, plan, OF_SCHEMAS)


def _hold_data(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node:
    return _held(node, match, plan, OF_DATA.values())


def _held(node: Node, match: Match[bytes], plan: RecoveryPlan, names: Collection[str]) -> Node:
    change = plan.broker.hold(node.path[match.start("tenant") :])
    settings = {name: value for name, value in change.after.items() if name in names} if change else {}
    if not settings:
        return node
    saved = _json(node)
    return _with_json(node, saved, with_settings(saved, settings), plan)


def _move_policies(node: Node, _match: Match[bytes], plan: RecoveryPlan) -> Node:
    if not plan.buckets or not node.data:
        return node
    saved = _json(node)
    return _with_json(node, saved, plan.buckets.rewritten(saved), plan)


def _json(node: Node) -> dict[str, Any]:
    try:
        data = json.loads(node.data or b"")
    except (ValueError, RecursionError) as error:
        raise UndecodableError("not JSON") from error
    if not isinstance(data, dict):
        raise UndecodableError("not a JSON object")
    return data


def _with_json(node: Node, saved: dict[str, Any], wanted: dict[str, Any], plan: RecoveryPlan) -> Node:
    """The znode with the wanted JSON. The same znode if it has this JSON already."""
    return node if wanted == saved else plan.changed(node, encoded(wanted))


_BOTH_SCOPES = (Scope.BOOKIES_LOST, Scope.BOOKIES_KEPT)
_NAMESPACES = (NAMESPACE, V1_NAMESPACE)

RULES = (
    Rule(
        "id counters",
        (ids.SHORT_COUNTER, ids.LONG_COUNTER),
        f"Set {ids.MARGIN:,} above the highest id in any ledger, list of ledgers or cursor. "
        f"With bookies-kept, up to {ids.MAX_SKIP:,} more, a different number for each restore.",
        "A ledger id that is allocated twice ends a topic's list of ledgers at that ledger. The data behind it cannot "
        "be read.",
        _raise_counter,
        _BOTH_SCOPES,
    ),
    Rule(
        "flat id counter",
        (ids.FLAT_COUNTER,),
        "If the ledgers have BookKeeper's flat layout, set like the other id counters.",
        "In that layout, ids are numbers of sequential children of this znode (FlatLedgerManagerFactory).",
        _raise_flat_counter,
        _BOTH_SCOPES,
    ),
    Rule(
        "topics",
        TOPICS,
        "Ledgers that are offloaded completely stay, marked as deleted from BookKeeper, and a last ledger that does "
        "not exist is added. All other ledgers are removed, and terminated topics are reopened.",
        "A lost ledger blocks readers forever, and brokers drop the last ledger from the list if BookKeeper does not "
        "have it. A terminated topic whose last ledger is lost cannot serve its last message "
        "(ManagedLedgerImpl.asyncReadEntry fails).",
        _keep_offloaded,
    ),
    Rule(
        "subscriptions",
        CURSORS,
        "Subscriptions continue at the position in broker.json, or else at the one in the znode. "
        "The compaction's cursor is removed.",
        "The ledger with the exact position is lost. So is the compacted ledger, and a topic that needs it hangs.",
        _keep_position,
    ),
    Rule(
        "ledgers",
        ("/ledgers/<digits>/**", ids.FLAT_LEDGERS),
        "Removed.",
        "These ledgers are on bookies that no longer exist.",
        _remove,
    ),
    Rule(
        "cookies",
        ("/ledgers/cookies/<bookie>",),
        "Removed.",
        "A bookie with an empty disk refuses to start if there is a cookie for its address.",
        _remove,
    ),
    Rule(
        "bookies",
        ("/ledgers/available/<bookie>", "/ledgers/available/readonly/<bookie>"),
        "Removed.",
        "The old bookies no longer exist. New bookies register themselves.",
        _remove_available,
    ),
    Rule(
        "under-replication",
        ("/ledgers/underreplication/ledgers/<below>/**", "/ledgers/underreplication/locks/<below>/**"),
        "Removed.",
        "Auto-recovery would try to replicate ledgers that are lost.",
        _remove,
    ),
    Rule(
        "schemas",
        ("/schemas/<tenant>/**",),
        "Removed.",
        "Schemas are stored in BookKeeper, and clients time out if the ledger of a schema is lost. Without the znode, "
        "schemas can be registered again.",
        _remove,
    ),
    Rule(
        "schema registration",
        _NAMESPACES,
        f"If broker.json has schemas of the namespace, `{AUTO_UPDATE}` is false until they are put back. "
        "A strategy that a put-back had changed for a while is set back.",
        "A client that registers its schema first takes version 0, and older messages no longer decode.",
        _hold_schemas,
        _BOTH_SCOPES,
    ),
    Rule(
        "topics' own policies",
        _NAMESPACES,
        "If broker.json has policies of topics that override its retention, TTL, backlog quotas or the deletion of "
        "inactive topics, these delete nothing until the policies are put back.",
        "Brokers would apply those of the namespace to these topics, and delete data that only a topic's own policies "
        "keep.",
        _hold_data,
        _BOTH_SCOPES,
    ),
    Rule(
        "load balancer and ownership",
        ("/loadbalance/<below>/**", "/namespace/<below>/**", "/service_unit_state/<below>/**"),
        "Removed.",
        "These znodes describe brokers that no longer exist. New brokers write ephemeral znodes of their own.",
        _remove,
    ),
    Rule(
        "move to another store",
        (FLAG,),
        "Removed.",
        "Brokers and bookies would use the other store, which is lost or newer. While the znode says that a move runs, "
        "they would write nothing.",
        _remove,
        _BOTH_SCOPES,
    ),
    Rule(
        "own cluster's addresses",
        ("/admin/clusters/<cluster>",),
        "Set to CLUSTER_SERVICE_URL and CLUSTER_BROKER_SERVICE_URL, or removed. If both are unset, the scope "
        "bookies-kept keeps the old addresses.",
        "The saved addresses are those of the lost cluster.",
        _set_own_urls,
        _BOTH_SCOPES,
    ),
    Rule(
        "health checks",
        (HEALTH_CHECKS,),
        "With RENAME_CLUSTER, the topics of the old name are removed.",
        "Brokers create these topics again under the new name. No other client reads them.",
        _remove_old_health_checks,
        _BOTH_SCOPES,
    ),
    Rule(
        "tenants' clusters",
        ("/admin/policies/<tenant>",),
        "With RENAME_CLUSTER, the new name replaces the old one.",
        "A broker rejects namespaces that do not belong to its cluster (HTTP 412).",
        _rename_in_tenant,
        _BOTH_SCOPES,
    ),
    Rule(
        "namespaces' clusters",
        _NAMESPACES,
        "With RENAME_CLUSTER, the new name replaces the old one.",
        "Otherwise brokers would keep messages forever, for replication to the old name.",
        _rename_in_namespace,
        _BOTH_SCOPES,
    ),
    Rule(
        "moved buckets",
        TOPICS,
        "With TIERED_STORAGE_BUCKETS, each offloaded ledger gets the new name of its bucket.",
        "A broker reads a ledger from the bucket that the ledger itself names. In another bucket, topics are empty.",
        _move_ledgers,
        _BOTH_SCOPES,
    ),
    Rule(
        "namespaces' buckets",
        _NAMESPACES,
        "With TIERED_STORAGE_BUCKETS, the new name replaces the old one in offload policies.",
        "Otherwise brokers would offload to the old bucket.",
        _move_policies,
        _BOTH_SCOPES,
    ),
    Rule(
        "retention",
        _NAMESPACES,
        "With INFINITE_RETENTION, set to infinite.",
        "Brokers delete offloaded data that no subscription needs and no retention protects.",
        _retain_infinitely,
        _BOTH_SCOPES,
    ),
)
