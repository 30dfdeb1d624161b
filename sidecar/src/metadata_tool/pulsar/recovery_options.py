"""Turns what the operator asks of a recovery, and what the saved tree is, into a plan or a refusal."""

from dataclasses import dataclass, field

from metadata_tool.errors import ClusterNameDiffers
from metadata_tool.pulsar.ids import next_counter
from metadata_tool.pulsar.moved_buckets import MovedBuckets
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import RecoveryPlan, Scope
from metadata_tool.pulsar.tree_facts import TreeSummary


@dataclass(frozen=True)
class RecoveryOptions:
    """`cluster_name` is the new cluster's name, empty if unknown. `urls` are (JSON field, value) of its addresses.

    `layout` is where the new cluster looks for its metadata. If it has no chroot, the chroot of the backup applies.
    `reconcile`: the backup is compared with tiered storage before it is recovered.
    """

    scope: Scope
    cluster_name: str = ""
    rename_cluster: bool = False
    infinite_retention: bool = False
    urls: tuple[tuple[str, str], ...] = ()
    layout: Layout = field(default_factory=Layout)
    buckets: MovedBuckets = field(default_factory=MovedBuckets)
    reconcile: bool = False

    def described(self) -> dict[str, str]:
        """All options by the names of their settings. Equal options restore equal trees.

        Moved buckets, the chroot, the path of managed ledgers and `reconcile` are included only if they are not the
        default.
        """
        switches = {"RENAME_CLUSTER": self.rename_cluster, "INFINITE_RETENTION": self.infinite_retention}
        return {
            "RESTORE_SCOPE": self.scope.value,
            "CLUSTER_NAME": self.cluster_name,
            **{name: str(value).lower() for name, value in switches.items()},
            **{f"{name} of CLUSTER_NAME": url for name, url in self.urls},
            **self._described_layout(),
            **self._described_buckets(),
            **({"TIERED_STORAGE_RECONCILE": "true"} if self.reconcile else {}),
        }

    def _described_buckets(self) -> dict[str, str]:
        buckets = self.buckets
        described = {
            "TIERED_STORAGE_BUCKETS": ",".join(f"{old}={new}" for old, new in sorted(buckets.names)),
            "TIERED_STORAGE_BROKER_REGION": buckets.region,
            "TIERED_STORAGE_BROKER_ENDPOINT_URL": buckets.endpoint,
        }
        return {name: value for name, value in described.items() if value}

    def _described_layout(self) -> dict[str, str]:
        usual, own = Layout(), self.layout
        described = {}
        if own.chroot != usual.chroot:
            described["chroot of ZOOKEEPER_SERVERS"] = own.chroot
        if own.managed_ledger_path != usual.managed_ledger_path:
            described["MANAGED_LEDGER_PATH"] = own.managed_ledger_path
        return described

    def plan(self, summary: TreeSummary, zxid: int, time: int, skip: int = 0) -> RecoveryPlan:
        """What the recovery does. Changed znodes get this zxid and time (epoch ms).

        If the bookies were kept, `skip` more ledger ids are left out, which earlier restores may have used.

        Raises:
            ClusterNameDiffers: the saved tree belongs to a cluster with another name, and is not to be renamed or
                cannot be.
        """
        cluster, rename = self._cluster(summary)
        kept = self.scope is Scope.BOOKIES_KEPT
        if kept and not self.urls:
            cluster = ""  # the brokers may have kept their addresses
        return RecoveryPlan(
            scope=self.scope,
            counter=next_counter(summary.highest_id, long=summary.has_long_ids, skip=skip if kept else 0),
            flat=summary.flat,
            zxid=zxid,
            time=time,
            infinite_retention=self.infinite_retention,
            cluster=cluster,
            rename=rename,
            urls=self.urls,
            buckets=self.buckets,
        )

    def _cluster(self, summary: TreeSummary) -> tuple[str, tuple[str, str] | None]:
        """The cluster's name after the recovery (empty if unknown), and (old name, new name) if it is renamed."""
        saved, new = summary.clusters, self.cluster_name
        if not new or not saved:
            return (saved[0] if len(saved) == 1 else ""), None
        if new in saved:
            return new, None
        if hint := self._why_not_renamed(summary):
            names = f"cluster {saved[0]}" if len(saved) == 1 else f"clusters {', '.join(saved)}"
            raise ClusterNameDiffers(f"the backup is from {names}, but CLUSTER_NAME is {new}", hint)
        return new, (saved[0], new)

    def _why_not_renamed(self, summary: TreeSummary) -> str:
        """What to do instead of renaming the saved cluster, empty if it can be renamed."""
        if len(summary.clusters) > 1:
            return "Set CLUSTER_NAME to one of these names. A backup of several clusters cannot be renamed"
        (saved,) = summary.clusters
        if not self.rename_cluster:
            return f"Set CLUSTER_NAME to {saved}. To rename the cluster instead, set RENAME_CLUSTER to true"
        if not summary.renamable:
            return (
                f"Set CLUSTER_NAME to {saved}. The cluster cannot be renamed, because V1 names of topics or namespaces "
                "include its name, or because /admin/clusters has too many znodes"
            )
        return ""
