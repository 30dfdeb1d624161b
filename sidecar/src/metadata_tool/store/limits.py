"""Every limit and pause of this package, with its reason. Seconds and bytes, unless a name says otherwise."""

from dataclasses import dataclass

PART_SIZE = 8 << 20
"""Bytes in a part of an upload. S3 allows 10,000 parts, so a file may have 80 GB."""
PARTS_IN_FLIGHT = 2
"""How many parts are uploaded at once. Each takes its size of memory."""
CONNECTIONS = 64
"""How many connections a client keeps open, as many as SCRUB_REQUESTS may be. boto3 would keep ten."""
COPY_CHUNK = 1 << 20
DOWNLOAD_CHUNK = 64 << 10
"""Bytes between two heartbeats of a download, few enough for a slow connection."""
POLL = 0.05
"""Seconds between two heartbeats of a wait."""
KEY_READS = 10
"""How often to read keys that are replaced while they are read. Kubernetes replaces them once a minute at most."""

QUOTED_TEXT = 200
"""How many characters of somebody else's text a message repeats. Some stores send pages of it."""
CLOCK_SKEW = 60
"""Seconds that two clocks may differ before a message says so. Amazon S3 allows 15 minutes, other stores less."""


@dataclass(frozen=True)
class TransferLimits:
    """How long a transfer waits, and how often it is tried."""

    connect: float = 10
    """Seconds to open a connection. A store that needs longer is not reachable."""
    read: float = 30
    """Seconds without a byte on an open connection. A loaded store may take this long for its first byte."""
    pauses: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
    """Seconds before each further try of a broken download, half a minute in all. They start over after a new byte."""
    idle: float = 60
    """Seconds without a request after which connections are closed. A NAT or a load balancer may have forgotten them,
    and what is sent on such a connection is lost without a word. Amazon's NAT gateways wait 350, others less."""
    report_every: float = 5.0
    """Seconds between two log lines about the progress of a download."""


DEFAULT = TransferLimits()
