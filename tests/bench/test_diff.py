"""What a comparison of two backups costs, beside the verification of both."""

import sys
from pathlib import Path

import pytest

from support.bench import Cost, cost_of, table
from support.large import make_backup, make_snapshot
from support.tool import environment


@pytest.mark.timeout(3600)
def test_diff(tmp_path: Path, znodes: int) -> None:
    """A comparison takes about the time of two verifications, and the memory of one path."""
    tool = [sys.executable, "-m", "metadata_tool"]
    folders = [tmp_path / name for name in ("earlier", "later")]
    points = []
    for folder, size in zip(folders, (znodes, znodes - znodes // 20), strict=True):
        folder.mkdir()
        written = make_snapshot(folder / "snapshot", size)
        points.append(str(make_backup(folder, folder / "snapshot", written)))
        (folder / "snapshot").unlink()
    variables = environment({"SPOOL_DIR": str(tmp_path)})
    each = [cost_of([*tool, "verify", point], variables) for point in points]
    both = Cost(sum(cost.seconds for cost in each), sum(cost.cpu for cost in each), max(cost.memory for cost in each))
    rows = {
        "verify both": both,
        "diff of equal trees": cost_of([*tool, "diff", points[0], points[0]], variables),
        "diff, one topic of twenty removed": cost_of([*tool, "diff", *points], variables),
        "the same, --znodes": cost_of([*tool, "diff", *points, "--znodes"], variables),
    }
    table(f"{znodes:,} znodes", rows, both)
