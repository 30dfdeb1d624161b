"""A capture of a model server, step by step: the program's own code, from the bytes of a connection to its files."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.capture import Capture
from metadata_tool.zookeeper.capture.captured_tree import CapturedTree
from metadata_tool.zookeeper.capture.files import capture_files
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.capture.retry import ask_for_less
from metadata_tool.zookeeper.capture.rules import ALL_RULES, Rules
from metadata_tool.zookeeper.capture.scope import Scope
from metadata_tool.zookeeper.errors import ConnectionBroken
from metadata_tool.zookeeper.jute import OPEN_ACL
from metadata_tool.zookeeper.limits import ConnectionLimits, ReadLimits
from metadata_tool.zookeeper.net.connection import Connection
from metadata_tool.zookeeper.net.messages import Event, Request, Throttled
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.stat import Stat
from support.model import Server, Tree, Znode

CONNECTIONS = 2
"""The one with the events, and one for ACLs."""


class StalledError(AssertionError):
    """The capture waits, and nothing is in flight."""


class ModelCapture:
    """One capture, in as many attempts as it needs."""

    def __init__(  # each is one thing
        self,
        server: Server,
        scope: Scope,
        *,
        cache: AclCache | None = None,
        limits: ReadLimits | None = None,
        rules: Rules = ALL_RULES,
        connection: type[Connection] = Connection,
    ) -> None:
        self.server = server
        self.scope = scope
        self.rules = rules
        self.attempts = 0
        self._cache = cache
        self._limits = limits or ReadLimits()
        self._connection = connection
        self._stack = ExitStack()
        self.begin()

    def begin(self) -> None:
        """Begin an attempt, on new connections."""
        self.close()
        self.attempts += 1
        directory = Path(self._stack.enter_context(TemporaryDirectory()))
        self.files = self._stack.enter_context(capture_files(directory, self.rules))
        self.server.connect(CONNECTIONS)
        self._connections = [self._connection(ConnectionLimits()) for _ in range(CONNECTIONS)]
        self._throttled: list[tuple[int, Request]] = []
        self.was_throttled = False
        self.capture = Capture(self.files, self.scope, self._limits, CONNECTIONS - 1, self._cache, self.rules)
        self._phases: Iterator[Phase] = self.capture.phases()
        self.phase: Phase | None = None
        self.verified_from: int | None = None
        """The server's zxid when ACLs were first verified, 0 if others had written since the capture's zxid."""
        self._next_phase()

    def close(self) -> None:
        """Remove the files."""
        self._stack.close()

    @property
    def done(self) -> bool:
        """Whether all phases are over."""
        return self.phase is None

    def lose(self) -> None:
        """The connections break."""
        self._limits = ask_for_less(self._limits, self._cache)
        self.begin()

    def answer(self, number: int) -> bool:
        """Have the server answer a request of a connection. Returns whether one waits."""
        waits = bool(self.server.lines[number].requests)
        if waits:
            self.server.answer(number)
        return waits

    def deliver(self, number: int) -> bool:
        """Pass on the next frame of a connection. Returns whether there is one."""
        sent = self.server.lines[number].sent
        if not sent or self.done:
            return False
        try:
            for item in self._connections[number].receive(sent.popleft()):
                self._pass_on(number, item)
        except ConnectionBroken:
            self.lose()
        return True

    def _pass_on(self, number: int, item: object) -> None:
        assert self.phase
        if isinstance(item, Throttled):
            self._throttled.append((number, item.request))
            self.was_throttled = True
        elif isinstance(item, Event):
            self.phase.on_event(item)
        else:
            for urgent in self.phase.on_reply(item):  # type: ignore[arg-type]  # all that is left is a reply
                self._send(urgent)

    def send_again(self) -> bool:
        """Send again what was throttled. Returns whether there was anything."""
        throttled, self._throttled = self._throttled, []
        for number, request in throttled:
            self._connections[number].send_again(request)
        self._transfer()
        return bool(throttled)

    def idle(self) -> bool:
        """Nothing more has arrived. Returns whether something follows from that."""
        if not self.phase:
            return False
        requests = self.phase.on_idle()
        self._send(requests)
        over = self.phase.done
        if over:
            self._next_phase()
        return over or bool(requests)

    def turn(self) -> bool:
        """The server and the network do one step on each connection. Returns whether anything happens."""
        steps = [self.answer(number) for number in range(CONNECTIONS)]
        steps += [self.deliver(number) for number in range(CONNECTIONS)]
        steps += [self.send_again(), self.idle()]
        return any(steps)

    def finish(self) -> None:
        """Let everything happen in order, while nobody writes, until the capture is over."""
        while not self.done:
            if not self.turn():
                raise StalledError

    def _next_phase(self) -> None:
        self.phase = next(self._phases, None)
        while self.phase:
            if self.phase.name == "verify" and self.verified_from is None and self.capture.cut:
                self.verified_from = self.server.zxid if self.capture.cut.zxid == self.server.zxid else 0
            self._send(self.phase.start())
            if not self.phase.done:
                return
            self.phase = next(self._phases, None)

    def _send(self, requests: list[Request]) -> None:
        for request in requests:
            self._connections[request.connection].send(request)
        self._transfer()

    def _transfer(self) -> None:
        for number, connection in enumerate(self._connections):
            if connection.unsent:
                self.server.receive(number, bytes(connection.unsent))
                connection.unsent.clear()

    # The result

    def result(self) -> CapturedTree:
        """The result of the capture."""
        return self.capture.result("", {})

    def tree(self) -> Tree:
        """What was captured, ephemerals included. Theirs is the open ACL.

        Raises:
            ZnodeUnreadable: some znodes are hidden.
        """
        result = self.result()
        acls = {OPEN_ACL_KEY: OPEN_ACL, **result.acls}
        for _ in result.nodes():
            pass
        nodes = (Node.decode(node) for _, node in result.tree())
        return {node.path: Znode(node.data or b"", Stat.unpack(node.stat), acls[node.acl]) for node in nodes}

    def truth(self) -> Tree:
        """The tree of the server at the capture's zxid, as far as it belongs to the capture."""
        assert self.capture.cut
        tree = self.server.history[self.capture.cut.zxid]
        return {path: znode for path, znode in tree.items() if self.scope.includes(path)}
