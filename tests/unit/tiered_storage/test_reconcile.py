"""A new restore point, made of a backup and of a bucket of which every object is known."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool import archive
from metadata_tool.catalog import BackupName, RestorePoint
from metadata_tool.derived_backup import DerivedBackup
from metadata_tool.errors import StoreFailed
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar import codec
from metadata_tool.pulsar.managed_ledger_pb2 import LedgerInfo, ManagedLedgerInfo
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.reconciliation import ReconcileJob, reconcile
from metadata_tool.tiered_storage.contract import DescribedBucket, StoredObject
from metadata_tool.tiered_storage.object_names import halves_of
from metadata_tool.tiered_storage.reconcile_result import Kind, ReconcileResult
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import Stat
from support import metadata
from support.backups import location
from support.offload import MemoryBucket, Offloaded, path_of
from support.recovery import recovered, scanned
from support.trees import PATIENT, ZXID, make_archive

BUCKET, CLUSTER, TIME = "offloads", "c1", 1_623_721_488_825
T, U = "public/default/persistent/t", "public/default/persistent/u"
SOURCE, NAME = BackupName("pulsar", TIME), BackupName("pulsar-reconciled", TIME)
ADMIN = {f"/admin/clusters/{CLUSTER}": b"{}", "/admin/policies/public/default": b"{}", "/ledgers/idgen": b""}


def ledger(number: int, topic: str = T, uuid: int = 0, **changes: Any) -> Offloaded:
    """The ledger of this id in the bucket."""
    return replace(Offloaded(UUID(int=uuid or number), number, topic), **changes)


def offloaded(found: Offloaded, bucket: str = BUCKET, driver: str = "aws-s3") -> LedgerInfo:
    """What a broker writes of an offloaded ledger."""
    info = LedgerInfo(ledgerId=found.ledger_id, entries=found.entries, size=found.size, timestamp=found.created)
    begin(info, found, bucket, driver)
    info.offloadContext.complete = True
    return info


def begin(info: LedgerInfo, found: Offloaded, bucket: str = BUCKET, driver: str = "aws-s3") -> None:
    """Note an offload that was begun."""
    context = info.offloadContext
    context.uidMsb, context.uidLsb = halves_of(found.uuid)
    context.driverMetadata.name = driver
    context.driverMetadata.properties.add(key="bucket", value=bucket)
    context.driverMetadata.properties.add(key="region", value="eu-west-1")


def kept(number: int, **fields: Any) -> LedgerInfo:
    """A ledger that was not offloaded."""
    return LedgerInfo(ledgerId=number, **fields)


def listed(*ledgers: LedgerInfo, terminated: int | None = None) -> bytes:
    """The value of a topic with this list."""
    info = ManagedLedgerInfo(ledgerInfo=ledgers)
    if terminated is not None:
        info.terminatedPosition.ledgerId, info.terminatedPosition.entryId = terminated, 99
    return info.SerializeToString()


@dataclass
class Made:
    """A reconciled backup: its tree and its report."""

    result: ReconcileResult
    backup: DerivedBackup
    nodes: list[Node] = field(default_factory=list)

    def info(self, topic: str = T) -> ManagedLedgerInfo:
        """The new list of a topic."""
        (node,) = (node for node in self.nodes if node.path.decode() == path_of(topic))
        return codec.require_complete(codec.managed_ledger(node.data or b""))

    def lists(self, topic: str = T) -> list[tuple[int, bool]]:
        """The ids in the new list, and whether each is offloaded."""
        return [(each.ledgerId, each.offloadContext.complete) for each in self.info(topic).ledgerInfo]

    def counts(self) -> dict[str, int]:
        """Ledgers by kind."""
        return {kind.value: count for kind, count in (+self.result.total.ledgers).items()}


def reconciled(
    topics: Mapping[str, bytes],
    buckets: Mapping[str, DescribedBucket] | DescribedBucket,
    directory: Path,
    tree: Mapping[str, bytes] | None = None,
    **manifest: Any,
) -> Made:
    """What becomes of a backup with these topics."""
    content = {**(ADMIN if tree is None else tree), **{path_of(name): value for name, value in topics.items()}}
    path = directory / str(SOURCE)
    make_archive(path, metadata.tree(content), prefix="pulsar", timestamp=TIME, **manifest)
    by_name = buckets if isinstance(buckets, Mapping) else {BUCKET: buckets}
    point = RestorePoint(location(directory), SOURCE)
    job = ReconcileJob(point, path, directory, 3, by_name.__getitem__)
    result, made = reconcile(job, NAME, Heartbeat())
    assert made
    nodes: list[Node] = []
    archive.verify(made.path, Heartbeat(), nodes.append)
    return Made(result, made, nodes)


def test_offloaded_since(tmp_path: Path) -> None:
    """Ledgers that were offloaded after the backup are in the list, in id order, and each field is a broker's."""
    bucket = MemoryBucket().put(ledger(1), ledger(2), ledger(5, uuid=1 << 127, entries=7, size=70))
    made = reconciled({T: listed(kept(2, entries=100, size=5000, timestamp=3), offloaded(ledger(1)))}, bucket, tmp_path)
    assert [(1, True), (2, True), (5, True)] == made.lists()
    first, second, third = made.info().ledgerInfo
    expected = offloaded(ledger(5, uuid=1 << 127, entries=7, size=70))
    expected.offloadContext.bookkeeperDeleted = True
    expected.offloadContext.timestamp = expected.timestamp
    assert (offloaded(ledger(1)), expected, 3) == (first, third, second.timestamp)
    assert {"promised": 1, "added": 2} == made.counts()
    assert [] == made.result.unusable
    counts = made.result.namespaces["public/default"]
    assert (107, 5070) == (counts.entries[Kind.ADDED], counts.bytes[Kind.ADDED])


