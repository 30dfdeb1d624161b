"""Shows the content of a backup: its manifest, counts by top-level path, every znode, and what is missing."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from metadata_tool import archive
from metadata_tool.broker_metadata.broker_file import KINDS
from metadata_tool.catalog import RestorePoint
from metadata_tool.fetch import require_match
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.manifest import Manifest
from metadata_tool.pulsar.completeness import Completeness, Finding
from metadata_tool.pulsar.migration import FLAG, Migration
from metadata_tool.pulsar.placement import PlacementFinder
from metadata_tool.pulsar.topics import TopicDecoder
from metadata_tool.pulsar.unknown import UnknownZnodes
from metadata_tool.start_check import epoch_findings, load_findings
from metadata_tool.zookeeper.limits import JUTE_MAXBUFFER
from metadata_tool.zookeeper.loadable import LoadCheck
from metadata_tool.zookeeper.snapshot import Node, printable


@dataclass
class Inspection:
    """A verified backup, with the number of znodes and the bytes of data by top-level path, such as `/admin`."""

    manifest: Manifest
    znodes: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    """What a restore of scope `bookies-lost` cannot adapt."""
    migration: Migration | None = None
    """The move of Pulsar's metadata to another store. None if there was none."""
    unloadable: list[Finding] = field(default_factory=list)
    """Why new ZooKeeper servers would not start from this backup."""

    def as_json(self) -> dict[str, Any]:
        """The manifest, the counts by top-level path, both kinds of findings, and the move to another store."""
        top_level = {path: {"znodes": self.znodes[path], "bytes": self.bytes[path]} for path in self.znodes}
        return {
            "manifest": self.manifest.to_json(),
            "topLevel": top_level,
            "findings": [finding.what for finding in self.findings],
            "unloadable": [finding.what for finding in self.unloadable],
            "migration": self.migration.to_json() if self.migration else None,
        }

    def as_text(self) -> str:
        """The same for people, with the total of the coverage (docs/recovery.md)."""
        nested = ("snapshot", "coverage", "outline", "origin", "identity", "predecessor", "suspect", "brokerMetadata")
        fields = {key: value for key, value in self.manifest.to_json().items() if key not in nested}
        fields |= {f"snapshot.{key}": value for key, value in self.manifest.to_json()["snapshot"].items()}
        if self.manifest.predecessor:
            fields["predecessor"] = self.manifest.predecessor.get("name", "")
        lines = [*_rows(fields)]
        if origin := self._origin():
            lines += ["", "ORIGIN (this backup was not captured from a ZooKeeper)", *_rows(origin)]
        if self.manifest.suspect:
            lines += ["", "SUSPECT WHEN IT WAS MADE (why it may not continue its predecessor)", *self.manifest.suspect]
        if coverage := self._coverage():
            lines += ["", "COVERAGE (what a restore of scope bookies-lost brings back and loses)", *_rows(coverage)]
        if broker := self.manifest.broker:
            counts = {f"{kind}.saved": broker.saved.get(kind, 0) for kind in KINDS}
            counts |= {f"{kind}.notSaved": broker.not_saved.get(kind, 0) for kind in KINDS}
            lines += ["", "BROKER METADATA (what brokers gave out, and what they did not)", *_rows(counts)]
        if self.migration and self.migration.warning:
            lines += ["", "MOVE TO ANOTHER STORE", f"{self.migration.warning}."]
        if self.findings:
            lines += ["", "FINDINGS (why a restore of scope bookies-lost refuses this backup)"]
            lines += [f"{finding.what}. {finding.at_restore}." for finding in self.findings]
        if self.unloadable:
            lines += ["", "UNLOADABLE (why new ZooKeeper servers would not start from this backup)"]
            lines += [f"{finding.what}. {finding.at_restore}." for finding in self.unloadable]
        lines += ["", f"{'PATH':<40} {'ZNODES':>12} {'BYTES':>16}"]
        lines += [f"{path:<40} {self.znodes[path]:>12} {self.bytes[path]:>16}" for path in self.znodes]
        return "\n".join(lines)

    def _origin(self) -> dict[str, Any]:
        """How the backup was made, and the counts of ledgers."""
        origin = self.manifest.origin or {}
        rows = {key: value for key, value in origin.items() if isinstance(value, str)}
        total = origin.get("total")
        for kind, counts in total.items() if isinstance(total, dict) else ():
            if isinstance(counts, dict):
                rows[f"ledgers.{kind}"] = counts.get("ledgers", 0)
        return rows

    def _coverage(self) -> dict[str, Any]:
        total = (self.manifest.coverage or {}).get("total")
        return total if isinstance(total, dict) else {}


