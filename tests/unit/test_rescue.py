"""A restore point made of a bucket of which every object is known."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool import archive
from metadata_tool.catalog import BackupName
from metadata_tool.derived_backup import DerivedBackup
from metadata_tool.errors import SettingError, StoreFailed
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar import codec
from metadata_tool.pulsar.completeness import Completeness
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Topic
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.rescue import RescueJob, rescue
from metadata_tool.tiered_storage.claims import claims
from metadata_tool.tiered_storage.rescue import RescueScope
from metadata_tool.tiered_storage.rescue_result import RescueResult
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import Stat
from support.offload import MemoryBucket, Offloaded
from support.recovery import recovered, scanned
from support.trees import PATIENT

T = "shop/orders/persistent/t"
NAME = BackupName("pulsar-rescued", 1_623_721_488_825)


def ledger(number: int, topic: str = T, uuid: int = 0, **changes: Any) -> Offloaded:
    """The ledger of this id in the bucket."""
    return Offloaded(UUID(int=uuid or number + 1), number, topic, **changes)


class Made:
    """A rescued backup: its tree and its report."""

    def __init__(self, result: RescueResult, backup: DerivedBackup) -> None:
        self.result = result
        self.backup = backup
        self.nodes: list[Node] = []
        archive.verify(backup.path, Heartbeat(), self.nodes.append)
        self.data = {node.path.decode(): node.data or b"" for node in self.nodes}

    def ids(self, topic: str = T) -> list[int]:
        """The ids of a topic's ledgers."""
        info = codec.require_complete(codec.managed_ledger(self.data[f"/managed-ledgers/{topic}"]))
        assert all(each.offloadContext.complete and each.offloadContext.bookkeeperDeleted for each in info.ledgerInfo)
        return [each.ledgerId for each in info.ledgerInfo]


def rescued(bucket: MemoryBucket, directory: Path, scope: RescueScope | None = None, **changes: Any) -> Made:
    """What a rescue makes of a bucket."""
    fields: dict[str, Any] = {
        "bucket": "offloads",
        "scope": scope or RescueScope(),
        "cluster": "c1",
        "layout": Layout(),
        "driver": "S3",
        "properties": {"serviceEndpoint": "http://s3:9000"},
        "requests": 3,
    }
    result, made = rescue(RescueJob(**(fields | changes)), bucket, directory, NAME, Heartbeat())
    assert made
    return Made(result, made)


def test_tree(tmp_path: Path) -> None:
    """The tree has what a new cluster has, with each topic's ledgers in id order."""
    made = rescued(MemoryBucket().put(ledger(10), ledger(2), ledger(0, "public/default/persistent/a%2Fb")), tmp_path)
    assert ([2, 10], [0]) == (made.ids(), made.ids("public/default/persistent/a%2Fb"))
    assert {"allowedClusters": ["c1"], "adminRoles": []} == json.loads(made.data["/admin/policies/shop"])
    policies = json.loads(made.data["/admin/policies/shop/orders"])
    assert (["c1"], 4) == (policies["replication_clusters"], policies["bundles"]["numBundles"])
    bounds = ["0x00000000", "0x40000000", "0x80000000", "0xc0000000", "0xffffffff"]
    assert bounds == policies["bundles"]["boundaries"]
    assert {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1} == policies["retention_policies"]
    assert {"/admin/clusters/c1", "/ledgers/LAYOUT", "/ledgers/INSTANCEID", "/ledgers/available/readonly"} < set(
        made.data
    )
    children = {node.path.decode(): Stat.unpack(node.stat).cversion for node in made.nodes}
    assert (2, 11, 1) == (children["/admin/policies"], children["/ledgers/idgen"], children["/managed-ledgers/shop"])


def test_driver(tmp_path: Path) -> None:
    """A scrub understands the ledgers, and brokers get what they write themselves of an offload."""
    made = rescued(MemoryBucket().put(ledger(10)), tmp_path)
    info = codec.managed_ledger(made.data[f"/managed-ledgers/{T}"])
    (claim,) = claims(Topic("shop/orders", "t", info))
    assert ("offloads", "", 100, 5000) == (claim.bucket, claim.not_checked, claim.entries, claim.size)
    driver = info.ledgerInfo[0].offloadContext.driverMetadata
    assert {
        "bucket": "offloads",
        "managedLedgerOffloadDriver": "S3",
        "serviceEndpoint": "http://s3:9000",
    } == {item.key: item.value for item in driver.properties}


