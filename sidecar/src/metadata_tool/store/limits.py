"""How long transfers wait, and how often they are tried."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TransferLimits:
    """Every time is in seconds."""

    connect: float = 10
    """To open a connection. A store that needs longer is not reachable."""
    read: float = 30
    """Without a byte on an open connection. A loaded store may take this long for its first byte."""
    pauses: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
    """Before each further try of a broken download, half a minute in all. Any byte that arrives starts over."""
    report_every: float = 5.0
    """Between two log lines about the progress of a download."""


DEFAULT = TransferLimits()
