"""Which backups a restore refuses, because nothing is where the settings say."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from metadata_tool.catalog import BackupName, RestorePoint
from metadata_tool.errors import ClusterAbsent, SettingError, ToolError, TreeIncomplete
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.restore_job import RestoreJob
from metadata_tool.tree_check import TreeCheck
from metadata_tool.zookeeper.datadir import DataDir
from support.backups import location
from support.metadata import as_json, ledgers, tree
from support.recovery import TIME, ZXID, scanned
from support.trees import manifest_of

PULSAR = {
    "/admin/clusters/c1": as_json(),
    "/admin/policies/public/default": as_json(),
    "/ledgers/idgen": b"",
    "/managed-ledgers/public/default/persistent/t1": ledgers((10, True), (11, False)),
}
IN_CHROOT = {f"/pulsar{path}": data for path, data in PULSAR.items()}
NO_BOOKKEEPER = {path: data for path, data in PULSAR.items() if not path.startswith("/ledgers")}
NO_CLUSTERS = {path: data for path, data in PULSAR.items() if not path.startswith("/admin")}


@pytest.fixture
def job(tmp_path: Path) -> RestoreJob:
    """A restore with lost bookies, and without any other setting."""
    point = RestorePoint(location(tmp_path), BackupName("pulsar", 7))
    options = RecoveryOptions(Scope.BOOKIES_LOST)
    return RestoreJob(point, "1", DataDir(tmp_path, tmp_path), tmp_path, "", 8080, False, options)


def check(job: RestoreJob, content: Mapping[str, bytes], chroot: str = "", path: str = "/managed-ledgers") -> Layout:
    """Check a tree with this content, of a backup with this chroot and this path. Returns where Pulsar is."""
    saved = scanned(tree(content), Layout(chroot, path)).facts.summary.to_json()
    manifest = manifest_of(b"", 0, chroot=chroot, managed_ledger_path=path, summary=saved)
    checked = TreeCheck.of(job, manifest)
    found = scanned(tree(content), checked.layout)
    checked.require_restorable(found, job.recovery_options.plan(found.facts.summary, ZXID, TIME))
    return checked.layout


def refusal(error: type[ToolError], job: RestoreJob, content: Mapping[str, bytes], **saved: str) -> str:
    """The error with which a tree is refused."""
    with pytest.raises(error) as caught:
        check(job, content, **saved)
    return str(caught.value)


def with_options(job: RestoreJob, **changes: object) -> RestoreJob:
    """The same restore with other options."""
    return replace(job, recovery_options=replace(job.recovery_options, **changes))  # type: ignore[arg-type]


def test_complete(job: RestoreJob) -> None:
    """A tree with all parts is restored, and Pulsar is where the backup's chroot says."""
    assert Layout() == check(job, PULSAR)
    assert Layout("/pulsar") == check(job, IN_CHROOT, chroot="/pulsar")


def test_forgotten_chroot(job: RestoreJob) -> None:
    """A tree whose Pulsar is below a chroot is refused with the setting that helps, and with the one that allows it."""
    expected = (
        "the tree has no /managed-ledgers, no cluster in /admin/clusters and no /ledgers, but it has "
        "/pulsar/managed-ledgers, /pulsar/admin/clusters and /pulsar/ledgers. "
        "Append the chroot /pulsar to ZOOKEEPER_SERVERS (restore.chroot). To restore the tree as it is, set "
        "ALLOW_PARTIAL=true (restore.allowPartial). Nothing was touched."
    )
    assert expected == refusal(TreeIncomplete, job, IN_CHROOT)
    assert expected == refusal(TreeIncomplete, with_options(job, cluster_name="wrong"), IN_CHROOT)


def test_data_of_no_topic(job: RestoreJob) -> None:
    """Data beside the topics is refused with lost bookies, unless the operator allows it, and not with kept ones."""
    content = {**PULSAR, "/managed-ledgers/public/default/other/t": ledgers((12, False))}
    said = refusal(TreeIncomplete, job, content)
    assert "belongs to no topic and no subscription, at /managed-ledgers/public/default/other/t. If a newer" in said
    assert "set ALLOW_PARTIAL=true (restore.allowPartial). Nothing was touched." in said
    assert Layout() == check(replace(job, allow_partial=True), content)
    assert Layout() == check(with_options(job, scope=Scope.BOOKIES_KEPT), content)


def test_chroot_of_the_new_cluster(job: RestoreJob) -> None:
    """A backup that was made without the chroot is restored with it."""
    assert Layout("/pulsar") == check(with_options(job, layout=Layout("/pulsar")), IN_CHROOT)
    assert Layout("/pulsar") == check(with_options(job, layout=Layout("/pulsar")), IN_CHROOT, chroot="/pulsar")