def test_partitioned(tmp_path: Path) -> None:
    """Topics with names of partitions make a partitioned topic, which has all of them, and no absurd number."""
    names = [
        "shop/orders/persistent/p-partition-0",
        "shop/orders/persistent/p-partition-12",
        "shop/orders/persistent/q",
    ]
    absurd = ["shop/orders/persistent/r-partition-007", "shop/orders/persistent/s-partition-999999999"]
    bucket = MemoryBucket().put(*(ledger(number, name) for number, name in enumerate([*names, *absurd])))
    made = rescued(bucket, tmp_path)
    below = "/admin/partitioned-topics/shop/orders/persistent/"
    partitioned = {path: json.loads(data) for path, data in made.data.items() if path.startswith(below)}
    assert {f"{below}p": {"partitions": 13, "deleted": False}} == partitioned
    assert (5, 1) == (made.result.total.topics, made.result.total.partitioned_topics)


def test_v1_names(tmp_path: Path) -> None:
    """A topic with a V1 name is in a namespace with a V1 name."""
    made = rescued(MemoryBucket().put(ledger(1, "shop/c1/orders/persistent/t")), tmp_path)
    assert [1] == made.ids("shop/c1/orders/persistent/t")
    assert "/admin/policies/shop/c1/orders" in made.data
    assert b"" == made.data["/admin/policies/shop/c1"]


def test_only(tmp_path: Path) -> None:
    """Only the tenants and namespaces that are wanted are rescued, but the ids are above all in the bucket."""
    bucket = MemoryBucket().put(ledger(1), ledger(2, "shop/other/persistent/t"), ledger(3, "shops/orders/persistent/t"))
    for wanted, expected in {("shop",): 2, ("shop/orders",): 1, ("shop/other", "shops"): 2, ("x",): 0}.items():
        directory = tmp_path / wanted[0].replace("/", "-")
        directory.mkdir()
        made = rescued(bucket, directory, RescueScope(wanted))
        assert expected == made.result.total.topics
        assert 3 == scanned(made.nodes).facts.highest_id


def test_not_taken(tmp_path: Path) -> None:
    """What is no user's topic, or cannot be read, is counted or named, and not rescued."""
    bucket = MemoryBucket().put(
        ledger(1),
        ledger(2, "pulsar/c1/host:8080/persistent/healthcheck"),
        ledger(3, "shop/orders/persistent/__change_events-partition-0"),
        ledger(4, "shop/orders/persistent/x-sub__transaction_pending_ack"),
        ledger(5, "no-topic"),
        ledger(6, "shop/../persistent/x"),
        ledger(10, "shop/orders/segment/x/0000-7fff-0"),
        ledger(7, ""),
        ledger(8),
        ledger(9),
        ledger(9, uuid=90, entries=4),
    )
    del bucket.contents[ledger(8).data_key]
    made = rescued(bucket, tmp_path)
    assert [1] == made.ids()
    assert {
        "a topic of Pulsar itself": 3,
        "the topic's name is not that of a persistent topic": 3,
        "the index does not name its topic": 1,
    } == made.result.to_json()["notTaken"]
    assert [8, 9] == [each.ledger_id for each in made.result.unusable]


def test_name_of_the_cluster(tmp_path: Path) -> None:
    """The cluster's name comes from the objects, if it is not set, and is demanded if they do not tell it."""
    for cluster, name in {"c7": "c7", "no/name": "", "": ""}.items():
        directory = tmp_path / f"of-{name}{len(cluster)}"
        directory.mkdir()
        bucket = MemoryBucket().put(ledger(1), cluster=cluster)
        if name:
            assert "/admin/clusters/c7" in rescued(bucket, directory, cluster="").data
        else:
            with pytest.raises(SettingError, match="name no cluster, so the new cluster's name is not known"):
                rescued(bucket, directory, cluster="")