def test_nothing_new(tmp_path: Path) -> None:
    """A backup that agrees with the bucket gives the same tree."""
    value = listed(offloaded(ledger(4)), kept(9))
    made = reconciled({T: value, U: listed(kept(3))}, MemoryBucket().put(ledger(4)), tmp_path)
    with archive.opened(tmp_path / str(SOURCE)) as source:
        assert list(source.tree().nodes) == made.nodes


def test_missing_and_damaged(tmp_path: Path) -> None:
    """Promised ledgers that cannot be read leave the list and are named. Others are not added."""
    ledgers = [ledger(number) for number in range(1, 7)]
    bucket = MemoryBucket().put(*ledgers)
    del bucket.contents[ledgers[1].data_key]
    bucket.contents[ledgers[2].data_key] = b"cut"
    bucket.contents[ledgers[5].data_key] = b"cut"
    made = reconciled({T: listed(*map(offloaded, ledgers[:4]))}, bucket, tmp_path)
    assert [(1, True), (4, True), (5, True)] == made.lists()
    assert {"promised": 4, "left out": 2, "added": 1} == made.counts()
    named = [str(each) for each in made.result.unusable]
    assert [
        f"{T} ledger 6 not added: bytes in the data object 3, in the index 6000",
        f"{T} ledger 2 left out: missing, no data object",
        f"{T} ledger 3 left out: damaged, bytes in the data object 3, in the index 6000",
    ] == named


def test_other_upload_of_a_missing_one(tmp_path: Path) -> None:
    """A promised ledger whose objects are gone is read from another upload with the same content, if there is one."""
    bucket = MemoryBucket().put(ledger(1), ledger(1, uuid=77), ledger(2, uuid=78, entries=5))
    del bucket.contents[ledger(1).index_key]
    made = reconciled({T: listed(offloaded(ledger(1)), offloaded(ledger(2)))}, bucket, tmp_path)
    assert [(1, True)] == made.lists()
    assert halves_of(UUID(int=77)) == (
        made.info().ledgerInfo[0].offloadContext.uidMsb,
        made.info().ledgerInfo[0].offloadContext.uidLsb,
    )
    assert {"promised": 2, "replaced": 1, "left out": 1} == made.counts()


def test_offload_that_was_begun(tmp_path: Path) -> None:
    """The uuid of an offload that was begun is preferred, if both of its objects are valid."""
    begun = kept(1, entries=100, size=5000)
    begin(begun, ledger(1, uuid=9))
    bucket = MemoryBucket().put(ledger(1, uuid=8), ledger(1, uuid=9))
    made = reconciled({T: listed(begun)}, bucket, tmp_path)
    assert halves_of(UUID(int=9))[1] == made.info().ledgerInfo[0].offloadContext.uidLsb
    bucket.contents[ledger(1, uuid=9).data_key] = b"cut"
    (tmp_path / "again").mkdir()
    made = reconciled({T: listed(begun)}, bucket, tmp_path / "again")
    assert halves_of(UUID(int=8))[1] == made.info().ledgerInfo[0].offloadContext.uidLsb


