"""Every limit and pause of this package, with its reason. Seconds and bytes, unless a name says otherwise."""

from dataclasses import dataclass

PART_SIZE = 8 << 20
"""Of an upload. A file may have 10,000 parts, so 80 GB."""
PARTS_IN_FLIGHT = 2
"""Each takes its size of memory."""
COPY_CHUNK = 1 << 20
DOWNLOAD_CHUNK = 64 << 10
"""Between two heartbeats of a download: a slow connection still shows that it is alive."""
POLL = 0.05
"""Between two heartbeats of a wait."""
KEY_READS = 10
"""How often to read keys that are replaced meanwhile. Kubernetes replaces them once a minute at most."""


@dataclass(frozen=True)
class TransferLimits:
    """How long a transfer waits, and how often it is tried."""

    connect: float = 10
    """To open a connection. A store that needs longer is not reachable."""
    read: float = 30
    """Without a byte on an open connection. A loaded store may take this long for its first byte."""
    pauses: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
    """Before each further try of a broken download, half a minute in all. Any byte that arrives starts over."""
    report_every: float = 5.0
    """Between two log lines about the progress of a download."""


DEFAULT = TransferLimits()
