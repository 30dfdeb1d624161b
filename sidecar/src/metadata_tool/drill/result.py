"""The result of a drill, as text and as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

from metadata_tool.catalog import rfc3339


@dataclass(frozen=True)
class TreeCounts:
    """Znodes of the restored tree by what the restore did with them, and the digest of the restored snapshot.

    `removed` are those of the backup that are not in the restored tree. `size` is in bytes, `sha256` in hex.
    """

    unchanged: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    size: int = 0
    sha256: str = ""

    @property
    def saved(self) -> int:
        """Znodes of the backup."""
        return self.unchanged + self.changed + self.removed

    @property
    def restored(self) -> int:
        """Znodes of the restored tree."""
        return self.unchanged + self.changed + self.added


@dataclass
class DrillResult:
    """One drill. `started` is in epoch milliseconds, `seconds` are by step.

    `failure` is empty if the drill passed, and `hint` is what to do about it. `server` is the version of the ZooKeeper
    that served the restored tree, empty if none was started.
    """

    backup: str
    started: int
    seconds: dict[str, float] = field(default_factory=dict)
    counts: TreeCounts = field(default_factory=TreeCounts)
    server: str = ""
    failure: str = ""
    hint: str = ""

    @property
    def passed(self) -> bool:
        """Whether the backup restores."""
        return not self.failure

    @property
    def serving_seconds(self) -> float:
        """Seconds from the start to a tree that is ready, or served if a server was started."""
        return round(sum(self.seconds.get(step, 0.0) for step in ("fetch", "restore", "start")), 3)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "backup": self.backup,
            "started": rfc3339(self.started),
            "passed": self.passed,
            "failure": self.failure,
            "hint": self.hint,
            "server": self.server,
            "servingSeconds": self.serving_seconds,
            "seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
            "znodes": {"backup": self.counts.saved, "restored": self.counts.restored},
            **asdict(self.counts),
        }

    def as_text(self) -> str:
        """The same for people."""
        counts = self.counts
        rows = [(step, f"{seconds:.2f} s") for step, seconds in self.seconds.items()]
        if counts.restored:
            rows += [
                ("znodes of the backup", str(counts.saved)),
                ("znodes restored", str(counts.restored)),
                ("unchanged", str(counts.unchanged)),
                ("changed by rules", str(counts.changed)),
                ("removed by rules", str(counts.removed)),
                ("added", str(counts.added)),
                ("bytes", str(counts.size)),
                ("sha256", counts.sha256),
            ]
        return "\n".join([self.headline, *(f"  {name:<24} {value}" for name, value in rows)])

    @property
    def headline(self) -> str:
        """One line for a log."""
        if self.failure:
            return f"the drill of {self.backup} failed"
        served = f"ZooKeeper {self.server} served it" if self.server else "No ZooKeeper was started"
        ready = "a serving tree" if self.server else "a tree that is ready"
        return f"{self.backup} restores. {served}. It took {self.serving_seconds:.1f} s to {ready}"
