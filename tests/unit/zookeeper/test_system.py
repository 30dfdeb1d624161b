"""The znodes that a server makes for itself."""

from hypothesis import given

from metadata_tool.zookeeper.snapshot import Node, tree_key
from metadata_tool.zookeeper.system import CONFIG, as_new
from support.trees import PATIENT, node, trees

OWN = {b"/zookeeper", b"/zookeeper/quota", CONFIG}


@PATIENT
@given(trees())
def test_any_tree_has_them(nodes: list[Node]) -> None:
    """Whatever the tree, it has each of them once, in its place, and all else as it was."""
    new = list(as_new(nodes, 7))
    keys = [tree_key(each.path) for each in new]
    assert sorted(set(keys)) == keys
    assert OWN <= {each.path for each in new}
    assert [each for each in nodes if each.path != CONFIG] == [
        each for each in new if each in nodes and each.path != CONFIG
    ]


def test_quotas_stay_and_the_configuration_goes() -> None:
    """What operators set stays; what the lost ensemble was says nothing of the new one."""
    limits = node(b"/zookeeper/quota/a/zookeeper_limits", b"count=5,bytes=-1")
    saved = [
        node(b""),
        node(b"/zookeeper"),
        node(CONFIG, b"server.1=dead:2888:3888"),
        node(b"/zookeeper/quota", b"kept"),
    ]
    new = {each.path: each for each in as_new([*saved, node(b"/zookeeper/quota/a"), limits], 7)}
    assert (b"", 7) == (new[CONFIG].data, new[CONFIG].acl)
    assert (b"kept", limits) == (new[b"/zookeeper/quota"].data, new[limits.path])
