"""What is in a backup: its manifest, counts per top-level path, every znode."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metadata_tool import archive
from metadata_tool.catalog import RestorePoint
from metadata_tool.fetch import require_match
from metadata_tool.manifest import Manifest
from metadata_tool.zookeeper.snapshot import Node, printable


@dataclass
class Inspection:
    """A backup, verified while it was read; counts of znodes and bytes of data by top-level path, such as `/admin`."""

    manifest: Manifest
    znodes: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """The manifest, and counts per top-level path."""
        top_level = {path: {"znodes": self.znodes[path], "bytes": self.bytes[path]} for path in self.znodes}
        return {"manifest": self.manifest.to_json(), "topLevel": top_level}

    def as_text(self) -> str:
        """The same for people."""
        nested = ("snapshot", "coverage", "outline")
        facts = {key: value for key, value in self.manifest.to_json().items() if key not in nested}
        facts |= {f"snapshot.{key}": value for key, value in self.manifest.to_json()["snapshot"].items()}
        facts |= {f"coverage.{key}": value for key, value in self._coverage().items()}
        lines = [f"{key:<28} {'-' if value == '' else value}" for key, value in facts.items()]
        lines += ["", f"{'PATH':<40} {'ZNODES':>12} {'BYTES':>16}"]
        lines += [f"{path:<40} {self.znodes[path]:>12} {self.bytes[path]:>16}" for path in self.znodes]
        return "\n".join(lines)

    def _coverage(self) -> dict[str, Any]:
        total = (self.manifest.coverage or {}).get("total")
        return total if isinstance(total, dict) else {}


def inspect(point: RestorePoint, path: Path, each: Callable[[Node], None]) -> Inspection:
    """Read a fetched backup whole, verifying it; `each` is called with every znode, parents first.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: it is not to be used, nor is what `each` has seen.
    """
    with archive.opened(path) as backup:
        require_match(point, backup.manifest)
        found = Inspection(backup.manifest)
        for node in backup.tree().nodes:
            top = printable(b"/".join(node.path.split(b"/", 2)[:2]))
            found.znodes[top] += 1
            found.bytes[top] += len(node.data or b"")
            each(node)
        return found


def tree_line(node: Node) -> str:
    """One line of the tree: indented name, and the size of its data."""
    depth = node.path.count(b"/")
    name = printable(node.path[node.path.rfind(b"/") + 1 :]) if node.path else "/"
    data = "null" if node.data is None else f"{len(node.data)} B"
    return f"{'  ' * depth}{name}  ({data})"
