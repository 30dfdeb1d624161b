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
from collections.abc import Sequence
from pathlib import Path

import pytest

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper.capture import exchange
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.acl_fetcher import AclFetcher, AclQuery
from metadata_tool.zookeeper.capture.capture import Capture
from metadata_tool.zookeeper.capture.captured import captured
from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.capture.files import capture_files
from metadata_tool.zookeeper.capture.rules import Rules
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.net.ensemble import Ensemble
from metadata_tool.zookeeper.net.session import connect
from metadata_tool.zookeeper.protocol import Refusal


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
    with (
        pytest.MonkeyPatch.context() as patch,
        connect(Ensemble(address), Heartbeat()) as session,
        capture_files(directory) as files,
    ):
        patch.setattr(AclFetcher, "ask", _refuse)
        for phase in Capture(files, rules=Rules(tracker=Unmarked)).walk():
            exchange.run(phase, session.loop, lambda _: None)
        return stopwatch.told(znodes=files.spool.nodes)


class Unmarked(ChangeTracker):
    """Nothing is read again: every znode would be, because its ACL is unknown."""

    def mark(self, _path: bytes) -> None:
        """Do not."""


def _refuse(_self: AclFetcher, paths: Sequence[bytes]) -> AclQuery:
    query = AclQuery(paths, max(len(paths), 1))
    for number, batch in enumerate(query.batches):
        query.answer(number, [Refusal(0)] * len(batch))
    return query


if __name__ == "__main__":
    work = {"acls": with_acls, "again": again, "no-acls": without_acls}[sys.argv[3]]
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(work(sys.argv[1], Path(sys.argv[2]))))
