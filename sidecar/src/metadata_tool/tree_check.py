"""Refuses the restore of a backup in which Pulsar is missing, or is not where the settings say."""

import logging
from dataclasses import dataclass

from metadata_tool.errors import ClusterAbsent, SettingError, TreeIncomplete
from metadata_tool.manifest import Manifest
from metadata_tool.pulsar.completeness import Completeness, Finding
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import RecoveryPlan, Scope
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.pulsar.tree_scan import ScanResult
from metadata_tool.restore_job import RestoreJob

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TreeCheck:
    """A restore, the manifest of its backup, and where the new cluster looks for its metadata."""

    job: RestoreJob
    manifest: Manifest
    layout: Layout

    @classmethod
    def of(cls, job: RestoreJob, manifest: Manifest) -> "TreeCheck":
        """Check what can be checked before the tree is read.

        The chroot is that of ZOOKEEPER_SERVERS, or else that of the backup. So a backup that was made without a chroot
        can be restored with it.

        Raises:
            ClusterAbsent: the newest backup holds no cluster, and no operator chose it.
            SettingError: the chroot is not in the backup, or the backup was made for new bookies only.
        """
        if manifest.origin and job.recovery_options.scope is Scope.BOOKIES_KEPT:
            raise SettingError(
                f"{job.point} was made from tiered storage, which does not know what bookies hold, but RESTORE_SCOPE "
                f"is {Scope.BOOKIES_KEPT}",
                "Restore a backup that was captured from ZooKeeper. Or set RESTORE_SCOPE to "
                f"{Scope.BOOKIES_LOST} if the bookies are new",
            )
        own, saved = job.recovery_options.layout, manifest.chroot
        if own.chroot and not f"{own.chroot}/".startswith(f"{saved}/"):
            raise SettingError(
                f"ZOOKEEPER_SERVERS has the chroot {own.chroot}, but the backup was made with {saved}",
                f"Set the chroot in ZOOKEEPER_SERVERS to {saved}",
            )
        check = cls(job, manifest, Layout(own.chroot or saved, own.managed_ledger_path))
        summary = TreeSummary.parse(manifest.summary)
        if summary and check.as_saved:
            check._require_cluster(summary)
        return check

    @property
    def as_saved(self) -> bool:
        """Whether the backup was made with the same paths. If not, the summary in its manifest does not apply."""
        return self.layout == self.manifest.layout

    def findings(self, found: ScanResult, plan: RecoveryPlan) -> list[Finding]:
        """What a restore of scope `bookies-lost` cannot adapt."""
        long_ids = plan.counter.high is not None
        unknown = found.coverage.unknown
        return Completeness(self.layout, found.placement, long_ids, found.facts.flat, unknown).findings()

    def require_restorable(self, found: ScanResult, plan: RecoveryPlan) -> None:
        """Check the tree.

        Raises:
            SettingError: MANAGED_LEDGER_PATH differs from the backup's, and the tree does not show that it is right.
            TreeIncomplete: a part is missing or elsewhere, and the operator does not allow that.
        """
        self._require_managed_ledgers(found)
        if not self.as_saved:
            self._require_cluster(found.facts.summary)
        if self.job.allow_partial:
            return
        allow = "To restore the tree as it is, set ALLOW_PARTIAL=true (restore.allowPartial). Nothing was touched"
        findings = self.findings(found, plan) if plan.scope is Scope.BOOKIES_LOST else []
        for finding in findings[1:]:
            log.warning("%s", finding.what)
        if findings:
            raise TreeIncomplete(findings[0].what, f"{findings[0].at_restore}. {allow}")
        name = self.job.recovery_options.cluster_name
        if name and not found.facts.own_clusters:
            raise TreeIncomplete(
                f"CLUSTER_NAME is {name}, but the tree has no cluster in {self.layout.chroot}/admin/clusters",
                f"Unset CLUSTER_NAME, because it cannot be checked. {allow}",
            )

    def _require_managed_ledgers(self, found: ScanResult) -> None:
        own, saved = self.layout.managed_ledger_path, self.manifest.managed_ledger_path
        right = found.placement.managed_ledgers and f"{self.layout.chroot}{saved}" not in found.placement.elsewhere
        if own != saved and not right:
            raise SettingError(
                f"MANAGED_LEDGER_PATH is {own}, but the backup was made with {saved}",
                f"Set MANAGED_LEDGER_PATH to {saved}",
            )

    def _require_cluster(self, summary: TreeSummary) -> None:
        """Refuse the newest backup if it holds no cluster, because the ensemble may have been emptied."""
        if self.job.looked_up and not summary.clusters:
            clusters = f"{self.layout.chroot}/admin/clusters"
            raise ClusterAbsent(
                f"the newest backup {self.job.point} holds no Pulsar cluster, its {clusters} is empty",
                "Set RESTORE_POINT to an older backup that holds one, and ALLOW_OLDER=true. "
                "To find it, use `metadata-tool list` and `inspect`. If Pulsar is below another chroot, set that in "
                "ZOOKEEPER_SERVERS instead (restore.chroot). If its clusters are in a store of their own, name this "
                "backup and set ALLOW_PARTIAL=true. Nothing was touched",
            )
