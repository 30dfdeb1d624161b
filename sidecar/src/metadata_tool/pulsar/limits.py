"""How much a scan of a tree keeps in memory, and how much a report names."""

from dataclasses import dataclass

MAX_DECOMPRESSED = 64 << 20
"""Bytes of a managed ledger or a cursor after decompression, ten times what ZooKeeper's own limits allow for."""

MAX_REPORTED = 20
"""Undecodable znodes that a report names."""


@dataclass(frozen=True)
class ScanLimits:
    """What a scan keeps in memory, however large the tree is. Beyond a limit it counts, but keeps no more names."""

    topics: int = 10_000
    """Topics that would lose data. Those that would lose most are kept."""
    namespaces: int = 10_000
    cluster_znodes: int = 10_000
    """Znodes below `/admin/clusters`. They must fit in memory for a cluster to be renamed."""
    terminated: int = 100
    """Terminated topics."""


DEFAULT_LIMITS = ScanLimits()
