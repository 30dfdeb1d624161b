"""The initial znodes of a server, and how they are inserted into a tree."""

from hypothesis import given

from metadata_tool.zookeeper.initial_znodes import CONFIG, of_new_server
from metadata_tool.zookeeper.snapshot import Node, inserted, tree_key
from support.trees import PATIENT, trees

OWN = {b"/zookeeper", b"/zookeeper/quota", CONFIG}


@PATIENT
@given(trees(), trees())
def test_any_tree_has_them(nodes: list[Node], others: list[Node]) -> None:
    """After insertion any tree has each of them once and in place, and its own znodes are unchanged."""
    new = list(inserted(nodes, [*others, *of_new_server(7)]))
    keys = [tree_key(each.path) for each in new]
    assert sorted(set(keys)) == keys
    assert OWN | {each.path for each in others} <= {each.path for each in new}
    there = {each.path for each in nodes}
    assert nodes == [each for each in new if each.path in there]


def test_configuration_can_be_read_by_all() -> None:
    """The configuration has the ACL that it is given, the others the open one."""
    assert [-1, 7, -1] == [each.acl for each in of_new_server(7)]
