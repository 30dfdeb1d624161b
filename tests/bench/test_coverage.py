"""What it costs to know what would be lost, beside the capture that it is part of."""

from collections import deque
from contextlib import ExitStack
from pathlib import Path

import pytest

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.zookeeper.capture.captured import captured
from metadata_tool.zookeeper.capture.captured_tree import CapturedTree
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.net.ensemble import Ensemble
from support.bench import Cost, large_server, measured, table


@pytest.mark.timeout(3600)
def test_coverage(znodes: int, tmp_path: Path) -> None:
    """Coverage takes less time than the capture, in which the server takes most."""
    scan = TreeScan(Layout())
    with large_server(znodes, tmp_path) as server, ExitStack() as stack:
        taken: list[CapturedTree] = []
        taking = captured(Source(Ensemble(server.address)), tmp_path, Heartbeat())
        capture = measured(lambda: taken.append(stack.enter_context(taking)))
        (tree,) = taken
        plain = measured(lambda: deque(tree.nodes(), maxlen=0))
        watched = measured(lambda: deque(scan.passed_through(tree.nodes()), maxlen=0))
    coverage = Cost(max(watched.seconds - plain.seconds, 0), watched.cpu - plain.cpu)
    rows = {"capture": capture, "the captured tree, read": plain, "the same, with coverage": watched}
    table(f"{tree.counted + 1:,} znodes", {**rows, "coverage": coverage}, capture)
    assert znodes // 5 == scan.result().coverage.total.topics
    assert coverage.seconds < capture.seconds
