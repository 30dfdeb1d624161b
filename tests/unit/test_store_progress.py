import logging
from pathlib import Path

import pytest

from metadata_tool.store.base import StoreOptions
from metadata_tool.store.limits import TransferLimits
from metadata_tool.store.progress import line
from metadata_tool.store.registry import SCHEMES
from support.backups import location

MB = 10**6


@pytest.mark.parametrize(
    ("done", "total", "seconds", "expected"),
    [
        (24 * MB, 70 * MB, 2, "fetched 34% (24 of 70 MB), 12.0 MB/s, 4 s left"),
        (70 * MB, 70 * MB, 10, "fetched 100% (70 of 70 MB), 7.0 MB/s, 0 s left"),
        (0, 70 * MB, 5, "fetched 0% (0 of 70 MB), 0.0 kB/s"),
        (0, 0, 5, "fetched 0% (0.0 of 0.0 kB), 0.0 kB/s"),
        (1, 300, 5, "fetched 0% (0.0 of 0.3 kB), 0.0 kB/s, 25 min left"),
        (199_999, 200_000, 5, "fetched 99% (200 of 200 kB), 40.0 kB/s, 0 s left"),
        (300_000, 3 * MB, 10, "fetched 10% (0.3 of 3.0 MB), 30.0 kB/s, 90 s left"),
        (2_500 * MB, 5_000 * MB, 1_000, "fetched 50% (2.5 of 5.0 GB), 2.5 MB/s, 17 min left"),
        (50 * MB, 50_000 * MB, 50, "fetched 0% (0 of 50 GB), 1.0 MB/s, 14 h left"),
    ],
)
def test_line(done: int, total: int, seconds: float, expected: str) -> None:
    """Share, bytes, rate and time left, each in a unit that fits. Before the first byte, no time is logged."""
    assert expected == line(done, total, seconds)


@pytest.mark.parametrize("every", [0.0, 3600.0])
def test_directory_logs_progress(every: float, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A long fetch logs its progress up to the last byte. A short one logs nothing."""
    caplog.set_level(logging.INFO, logger="metadata_tool")
    (folder / "p-1").write_bytes(bytes(2 * (1 << 20)))
    store = SCHEMES["file"].open(location(folder), StoreOptions(limits=TransferLimits(report_every=every)))
    store.fetch("p-1", tmp_path / "fetched", lambda: None)
    logged = [message.split(",")[0] for message in caplog.messages]
    expected = ["fetched 50% (1.0 of 2.1 MB)", "fetched 100% (2.1 of 2.1 MB)"]
    assert (expected if every == 0 else []) == logged
