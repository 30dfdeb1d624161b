"""What the operator asks of a recovery, held against what the saved tree is: the orders, or a refusal."""

from dataclasses import dataclass

from metadata_tool.errors import ClusterNameDiffers
from metadata_tool.pulsar.ids import next_counter
from metadata_tool.pulsar.rules import RecoveryPlan, Scope
from metadata_tool.pulsar.tree_facts import TreeSummary


@dataclass(frozen=True)
class RecoveryOptions:
    """`cluster_name` is the new cluster's, empty where it is not known; `urls` are its own, by their names in JSON."""

    scope: Scope
    cluster_name: str = ""
    rename_cluster: bool = False
    infinite_retention: bool = False
    urls: tuple[tuple[str, str], ...] = ()

    def described(self) -> dict[str, str]:
        """All of it, by the names of the settings: what is restored depends on it."""
        switches = {"RENAME_CLUSTER": self.rename_cluster, "INFINITE_RETENTION": self.infinite_retention}
        return {
            "RESTORE_SCOPE": self.scope.value,
            "CLUSTER_NAME": self.cluster_name,
            **{name: str(value).lower() for name, value in switches.items()},
            **{f"{name} of CLUSTER_NAME": url for name, url in self.urls},
        }

    def plan(self, summary: TreeSummary, zxid: int, time: int) -> RecoveryPlan:
        """What is to be done. Changed znodes get this zxid and time (epoch ms).

        Raises:
            ClusterNameDiffers: the saved tree is of a cluster with another name.
        """
        cluster, rename = self._cluster(summary)
        if self.scope is Scope.BOOKIES_KEPT and not self.urls:
            cluster = ""  # its brokers may have kept their addresses
        return RecoveryPlan(
            scope=self.scope,
            counter=next_counter(summary.highest_id, long=summary.has_long_ids),
            zxid=zxid,
            time=time,
            infinite_retention=self.infinite_retention,
            cluster=cluster,
            rename=rename,
            urls=self.urls,
        )

    def _cluster(self, summary: TreeSummary) -> tuple[str, tuple[str, str] | None]:
        saved, new = summary.clusters, self.cluster_name
        if not new or not saved:
            return (saved[0] if len(saved) == 1 else ""), None
        if new in saved:
            return new, None
        what = f"the backup is of cluster {', '.join(saved)}, CLUSTER_NAME is {new}"
        if not self.rename_cluster:
            raise ClusterNameDiffers(what, f"Set CLUSTER_NAME to {saved[0]}, or RENAME_CLUSTER=true to rename it")
        if len(saved) > 1:
            raise ClusterNameDiffers(what, "With several clusters in it none can be renamed: take one of these names")
        if not summary.renamable:
            raise ClusterNameDiffers(
                what,
                "Names of the first version, which have their cluster in them, or too many znodes below "
                f"/admin/clusters, cannot be renamed: keep {saved[0]}",
            )
        return new, (saved[0], new)
