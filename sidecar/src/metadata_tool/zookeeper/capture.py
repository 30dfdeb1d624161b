"""The tree of a live ensemble, through the client port, exactly as it was at one zxid.

A watch reports every change since before the first read. A walk over the tree takes time, so znodes that changed
meanwhile are read again, until all is consistent at the zxid of one reply. docs/capture.md has the reasoning.
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
    """A tree at `zxid`, and how it was captured.

    `unproven` are znodes whose ACL (and aversion) may date from just before or after that zxid. `rounds` is the number
    of rounds of the last consistent cut, `seconds` the duration of each phase. `data_bytes` and `ephemerals`, which are
    left out, count the znodes that `nodes` has passed.
    """

    server_version: str
    first_zxid: int
    zxid: int
    acls: dict[int, bytes]
    unproven: frozenset[bytes]
    rounds: int
    seconds: dict[str, float]
    counted: int
    """The number of znodes below the capture's root according to the server, ephemerals included."""
    _tree: Callable[[], Iterator[tuple[bytes, bytes]]] = field(repr=False)
    _is_counted: Callable[[bytes], bool] = field(repr=False)
    data_bytes: int = 0
    ephemerals: int = 0
    on_ephemeral: Callable[[bytes], None] = field(default=lambda _: None, repr=False)
    """Called by `nodes` with the path of each ephemeral znode."""

    def nodes(self) -> Iterator[bytes]:
        """The encoded znodes in tree order, without ephemerals. At the end their number is checked.

        Raises:
            ZnodeUnreadable: some znodes are hidden from this login.
            SpoolDamaged: a file of the capture was damaged.
        """
        self.data_bytes = self.ephemerals = found = 0
        for path, node in self._tree():
            if self._is_counted(path):
                found += 1
            if is_ephemeral(node):
                self.ephemerals += 1
                self.on_ephemeral(path)
            else:
                self.data_bytes += max(len(node) - len(path) - AROUND_DATA, 0)
                yield node
        self.require_all(found)

    def require_all(self, found: int) -> None:
        """Refuse a tree with more znodes than this login has read."""
        if found != self.counted:
            raise ZnodeUnreadable(
                f"ZooKeeper has {self.counted} znodes, but this login can see {found}. ACLs hide the others",
                "READ and ADMIN on every znode",
            )


@dataclass(frozen=True)
class Source:
    """The ensemble, its chroot (`/a/b` or empty), how much to ask of it at once, and how often to try."""

    ensemble: Ensemble
    chroot: str = ""
    limits: ReadLimits = field(default_factory=ReadLimits)
    retries: RetryLimits = field(default_factory=RetryLimits)


def _ignored(_znodes: int) -> None:
    """Ignore the progress of a capture."""


@contextmanager
def captured(
    source: Source,
    workdir: Path,
    heartbeat: Heartbeat,
    known: AclCache | None = None,
    *,
    walked: Callable[[int], None] = _ignored,
) -> Iterator[Capture]:
    """Capture the tree into files below `workdir`, which are removed after the block.

    ACLs in the cache `known` are not read again. Then the cache holds the ACLs of this capture. `walked` is called
    often with the number of znodes that were read so far.

    With a chroot (`/a/b`, or empty) only the znodes below it are captured, with those above it and ZooKeeper's own
    below `/zookeeper`, all at their real paths. So clients of a restored ensemble use the same chroot.

    Raises:
        ZnodeUnreadable: the login cannot read a znode or its whole ACL.
        SessionLost: the connection broke in every attempt.
        NeverConsistent: the tree changes too fast.
        SpoolDamaged: a disk has damaged what was read.
        ZooKeeperError: no session could be opened.
    """
    with ExitStack() as stack:
        yield _patiently(source, workdir, heartbeat, known, stack, walked)


