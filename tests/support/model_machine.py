"""Captures of a model server in any interleaving of writes, replies and events, compared with its history."""

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.rules import ALL_RULES, Rules
from metadata_tool.zookeeper.capture.scope import Scope
from metadata_tool.zookeeper.errors import ChrootDeleted, ChrootMissing, ZnodeUnreadable
from metadata_tool.zookeeper.limits import CacheLimits, ReadLimits
from metadata_tool.zookeeper.net.connection import Connection
from support.model import ACLS, FOREIGN_ACL, LATER_COUNTERS, Server, Tree, Znode, parent_of
from support.model_capture import CONNECTIONS, ModelCapture

CHROOT = b"/a"
few = st.integers(0, 3)
anywhere = st.integers(0, 15)
phases = st.sampled_from(["", "cut", "cut", "cut", "verify"])
moves = st.binary(min_size=10, max_size=40)
"""Each byte is one of fifteen steps, with one of four znodes. Bytes are drawn at once, many times faster than lists."""


class WrongCaptureError(AssertionError):
    """A capture is not the tree at its zxid."""


class WrongRefusalError(AssertionError):
    """A capture was refused, although its login can read the tree."""


class WrongDoubtError(AssertionError):
    """An ACL is reported as unproven without a reason."""


class CacheKeptError(AssertionError):
    """ACLs of an earlier capture are still used after the connection broke."""