def test_not_checked_stays(tmp_path: Path) -> None:
    """Ledgers of a driver that is not understood stay as they are."""
    azure = offloaded(ledger(1), driver="azureblob")
    made = reconciled({T: listed(azure, offloaded(ledger(2)))}, MemoryBucket().put(ledger(2)), tmp_path)
    assert azure == made.info().ledgerInfo[0]
    assert {"promised": 2, "not checked": 1} == made.counts()


def test_not_taken(tmp_path: Path) -> None:
    """Orphans, unknown topics, terminated topics, other clusters and unreadable indexes are counted, and not taken."""
    bucket = MemoryBucket().put(
        ledger(1),
        ledger(3),
        ledger(7),
        ledger(10),
        ledger(20, topic="gone/gone/persistent/gone"),
        ledger(21, topic=U),
        ledger(22, managed_ledger=""),
        ledger(23),
        ledger(24, entries=0, size=0),
    )
    bucket.put(ledger(25), cluster="staging").put(ledger(26), cluster=CLUSTER)
    del bucket.contents[ledger(23).index_key]
    bucket.contents[ledger(27).index_key] = b"no index"
    topics = {T: listed(offloaded(ledger(3)), kept(7), kept(12)), U: listed(kept(5), terminated=5)}
    made = reconciled(topics, bucket, tmp_path)
    assert [(3, True), (7, True), (12, False), (26, True)] == made.lists()
    assert [(5, False)] == made.lists(U)
    assert {
        "the ledger is not above the topic's last one": 2,
        "the topic is not in the tree": 1,
        "the topic was terminated before": 1,
        "the index does not name its topic": 1,
        "no index": 1,
        "the index is not valid": 1,
        "no entry": 1,
        "written by another cluster": 1,
    } == made.result.to_json()["notTaken"]


def test_empty_list(tmp_path: Path) -> None:
    """A topic with an empty list gets only ledgers that are younger than the backup."""
    bucket = MemoryBucket().put(ledger(1, U), ledger(4), ledger(6))
    made = reconciled({T: b"", U: listed(offloaded(ledger(1, U)), kept(5))}, bucket, tmp_path)
    assert [(6, True)] == made.lists()


def test_driver_of_the_nearest(tmp_path: Path) -> None:
    """An added ledger has the driver's metadata of its topic, or else of its namespace, or else of the tree."""
    other = "shop/orders/persistent/x"
    bucket = MemoryBucket().put(ledger(1), ledger(2, U), ledger(3, other))
    own = offloaded(ledger(1))
    own.offloadContext.driverMetadata.properties[1].value = "us-east-1"
    made = reconciled({T: listed(own), U: listed(kept(1)), other: listed(kept(2))}, bucket, tmp_path)
    for topic in (U, other):
        assert own.offloadContext.driverMetadata == made.info(topic).ledgerInfo[-1].offloadContext.driverMetadata


def test_two_buckets(tmp_path: Path) -> None:
    """Every bucket that the tree names is looked into, and a ledger is read from the bucket that has it."""
    first, second = MemoryBucket().put(ledger(1)), MemoryBucket().put(ledger(2), ledger(3))
    topics = {T: listed(offloaded(ledger(1))), U: listed(offloaded(ledger(2, topic=U), "second"))}
    second.put(ledger(2, topic=U))
    made = reconciled(topics, {BUCKET: first, "second": second}, tmp_path)
    (added,) = (each for each in made.info().ledgerInfo if each.ledgerId == 3)
    assert "second" == added.offloadContext.driverMetadata.properties[0].value
    assert ["offloads", "second"] == made.result.buckets


