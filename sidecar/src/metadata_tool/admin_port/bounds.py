"""How much the clients of the admin port may take of it."""

import resource
from dataclasses import dataclass

from metadata_tool import limits


@dataclass(frozen=True)
class Bounds:
    """Times are in seconds, sizes in bytes. Tests use shorter times."""

    connections: int = limits.CONNECTIONS
    request_within: float = limits.REQUEST_WITHIN
    answer_within: float = limits.ANSWER_WITHIN
    close_within: float = limits.CLOSE_WITHIN
    stop_within: float = limits.SHUTDOWN - limits.LAST_BACKUP
    unsent: int = limits.UNSENT
    threads: int = limits.REQUEST_THREADS


def of_this_process() -> Bounds:
    """The bounds, with fewer connections if the process may open only few files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return Bounds()
    return Bounds(connections=max(1, min(limits.CONNECTIONS, files // limits.FILES_PER_CONNECTION)))