class CaptureOfAModel(RuleBasedStateMachine):
    """Other clients write, the server answers, the network delivers. At the end each capture is exact."""

    kept: ClassVar[Rules] = ALL_RULES
    connection: ClassVar[type[Connection]] = Connection
    cache: ClassVar[type[AclCache]] = AclCache

    @initialize(
        announces=st.booleans(),
        batch=st.sampled_from([256, 3, 1]),
        reply_bytes=st.sampled_from([1 << 20, 700]),
        ahead=st.sampled_from([200, 2]),
        cached=st.booleans(),
        chroot=st.sampled_from([b"", b"", CHROOT]),
        at=phases,
        moves=moves,
    )
    def begin(
        self,
        *,
        announces: bool,
        batch: int,
        reply_bytes: int,
        ahead: int,
        cached: bool,
        chroot: bytes,
        at: str,
        moves: bytes,
    ) -> None:
        """A server with events of either form, a capture with requests of some size, and a first race."""
        self.announces = announces
        self.scope = Scope(chroot)
        self.server = Server(announces=announces)
        self.directory = TemporaryDirectory()
        tight = CacheLimits(skips=3, mistakes=1, growth=200)
        self.known = self.cache(Path(self.directory.name), tight) if cached else None
        self.limits = ReadLimits(
            batch=batch,
            acls=2,
            in_flight=2,
            cut_in_flight=ahead,
            reply_bytes=reply_bytes,
            unknown_bytes=min(reply_bytes, 300),
        )
        self.unreadable = False
        self.age = 0
        self.capture = self.another()
        self.race(at, moves)

    def another(self) -> ModelCapture:
        """A new capture."""
        return ModelCapture(
            self.server,
            self.scope,
            cache=self.known,
            limits=self.limits,
            rules=self.kept,
            connection=self.connection,
        )

    def path(self, number: int) -> bytes:
        """One of the znodes of clients, or a system znode."""
        paths = list(self.server.tree)
        return paths[-1 - number % len(paths)]

    # Other clients

    @rule(parent=anywhere, name=few, acl=few, ephemeral=st.booleans())
    def create(self, parent: int, name: int, acl: int, *, ephemeral: bool) -> None:
        """A client creates a znode."""
        self.server.create(b"%s/%d" % (self.path(parent), name), ACLS[acl], owner=7 * ephemeral)

    @rule(parent=anywhere)
    def create_sequential(self, parent: int) -> None:
        """A client creates a sequential znode."""
        self.server.create_sequential(self.path(parent))

    @rule(path=anywhere, size=st.sampled_from([0, 250]))
    def set(self, path: int, size: int = 0) -> None:
        """A client sets data."""
        self.server.set(self.path(path), size)

    @rule(paths=st.lists(anywhere, min_size=1, max_size=3), name=few)
    def multi(self, paths: list[int], name: int) -> None:
        """A client changes several znodes in one transaction."""
        with self.server.multi():
            for path in map(self.path, paths):
                self.server.create(b"%s/%d" % (path, name))
                self.server.set(path)
                self.server.delete(path)

    @rule(path=anywhere)
    def delete(self, path: int) -> None:
        """A client deletes a znode."""
        self.server.delete(self.path(path))

    @rule(path=anywhere)
    def delete_tree(self, path: int) -> None:
        """A client deletes a znode with its children."""
        self.server.delete_tree(self.path(path))

    @rule(path=anywhere, name=few)
    def create_again(self, path: int, name: int) -> None:
        """A client deletes a znode, and creates it with another ACL."""
        again = self.path(path)
        self.server.delete(again)
        self.server.create(again, ACLS[name])

    @rule(path=anywhere, acl=few)
    def set_acl(self, path: int, acl: int) -> None:
        """A client sets an ACL."""
        self.server.set_acl(self.path(path), ACLS[acl])

    @rule()
    def set_quota(self) -> None:
        """A client sets a quota, or removes it."""
        if LATER_COUNTERS in self.server.tree:
            self.server.delete_tree(parent_of(LATER_COUNTERS))
        else:
            self.server.create(parent_of(LATER_COUNTERS))
            self.server.create(LATER_COUNTERS)

    @rule()
    def fail(self) -> None:
        """An operation fails, or a session starts."""
        self.server.fail()

    @rule(path=anywhere, kind=st.sampled_from(["set", "create", "hide"]))
    def forbid(self, path: int, kind: str) -> None:
        """A client makes a znode that the capture's login may not administer, or not see."""
        self.unreadable = True
        if kind == "set":
            self.server.set_acl(self.path(path), FOREIGN_ACL)
        else:
            self.server.create(self.path(path) + b"/f", FOREIGN_ACL, hidden=kind == "hide")

    # Server and network

    @rule(turns=st.integers(1, 24))
    def go_on(self, turns: int) -> None:
        """Server and network do what is next, for some turns."""
        for _ in range(turns):
            self.guarded(self.capture.turn)

    @rule(at=phases, moves=moves)
    def race_again(self, at: str, moves: bytes) -> None:
        """Another race."""
        self.race(at, moves)

    def race(self, at: str, moves: bytes) -> None:
        """Clients, server and network act in turns, on few znodes. Perhaps nobody writes until some phase."""
        self.reach(at)
        steps = (
            lambda _: self.answer(0, 1),
            lambda _: self.answer(0, 1),
            lambda _: self.deliver(0, 1, idle=True),
            lambda _: self.deliver(0, 1, idle=False),
            lambda _: self.step(1),
            self.set,
            lambda path: self.set_acl(path, path),
            lambda path: self.create(path, path, path, ephemeral=path == 1),
            self.delete,
            lambda path: self.create_again(path, path),
            self.delete_tree,
            lambda path: self.multi([path, path + 1], path),
            lambda _: self.set_quota(),
            lambda _: self.throttle(1),
            lambda _: self.capture.send_again(),
        )
        for number in moves:
            steps[number % len(steps)](number // len(steps) % 4)

    def reach(self, phase: str) -> None:
        """Let nobody write until this phase, or until the capture is over."""
        going_on = bool(phase)
        while going_on and self.capture.phase and self.capture.phase.name != phase:
            going_on = self.guarded(self.capture.turn)

    def step(self, number: int) -> None:
        """Answer, deliver, idle."""
        self.guarded(lambda: self.capture.answer(number))
        self.guarded(lambda: self.capture.deliver(number))
        self.guarded(self.capture.idle)

    @rule(number=st.integers(0, CONNECTIONS - 1), requests=st.integers(1, 4))
    def answer(self, number: int, requests: int) -> None:
        """The server answers some requests of a connection."""
        for _ in range(requests):
            self.capture.answer(number)

    @rule(number=st.integers(0, CONNECTIONS - 1), frames=st.integers(1, 4), idle=st.booleans())
    def deliver(self, number: int, frames: int, *, idle: bool) -> None:
        """Some frames of a connection arrive."""
        for _ in range(frames):
            self.guarded(lambda: self.capture.deliver(number))
        if idle:
            self.guarded(self.capture.idle)

    @rule(requests=st.integers(1, 3))
    def throttle(self, requests: int) -> None:
        """The server throttles the next requests."""
        self.server.throttled = requests

    @rule()
    def send_again(self) -> None:
        """The pause after throttling is over."""
        self.capture.send_again()

    @precondition(lambda self: not self.capture.done and self.capture.attempts < 3)
    @rule(expires=st.booleans())
    def lose(self, *, expires: bool) -> None:
        """The session expires, or its connections break."""
        if expires:
            self.server.expire()
            return
        self.guarded(self.capture.lose)
        if self.known and not self.known.empty:
            raise CacheKeptError

    @rule(set_up_again=st.booleans())
    def capture_again(self, *, set_up_again: bool) -> None:
        """A capture ends, and the next one begins. Perhaps the ensemble was set up again meanwhile."""
        self.finish()
        if set_up_again:
            self.age += 1000
            self.server = Server(announces=self.announces, acl=ACLS[1], age=self.age)
            self.unreadable = False
        self.capture = self.another()

    # What is promised

    def guarded(self, step: Callable[[], object]) -> bool:
        """Do a step. It may refuse a tree that the login cannot read, or has no chroot: then another capture begins.

        Returns whether something happened.
        """
        try:
            return bool(step())
        except ZnodeUnreadable as error:
            self.require_unreadable(error)
            self.capture.close()
            self.forget_what_is_forbidden()
        except (ChrootMissing, ChrootDeleted):
            assert any(CHROOT not in tree for tree in self.server.history.values())
            self.capture.close()
            self.server.create(CHROOT)
        self.capture = self.another()
        return True

    def require_unreadable(self, error: ZnodeUnreadable) -> None:
        """A refusal must have a reason."""
        if not self.unreadable:
            raise WrongRefusalError from error

    def forget_what_is_forbidden(self) -> None:
        """Nothing is forbidden any more."""
        for path in sorted(self.server.tree, reverse=True):
            found = self.server.tree[path]
            if found.hidden:
                self.server.tree[path] = found._replace(hidden=False)
                self.server.delete(path)
            elif found.acl == FOREIGN_ACL:
                self.server.set_acl(path, ACLS[0])
        self.unreadable = False

    def finish(self) -> None:
        """End the capture, and compare it with the history of the server."""
        while not self.capture.done:
            self.guarded(self.capture.finish)
        try:
            tree = self.capture.tree()
        except ZnodeUnreadable as error:
            self.require_unreadable(error)
        else:
            truth = self.capture.truth()
            if self.scope.chroot and self.scope.chroot not in truth:
                raise WrongCaptureError("the chroot did not exist")
            hidden = {path: found for path, found in truth.items() if found.hidden and self.scope.counts(path)}
            now = self.server.tree
            still_there = [path for path in hidden if path in now and now[path].stat.czxid == hidden[path].stat.czxid]
            if still_there:
                raise WrongCaptureError(f"hidden znodes are missing: {still_there}")
            assert self.capture.capture.cut
            excused = self.with_hidden_children()
            for path in self.capture.capture.cut.stale_quotas & tree.keys() & truth.keys():
                tree[path] = tree[path]._replace(data=truth[path].data)
            seen = {path: found for path, found in truth.items() if not found.hidden and path not in excused}
            compared = {path: found for path, found in tree.items() if path not in excused}
            require_exact(compared, seen, self.capture.capture.unproven)
            self.require_reasons()
            if self.capture.result().first_zxid != self.server.synced:
                raise WrongCaptureError(f"the first zxid is not {self.server.synced}")
        self.capture.close()

    def with_hidden_children(self) -> Collection[bytes]:
        """Znodes that have had hidden children: their stats change without an event, which may be noticed too late."""
        every = (item for tree in self.server.history.values() for item in tree.items())
        return {parent_of(path) for path, found in every if found.hidden}

    def require_reasons(self) -> None:
        """An ACL is unproven only if it was set or its znode came or went, and none if no client wrote at the end.

        A late read that comes before the first reply of a round, which was throttled, makes its ACL unproven, too.
        """
        unproven = self.capture.capture.unproven
        if unproven and self.capture.verified_from == self.server.zxid and not self.capture.was_throttled:
            raise WrongDoubtError(f"no client has written since the cut, and {sorted(unproven)} are unproven")
        for path in unproven:
            seen = [tree.get(path) for zxid, tree in self.server.history.items() if zxid >= self.server.synced]
            versions = {(found.stat.czxid, found.stat.aversion) if found else None for found in seen}
            if len(versions) == 1 and not any(found and found.stat.aversion for found in seen):
                raise WrongDoubtError(f"the ACL of {path!r} was never set")

    def teardown(self) -> None:
        """Whatever has happened, the capture ends, and is exact."""
        if hasattr(self, "capture"):
            try:
                if not sys.exc_info()[0]:  # else a rule has failed already
                    self.finish()
            finally:
                self.capture.close()
                if self.known:
                    AclCache.forget(self.known)
                self.directory.cleanup()


def require_exact(tree: Tree, truth: Tree, unproven: frozenset[bytes]) -> None:
    """Data, stats and structure are those of the zxid. ACLs too, or they are reported as unproven."""
    for path in truth.keys() | tree.keys():
        expected, found = truth.get(path), tree.get(path)
        same = expected and found and without_acl(expected) == without_acl(found)
        same_acl = expected and found and (path in unproven or acl(expected) == acl(found))
        if not (same and same_acl):
            raise WrongCaptureError(f"{path!r} is {found}, and was {expected}")


def without_acl(found: Znode) -> Znode:
    """All that has events."""
    return found._replace(acl=b"", stat=found.stat._replace(aversion=0))


def acl(found: Znode) -> tuple[bytes, int]:
    """The ACL and its version. Those of ephemerals are not captured, because no backup has ephemerals."""
    return (b"", 0) if found.stat.ephemeral_owner else (found.acl, found.stat.aversion)


def examples(number: int, steps: int = 6) -> settings:
    """Run so many examples, of so many steps each, however slow the machine is."""
    return settings(
        max_examples=number,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
