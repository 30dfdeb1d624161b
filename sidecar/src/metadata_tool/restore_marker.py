"""The marker that a restore leaves in the data directory, so that the next start of the pod has nothing to do."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from metadata_tool.pulsar.ids import MAX_SKIP
from metadata_tool.pulsar.paths import OWN

FORMAT = 1
MAX_EPOCHS = 4096
"""The most epochs that a restored tree is later than the saved one."""
ZNODE = OWN.encode()
"""The same marker in the restored tree, so that clients can read which restore the ensemble is from."""
HELD = ZNODE + b"/held"
"""The parent of the held namespaces. The data of each is its old setting for registering schemas, as JSON."""


def is_of_restore(path: bytes) -> bool:
    """Whether this is the path of a znode that restores write. A later restore drops it."""
    return path.startswith(ZNODE) and (path == ZNODE or path.startswith(ZNODE + b"/"))


@dataclass(frozen=True)
class Marker:
    """The restore that a data directory is from: version, restore point, and the settings that change the tree."""

    version: str
    point: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The file's content. It holds no time, so that each member gets the same."""
        fields = {
            "format": FORMAT,
            "restoreVersion": self.version,
            "restorePoint": self.point,
            "settings": dict(sorted(self.settings.items())),
        }
        return json.dumps(fields, indent=2, ensure_ascii=False).encode() + b"\n"

    @property
    def digest(self) -> str:
        """The SHA-256 of `to_json`, in hex. Members of one restore have the same."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def zxid_epochs(self) -> int:
        """How many epochs a restored tree is later than the saved one, from 1 to 4096.

        Members with equal zxids never compare their trees (LearnerHandler.syncFollower). So different restores get
        different zxids, and a member that was restored differently takes its tree from the leader. The restore point
        does not change this number, so of two points the later one has the higher zxid.
        """
        return 1 + int(Marker(self.version, "", self.settings).digest[:3], 16)

    @property
    def skipped_ids(self) -> int:
        """How many ledger ids a restore with kept bookies skips after the margin, from 0 to MAX_SKIP.

        It comes from the digest, so restores with another version, point or setting skip different numbers.
        """
        return int(self.digest[:6], 16) & MAX_SKIP

    @classmethod
    def parse(cls, content: bytes) -> "Marker | None":
        """Read a marker. None if this program did not write it, so that no restore is skipped by mistake."""
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
