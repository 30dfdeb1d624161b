"""Which topics of a backup were deleted since the restore, so that nothing of them is put back."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from metadata_tool import archive
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.pulsar.paths import Layout
from metadata_tool.put_back import limits
from metadata_tool.put_back.registry import namespace_of

Existing = Callable[[list[str]], list[str]]
"""Returns those of these paths, below the chroot, at which there is a znode."""


def deleted_topics(
    topics: Iterable[str], backup: Path, layout: Layout, existing: Existing, heartbeat: Heartbeat
) -> dict[str, frozenset[str]]:
    """Those of these topics that the backup's tree has, and this ZooKeeper has not, by namespace.

    Topics are paths below `/schemas`. A topic that neither has may have schemas nevertheless, because these can be
    registered before it is created. The backup is read again only if topics are missing.

    Raises:
        ArchiveCorrupt, SpoolFailed: the backup cannot be read.
    """
    missing: dict[bytes, str] = {}
    remaining = iter(topics)
    while batch := list(islice(remaining, limits.LOCATORS_AT_ONCE)):
        heartbeat()
        paths = {topic: list(_paths(topic, layout.managed_ledger_path)) for topic in batch}
        found = frozenset(existing([path for each in paths.values() for path in each]))
        for topic, own in paths.items():
            if found.isdisjoint(own):
                missing |= {(layout.chroot + path).encode(errors="surrogateescape"): topic for path in own}
    if not missing:
        return {}
    found_before: dict[str, set[str]] = {}
    with archive.opened(backup, heartbeat) as opened:
        for node in opened.tree(verified=True).nodes:
            if gone := missing.get(node.path):
                found_before.setdefault(namespace_of(gone), set()).add(gone)
    return {namespace: frozenset(found) for namespace, found in found_before.items()}


def _paths(topic: str, managed_ledger_path: str) -> Iterator[str]:
    """Where a topic is in the tree: its managed ledger, or the number of its partitions."""
    namespace, _, local = topic.rpartition("/")
    yield f"{managed_ledger_path}/{namespace}/persistent/{local}"
    yield f"/admin/partitioned-topics/{namespace}/persistent/{local}"
