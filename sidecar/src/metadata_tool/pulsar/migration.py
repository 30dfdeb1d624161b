"""Pulsar's move of its metadata to another store (PIP-454), as ZooKeeper's tree tells of it.

Brokers and bookies read the flag when they start, and watch it. While it says that a move runs, they write nothing.
Once it says that the move is completed, they use the other store alone (DualMetadataStore).
"""

import json
import re
from dataclasses import dataclass

from metadata_tool.zookeeper.snapshot import printable

FLAG = "/pulsar/migration-coordinator/migration"

_HARMLESS = ("NOT_STARTED", "FAILED")
_RUNNING = ("PREPARATION", "COPYING")
_UNREADABLE = "(not readable)"
_LOGIN = re.compile(r"(?<=://)[^/]*@")


@dataclass(frozen=True)
class Migration:
    """The phase of a move, and the address of the other store without a login."""

    phase: str
    target: str = ""

    @classmethod
    def parse(cls, data: bytes | None) -> "Migration":
        """Read the flag. What is not understood is a phase of its own, which counts as moved."""
        try:
            fields = json.loads(data or b"")
        except (ValueError, RecursionError):
            return cls(_UNREADABLE)
        phase = fields.get("phase") if isinstance(fields, dict) else None
        if not isinstance(phase, str):
            return cls(_UNREADABLE)
        target = fields.get("targetUrl")
        target = _LOGIN.sub("", target) if isinstance(target, str) else ""
        return cls(*(printable(text.encode(errors="backslashreplace")) if text else "" for text in (phase, target)))

    @property
    def moved(self) -> bool:
        """Whether the metadata is in the other store now, as far as is known."""
        return self.phase not in (*_HARMLESS, *_RUNNING)

    @property
    def warning(self) -> str:
        """What an operator must know of it, as sentences without the last full stop. Empty if there is nothing."""
        target = self.target or "another store"
        if self.phase in _HARMLESS:
            return ""
        if self.phase in _RUNNING:
            return f"Pulsar is moving its metadata to {target} (phase {self.phase}). After that, back up that store"
        if self.phase == _UNREADABLE:
            return (
                f"{FLAG} is not readable, so Pulsar may have moved its metadata to another store. Then the backups of "
                "this ZooKeeper are as old as the move"
            )
        return (
            f"Pulsar has moved its metadata to {target} ({FLAG} has phase {self.phase}). This ZooKeeper is no longer "
            "used, so its backups are as old as the move. Back up the other store"
        )

    def to_json(self) -> dict[str, str]:
        """Phase and address, as in the flag."""
        return {"phase": self.phase, "targetUrl": self.target}