def inspect(
    point: RestorePoint, path: Path, each: Callable[[Node], None], jute_maxbuffer: int = JUTE_MAXBUFFER
) -> Inspection:
    """Read and verify a fetched backup. `each` is called with every znode, in tree order.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: the backup cannot be used. Znodes that `each` got may be damaged too.
    """
    znodes, sizes = Counter[str](), Counter[str]()

    def count(node: Node) -> None:
        top = printable(b"/".join(node.path.split(b"/")[:2]))
        znodes[top] += 1
        sizes[top] += len(node.data or b"")
        each(node)

    found = _examined(point, path, lambda: None, jute_maxbuffer, count)
    return Inspection(found.manifest, znodes, sizes, found.findings(), found.migration, found.unloadable())


class Checked(NamedTuple):
    """A backup that is complete and undamaged, and why a restore would refuse it all the same.

    `findings` are what a restore of scope `bookies-lost` cannot adapt, `unloadable` why new servers would not start.
    """

    manifest: Manifest
    findings: list[Finding]
    unloadable: list[Finding]


def check(point: RestorePoint, path: Path, heartbeat: Heartbeat, jute_maxbuffer: int = JUTE_MAXBUFFER) -> Checked:
    """Verify a fetched backup.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: the backup must not be used.
    """
    found = _examined(point, path, heartbeat, jute_maxbuffer, lambda _: None)
    return Checked(found.manifest, found.findings(), found.unloadable())


def _examined(
    point: RestorePoint,
    path: Path,
    heartbeat: Callable[[], None],
    jute_maxbuffer: int,
    each: Callable[[Node], None],
) -> "_Finder":
    """What was found in a backup that is complete and undamaged."""
    with archive.opened(path, heartbeat) as backup:
        require_match(point, backup.manifest)
        finder, tree = _Finder(backup.manifest, jute_maxbuffer), backup.tree()
        finder.loading.add_acls(tree.acls)
        for node in tree.nodes:
            finder.add(node)
            each(node)
        return finder


class _Finder:
    """Looks at each znode of a tree for what a restore of scope `bookies-lost` cannot adapt, or servers not load."""

    def __init__(self, manifest: Manifest, jute_maxbuffer: int) -> None:
        self.manifest, self.loading = manifest, LoadCheck(jute_maxbuffer)
        self._layout = manifest.layout
        self._placement, self._topics = PlacementFinder(self._layout), TopicDecoder(self._layout)
        self._unknown = UnknownZnodes()
        self._flag = self._layout.absolute(FLAG).encode()
        self.migration: Migration | None = None

    def add(self, node: Node) -> None:
        if node.path == self._flag:
            self.migration = Migration.parse(node.data)
        self.loading.add(node)
        self._placement.add(node.path, node.data)
        if not self._topics.understands(node.path):
            self._unknown.add(node.path, node.data)

    def findings(self) -> list[Finding]:
        return Completeness(self._layout, self._placement.placement, unknown=self._unknown).findings()

    def unloadable(self) -> list[Finding]:
        return [*epoch_findings(self.manifest.zxid), *load_findings(self.loading)]


def _rows(fields: Mapping[str, Any]) -> Iterator[str]:
    for key, value in fields.items():
        yield f"{key:<28} {'-' if value == '' else value}"


def tree_line(node: Node) -> str:
    """One line for a znode: its name, indented by its depth, and the size of its data in bytes."""
    depth = node.path.count(b"/")
    name = printable(node.path[node.path.rfind(b"/") + 1 :]) if node.path else "/"
    data = "null" if node.data is None else f"{len(node.data)} B"
    return f"{'  ' * depth}{name}  ({data})"