def _patiently(  # noqa: PLR0917  # what `captured` is called with
    source: Source,
    workdir: Path,
    heartbeat: Heartbeat,
    known: AclCache | None,
    stack: ExitStack,
    walked: Callable[[int], None],
) -> Capture:
    """Start again if the connection breaks, because changes may be lost then, and with smaller requests."""
    for attempt in count(1):
        with ExitStack() as trial:
            directory = Path(trial.enter_context(TemporaryDirectory(prefix="capture-", dir=workdir)))
            try:
                with connect(source.ensemble, heartbeat) as session:
                    taken = _Attempt(session, source, directory, known, trial, walked).run()
            except SessionLost as error:
                if attempt == source.retries.attempts:
                    raise
                log.warning("%s. Starting again", error)
                if known:
                    known.forget()  # its guesses may have led to too large replies
                source = replace(source, limits=source.limits.reduced())
            else:
                stack.push(trial.pop_all())
                return taken
        heartbeat.sleep(source.retries.pause)
        heartbeat()
    raise AssertionError


class _Attempt:
    """One attempt."""

    def __init__(  # noqa: PLR0917  # what `captured` is called with
        self,
        session: Session,
        source: Source,
        directory: Path,
        known: AclCache | None,
        stack: ExitStack,
        walked: Callable[[int], None],
    ) -> None:
        self._session = session
        self._walked = walked
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
        cut = self._cut()
        counted = self._count(cut)
        unproven = self._verify(cut, 0)
        if unproven:
            for path in unproven:
                self._tracker.mark(path)
            earlier, cut = cut, self._cut()
            counted = self._count(cut)
            unproven = self._verify(cut, earlier.zxid)
        self._say_done(cut, unproven)
        return Capture(
            server_version=self._session.server_version,
            first_zxid=first_zxid,
            zxid=cut.zxid,
            acls=self._table.encoded(),
            unproven=frozenset(unproven),
            rounds=cut.rounds,
            seconds=dict(self._seconds),
            counted=counted,
            _tree=lambda: merged(self._spool, self._overlay),
            _is_counted=self._is_counted,
        )

    def _watch(self) -> int:
        """Watch the complete tree. Returns the zxid from which on every change has an event."""
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

    def _cut(self) -> Cut:
        with self._phase("catch up"):
            self._catch_up()
        with self._phase("cut"):
            return ConsistentCut(self._reader, self._table, self._overlay, self._quotas).run()

    def _catch_up(self) -> None:
        """Read changed znodes again until few are left or it no longer helps, at least once so that sizes are known."""
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

    def _count(self, cut: Cut) -> int:
        """The number of znodes at the capture's zxid. Hidden znodes show only in this number."""
        counted: list[int] = []

        def on_reply(answers: Answers) -> None:
            ((zxid, error, body),) = answers
            if error == protocol.NO_NODE:
                raise ChrootDeleted(printable(self._chroot))
            if error:
                raise ZnodeUnreadable(
                    f"the znodes below {printable(self._chroot)} cannot be counted, ZooKeeper error {error}",
                    "READ on it",
                )
            self._tracker.reply(zxid)
            counted.append(protocol.count(body) - (self._tracker.growth - cut.growth))

        Requests(self._session.wire, protocol.COUNT_BELOW, [protocol.on_wire(self._chroot)], on_reply)
        self._reader.wires.until(lambda: bool(counted))
        return counted[0]

    def _verify(self, cut: Cut, verified_at_zxid: int) -> set[bytes]:
        with self._phase("verify"):
            return AclVerifier(self._reader, self._spool, self._overlay).run(cut, verified_at_zxid)

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
        self._walked(self._spool.nodes)
        if self._time_to_say():
            dirty = len(self._tracker.dirty)
            log.info("captured %d znodes so far, %d have changed since they were read", self._spool.nodes, dirty)

    def _say_done(self, cut: Cut, unproven: set[bytes]) -> None:
        phases = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in self._seconds.items())
        log.info("captured at zxid %#x in %d rounds: %s", cut.zxid, cut.rounds, phases)
        if unproven:
            some = ", ".join(printable(path) for path in islice(sorted(unproven), 3))
            log.warning(
                "%d ACLs could not be verified at that zxid. They may date from just before or after it: %s",
                len(unproven),
                some,
            )
