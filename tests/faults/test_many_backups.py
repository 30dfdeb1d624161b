"""A service that makes many backups needs no more than for the first ones."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from support import seed
from support.s3 import Bucket
from support.tool import Service
from support.zookeeper import client, standalone

GROWTH = 8 << 20
"""Bytes that the service may grow by. A backup that leaves its tree behind would grow it by more within a few."""


def descendants(process: int) -> Iterator[int]:
    """A process and all below it."""
    yield process
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        yield from descendants(int(child))


def needs(service: Service) -> tuple[int, int, int]:
    """Bytes of memory, open files and threads of all processes of the service."""
    memory, files, threads = 0, 0, 0
    for process in descendants(service.process.pid):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        memory += int(status["VmRSS"].split()[0]) << 10
        threads += int(status["Threads"])
        files += len(list(Path(f"/proc/{process}/fd").iterdir()))
    return memory, files, threads


def settled(service: Service) -> tuple[int, int, int]:
    """The least of each in half a second: what a request or a backup has open at a moment is not a leak."""
    looks = []
    for _ in range(25):
        looks.append(needs(service))
        time.sleep(0.02)
    memory, files, threads = zip(*looks, strict=True)
    return min(memory), min(files), min(threads)


@pytest.mark.fault("Service", "hundreds of backups in a row")
def test_memory_files_and_threads_stay(bucket: Bucket, tmp_path: Path, *, soak: bool) -> None:
    """Memory, open files and threads stay as they were after the first backups."""
    looks = range(100, 501, 100) if soak else range(5, 16, 5)
    with standalone(NEWEST, tmp_path) as server:
        with client(server.address) as source:
            seed.pulsar(source, topics=2000 if soak else 200)
        settings = {**bucket.settings, "ZOOKEEPER_SERVERS": server.address, "BACKUP_INTERVAL": "1"}
        service = Service(settings, tmp_path / "log")
        try:
            seen = {}
            for number in range(5, looks[-1] + 1):
                service.wait_for("backup_count", number)
                if number == 5 or number in looks:
                    memory, files, threads = seen[number] = settled(service)
                    print(f"{number} backups: {memory >> 20} MiB, {files} open files, {threads} threads")
            assert 0 == service.metric("backup_failure_count")
        finally:
            service.process.stop()
    first, last = seen[5], seen[looks[-1]]
    assert last[0] < first[0] + GROWTH
    assert first[1:] == last[1:]
