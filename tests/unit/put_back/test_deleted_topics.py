"""Which topics were deleted since a restore."""

from pathlib import Path

import pytest

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.paths import Layout
from metadata_tool.put_back.deleted_topics import deleted_topics
from support.metadata import tree
from support.trees import make_archive

PARTITIONED = "/admin/partitioned-topics"
SAVED = ("t/ns/plain", "t/ns/gone", "t/ns/parts", "t/ns/parts-gone", "t/ns/schema-only", "t/c/v1/gone%2F", "t/o/gone")


@pytest.mark.parametrize("chroot", ["", "/pulsar"])
@pytest.mark.parametrize("managed_ledgers", ["/managed-ledgers", "/own/ledgers"])
@pytest.mark.parametrize("left", [True, False], ids=["some", "all"])
def test_deleted_topics(chroot: str, managed_ledgers: str, tmp_path: Path, *, left: bool) -> None:
    """Exactly those count that the backup has, and that are gone: topics, or numbers of partitions."""
    plain = [f"{managed_ledgers}/{path}" for path in ("t/ns/persistent/plain", "t/ns/persistent/gone")]
    plain += [f"{managed_ledgers}/t/c/v1/persistent/gone%2F", f"{managed_ledgers}/t/o/persistent/gone"]
    parts = [f"{PARTITIONED}/t/ns/persistent/{name}" for name in ("parts", "parts-gone")]
    make_archive(tmp_path / "backup", tree({chroot + path: b"" for path in (*plain, *parts)}))
    there = {plain[0], parts[0]} if left else {*plain, *parts}

    def existing(paths: list[str]) -> list[str]:
        return [path for path in paths if path in there]

    layout = Layout(chroot, managed_ledgers)
    found = deleted_topics([*SAVED, *SAVED], tmp_path / "backup", layout, existing, Heartbeat())
    gone = {"t/ns": {"t/ns/gone", "t/ns/parts-gone"}, "t/c/v1": {"t/c/v1/gone%2F"}, "t/o": {"t/o/gone"}}
    assert (gone if left else {}) == found