def test_uploads_that_contradict_each_other(tmp_path: Path) -> None:
    """Uploads of one ledger that name two topics are not added, unless the list of one of them has the ledger."""
    bucket = MemoryBucket().put(ledger(9), ledger(9, U, uuid=90), ledger(8), ledger(8, U, uuid=80))
    topics = {T: listed(offloaded(ledger(1)), kept(8)), U: listed(kept(2))}
    made = reconciled(topics, bucket.put(ledger(1)), tmp_path)
    assert ([(1, True), (8, True)], [(2, False)]) == (made.lists(), made.lists(U))
    assert [(T, 9), (U, 9)] == [(each.topic, each.ledger_id) for each in made.result.unusable]


def test_unusual_names(tmp_path: Path) -> None:
    """V1 names, names that are encoded in their paths, and segments of scalable topics get their ledgers."""
    segment = "shop/orders/segment/x/0000-7fff-0"
    names = ["shop/c1/orders/persistent/a%2Fb", "pulsar/c1/host:8080/persistent/healthcheck", segment]
    bucket = MemoryBucket().put(ledger(1), *(ledger(5 + number, name) for number, name in enumerate(names)))
    topics = {T: listed(offloaded(ledger(1))), **dict.fromkeys(names, listed(kept(2)))}
    made = reconciled(topics, bucket, tmp_path)
    expected = [[(2, False), (number, True)] for number in (5, 6, 7)]
    assert expected == [made.lists(name) for name in names]
    for namespace in ("shop/c1/orders", "shop/orders"):
        assert 1 == made.result.namespaces[namespace].ledgers[Kind.ADDED]


@pytest.mark.parametrize(
    ("highest", "counters"),
    [
        (50, {"/ledgers/idgen": 51}),
        ((1 << 31) - 2, {"/ledgers/idgen": (1 << 31) - 1}),
        ((1 << 31) + 5, {"/ledgers/idgen": 0, "/ledgers/idgen-long": 0, "/ledgers/idgen-long/HOB-0000000001": 0}),
        ((3 << 32) + 5, {"/ledgers/idgen": 0, "/ledgers/idgen-long": 0, "/ledgers/idgen-long/HOB-0000000003": 6}),
    ],
)
def test_id_counters(highest: int, counters: dict[str, int], tmp_path: Path) -> None:
    """The counters know every id in the bucket, also those of orphans, and the manifest's outline agrees."""
    bucket = MemoryBucket().put(ledger(1))
    bucket.contents[ledger(highest).data_key] = b"orphan"
    made = reconciled({T: listed(offloaded(ledger(1)))}, bucket, tmp_path)
    found = {node.path.decode(): Stat.unpack(node.stat).cversion for node in made.nodes}
    assert counters == {path: count for path, count in found.items() if path.startswith("/ledgers/idgen")}
    summary = scanned(made.nodes).facts.summary
    assert highest <= summary.highest_id
    assert summary == TreeSummary.parse(made.backup.manifest.summary)


def test_flat_id_counter(tmp_path: Path) -> None:
    """In the flat layout, the counter of that layout knows the ids, too."""
    bucket = MemoryBucket().put(ledger(1), ledger(50, "no/such/persistent/topic"))
    tree = {**ADMIN, "/ledgers/L0000000001": b""}
    made = reconciled({T: listed(offloaded(ledger(1)))}, bucket, tmp_path, tree)
    found = {node.path: Stat.unpack(node.stat).cversion for node in made.nodes}
    assert (51, 51) == (found[b"/ledgers"], found[b"/ledgers/idgen"])


def test_id_of_a_ledger_that_is_left_out(tmp_path: Path) -> None:
    """The counters know the id of a ledger that leaves its list, although nothing else in the tree has it."""
    bucket = MemoryBucket().put(ledger(1))
    made = reconciled({T: listed(offloaded(ledger(1)), offloaded(ledger(70)))}, bucket, tmp_path)
    assert ([(1, True)], 70) == (made.lists(), scanned(made.nodes).facts.highest_id)


def test_chroot(tmp_path: Path) -> None:
    """A backup with a chroot and another path of managed ledgers is reconciled there."""
    topic = {f"/a/b/ml/{T}": listed(offloaded(ledger(1))), "/a/b/ledgers/idgen": b""}
    bucket = MemoryBucket().put(ledger(1), ledger(2))
    made = reconciled({}, bucket, tmp_path, topic, chroot="/a/b", managed_ledger_path="/ml")
    (data,) = (node.data for node in made.nodes if node.path.decode() == f"/a/b/ml/{T}")
    assert [1, 2] == [each.ledgerId for each in codec.managed_ledger(data or b"").ledgerInfo]
    assert 2 == scanned(made.nodes, Layout("/a/b", "/ml")).facts.highest_id


