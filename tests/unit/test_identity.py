"""The identity of a tree, read from its znodes."""

from typing import Any

import pytest

from metadata_tool import identity
from metadata_tool.identity import Creation, Identity, Restored
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.restore_marker import ZNODE, Marker
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.stat import Stat

POINT = "s3a://bucket/pulsar-1.tar.gz"


def node(path: str, data: bytes, created: int) -> Node:
    """A znode that was created at this zxid, and ten times that in epoch ms."""
    return Node(path.encode(), data, OPEN_ACL_KEY, Stat(created, 99, 10 * created, 9999, 5, 0, 0, 0, 99).pack())


def identity_of(nodes: list[Node], chroot: str = "") -> Identity:
    """The identity that a backup of this tree has."""
    layout = Layout(chroot)
    scan = TreeScan(layout, keep=identity.paths(layout))
    for each in nodes:
        scan.add(each)
    result = scan.result()
    return Identity.of(result.kept, result.facts.own_clusters, layout)


def pulsar(chroot: str = "") -> list[Node]:
    """The znodes of a Pulsar that tell its identity, and others."""
    return [
        node("", b"", 0),
        *([node(chroot, b"", 1)] if chroot else []),
        node(f"{chroot}/admin", b"", 2),
        node(f"{chroot}/admin/clusters", b"", 3),
        node(f"{chroot}/admin/clusters/demo", b"{}", 4),
        node(f"{chroot}/ledgers", b"", 5),
        node(f"{chroot}/ledgers/INSTANCEID", b"0f5e-77", 6),
        node(f"{chroot}/ledgers/idgen", b"", 7),
    ]


def test_pulsar() -> None:
    """A tree has BookKeeper's instance id, the clusters, and when the znodes were created that stay."""
    created = {"/admin": Creation(2, 20), "/ledgers": Creation(5, 50)}
    assert Identity("0f5e-77", ("demo",), created) == identity_of(pulsar())


def test_chroot() -> None:
    """Below a chroot it is the same, and the chroot counts too."""
    found = identity_of(pulsar("/pulsar"), "/pulsar")
    created = {"/pulsar": Creation(1, 10), "/pulsar/admin": Creation(2, 20), "/pulsar/ledgers": Creation(5, 50)}
    assert Identity("0f5e-77", ("demo",), created) == found


def test_nothing_yet() -> None:
    """A ZooKeeper without a Pulsar has no identity yet."""
    assert Identity() == identity_of([node("", b"", 0)])


def test_restored() -> None:
    """An ensemble that was restored has the marker of its restore, at the real root of the tree."""
    marker = Marker("2", POINT, {"scope": "bookies-lost"}).to_json()
    for chroot in ("", "/pulsar"):
        nodes = sorted([*pulsar(chroot), node(ZNODE.decode(), marker, 8)])
        assert Restored("2", POINT, 8) == identity_of(nodes, chroot).restored


@pytest.mark.parametrize("data", [b"", b"somebody's own", b"{}"])
def test_znode_of_the_same_name(data: bytes) -> None:
    """A znode in the marker's place that no restore wrote is nothing."""
    assert identity_of([node("", b"", 0), node(ZNODE.decode(), data, 8)]).restored is None


def test_text_is_safe_in_a_line() -> None:
    """What znodes say is printable and short, however it is written."""
    marker = Marker("2\n", "s3a://b\nERROR", {}).to_json()
    found = identity_of(
        [node("", b"", 0), node("/ledgers/INSTANCEID", b"\n" * 500, 6), node(ZNODE.decode(), marker, 8)]
    )
    assert found.restored
    texts = (found.instance_id, *found.restored[:2])
    assert all(text.isprintable() for text in texts)
    assert 100 == len(found.instance_id)


@pytest.mark.parametrize(
    "fields",
    [
        None,
        {},
        {"instanceId": 7, "clusters": "demo", "created": [], "restored": "yes"},
        {"instanceId": "a\nb", "clusters": [7, "c\n"], "created": {"/a": 1, "/b": {"czxid": "x", "ctime": 1}}},
        {"created": {"/a": {"czxid": "0x1"}, "/b": {"czxid": "0x1", "ctime": "1"}}, "restored": {"version": "1"}},
        {"restored": {"version": "1", "point": POINT, "zxid": 7}},
    ],
)
def test_what_is_invalid_is_absent(fields: dict[str, Any] | None) -> None:
    """A manifest that is damaged or of another program has no identity, and no error either."""
    assert Identity() == Identity.parse(fields)
