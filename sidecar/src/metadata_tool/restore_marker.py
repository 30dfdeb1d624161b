"""What a restore leaves beside the snapshot that it wrote, so that the next start of the pod knows it as done."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

FORMAT = 1
ZNODE = b"/metadata-backup"
"""Where a restored tree has the same, so that whoever asks the ensemble knows which restore it is of."""


@dataclass(frozen=True)
class Marker:
    """Which restore made a data directory what it is: its version, the restore point, what else decides its content."""

    version: str
    point: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The file's content. No clock in it: each member gets the same."""
        fields = {
            "format": FORMAT,
            "restoreVersion": self.version,
            "restorePoint": self.point,
            "settings": dict(sorted(self.settings.items())),
        }
        return json.dumps(fields, indent=2, ensure_ascii=False).encode() + b"\n"

    @property
    def digest(self) -> str:
        """The SHA-256 of `to_json`, in hex: members of one restore have the same."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def zxid_epochs(self) -> int:
        """By how many epochs a restored tree is later than the saved one, from 1 to 4096.

        Members with equal zxids never compare what they hold (LearnerHandler.syncFollower). So restores that differ
        get zxids that differ, and a member that was restored otherwise takes its tree from the leader. Of two points
        the later one leads: that is left to their own zxids.
        """
        return 1 + int(Marker(self.version, "", self.settings).digest[:3], 16)

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
        settings = fields.get("settings", {})
        if not (isinstance(version, str) and isinstance(point, str) and isinstance(settings, dict)):
            return None
        return cls(version, point, settings)
