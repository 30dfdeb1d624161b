"""Servers that several integration tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from support.zookeeper import Ensemble


@pytest.fixture
def ensemble(tmp_path: Path) -> Iterator[Ensemble]:
    """Three members with empty volumes. None runs."""
    made = Ensemble(NEWEST, tmp_path)
    try:
        yield made
    finally:
        made.stop()