def test_origin(tmp_path: Path) -> None:
    """The manifest says what the backup was made of, and keeps what it does not change."""
    bucket = MemoryBucket().put(ledger(1), ledger(2))
    manifest = reconciled({T: listed(offloaded(ledger(1)))}, bucket, tmp_path).backup.manifest
    origin = manifest.origin or {}
    source = f"file://{tmp_path}/{SOURCE}"
    assert ("reconciled", source, [BUCKET]) == (origin["kind"], origin["source"], origin["buckets"])
    assert (1, 1) == (origin["total"]["promised"]["ledgers"], origin["total"]["added"]["ledgers"])
    assert (ZXID, "pulsar-reconciled", TIME) == (manifest.zxid, manifest.prefix, manifest.timestamp)
    assert 10_000 == (manifest.coverage or {})["total"]["recoverableBytes"]


def test_restored(tmp_path: Path) -> None:
    """A restore keeps the added ledgers, and continues above the ids in the bucket."""
    bucket = MemoryBucket().put(ledger(1), ledger(4), ledger(9, "no/such/persistent/topic"))
    made = reconciled({T: listed(offloaded(ledger(1)), kept(3))}, bucket, tmp_path)
    restored, _ = recovered(made.nodes)
    (node,) = (node for node in restored if node.path.decode() == path_of(T))
    found = [
        (each.ledgerId, each.offloadContext.complete) for each in codec.managed_ledger(node.data or b"").ledgerInfo
    ]
    assert [(1, True), (4, True), (1_000_010, False)] == found


class Broken(MemoryBucket):
    """A bucket that fails at the second page of its listing, or at every index."""

    pages = 0

    def objects(self) -> Iterator[tuple[str, int]]:
        """See `ReadableBucket.objects`."""
        yield from super().objects()
        if self.pages:
            raise StoreFailed("the second page failed")

    def get(self, *_: object) -> StoredObject | None:
        """See `DescribedBucket.get`."""
        raise StoreFailed("the object store answered 500")


@pytest.mark.parametrize(("pages", "message"), [(1, "the second page failed"), (0, "the object store answered 500")])
def test_bucket_that_fails(pages: int, message: str, tmp_path: Path) -> None:
    """If a bucket cannot be listed completely or an index cannot be read, nothing is made."""
    bucket = Broken().put(ledger(1))
    bucket.pages = pages  # type: ignore[attr-defined]
    with pytest.raises(StoreFailed, match=message):
        reconciled({T: listed(offloaded(ledger(1)))}, bucket, tmp_path)
    assert not (tmp_path / str(NAME)).exists()


GOOD, NO_DATA, NO_INDEX, CUT, BAD_INDEX = range(5)
"""How the objects of an upload are."""
COMPLETE, BEGUN, OPEN, CLOSED = range(4)
"""What a list says of a ledger."""


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, dict[int, tuple[int, int]]], list[tuple[int, int, str, int, str]]]:
    """Topics: what their lists say of each id, and the uuid. Uploads: id, uuid, topic, quality, cluster."""
    ids = draw(st.lists(st.integers(1, 12), unique=True, max_size=8))
    topics: dict[str, dict[int, tuple[int, int]]] = {T: {}, U: {}}
    for number in ids:
        topics[draw(st.sampled_from([T, U]))][number] = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    names = st.sampled_from([T, U, "no/such/persistent/topic"])
    each = st.tuples(
        st.integers(1, 15), st.integers(1, 3), names, st.integers(0, 4), st.sampled_from(["", CLUSTER, "other"])
    )
    uploads = draw(st.lists(each, max_size=12, unique_by=lambda upload: upload[:2]))
    return topics, uploads


def value_of(ledgers: Mapping[int, tuple[int, int]], topic: str) -> bytes:
    """The list of a topic."""
    infos = []
    for number, (state, uuid) in ledgers.items():
        found = ledger(number, topic, uuid=uuid)
        if state == COMPLETE:
            infos.append(offloaded(found))
        else:
            infos.append(kept(number, **({} if state == OPEN else {"entries": 100, "size": 5000, "timestamp": 1})))
            if state == BEGUN:
                begin(infos[-1], found)
    return listed(*infos)


