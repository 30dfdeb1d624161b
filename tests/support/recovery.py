"""Recoveries of small trees for tests."""

from collections.abc import Mapping
from dataclasses import replace

from metadata_tool.broker_metadata.restorable import Restorable
from metadata_tool.pulsar.limits import DEFAULT_LIMITS, ScanLimits
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery import Recovery, RecoveryChanges
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.pulsar.tree_facts import TreeFacts
from metadata_tool.pulsar.tree_scan import ScanResult, TreeScan
from metadata_tool.zookeeper.snapshot import Node
from support.metadata import as_json, tree

ZXID, TIME = 0x6_0000_0000, 1_623_721_488_825
"""What changed znodes get."""
LOST = RecoveryOptions(Scope.BOOKIES_LOST)
KEPT = RecoveryOptions(Scope.BOOKIES_KEPT)
POLICIES = {
    "/admin/clusters/old": as_json(serviceUrl="http://dead:8080", brokerServiceUrl="pulsar://dead:6650", peer=["x"]),
    "/admin/clusters/old/failureDomain": b"",
    "/admin/clusters/global": as_json(),
    "/admin/policies/shop": as_json(adminRoles=["root"], allowedClusters=["old", "far"]),
    "/admin/policies/shop/orders": as_json(replication_clusters=["old"], bundles={"numBundles": 4}),
    "/admin/policies/shop/empty": b"",
    "/admin/policies/broken/ns": b"not JSON",
}
"""A cluster called `old`, a tenant and its namespaces."""


def scanned(nodes: list[Node], layout: Layout | None = None, limits: ScanLimits = DEFAULT_LIMITS) -> ScanResult:
    """The result of a scan of these znodes."""
    scan = TreeScan(layout or Layout(), limits)
    for node in nodes:
        scan.add(node)
    return scan.result()


def facts_of(content: Mapping[str, bytes], limits: ScanLimits = DEFAULT_LIMITS) -> TreeFacts:
    """The facts about a tree with this content."""
    return scanned(tree(content), limits=limits).facts


def recovered(
    nodes: list[Node],
    options: RecoveryOptions = LOST,
    layout: Layout | None = None,
    broker: Restorable | None = None,
    cursor_size: int = 500_000,
) -> tuple[list[Node], RecoveryChanges]:
    """The recovered tree, and what was changed."""
    layout = layout or Layout()
    facts = scanned(nodes, layout).facts
    plan = replace(options.plan(facts.summary, ZXID, TIME), broker=broker or Restorable(), cursor_size=cursor_size)
    renamed = facts.clusters[plan.rename[0]] if plan.rename else []
    recovery = Recovery(plan, facts.summary, renamed, layout)
    return list(recovery.nodes(nodes)), recovery.changes


def recover(
    content: Mapping[str, bytes],
    options: RecoveryOptions = LOST,
    cversions: Mapping[str, int] | None = None,
    layout: Layout | None = None,
) -> dict[str, Node]:
    """The znodes of the recovered tree by path."""
    nodes, _ = recovered(tree(content, cversions), options, layout)
    return {node.path.decode(): node for node in nodes}
