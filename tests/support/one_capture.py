"""One capture in a process of its own, so that what it takes can be measured: prints it as a line of JSON.

Arguments: a server's address, an empty directory, and `acls`, `again` or `no-acls`. `again` is the second capture of a
process, which knows ACLs of the first. Without ACLs it is the walk alone, by the same code, of data, stats and lists of
children. It says `ready`, and waits for a line: so that it can be measured
without Python's own start.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper.acl_cache import AclCache
from metadata_tool.zookeeper.acls import AclReader, AclTable
from metadata_tool.zookeeper.bulk_reader import BulkReader
from metadata_tool.zookeeper.capture import Source, captured
from metadata_tool.zookeeper.changes import ChangeTracker
from metadata_tool.zookeeper.limits import ReadLimits
from metadata_tool.zookeeper.net.ensemble import Ensemble
from metadata_tool.zookeeper.protocol import AclReply, Refusal
from metadata_tool.zookeeper.session import connect
from metadata_tool.zookeeper.spool import PathQueue, Spool


class Stopwatch:
    """Seconds by the wall and of this process, since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def told(self, **more: object) -> dict[str, object]:
        """What was measured: seconds, and the peak of the process's memory in MiB."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        cost = {"seconds": time.monotonic() - self._wall, "cpu": time.process_time() - self._cpu, "memory": memory}
        return {**cost, **more}


def again(address: str, directory: Path) -> dict[str, object]:
    """A capture whose ACLs are known of one before."""
    known = AclCache(directory)
    with_acls(address, directory, known)
    return with_acls(address, directory, known)


def with_acls(address: str, directory: Path, known: AclCache | None = None) -> dict[str, object]:
    """Measure a capture as a backup takes it. `in_order` are the seconds to read its tree once in tree order."""
    stopwatch = Stopwatch()
    with captured(Source(Ensemble(address)), directory, Heartbeat(), known) as capture:
        told = stopwatch.told(phases=capture.seconds, unproven=len(capture.unproven))
        in_order = Stopwatch()
        znodes = sum(1 for _ in capture.nodes()) + capture.ephemerals
        return told | {"znodes": znodes, "in_order": in_order.told()["seconds"]}


def without_acls(address: str, directory: Path) -> dict[str, object]:
    """Measure the walk of a capture into a spool, as if every ACL were refused."""
    stopwatch = Stopwatch()
    with pytest.MonkeyPatch.context() as patch, connect(Ensemble(address), Heartbeat()) as session:
        patch.setattr(AclReader, "ask", _refuse)
        reader = BulkReader(
            session, ChangeTracker(lambda _: False, lambda _: False), AclTable(), ReadLimits(connections=0)
        )
        spool = Spool(directory / "walk")
        level = PathQueue(directory / "level-0")
        level.put([b""])
        for depth in count(1):
            below = PathQueue(directory / f"level-{depth}")
            spool.begin_level()
            for part in reader.read(level.drain(), children=True):
                spool.append(part.zxid, part.content, part.nodes)
                below.put_below(part.children())
            if below.empty:
                break
            level = below
        return stopwatch.told(znodes=spool.nodes)


def _refuse(_self: AclReader, paths: Sequence[bytes], then: Callable[[list[AclReply]], Any]) -> None:
    then([Refusal(0)] * len(paths))


if __name__ == "__main__":
    work = {"acls": with_acls, "again": again, "no-acls": without_acls}[sys.argv[3]]
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(work(sys.argv[1], Path(sys.argv[2]))))