@pytest.mark.parametrize("chroot", ["/pulsa", "/other", "/pulsar-2"])
def test_chroot_outside_of_the_backup(job: RestoreJob, chroot: str) -> None:
    """A chroot that is not in the backup is refused with both chroots."""
    assert (
        f"ZOOKEEPER_SERVERS has the chroot {chroot}, but the backup was made with /pulsar. "
        "Set the chroot in ZOOKEEPER_SERVERS to /pulsar."
    ) == refusal(SettingError, with_options(job, layout=Layout(chroot)), IN_CHROOT, chroot="/pulsar")


def test_path_of_managed_ledgers(job: RestoreJob) -> None:
    """Another path than the backup's is accepted if the tree shows that it is right, and refused otherwise."""
    assert Layout() == check(job, PULSAR, path="/own")
    for path, content in (("/own", PULSAR), ("/own", PULSAR | {"/own": b""})):
        assert (
            f"MANAGED_LEDGER_PATH is {path}, but the backup was made with /managed-ledgers. "
            "Set MANAGED_LEDGER_PATH to /managed-ledgers."
        ) == refusal(SettingError, with_options(job, layout=Layout("", path)), content)


def test_made_from_tiered_storage(job: RestoreJob) -> None:
    """A backup that was made from tiered storage serves new bookies only, because it says nothing of the others."""
    manifest = manifest_of(b"", 0, origin={"kind": "reconciled"})
    assert Layout() == TreeCheck.of(job, manifest).layout
    with pytest.raises(SettingError, match=r"RESTORE_SCOPE is bookies-kept\. Restore a backup that was captured"):
        TreeCheck.of(with_options(job, scope=Scope.BOOKIES_KEPT), manifest)


@pytest.mark.parametrize("content", [{}, IN_CHROOT, NO_CLUSTERS, NO_BOOKKEEPER])
def test_lost_bookies(job: RestoreJob, content: Mapping[str, bytes], caplog: pytest.LogCaptureFixture) -> None:
    """A tree that lacks a part is refused if the bookies are lost, unless that is allowed."""
    caplog.set_level(logging.WARNING)
    assert "ALLOW_PARTIAL=true" in refusal(TreeIncomplete, job, content)
    assert Layout() == check(with_options(job, scope=Scope.BOOKIES_KEPT), content)
    assert Layout() == check(replace(job, allow_partial=True), content)


def test_every_finding_is_said(job: RestoreJob, caplog: pytest.LogCaptureFixture) -> None:
    """Of several findings, the first is the error, and the others are warnings."""
    assert "no /managed-ledgers." in refusal(TreeIncomplete, job, {"/ledgers": b""})
    assert ["the tree has no cluster in /admin/clusters"] == [record.getMessage() for record in caplog.records]


def test_layout_that_is_not_known(job: RestoreJob) -> None:
    """A ledger manager whose ids cannot be raised is refused only if the bookies are lost."""
    content = PULSAR | {"/ledgers/LAYOUT": b"2\nx.MSLedgerManagerFactory:1"}
    assert "/ledgers/LAYOUT names MSLedgerManagerFactory" in refusal(TreeIncomplete, job, content)
    assert Layout() == check(with_options(job, scope=Scope.BOOKIES_KEPT), content)


def test_ids_above_31_bits(job: RestoreJob) -> None:
    """The flat layout cannot give out ids above 31 bits, so a tree that needs them is refused."""
    flat = PULSAR | {"/ledgers/LAYOUT": b"2\nx.FlatLedgerManagerFactory:1"}
    assert Layout() == check(job, flat)
    message = refusal(TreeIncomplete, job, flat | {"/ledgers/L2147483640": b""})
    assert message.startswith("new ledger ids need more than 31 bits")


@pytest.mark.parametrize("scope", list(Scope))
def test_name_that_cannot_be_checked(job: RestoreJob, scope: Scope) -> None:
    """CLUSTER_NAME is never ignored: without a cluster in the tree the restore is refused, in both scopes."""
    named = with_options(job, scope=scope, cluster_name="c1")
    message = refusal(TreeIncomplete, named, NO_CLUSTERS)
    assert Layout() == check(replace(named, allow_partial=True), NO_CLUSTERS)
    if scope is Scope.BOOKIES_KEPT:
        assert (
            "CLUSTER_NAME is c1, but the tree has no cluster in /admin/clusters. Unset CLUSTER_NAME, because it "
            "cannot be checked. To restore the tree as it is, set ALLOW_PARTIAL=true (restore.allowPartial). "
            "Nothing was touched."
        ) == message


@pytest.mark.parametrize("allow_partial", [True, False])
def test_emptied_ensemble(job: RestoreJob, *, allow_partial: bool) -> None:
    """The newest backup of an ensemble that was emptied is refused, whatever is allowed, and with any chroot."""
    latest = replace(job, looked_up=True, allow_partial=allow_partial)
    assert "its /admin/clusters is empty" in refusal(ClusterAbsent, latest, {"/admin/clusters": b""})
    in_chroot = with_options(latest, layout=Layout("/pulsar"))
    assert "its /pulsar/admin/clusters is empty" in refusal(ClusterAbsent, in_chroot, PULSAR)
    assert Layout("/pulsar") == check(in_chroot, IN_CHROOT)
