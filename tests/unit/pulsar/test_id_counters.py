"""Counters of ledger ids that know an id which the tree does not have."""

import pytest

from metadata_tool.pulsar.id_counters import KnownIds, with_ids
from metadata_tool.zookeeper.stat import Stat
from support.metadata import tree
from support.recovery import scanned


@pytest.mark.parametrize(("saved", "highest", "expected"), [(0, 5, 6), (6, 5, 6), (90, 5, 90), (5, 5, 6)])
def test_a_counter_only_rises(saved: int, highest: int, expected: int) -> None:
    """A counter is raised to the id after the highest one. If it is higher already, it stays."""
    nodes = tree({"/ledgers/idgen": b""}, {"/ledgers/idgen": saved})
    summary = scanned(nodes).facts.summary
    found = {node.path: node for node in with_ids(nodes, KnownIds(highest, 7, 8), summary, "")}
    stat = Stat.unpack(found[b"/ledgers/idgen"].stat)
    assert (expected, 7 if expected > saved else 1) == (stat.cversion, stat.pzxid)
