"""Limits of the admin port: connections, times, memory and threads."""

import resource
from dataclasses import dataclass

from metadata_tool import limits


@dataclass(frozen=True)
class Bounds:
    """The limits, in seconds and bytes. Tests use shorter times."""

    connections: int = limits.CONNECTIONS
    request_within: float = limits.REQUEST_WITHIN
    answer_within: float = limits.ANSWER_WITHIN
    close_within: float = limits.CLOSE_WITHIN
    stop_within: float = limits.SHUTDOWN - limits.LAST_BACKUP
    unsent: int = limits.UNSENT
    threads: int = limits.REQUEST_THREADS


def of_this_process() -> Bounds:
    """The limits of this process, with fewer connections if it may open only few files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return Bounds()
    return Bounds(connections=max(1, min(limits.CONNECTIONS, files // limits.FILES_PER_CONNECTION)))
