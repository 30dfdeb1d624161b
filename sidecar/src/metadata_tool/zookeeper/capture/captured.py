"""Captures a live ensemble: opens a session, runs the phases, and starts again if the connection breaks."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from metadata_tool.lifecycle import Every, Heartbeat
from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.capture import exchange
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.capture import Capture
from metadata_tool.zookeeper.capture.captured_tree import CapturedTree
from metadata_tool.zookeeper.capture.files import capture_files
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.capture.retry import ask_for_less
from metadata_tool.zookeeper.capture.rules import ALL_RULES, Rules
from metadata_tool.zookeeper.capture.scope import Scope
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.errors import OperationMissing, SessionLost
from metadata_tool.zookeeper.net.session import Session, connect
from metadata_tool.zookeeper.snapshot import printable

log = logging.getLogger(__name__)


def _ignored(_znodes: int) -> None:
    """Ignore the progress of a capture."""


@contextmanager
def captured(  # what a capture needs
    source: Source,
    workdir: Path,
    heartbeat: Heartbeat,
    known: AclCache | None = None,
    *,
    walked: Callable[[int], None] = _ignored,
    rules: Rules = ALL_RULES,
) -> Iterator[CapturedTree]:
    """Capture the tree into files below `workdir`, which are removed after the block.

    ACLs in the cache `known` are not read again. Then the cache holds those of this capture's walk. `walked` is called
    often with the number of znodes that were read so far.

    With a chroot (`/a/b`, or empty) only the znodes below it are captured, with those above it and ZooKeeper's own
    below `/zookeeper`, all at their real paths. So clients of a restored ensemble use the same chroot.

    Raises:
        ZnodeUnreadable, ReadRefused: the login cannot read a znode or its whole ACL, or the server refuses it.
        ChrootMissing, ChrootDeleted: the chroot does not exist, or did not exist all the time.
        SessionLost: the connection broke in every attempt.
        NeverConsistent: the tree changes too fast.
        SpoolDamaged: a disk has damaged what was read.
        ZooKeeperError: no session could be opened.
    """
    read_limits = source.limits
    for attempts_left in reversed(range(source.retries.attempts)):
        with (
            TemporaryDirectory(prefix="capture-", dir=workdir) as directory,
            capture_files(Path(directory), rules) as files,
        ):
            try:
                with connect(source.ensemble, heartbeat) as session:
                    connections = session.connections(read_limits.connections)
                    scope = Scope(source.chroot.encode())
                    capture = Capture(files, scope, read_limits, connections, known, rules)
                    tree = _run(capture, session, walked)
            except SessionLost as error:
                if not attempts_left:
                    raise
                log.warning("%s. Starting again", error)
                read_limits = ask_for_less(read_limits, known)
            else:
                yield tree
                return
        heartbeat.sleep(source.retries.pause)
        heartbeat()


def _run(capture: Capture, session: Session, walked: Callable[[int], None]) -> CapturedTree:
    try:
        seconds = _run_phases(capture, session, walked)
    except OperationMissing as error:
        raise session.too_old() from error
    _say_done(capture, seconds)
    return capture.result(session.server_version, seconds)


def _run_phases(capture: Capture, session: Session, walked: Callable[[int], None]) -> dict[str, float]:
    """Run all phases. Returns the seconds of each that has a name."""
    seconds: dict[str, float] = {}
    time_to_say = Every(limits.LOG_INTERVAL)
    told = 0

    def on_pump(phase: Phase) -> None:
        nonlocal told
        if capture.files.spool.nodes > told:
            told = capture.files.spool.nodes
            walked(told)
        if time_to_say():
            log.info("%s", phase.progress or capture.progress())

    for phase in capture.phases():
        begin = time.monotonic()
        exchange.run(phase, session.loop, on_pump)
        if phase.name:
            seconds[phase.name] = seconds.get(phase.name, 0.0) + time.monotonic() - begin
    return seconds


def _say_done(capture: Capture, seconds: dict[str, float]) -> None:
    assert capture.cut
    phases = ", ".join(f"{name} {duration:.2f} s" for name, duration in seconds.items())
    log.info("captured at zxid %#x in %d rounds: %s", capture.cut.zxid, capture.cut.rounds, phases)
    if capture.cut.stale_quotas:
        log.warning(
            "%d quota counters may be older than that zxid, because they do not fit into one request",
            len(capture.cut.stale_quotas),
        )
    if capture.unproven:
        some = ", ".join(printable(path) for path in islice(sorted(capture.unproven), 3))
        log.warning(
            "%d ACLs could not be verified at that zxid. They may date from just before or after it: %s",
            len(capture.unproven),
            some,
        )
