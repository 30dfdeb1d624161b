"""What an operator asks of a recovery, and what becomes of it."""

from dataclasses import replace

import pytest

from metadata_tool.errors import ClusterNameDiffers
from metadata_tool.pulsar.ids import MARGIN, Counter
from metadata_tool.pulsar.moved_buckets import MovedBuckets
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import RecoveryPlan, Scope
from metadata_tool.pulsar.tree_facts import TreeSummary
from support.metadata import as_json
from support.recovery import POLICIES, TIME, ZXID, facts_of

URLS = (("serviceUrl", "http://new:8080"),)


def summary(*clusters: str, renamable: bool = True) -> TreeSummary:
    """A summary of a tree with these clusters."""
    return TreeSummary(41, has_ledgers=True, counters=("/ledgers/idgen",), clusters=clusters, renamable=renamable)


def refusal(options: RecoveryOptions, saved: TreeSummary) -> str:
    """The error with which a plan is refused."""
    with pytest.raises(ClusterNameDiffers) as caught:
        options.plan(saved, ZXID, TIME)
    return str(caught.value)


def test_plan() -> None:
    """A plan has the options, the next id counter, and the zxid and time of changed znodes."""
    options = RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True, infinite_retention=True, urls=URLS)
    options = replace(options, buckets=MovedBuckets((("a", "b"),)))
    expected = RecoveryPlan(
        scope=Scope.BOOKIES_LOST,
        counter=Counter(None, 41 + MARGIN + 2),
        zxid=ZXID,
        time=TIME,
        infinite_retention=True,
        cluster="new",
        rename=("old", "new"),
        urls=URLS,
        buckets=MovedBuckets((("a", "b"),)),
    )
    assert expected == options.plan(summary("old"), ZXID, TIME)


@pytest.mark.parametrize(("scope", "expected"), [(Scope.BOOKIES_LOST, 43), (Scope.BOOKIES_KEPT, 43 + 7)])
def test_skipped_ids(scope: Scope, expected: int) -> None:
    """Bookies that were kept may have ledgers of an earlier restored cluster, so these ids are skipped."""
    assert Counter(None, MARGIN + expected) == RecoveryOptions(scope).plan(summary("old"), ZXID, TIME, skip=7).counter


def test_long_ids() -> None:
    """Where BookKeeper has long ids already, the long counter is raised, however low the ids are."""
    saved = replace(summary(), counters=("/ledgers/idgen", "/ledgers/idgen-long"))
    assert Counter(1, 2) == RecoveryOptions(Scope.BOOKIES_LOST).plan(saved, ZXID, TIME).counter


@pytest.mark.parametrize(
    ("clusters", "name", "expected"),
    [
        (("old",), "", "old"),
        (("old",), "old", "old"),
        (("far", "old"), "old", "old"),
        (("far", "old"), "", ""),
        ((), "old", ""),
        ((), "", ""),
    ],
)
def test_own_cluster(clusters: tuple[str, ...], name: str, expected: str) -> None:
    """The cluster that gets new addresses is the named one, or the only one."""
    assert expected == RecoveryOptions(Scope.BOOKIES_LOST, name).plan(summary(*clusters), ZXID, TIME).cluster


@pytest.mark.parametrize(("urls", "expected"), [((), ""), (URLS, "old")])
def test_kept_bookies_keep_addresses(urls: tuple[tuple[str, str], ...], expected: str) -> None:
    """If the bookies are kept, addresses change only if new ones are given."""
    assert expected == RecoveryOptions(Scope.BOOKIES_KEPT, urls=urls).plan(summary("old"), ZXID, TIME).cluster


def test_other_name_is_refused() -> None:
    """A tree of a cluster with another name is refused with both names and both ways out."""
    expected = (
        "the backup is from cluster old, but CLUSTER_NAME is new. "
        "Set CLUSTER_NAME to old. To rename the cluster instead, set RENAME_CLUSTER to true."
    )
    assert expected == refusal(RecoveryOptions(Scope.BOOKIES_LOST, "new"), summary("old"))


@pytest.mark.parametrize("rename", [True, False])
def test_several_clusters_cannot_be_renamed(*, rename: bool) -> None:
    """A tree of several clusters is refused with all of their names."""
    expected = (
        "the backup is from clusters far, old, but CLUSTER_NAME is new. "
        "Set CLUSTER_NAME to one of these names. A backup of several clusters cannot be renamed."
    )
    options = RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=rename)
    assert expected == refusal(options, summary("far", "old"))


@pytest.mark.parametrize(
    "more",
    [
        {"/managed-ledgers/shop/old/ns/persistent/t": b""},
        {"/admin/policies/shop/old/ns": as_json()},
    ],
)
def test_v1_names_cannot_be_renamed(more: dict[str, bytes]) -> None:
    """A cluster that is part of the names of topics or namespaces cannot be renamed."""
    options = RecoveryOptions(Scope.BOOKIES_LOST, "new", rename_cluster=True)
    message = refusal(options, facts_of(POLICIES | more).summary)
    assert message.startswith("the backup is from cluster old, but CLUSTER_NAME is new. Set CLUSTER_NAME to old. ")
    assert "V1 names" in message


def test_described() -> None:
    """The description has every option by the name of its setting."""
    expected = {
        "RESTORE_SCOPE": "bookies-kept",
        "CLUSTER_NAME": "c",
        "RENAME_CLUSTER": "false",
        "INFINITE_RETENTION": "true",
        "serviceUrl of CLUSTER_NAME": "http://new:8080",
    }
    options = RecoveryOptions(Scope.BOOKIES_KEPT, "c", infinite_retention=True, urls=URLS)
    assert expected == options.described()
    unusual = {"chroot of ZOOKEEPER_SERVERS": "/pulsar", "MANAGED_LEDGER_PATH": "/own"}
    assert expected | unusual == replace(options, layout=Layout("/pulsar", "/own")).described()
    moved = {"TIERED_STORAGE_BUCKETS": "a=b,c=d"}
    assert expected | moved == replace(options, buckets=MovedBuckets((("c", "d"), ("a", "b")))).described()
    moved |= {"TIERED_STORAGE_BROKER_REGION": "us", "TIERED_STORAGE_BROKER_ENDPOINT_URL": "http://x"}
    full = MovedBuckets((("a", "b"), ("c", "d")), "us", "http://x")
    assert expected | moved == replace(options, buckets=full).described()
    assert expected | {"TIERED_STORAGE_RECONCILE": "true"} == replace(options, reconcile=True).described()
