"""The tree of a live ensemble, through the client port, exactly as it was at one zxid.

A watch tells of every change from before the first read on, so a walk that takes its time is made good afterwards: what
changed is read again, until a reply closes the capture at its zxid. docs/capture.md has the reasoning.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from metadata_tool.lifecycle import Every, Heartbeat
from metadata_tool.zookeeper import limits, protocol
from metadata_tool.zookeeper.acl_cache import AclCache
from metadata_tool.zookeeper.acl_verifier import AclVerifier
from metadata_tool.zookeeper.acls import AclTable
from metadata_tool.zookeeper.bulk_reader import BulkReader, Part
from metadata_tool.zookeeper.changes import ChangeTracker
from metadata_tool.zookeeper.consistent_cut import ConsistentCut, Cut, is_quota_stats
from metadata_tool.zookeeper.errors import (
    ChrootDeleted,
    ChrootMissing,
    SessionLost,
    TreeWatchUnsupported,
    ZnodeUnreadable,
)
from metadata_tool.zookeeper.limits import ReadLimits, RetryLimits
from metadata_tool.zookeeper.session import Ensemble, Session, connect
from metadata_tool.zookeeper.snapshot import AROUND_DATA, is_ephemeral, printable, split
from metadata_tool.zookeeper.spool import Overlay, OverlayEntry, PathQueue, Spool, merged
from metadata_tool.zookeeper.wire import Answers, Requests, WireError

log = logging.getLogger(__name__)

SYSTEM = b"/zookeeper"


@dataclass
class Capture:
    """A tree at `zxid`, and how it was come by.

    `unproven` are znodes whose ACL (and aversion) may be one that they had shortly before or after. `rounds` closed
    the capture, the last time; `seconds` are those of each phase. `data_bytes` and `ephemerals` (left out) are those
    of the znodes that `nodes` has given.
    """

    server_version: str
    first_zxid: int
    zxid: int
    acls: dict[int, bytes]
    unproven: frozenset[bytes]
    rounds: int
    seconds: dict[str, float]
    counted: int
    """How many znodes the server says there are below the capture's root, ephemerals included."""
    _tree: Callable[[], Iterator[tuple[bytes, bytes]]] = field(repr=False)
    _is_counted: Callable[[bytes], bool] = field(repr=False)
    data_bytes: int = 0
    ephemerals: int = 0

    def nodes(self) -> Iterator[bytes]:
        """Encoded znodes in tree order, without ephemerals. At the end they have been counted.

        Raises:
            ZnodeUnreadable: there are more than could be seen.
        """
        self.data_bytes = self.ephemerals = found = 0
        for path, node in self._tree():
            if self._is_counted(path):
                found += 1
            if is_ephemeral(node):
                self.ephemerals += 1
            else:
                self.data_bytes += max(len(node) - len(path) - AROUND_DATA, 0)
                yield node
        self._require_all(found)

    def _require_all(self, found: int) -> None:
        if found != self.counted:
            raise ZnodeUnreadable(
                f"ZooKeeper has {self.counted} znodes, and {found} can be seen: some are hidden by their ACLs",
                "READ and ADMIN on every znode",
            )


@dataclass(frozen=True)
class Source:
    """The ensemble, its chroot (`/a/b` or empty), how much to ask of it at once, and how often to try."""

    ensemble: Ensemble
    chroot: str = ""
    limits: ReadLimits = field(default_factory=ReadLimits)
    retries: RetryLimits = field(default_factory=RetryLimits)


@contextmanager
def captured(source: Source, workdir: Path, heartbeat: Heartbeat, known: AclCache | None = None) -> Iterator[Capture]:
    """Capture the tree into files below `workdir`, which are gone afterwards.

    ACLs that are `known` are not asked for; those of this capture are, from then on.

    With a chroot (`/a/b`, or empty) only what lies under it is captured, with the znodes above it and ZooKeeper's own
    under `/zookeeper`, all at their real paths: clients of a restored ensemble use the same chroot.

    Raises:
        ZnodeUnreadable: a znode may not be read, or its ACL comes back masked.
        SessionLost: the connection broke, again and again.
        NeverConsistent: the tree changes too fast.
        SpoolDamaged: a disk has damaged what was read.
        ZooKeeperError: no session could be opened.
    """
    with ExitStack() as stack:
        yield _patiently(source, workdir, heartbeat, known, stack)


