"""Whether a backup continues the one before it: of the same cluster, later, and not much smaller."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from metadata_tool.catalog import BackupName
from metadata_tool.identity import Identity
from metadata_tool.manifest import Manifest

_NAMES = 5
"""How many clusters a message names."""


@dataclass(frozen=True)
class Tree:
    """What two backups are compared by. `backup` is a name, `data_bytes` is the data of all znodes."""

    backup: str
    identity: Identity
    zxid: int
    nodes: int
    data_bytes: int

    @classmethod
    def of(cls, manifest: Manifest) -> "Tree":
        """The tree that a manifest describes."""
        name = str(BackupName(manifest.prefix, manifest.timestamp))
        return cls(name, Identity.parse(manifest.identity), manifest.zxid, manifest.nodes, manifest.data_bytes)

    def to_json(self) -> dict[str, Any]:
        """The fields of `predecessor` in manifest.json (docs/format.md)."""
        return {"name": self.backup, "zxid": f"{self.zxid:#x}", "nodes": self.nodes, "bytes": self.data_bytes}


@dataclass(frozen=True)
class Verdict:
    """Why a backup is suspect, as clauses without a subject of their own. None of them if it is sound.

    `restored_from` is the restore point, if the ensemble was restored since the predecessor.
    """

    doubts: tuple[str, ...] = ()
    restored_from: str = ""


def judge(before: Tree | None, now: Tree, is_own: Callable[[str], bool], max_shrink: float) -> Verdict:
    """Compare a tree with its predecessor. Without one, it is sound.

    `is_own` says whether an address is that of a backup of the same series. If the ensemble was restored from such a
    backup since the predecessor, it is sound: it may have lost bookies, and another name of the cluster.
    `max_shrink` is the fraction of its znodes or bytes that a tree may lose from one backup to the next.
    """
    if before is None:
        return Verdict()
    restored = now.identity.restored
    if restored and restored != before.identity.restored:
        if is_own(restored.point):
            return Verdict(restored_from=restored.point)
        foreign = f"the ensemble was restored from {restored.point}, which is not one of these backups"
        return Verdict((foreign, *_doubts(before, now, max_shrink)))
    return Verdict(tuple(_doubts(before, now, max_shrink)))


def same_cluster(one: Identity, other: Identity) -> bool:
    """Whether two identities have nothing that differs. A cluster that was restored may be another one."""
    return not any(_differences(one, other))


def _doubts(before: Tree, now: Tree, max_shrink: float) -> Iterator[str]:
    yield from _differences(before.identity, now.identity)
    if now.zxid < before.zxid:
        yield f"its zxid {now.zxid:#x} is earlier than {before.zxid:#x}"
    elif now.zxid == before.zxid and (now.nodes, now.data_bytes) != (before.nodes, before.data_bytes):
        yield f"its zxid is {now.zxid:#x} as before, but the tree is another"
    for what, count, earlier in (
        ("znodes", now.nodes, before.nodes),
        ("bytes", now.data_bytes, before.data_bytes),
    ):
        if count < earlier and earlier - count > max_shrink * earlier:
            yield f"it has {count} {what} instead of {earlier}"


def _differences(before: Identity, now: Identity) -> Iterator[str]:
    """What both have, and have differently."""
    if before.instance_id and now.instance_id and before.instance_id != now.instance_id:
        yield f"BookKeeper's instance id is {now.instance_id} instead of {before.instance_id}"
    if before.clusters and now.clusters and not set(before.clusters) & set(now.clusters):
        yield f"its clusters are {_named(now.clusters)} instead of {_named(before.clusters)}"
    changed = sorted(path for path, created in now.created.items() if before.created.get(path, created) != created)
    if changed:
        yield f"{' and '.join(changed)} {'was' if len(changed) == 1 else 'were'} created another time"


def _named(clusters: tuple[str, ...]) -> str:
    more = ", …" if len(clusters) > _NAMES else ""
    return ", ".join(clusters[:_NAMES]) + more
