"""What a restore leaves beside the snapshot that it wrote, so that the next start of the pod knows it as done."""

import json
from dataclasses import dataclass

FORMAT = 1
ZNODE = b"/metadata-backup"
"""Where a restored tree has the same, so that whoever asks the ensemble knows which restore it is of."""


@dataclass(frozen=True)
class Marker:
    """Which restore made a data directory what it is: its version, and the restore point it came from."""

    version: str
    point: str

    def to_json(self) -> bytes:
        """The file's content. No clock in it: each member gets the same."""
        fields = {"format": FORMAT, "restoreVersion": self.version, "restorePoint": self.point}
        return json.dumps(fields, indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> "Marker | None":
        """Read a marker; None where it is not one that this program writes, so that nothing is taken for done."""
        try:
            fields = json.loads(content)
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            return None
        version, point = fields.get("restoreVersion"), fields.get("restorePoint")
        return cls(version, point) if isinstance(version, str) and isinstance(point, str) else None
