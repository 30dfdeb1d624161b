"""The rules of a recovery, as data: which znodes, what is done to them, and why.

The first ones are needed: a real Pulsar that is restored without one of them loses data or does not serve
(docs/recovery.md). Others take away what names the dead, and could only mislead.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from re import Match
from typing import Any

from metadata_tool.pulsar import codec, ids
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.coverage import offloaded
from metadata_tool.pulsar.topics import COMPACTION, CURSORS, HEALTH_CHECKS, TOPICS
from metadata_tool.pulsar.tree_facts import NAMESPACE, OLD_NAMESPACE
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import Stat, as_set


class Scope(StrEnum):
    """What survived: tiered storage alone, or everything but ZooKeeper."""

    BOOKIES_LOST = "bookies-lost"
    BOOKIES_KEPT = "bookies-kept"


@dataclass(frozen=True)
class RecoveryPlan:
    """What a recovery is to do. `zxid` and `time` (epoch ms) are those of changed znodes.

    `rename` is (old name, new name) of the cluster. `urls` are the new cluster's own fields in `/admin/clusters`, of
    the cluster named `cluster` (empty: none is touched).
    """

    scope: Scope
    counter: ids.Counter
    zxid: int
    time: int
    infinite_retention: bool = False
    cluster: str = ""
    rename: tuple[str, str] | None = None
    urls: tuple[tuple[str, str], ...] = ()

    def changed(self, node: Node, data: bytes) -> Node:
        """A znode with other data."""
        if data == node.data:
            return node
        return Node(node.path, data, node.acl, as_set(node.stat, self.zxid, self.time))


Change = Callable[[Node, Match[bytes], RecoveryPlan], Node | None]
"""The znode as it is to be, or None: it goes, and all below it, too."""


@dataclass(frozen=True)
class Rule:
    """One rule: the paths that it is for, what is done, why, in which scopes."""

    name: str
    paths: tuple[str, ...]
    action: str
    why: str
    change: Change
    scopes: tuple[Scope, ...] = (Scope.BOOKIES_LOST,)


def _remove(_node: Node, _match: Match[bytes], _plan: RecoveryPlan) -> None:
    return None


def _remove_available(node: Node, match: Match[bytes], _plan: RecoveryPlan) -> Node | None:
    return node if match["bookie"] == b"readonly" else None


def _raise_counter(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node:
    high = int(match["digits"]) if "digits" in match.re.groupindex else None
    if high != plan.counter.high:
        return node
    stat = Stat.unpack(node.stat)
    return node._replace(stat=stat._replace(cversion=plan.counter.next, pzxid=plan.zxid).pack())


def _keep_offloaded(node: Node, _match: Match[bytes], plan: RecoveryPlan) -> Node:
    saved = node.data or b""
    info = codec.require_whole(codec.managed_ledger(saved))
    if not info.ledgerInfo and not info.HasField("terminatedPosition"):
        return node
    kept = []
    for ledger in info.ledgerInfo:
        if offloaded(ledger):
            ledger.offloadContext.bookkeeperDeleted = True
            kept.append(ledger)
    del info.ledgerInfo[:]
    info.ledgerInfo.extend(kept)
    info.ClearField("terminatedPosition")
    if kept:
        info.ledgerInfo.add(ledgerId=plan.counter.sentinel)
    return plan.changed(node, codec.encode(info, saved))


def _free_cursor(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node | None:
    if match["cursor"] == COMPACTION:
        return None
    info = codec.managed_cursor(node.data or b"")
    if info.cursorsLedgerId == -1:
        return node
    codec.require_whole(info)  # before the field that may be missing is set
    info.cursorsLedgerId = -1
    return plan.changed(node, codec.encode(info, node.data or b""))


def _remove_old_health_checks(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node | None:
    old = plan.rename[0].encode() if plan.rename else None
    return None if match["cluster"] == old and match["broker"] != b"persistent" else node


def _own_urls(node: Node, match: Match[bytes], plan: RecoveryPlan) -> Node:
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


def _hold_retention(node: Node, _match: Match[bytes], plan: RecoveryPlan) -> Node:
    if not plan.infinite_retention or not node.data:
        return node
    saved, infinite = _json(node), {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}
    return _with_json(node, saved, saved | {"retention_policies": infinite}, plan)


def _json(node: Node) -> dict[str, Any]:
    try:
        data = json.loads(node.data or b"")
    except (ValueError, RecursionError) as error:
        raise UndecodableError("it is no JSON") from error
    if not isinstance(data, dict):
        raise UndecodableError("it is no JSON object")
    return data


def _with_json(node: Node, saved: dict[str, Any], wanted: dict[str, Any], plan: RecoveryPlan) -> Node:
    """A znode with the wanted JSON; the same znode where that is what it has."""
    return node if wanted == saved else plan.changed(node, json.dumps(wanted, separators=(",", ":")).encode())


_BOTH = (Scope.BOOKIES_LOST, Scope.BOOKIES_KEPT)
_NAMESPACES = (NAMESPACE, OLD_NAMESPACE)

RULES = (
    Rule(
        "id counters",
        (ids.SHORT, ids.LONG_CHILD),
        f"raised above every id that any list, cursor or ledger has, by {ids.MARGIN:,} more",
        "a ledger id given out twice ends a topic's list there: what lies behind it cannot be read",
        _raise_counter,
        _BOTH,
    ),
    Rule(
        "topics",
        TOPICS,
        "ledgers that are offloaded completely stay, marked as deleted from BookKeeper; the others go; a last one that "
        "does not exist is added; a terminated topic is open again",
        "a lost ledger in the list stops every reader for ever; the broker opens the last one in BookKeeper and drops "
        "it from the list where it is not there: that must not be an offloaded one; of a terminated topic without its "
        "last ledger it cannot tell the last message (ManagedLedgerImpl.asyncReadEntry fails)",
        _keep_offloaded,
    ),
    Rule(
        "subscriptions",
        CURSORS,
        f"their position is the one in the znode, no longer in BookKeeper; those named {COMPACTION.decode()} go",
        "the ledger with the exact position is lost; the compacted ledger is, too, and a topic that looks for it hangs",
        _free_cursor,
    ),
    Rule("ledgers", ("/ledgers/<digits>/**",), "removed", "they name bookies that are gone", _remove),
    Rule(
        "cookies",
        ("/ledgers/cookies/<bookie>",),
        "removed",
        "a bookie with an empty disk refuses to start where a cookie of its address exists",
        _remove,
    ),
    Rule(
        "bookies",
        ("/ledgers/available/<bookie>", "/ledgers/available/readonly/<bookie>"),
        "removed",
        "they are gone; the new ones register themselves",
        _remove_available,
    ),
    Rule(
        "under-replication",
        ("/ledgers/underreplication/ledgers/<below>/**", "/ledgers/underreplication/locks/<below>/**"),
        "removed",
        "auto-recovery would try to replicate ledgers that are lost",
        _remove,
    ),
    Rule(
        "schemas",
        ("/schemas/<tenant>/**",),
        "removed",
        "schemas are kept in BookKeeper: with a locator of a lost ledger producers and consumers time out; without one "
        "they register their schema anew",
        _remove,
    ),
    Rule(
        "load balancer and ownership",
        ("/loadbalance/<below>/**", "/namespace/<below>/**"),
        "removed",
        "brokers and their load of another time; what is current is ephemeral",
        _remove,
    ),
    Rule(
        "own cluster's addresses",
        ("/admin/clusters/<cluster>",),
        "set to those of CLUSTER_SERVICE_URL and CLUSTER_BROKER_SERVICE_URL, or removed",
        "they are the addresses of the cluster that is lost",
        _own_urls,
        _BOTH,
    ),
    Rule(
        "health checks",
        (HEALTH_CHECKS,),
        "with RENAME_CLUSTER those of the old name are removed",
        "brokers make them anew under the new name; nobody reads them",
        _remove_old_health_checks,
        _BOTH,
    ),
    Rule(
        "tenants' clusters",
        ("/admin/policies/<tenant>",),
        "with RENAME_CLUSTER the old name becomes the new one",
        "a broker refuses namespaces that are not of its cluster (HTTP 412)",
        _rename_in_tenant,
        _BOTH,
    ),
    Rule(
        "namespaces' clusters",
        _NAMESPACES,
        "with RENAME_CLUSTER the old name becomes the new one",
        "messages would be kept for a replication to the old name, for ever",
        _rename_in_namespace,
        _BOTH,
    ),
    Rule(
        "retention",
        _NAMESPACES,
        "with INFINITE_RETENTION infinite",
        "brokers delete offloaded data that no subscription needs and no retention holds",
        _hold_retention,
        _BOTH,
    ),
)