def _patiently(
    source: Source, workdir: Path, heartbeat: Heartbeat, known: AclCache | None, stack: ExitStack
) -> Capture:
    """Start again when the connection breaks, for then nobody knows what has changed; and more gently."""
    for attempt in count(1):
        with ExitStack() as trial:
            directory = Path(trial.enter_context(TemporaryDirectory(prefix="capture-", dir=workdir)))
            try:
                with connect(source.ensemble, heartbeat) as session:
                    taken = _Taking(session, source, directory, known, trial).run()
            except SessionLost as error:
                if attempt == source.retries.attempts:
                    raise
                log.warning("%s; starting again", error)
                if known:
                    known.forget()  # it may be what asked too much of the server
                source = replace(source, limits=source.limits.reduced())
            else:
                stack.push(trial.pop_all())
                return taken
        heartbeat.sleep(source.retries.pause)
        heartbeat()
    raise AssertionError


class _Taking:
    """One attempt."""

    def __init__(
        self, session: Session, source: Source, directory: Path, known: AclCache | None, stack: ExitStack
    ) -> None:
        self._session = session
        self._chroot = source.chroot.encode()
        self._directory = directory
        self._known = known
        self._spool = Spool(directory / "walk")
        stack.callback(self._spool.close)
        self._overlay = Overlay(directory / "changes")
        stack.callback(self._overlay.close)
        self._table = AclTable()
        self._quotas: dict[bytes, None] = {}
        self._seconds: dict[str, float] = {}
        self._time_to_say = Every(limits.LOG_INTERVAL)
        self._tracker = ChangeTracker(self._in_scope, self._is_counted)
        self._reader = BulkReader(session, self._tracker, self._table, source.limits)

    def run(self) -> Capture:
        first_zxid = self._watch()
        self._require_chroot()
        with self._phase("walk"):
            self._walk()
        closed = self._close()
        counted = self._count(closed)
        unproven = self._prove(closed, 0)
        if unproven:
            for path in unproven:
                self._tracker.mark(path)
            earlier, closed = closed, self._close()
            counted = self._count(closed)
            unproven = self._prove(closed, earlier.zxid)
        self._say_done(closed, unproven)
        return Capture(
            server_version=self._session.server_version,
            first_zxid=first_zxid,
            zxid=closed.zxid,
            acls=self._table.encoded(),
            unproven=frozenset(unproven),
            rounds=closed.rounds,
            seconds=dict(self._seconds),
            counted=counted,
            _tree=lambda: merged(self._spool, self._overlay),
            _is_counted=self._is_counted,
        )

    def _watch(self) -> int:
        """From here on events tell of every change; the zxid of that moment."""
        self._session.wire.on_event = self._tracker.event
        answer = self._session.ask(protocol.ADD_WATCH, protocol.watch_everything())
        if answer.error == protocol.MARSHALLING:
            raise TreeWatchUnsupported
        if answer.error == protocol.UNIMPLEMENTED:
            raise self._session.too_old()
        answer = self._session.ask(protocol.SYNC, protocol.on_wire(b"")) if not answer.error else answer
        if answer.error:
            raise WireError(f"ZooKeeper's error {answer.error}")
        zxid = max(answer.zxid, self._tracker.zxid)
        self._tracker.begin(zxid)
        return zxid

    def _require_chroot(self) -> None:
        if self._chroot and self._session.read(self._chroot) is None:
            raise ChrootMissing(printable(self._chroot))

    def _walk(self) -> None:
        with ExitStack() as queues:
            below = PathQueue(self._directory / "level-0")
            below.put([b""])
            for depth in count():
                level, below = below, PathQueue(self._directory / f"level-{depth + 1}")
                queues.callback(below.close)
                self._spool.begin_level()
                if self._known:
                    self._known.begin_level(depth)
                for part in self._reader.read(level.drain(), children=True, known=self._known):
                    self._keep(part, below)
                    self._say_progress()
                if below.empty:
                    break
        if self._known:
            self._known.learn(self._spool, self._table)

    def _note(self, part: Part) -> None:
        for path in part.unknown:
            self._tracker.mark(path)
        self._quotas.update(dict.fromkeys(filter(is_quota_stats, part.paths)))

    def _keep(self, part: Part, below: PathQueue) -> None:
        self._note(part)
        self._spool.append(part.zxid, part.content, part.nodes)
        below.put_below(self._scoped(part.children()) if self._chroot else part.children())

    def _scoped(self, children: Iterable[tuple[bytes, list[bytes]]]) -> Iterator[tuple[bytes, list[bytes]]]:
        for path, names in children:
            yield path, [name for name in names if self._in_scope(path + b"/" + name)]

    def _close(self) -> Cut:
        with self._phase("catch up"):
            self._catch_up()
        with self._phase("close"):
            return ConsistentCut(self._reader, self._table, self._overlay, self._quotas).run()

    def _catch_up(self) -> None:
        """Read again what is marked, once at least, so that its size is known; until few are, or it helps no more."""
        before = math.inf
        for _ in range(limits.CATCH_UP_ROUNDS):
            number = len(self._tracker.dirty)
            if not number or (
                before < math.inf
                and (number <= limits.CATCH_UP_FEW or before * limits.CATCH_UP_GAIN <= number <= limits.CATCH_UP_MANY)
            ):
                return
            before = number
            for part in self._reader.read(list(self._tracker.dirty), children=False):
                self._change(part)
                self._say_progress()

    def _change(self, part: Part) -> None:
        self._note(part)
        nodes = dict(split(part.content)[0])
        for path in part.paths:
            if (node := nodes.get(path)) is None:
                self._overlay.remove(path)
            else:
                self._overlay.put(path, OverlayEntry(part.zxid, node))

    def _count(self, closed: Cut) -> int:
        """How many znodes the server had at the capture's zxid: what is hidden from us is in its number alone."""
        counted: list[int] = []

        def on_reply(answers: Answers) -> None:
            ((zxid, error, body),) = answers
            if error == protocol.NO_NODE:
                raise ChrootDeleted(printable(self._chroot))
            if error:
                raise ZnodeUnreadable(
                    f"the znodes below {printable(self._chroot)} cannot be counted: ZooKeeper error {error}",
                    "READ on it",
                )
            self._tracker.reply(zxid)
            counted.append(protocol.count(body) - (self._tracker.growth - closed.growth))

        Requests(self._session.wire, protocol.COUNT_BELOW, [protocol.on_wire(self._chroot)], on_reply)
        self._reader.wires.until(lambda: bool(counted))
        return counted[0]

    def _prove(self, closed: Cut, verified_at_zxid: int) -> set[bytes]:
        with self._phase("prove"):
            return AclVerifier(self._reader, self._spool, self._overlay).run(closed, verified_at_zxid)

    def _in_scope(self, path: bytes) -> bool:
        if not self._chroot:
            return True
        inside = (path + b"/").startswith(self._chroot + b"/")
        above = self._chroot.startswith(path + b"/")
        system = (path + b"/").startswith(SYSTEM + b"/")
        return inside or above or system

    def _is_counted(self, path: bytes) -> bool:
        return path.startswith(self._chroot + b"/")

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - begin

    def _say_progress(self) -> None:
        if self._time_to_say():
            dirty = len(self._tracker.dirty)
            log.info("captured %d znodes so far, %d have changed since they were read", self._spool.nodes, dirty)

    def _say_done(self, closed: Cut, unproven: set[bytes]) -> None:
        phases = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in self._seconds.items())
        log.info("captured at zxid %#x: %s; closed in %d rounds", closed.zxid, phases, closed.rounds)
        if unproven:
            some = ", ".join(printable(path) for path in islice(sorted(unproven), 3))
            log.warning("%d ACLs may be of shortly before or after that zxid: %s", len(unproven), some)
