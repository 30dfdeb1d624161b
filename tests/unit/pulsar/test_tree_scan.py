"""The scan of a tree."""

from dataclasses import replace

from hypothesis import given

from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import TopicDecoder
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, printable
from metadata_tool.zookeeper.stat import Stat
from support.metadata import NAMESPACE, cursor, ledgers, tree
from support.recovery import POLICIES, scanned
from support.trees import PATIENT, trees

CONTENT = {
    **POLICIES,
    "/ledgers/idgen": b"",
    f"{NAMESPACE}/t": ledgers((5, True)),
    f"{NAMESPACE}/t/sub": cursor(7),
    "/schemas/public/default/t": b"",
}


@PATIENT
@given(trees())
def test_znodes_pass_through_unchanged(nodes: list[Node]) -> None:
    """Encoded znodes pass through unchanged, and are scanned like others."""
    scan = TreeScan(Layout())
    assert [node.encode() for node in nodes] == list(scan.passed_through(node.encode() for node in nodes))
    assert scanned(nodes) == scan.result()


def test_facts_and_coverage() -> None:
    """One scan gives the facts and the coverage, of the last topic too."""
    facts, coverage, placement, _ = scanned(tree(CONTENT))
    assert (7, ["old"], {"/ledgers/idgen"}) == (facts.highest_id, facts.own_clusters, facts.counters)
    assert (True, True) == (placement.topics, placement.clusters)
    total = coverage.total
    assert (1, 1, 1, 1) == (total.topics, total.cursors, total.cursors_in_bookkeeper, total.schemas)


def test_kept_znodes() -> None:
    """The znodes that are asked for are in the result as they are in the tree."""
    nodes = tree(CONTENT)
    scan = TreeScan(Layout(), keep=[b"/ledgers/idgen", b"/missing", b"/managed-ledgers"])
    for node in nodes:
        scan.add(node)
    expected = {node.path: node for node in nodes if node.path in {b"/ledgers/idgen", b"/managed-ledgers"}}
    assert expected == scan.result().kept


def test_topic_at_the_end() -> None:
    """A topic at the end of the tree is counted with its cursors."""
    total = scanned(tree({f"{NAMESPACE}/t": ledgers((5, True)), f"{NAMESPACE}/t/sub": cursor(7)})).coverage.total
    assert (1, 1) == (total.topics, total.cursors)


@PATIENT
@given(trees())
def test_each_znode_is_understood_or_unknown(nodes: list[Node]) -> None:
    """Below the managed ledgers, each znode with data is a topic, a cursor, undecodable, or unknown."""
    below = [node._replace(path=b"/managed-ledgers" + node.path) for node in nodes[1:]]
    decoder, coverage = TopicDecoder(Layout()), scanned(below).coverage
    unknown = [node for node in below if node.data and not decoder.understands(node.path)]
    assert [printable(node.path) for node in unknown] == coverage.unknown.first
    assert len(unknown) == coverage.unknown.count


@PATIENT
@given(trees())
def test_last_change(nodes: list[Node]) -> None:
    """The last change is that of the znode with the highest mzxid, whatever happens to its children."""
    stats = [Stat.unpack(node.stat) for node in nodes]
    newest = max(stat.mzxid for stat in stats)
    times = {stat.mtime for stat in stats if stat.mzxid == newest}
    assert scanned(nodes).facts.last_change in (times if newest else {0})


def test_last_change_without_children() -> None:
    """Ephemeral children change the zxid and the version of their parent, which are no change of the tree."""
    parent = Stat(czxid=5, mzxid=7, ctime=50, mtime=70, version=1, cversion=3, aversion=0, ephemeral_owner=0, pzxid=9)
    for pzxid in (9, 999):
        node = Node(b"", b"", OPEN_ACL_KEY, parent._replace(pzxid=pzxid, cversion=pzxid).pack())
        assert 70 == scanned([node]).facts.last_change
    assert 0 == scanned([]).facts.last_change


def test_layout() -> None:
    """A tree below a chroot, with a path of its own for managed ledgers, has the same facts and coverage."""
    moved = {f"/a/b{path.replace('/managed-ledgers/', '/own/')}": data for path, data in CONTENT.items()}
    expected, found = scanned(tree(CONTENT)), scanned(tree(moved), Layout("/a/b", "/own"))
    assert expected.facts.summary == found.facts.summary
    assert expected.coverage == found.coverage
    assert replace(expected.placement, unknown_data=False) == found.placement
    assert scanned(tree(moved)).coverage.total.topics == 0
