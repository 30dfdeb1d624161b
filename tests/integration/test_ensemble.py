"""The chart's own start script: members come and go, and no acknowledged znode is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST, OLDER, OLDEST
from support.members import Pods, Writers, lost


@pytest.fixture(params=[NEWEST, OLDER, OLDEST])
def pods(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pods]:
    """No pod yet."""
    made = Pods(request.param, tmp_path)
    try:
        yield made
    finally:
        made.stop()


def test_number_of_members_changes_under_load(pods: Pods) -> None:
    """From 1 to 3 to 5 to 3, with writers all the time: each acknowledged znode is on every member."""
    pods.scale(1)
    pods.wait_for(1)
    writers = Writers(pods.addresses(5))
    with writers.writing():
        for replicas in (3, 5, 3):
            before = len(writers.acknowledged)
            pods.scale(replicas)
            pods.wait_for(replicas)
            pods.eventually("writers go on", lambda enough=before + 50: len(writers.acknowledged) > enough)
    for member in pods.members[:3]:
        assert set() == lost(writers.acknowledged, member)
