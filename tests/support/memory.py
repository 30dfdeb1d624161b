"""How much memory processes take, as the kernel counts it."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY = 0.5


class Peak:
    """The highest value so far, in bytes."""

    seen = 0


@contextlib.contextmanager
def watched() -> Iterator[Peak]:
    """Watch this process and all below it."""
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY):
            peak.seen = max(peak.seen, resident(os.getpid()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def resident(root: int) -> int:
    """Bytes in memory of a process and all below it. Shared memory counts for each."""
    parents, pages = {}, {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
                parents[int(directory.name)], pages[int(directory.name)] = int(fields[1]), int(fields[21])
    return _PAGE * sum(pages[pid] for pid in pages if _is_below(pid, root, parents))


def _is_below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid != root and pid in parents:
        pid = parents[pid]
    return pid == root
