"""What it costs to know what would be lost, beside the capture that it is part of."""

from collections import deque
from pathlib import Path

import pytest

from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.survey import Survey
from support.bench import Cost, captured, measured, table


@pytest.mark.timeout(3600)
def test_coverage(znodes: int, tmp_path: Path) -> None:
    """Coverage takes less than a tenth of the time of the capture, in which the server takes most."""
    survey = Survey(Layout())
    with captured(znodes, tmp_path) as (_, spool, capture):
        plain = measured(lambda: deque(spool.in_tree_order(), maxlen=0))
        watched = measured(lambda: deque(survey.watch(spool.in_tree_order()), maxlen=0))
    coverage = Cost(max(watched.seconds - plain.seconds, 0), watched.cpu - plain.cpu)
    rows = {"capture": capture, "the captured tree, read": plain, "the same, with coverage": watched}
    table(f"{spool.nodes:,} znodes", {**rows, "coverage": coverage}, capture)
    assert znodes // 5 == survey.findings().coverage.total.topics
    assert coverage.seconds < capture.seconds / 10
