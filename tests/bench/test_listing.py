"""What answers of the admin port cost if the bucket holds 60,000 backups."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.backups import make_backup
from support.bench import Cost, table
from support.memory import resident
from support.proxy import proxy
from support.s3 import new_bucket, s3_server
from support.tool import Service

BACKUPS = 60_000
REQUESTS = 40
FIRST = 1_600_000_000_000


@pytest.mark.timeout(3600)
def test_many_backups(tmp_path: Path) -> None:
    """Many requests share one listing, so the store gets a request for each thousand backups, and no more."""
    (tmp_path / "spool").mkdir()
    with s3_server(tmp_path) as s3, proxy(s3.port) as (endpoint, faults):
        bucket = new_bucket(s3)
        folder = tmp_path / "buckets" / bucket.name / "team" / "prod"
        folder.mkdir(parents=True)
        make_backup(folder, timestamp=FIRST + BACKUPS)
        for number in range(BACKUPS - 1):
            (folder / f"pulsar-{FIRST + number}.tar.gz").write_bytes(b"x")
        settings = {
            **bucket.settings,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "BACKUP_PREFIX": "pulsar",
            "ZOOKEEPER_SERVERS": "127.0.0.1:1",
            "ZOOKEEPER_CONNECT_TIMEOUT": "3600",
            "BACKUP_INTERVAL": "86400",
            "SPOOL_DIR": str(tmp_path / "spool"),
        }
        service = Service(settings, tmp_path / "log")
        try:
            service.process.wait_until(lambda: "is not reachable" in service.process.output())
            before = resident(service.process.pid)
            rows, requests = {}, []
            for path in ("/backup/latest", "/backup/list", "/backup/list?limit=100", "/metrics"):
                for what, count in (("first", 1), (f"each of {REQUESTS} more", REQUESTS)):
                    faults.requests, began = 0, time.monotonic()
                    with ThreadPoolExecutor(2) as pool:
                        list(pool.map(service.get, [path] * count))
                    rows[f"{path}, {what}"] = Cost((time.monotonic() - began) / count)
                    requests.append(faults.requests)
            grown = (resident(service.process.pid) - before) >> 20
        finally:
            service.process.stop()
    table(f"{BACKUPS:,} backups in the bucket, {os.cpu_count()} processors", rows, rows["/metrics, first"])
    print(f"requests to the store: {requests}, memory at the end: {grown:+d} MiB")
    assert [0] * 7 == requests[1:]
