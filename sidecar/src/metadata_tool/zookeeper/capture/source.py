"""What to capture, and how."""

from dataclasses import dataclass, field

from metadata_tool.zookeeper.limits import ReadLimits, RetryLimits
from metadata_tool.zookeeper.net.ensemble import Ensemble


@dataclass(frozen=True)
class Source:
    """The ensemble, its chroot (`/a/b` or empty), how much to ask of it at once, and how often to try."""

    ensemble: Ensemble
    chroot: str = ""
    limits: ReadLimits = field(default_factory=ReadLimits)
    retries: RetryLimits = field(default_factory=RetryLimits)