def test_several_clusters(tmp_path: Path) -> None:
    """If several clusters wrote to the bucket, the operator chooses."""
    bucket = MemoryBucket().put(ledger(1), cluster="c1").put(ledger(2), cluster="c2").put(ledger(3))
    with pytest.raises(SettingError, match=r"ledgers of the clusters c1, c2\. Name those that are wanted by --cluster"):
        rescued(bucket, tmp_path)
    for wanted, expected in ({"c1"}, [1, 3]), ({"c1", "c2"}, [1, 2, 3]):
        directory = tmp_path / "-".join(sorted(wanted))
        directory.mkdir()
        assert expected == rescued(bucket, directory, RescueScope(clusters=frozenset(wanted))).ids()


def test_it_is_complete(tmp_path: Path) -> None:
    """A restore with lost bookies finds every part, keeps the ledgers, and agrees with the manifest."""
    made = rescued(MemoryBucket().put(ledger(1), ledger((1 << 31) + 7, "no/such/persistent/x", uuid=5)), tmp_path)
    found = scanned(made.nodes)
    assert [] == Completeness(Layout(), found.placement, True, found.facts.flat).findings()
    assert found.facts.summary == TreeSummary.parse(made.backup.manifest.summary)
    restored, changes = recovered(made.nodes)
    assert [] == changes.undecodable
    (node,) = (node for node in restored if node.path.decode() == f"/managed-ledgers/{T}")
    assert 1 == codec.managed_ledger(node.data or b"").ledgerInfo[0].ledgerId


def test_chroot_and_path(tmp_path: Path) -> None:
    """The tree is where the settings say."""
    made = rescued(MemoryBucket().put(ledger(1)), tmp_path, layout=Layout("/a/b", "/ml"))
    assert {f"/a/b/ml/{T}", "/a/b/admin/policies/shop/orders", "/a/b/ledgers/idgen"} < set(made.data)
    assert ("/a/b", "/ml") == (made.backup.manifest.chroot, made.backup.manifest.managed_ledger_path)
    assert 1 == scanned(made.nodes, Layout("/a/b", "/ml")).facts.highest_id


def test_dry_run(tmp_path: Path) -> None:
    """A dry run reports the same, and writes nothing."""
    job = RescueJob("offloads", RescueScope(), "c1", Layout(), "S3", {}, 3)
    result, made = rescue(job, MemoryBucket().put(ledger(1)), tmp_path, NAME, Heartbeat(), dry_run=True)
    assert (None, 1) == (made, result.total.ledgers)
    assert not (tmp_path / str(NAME)).exists()


def test_text(tmp_path: Path) -> None:
    """The report names the namespaces, what was not taken, and what the bucket does not tell."""
    bucket = MemoryBucket().put(ledger(1), ledger(2, "no-topic"), ledger(3))
    bucket.contents[ledger(3).data_key] = b"cut"
    lines = rescued(bucket, tmp_path).result.as_text().splitlines()
    assert "What the bucket offloads tells of the cluster c1" == lines[0]
    assert ["shop/orders", "1", "0", "1", "5000"] in [line.split() for line in lines]
    assert f"{T} ledger 3 not added: bytes in the data object 3, in the index 6000" in lines
    assert "not taken, the topic's name is not that of a persistent topic: 1" in lines
    assert any("infinite retention" in line for line in lines)


def test_bucket_that_fails(tmp_path: Path) -> None:
    """If an index cannot be read, nothing is made."""

    class Broken(MemoryBucket):
        def get(self, *_: object) -> None:
            raise StoreFailed("the object store answered 500")

    with pytest.raises(StoreFailed):
        rescued(Broken().put(ledger(1)), tmp_path)
    assert not (tmp_path / str(NAME)).exists()


_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(["x-partition-3", "..", "a"])


@PATIENT
@given(st.lists(st.tuples(_names, _names, _names), max_size=6))
def test_any_names(tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, str, str]]) -> None:
    """Whatever an index says of its topic, the tree can be loaded."""
    directory = tmp_path_factory.mktemp("rescue")
    topics = [f"{tenant}/{namespace}/persistent/{name}" for tenant, namespace, name in names]
    made = rescued(MemoryBucket().put(*(ledger(number, topic) for number, topic in enumerate(topics))), directory)
    assert made.result.total.ledgers + sum(made.result.not_taken.values()) == len(topics)