def bucket_of(uploads: Iterable[tuple[int, int, str, int, str]]) -> MemoryBucket:
    """A bucket with these uploads."""
    bucket = MemoryBucket()
    for number, uuid, topic, quality, cluster in uploads:
        found = ledger(number, topic, uuid=uuid)
        bucket.put(found, cluster=cluster)
        if quality in (NO_DATA, NO_INDEX):
            del bucket.contents[found.data_key if quality == NO_DATA else found.index_key]
        elif quality in (CUT, BAD_INDEX):
            bucket.contents[found.data_key if quality == CUT else found.index_key] = b"damaged"
    return bucket


def expected_lists(
    topics: dict[str, dict[int, tuple[int, int]]], uploads: list[tuple[int, int, str, int, str]]
) -> dict[str, dict[int, int]]:
    """The uuid of every ledger that is offloaded afterwards, by the rules, in the plainest way. 0: not offloaded."""
    good = {(number, uuid, topic) for number, uuid, topic, quality, _ in uploads if quality == GOOD}
    proven = {
        (number, uuid, topic)
        for topic, ledgers in topics.items()
        for number, (state, uuid) in ledgers.items()
        if state == COMPLETE and (number, uuid, topic) in good
    }
    writers = {cluster for number, uuid, topic, _, cluster in uploads if (number, uuid, topic) in proven}
    looked_at = {
        cluster
        for number, uuid, _, quality, cluster in uploads
        if quality not in (NO_DATA, NO_INDEX)
        and any(ledgers.get(number) == (COMPLETE, uuid) for ledgers in topics.values())
    }
    own = {CLUSTER, "", *looked_at, *writers}
    highest = max((number for ledgers in topics.values() for number in ledgers), default=0)
    wanted: dict[int, dict[str, list[int]]] = {}
    kept_ids = {number for number, _, _ in proven}
    for number, uuid, topic, quality, cluster in sorted(uploads):
        readable = quality in (GOOD, NO_DATA, CUT) and topic in topics and cluster in own
        if readable and number not in kept_ids:
            ledgers = topics[topic]
            if number in ledgers or number > max(ledgers, default=highest):
                wanted.setdefault(number, {}).setdefault(topic, []).extend([uuid] if quality == GOOD else [])
    result = {
        topic: {number: uuid if state == COMPLETE else 0 for number, (state, uuid) in ledgers.items()}
        for topic, ledgers in topics.items()
    }
    for topic, ledgers in topics.items():
        for number, (state, uuid) in ledgers.items():
            if state == COMPLETE and (number, uuid, topic) not in proven:
                del result[topic][number]
    for number, by_topic in wanted.items():
        in_list = {topic: found for topic, found in by_topic.items() if number in topics[topic]} or by_topic
        for topic, found in in_list.items():
            if found and len(in_list) == 1:
                _, uuid = topics[topic].get(number, (OPEN, 0))
                result[topic][number] = (
                    uuid if uuid in found and topics[topic][number][0] in (BEGUN, COMPLETE) else found[0]
                )
    return result


@PATIENT
@given(worlds())
def test_rules_hold_for_every_world(
    world: tuple[dict[str, dict[int, tuple[int, int]]], list[tuple[int, int, str, int, str]]],
) -> None:
    """For any topics and any uploads, the lists are those that the rules name, ids rise, and the counters are above."""
    topics, uploads = world
    always = {"public/default/persistent/z": listed(offloaded(ledger(0, "public/default/persistent/z")))}
    bucket = bucket_of(uploads).put(ledger(0, "public/default/persistent/z"), cluster=CLUSTER)
    with tempfile.TemporaryDirectory() as directory:
        values = {topic: value_of(ledgers, topic) for topic, ledgers in topics.items()}
        made = reconciled(values | always, bucket, Path(directory))
    for topic, expected in expected_lists(topics, uploads).items():
        ledgers = made.info(topic).ledgerInfo
        found = {each.ledgerId: each.offloadContext.uidLsb if each.offloadContext.complete else 0 for each in ledgers}
        assert expected == found, topic
    assert scanned(made.nodes).facts.highest_id >= max((number for number, *_ in uploads), default=0)
