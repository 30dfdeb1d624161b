"""The cluster that the tests of a disaster lose."""

from collections.abc import Iterator

import pytest

from ci.parts.pulsar import NEWEST, OLDER
from support.embedded_s3 import embedded_s3
from support.memory import watched
from support.s3 import new_bucket, s3_server
from support.world import OFFLOADS, World, say

MEMORY = 6 << 30
"""Bytes that all processes together may use."""


@pytest.fixture(scope="module", params=[NEWEST, OLDER])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running cluster of a version, or of (version, more settings of its brokers), or of these and more of World."""
    version, broker, more = (*request.param, {})[:3] if isinstance(request.param, tuple) else (request.param, {}, {})
    directory = tmp_path_factory.mktemp("disaster")
    with (
        watched() as memory,
        s3_server(directory / "s3") as server,
        embedded_s3(directory, OFFLOADS) as offloads,
    ):
        made = World(version, directory, server, new_bucket(server).settings, offloads, broker, **more)
        try:
            made.begin()
            yield made
        finally:
            made.end()
    say(f"all processes used at most {memory.seen >> 20} MiB of memory")
    assert 0 < memory.seen < MEMORY
