"""What it costs to know what would be lost, beside the capture that it is part of."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.survey import Survey
from metadata_tool.zookeeper import session
from metadata_tool.zookeeper.capture import capture
from metadata_tool.zookeeper.spool import Spool
from support.bench import Cost, table
from support.large import ZXID, make_snapshot
from support.zookeeper import standalone


def read(spool: Spool, survey: Survey | None) -> Cost:
    """Read a captured tree, with or without an eye on coverage."""
    begin, cpu = time.monotonic(), time.process_time()
    for _ in survey.watch(spool.in_tree_order()) if survey else spool.in_tree_order():
        pass
    return Cost(time.monotonic() - begin, time.process_time() - cpu)


@pytest.mark.timeout(3600)
def test_coverage(znodes: int, tmp_path: Path) -> None:
    """Coverage takes less than a tenth of the time of the capture, in which the server takes most."""
    (tmp_path / "data" / "version-2").mkdir(parents=True)
    make_snapshot(tmp_path / "data" / "version-2" / f"snapshot.{ZXID:x}", znodes)
    with standalone(NEWEST, tmp_path, heap="4g") as server, closing(Spool(tmp_path / "spool")) as spool:
        begin, cpu = time.monotonic(), time.process_time()
        with session.connect(server.address, None, 60, Checkpoint()) as zookeeper:
            capture(zookeeper, spool, tmp_path, b"", Checkpoint())
        captured = Cost(time.monotonic() - begin, time.process_time() - cpu)
        plain, survey = read(spool, None), Survey(Layout())
        watched = read(spool, survey)
    coverage = Cost(max(watched.seconds - plain.seconds, 0), watched.cpu - plain.cpu)
    rows = {"capture": captured, "the captured tree, read": plain, "the same, with coverage": watched}
    table(f"{spool.nodes:,} znodes", {**rows, "coverage": coverage}, captured)
    assert znodes // 5 == survey.findings().coverage.total.topics
    assert coverage.seconds < captured.seconds / 10
