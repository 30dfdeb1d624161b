"""What a scrub costs: requests, time and memory."""

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import pytest

from support import metadata
from support.bench import cost_of, table
from support.embedded_s3 import KEYS
from support.offload import Offloaded, offload, path_of, topic_value
from support.offload_server import ledger, offload_server
from support.proxy import proxy
from support.s3 import S3Server, new_bucket
from support.tool import environment
from support.trees import make_archive

LEDGERS = 10_000
MILLION = 1_000_000
MEMORY = 128
"""MiB that a scrub may take, however many ledgers there are."""
SCRUB = [sys.executable, "-m", "metadata_tool", "scrub"]
NAME = "pulsar-1623721488825.tar.gz"


def settings(directory: Path, ledgers: list[Offloaded], bucket: str) -> dict[str, str]:
    """Keep a backup of a tree with these ledgers in a directory. Returns the settings for it."""
    topics = {
        path_of(name): topic_value(of_topic, bucket)
        for name, of_topic in groupby(ledgers, attrgetter("managed_ledger"))
    }
    make_archive(directory / NAME, metadata.tree(topics), timestamp=1_623_721_488_825)
    return {"BUCKET": f"file://{directory}", "BACKUP_PREFIX": "pulsar", "SPOOL_DIR": str(directory)}


@pytest.mark.timeout(3600)
def test_ten_thousand_ledgers(s3: S3Server, tmp_path: Path) -> None:
    """Listing alone takes a request for each thousand objects. With indexes, it takes one more for each ledger."""
    bucket, ledgers = new_bucket(s3), [ledger(number) for number in range(LEDGERS)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda part: offload(bucket, *part), (ledgers[first::8] for first in range(8))))
    run = environment({**s3.environment(), **settings(tmp_path, ledgers, bucket.name)})
    requests, costs = {}, {}
    for name, options in {"listing alone": ["--list-only"], "with each index": []}.items():
        costs[name] = cost_of([*SCRUB, *options], run)
        with proxy(s3.port) as (endpoint, seen):
            cost_of([*SCRUB, *options], run | {"AWS_ENDPOINT_URL_S3": endpoint})
            requests[name] = seen.requests
    table(f"{LEDGERS:,} offloaded ledgers on a local S3 server", costs, costs["listing alone"])
    print(*(f"{name}: {count} requests" for name, count in requests.items()), sep="\n")
    assert {"listing alone": 20, "with each index": 20 + LEDGERS} == requests


@pytest.mark.timeout(3600)
def test_memory(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The memory of a scrub is bounded, however many ledgers there are."""
    count = MILLION if request.config.getoption("--large") else 10 * LEDGERS
    run = settings(tmp_path, [ledger(number) for number in range(count)], "offloads")
    with offload_server(count) as endpoint:
        own = {"TIERED_STORAGE_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        cost = cost_of([*SCRUB, "--list-only"], environment({**KEYS, **run, **own}))
    table(f"{count:,} offloaded ledgers", {"listing alone": cost}, cost)
    assert cost.memory <= MEMORY
