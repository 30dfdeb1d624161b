"""Sessions with fake servers. The integration tests open sessions with real ones, by TLS, SASL and Kerberos, too."""

import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper.errors import (
    AuthoritiesUnusable,
    CertificateUnusable,
    ConnectionBroken,
    LoginDemanded,
    LoginRefused,
    ReadRefused,
    SessionLost,
    TooOld,
    Unreachable,
    ZnodeUnreadable,
)
from metadata_tool.zookeeper.jute import OPEN_ACL, buffer
from metadata_tool.zookeeper.net import session as sessions
from metadata_tool.zookeeper.net.ensemble import Ensemble, Login
from metadata_tool.zookeeper.net.messages import Event, Reply, Request
from metadata_tool.zookeeper.net.session import connect
from metadata_tool.zookeeper.protocol import GET_ACL, MULTI_READ, SYNC, DataReply
from metadata_tool.zookeeper.stat import Stat
from support.frames import event, frame, reply
from support.trees import client_stat

STAT = client_stat(Stat(0, 0, 0, 0, 0, 0, 0, 0, 0), 0)
AUTH = 100
DONE = struct.pack(">i?i", -1, True, -1)


def accepted(read_only: bytes = b"\0") -> bytes:
    """The answer to a request for a session."""
    return frame(struct.pack(">iiq", 0, 6000, 7) + buffer(bytes(16)) + read_only)


def data(content: bytes) -> bytes:
    """The result of one read."""
    return struct.pack(">i?i", 4, False, 0) + buffer(content) + STAT


def refused(error: int) -> bytes:
    """The result of a read that fails."""
    return struct.pack(">i?ii", -1, False, error, error)


Answer = Callable[[int], bytes]


def hang_up(_xid: int) -> bytes:
    """Closes the connection instead of an answer."""
    raise ConnectionResetError


def opened_acl(xid: int) -> bytes:
    """The answer to getACL."""
    return reply(xid, OPEN_ACL + STAT)


@dataclass
class Server:
    """A server that grants sessions, and answers requests by type. `answers` get the xid."""

    answers: dict[int, Answer] = field(default_factory=dict)
    words: dict[bytes, bytes] = field(default_factory=lambda: {b"srvr": b"Zookeeper version: 3.9.3-x, built\n"})
    greeting: bytes = accepted()
    sessions: int = 100
    """It hangs up on more sessions than these."""
    address: str = ""
    opened: int = 0
    closed: list[int] = field(default_factory=list)
    """The sessions that were closed by a request, by their numbers from 1."""

    @contextmanager
    def running(self) -> Iterator["Server"]:
        """Serve until the end of the block, which the clients' connections do not outlive."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            host, port = listening.getsockname()
            self.address = f"{host}:{port}"
            thread = threading.Thread(target=self._serve, args=(listening,))
            thread.start()
            try:
                yield self
            finally:
                listening.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _serve(self, listening: socket.socket) -> None:
        talks: list[threading.Thread] = []
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                talks.append(threading.Thread(target=self._talk, args=(connection,)))
                talks[-1].start()
        for talk in talks:
            talk.join()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as received:
            word = received.read(4)
            if word.isalpha():
                connection.sendall(self.words.get(word, b""))
                return
            (size,) = struct.unpack(">i", word)
            if size > 1000:
                return  # no request for a session, such as a TLS handshake
            received.read(size)
            self.opened = number = self.opened + 1
            if number > self.sessions:
                return
            connection.sendall(self.greeting)
            while head := received.read(12):
                size, xid, kind = struct.unpack(">iii", head)
                received.read(size - 8)
                if kind == -11:
                    self.closed.append(number)
                    return
                connection.sendall(self.answers.get(kind, opened_acl)(xid))


def ensemble(server: Server, login: Login | None = None) -> Ensemble:
    """An ensemble that is asked for a short time."""
    return Ensemble(server.address, login, patience=0.01)


def test_session() -> None:
    """A session has what the server grants, reads znodes at one zxid, and is closed at the end."""
    server = Server({MULTI_READ: lambda xid: reply(xid, data(b"x") + refused(-101) + DONE)})
    with server.running(), connect(ensemble(server), Heartbeat()) as session:
        assert (6.0, "3.9.3", 0) == (session.timeout, session.server_version, session.connections(0))
        assert [DataReply(buffer(b"x"), STAT), None] == session.read_each([b"/a", b"/b"])
    assert [1] == server.closed


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (lambda xid: reply(xid, refused(-102) + DONE), ZnodeUnreadable, "cannot read znode /a"),
        (lambda xid: reply(xid, refused(-1) + DONE), ReadRefused, "znode /a cannot be read: ZooKeeper error -1"),
        (lambda xid: reply(xid, DONE), SessionLost, r"cannot be decoded \(0 answers to 1 reads\)"),
        (lambda xid: reply(xid, b"nonsense"), SessionLost, "the server's answer cannot be decoded"),
        (lambda xid: reply(xid, error=-6), SessionLost, "ZooKeeper's error -6"),
        (lambda _: reply(9), SessionLost, "reply 9 arrived instead of reply 2"),
        (hang_up, SessionLost, "the server closed the connection"),
    ],
)
def test_reads_that_fail(answer: Answer, error: type[Exception], said: str) -> None:
    """A read that fails says why."""
    server = Server({MULTI_READ: answer})
    with server.running(), pytest.raises(error, match=said), connect(ensemble(server), Heartbeat()) as session:
        session.read(b"/a")


def test_events_are_not_lost() -> None:
    """Events that come with an answer stay for who reads them. An event that comes before it is no answer."""
    server = Server({SYNC: lambda xid: reply(xid) + event(1, b"/a"), 4: lambda xid: event(1, b"/b") + reply(xid)})
    with server.running(), connect(ensemble(server), Heartbeat()) as session:
        session.ask(SYNC, b"")
        assert [Event(1, b"/a", 5)] == list(session.loop.pump())
        with pytest.raises(ConnectionBroken, match="something else arrived"):
            session.ask(4, b"")


def test_more_sessions(caplog: pytest.LogCaptureFixture) -> None:
    """More sessions are opened, as many as the server accepts, and used by their number. Too few are logged."""
    server = Server(sessions=4)
    with server.running(), connect(ensemble(server), Heartbeat()) as session:
        assert 2 == session.connections(2)
        assert "" == caplog.text
        request = Request(GET_ACL, [b"one"], connection=2)
        session.loop.send([request])
        assert [Reply(request, [(5, 0, OPEN_ACL + STAT)])] == list(session.loop.pump())
        assert 3 == session.connections(6)
        assert [
            "ZooKeeper accepted 4 of 7 sessions, so reading ACLs takes longer: the server closed the connection"
        ] == caplog.messages
    assert [1, 2, 3, 4] == sorted(server.closed)


@pytest.mark.parametrize(
    "unusable", [AuthoritiesUnusable("/ca.pem", "No such file"), CertificateUnusable("/a.pem", "/b.pem", "mismatch")]
)
def test_files_for_more_sessions(
    unusable: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files for TLS may be replaced while sessions are opened. That costs sessions, and not the capture."""

    def refuse(*_: object) -> None:
        raise unusable

    server = Server()
    with server.running(), connect(ensemble(server), Heartbeat()) as connected:
        monkeypatch.setattr(sessions, "open_session", refuse)
        assert 0 == connected.connections(3)
    assert [f"ZooKeeper accepted 1 of 4 sessions, so reading ACLs takes longer: {unusable}"] == caplog.messages


@pytest.mark.parametrize(("version", "too_old"), [("3.5.10", True), ("3.6.0", False), ("", False), ("x.y", False)])
def test_version(version: str, *, too_old: bool) -> None:
    """A server that is too old for multi-reads is refused. One that does not tell its version is tried."""
    server = Server(words={b"srvr": f"Zookeeper version: {version}, built".encode()})
    with server.running():
        if too_old:
            with pytest.raises(TooOld, match=version), connect(ensemble(server), Heartbeat()):
                pass
        else:
            with connect(ensemble(server), Heartbeat()) as session:
                assert version == session.server_version
    assert [1] == server.closed


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (Server(sessions=0), "the server closed the connection"),
        (Server(sessions=0, words={b"isro": b"ro"}), "it lost its quorum and is read-only"),
        (Server(greeting=accepted(b"\1")), "it lost its quorum and is read-only"),
        (Server(greeting=b"\x15\x03\x03\0\2\2\x28"), "an answer claims 352518912 bytes"),
    ],
)
def test_unreachable(server: Server, reason: str) -> None:
    """If no server accepts a session, the error has the reason of each."""
    with server.running(), pytest.raises(Unreachable) as caught, connect(ensemble(server), Heartbeat()):
        pass
    assert f"no ZooKeeper server answered at {server.address} within 0 s: {server.address} ({reason}" in str(
        caught.value
    )


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not run, and a name that is unknown, are each told, in the words of the system."""

    def getaddrinfo(name: str, *_: object, **__: object) -> list[object]:
        if name == "gone":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(2, 1, 6, "", ("127.0.0.1", 1))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(Unreachable) as caught, connect(Ensemble("gone:1,off:1", patience=0.01), Heartbeat()):
        pass
    reasons = "gone:1 (its name cannot be resolved (Name or service not known)), off:1 (Connection refused)"
    assert f"no ZooKeeper server answered at gone:1,off:1 within 0 s: {reasons}" == str(caught.value)


def test_another_server(caplog: pytest.LogCaptureFixture) -> None:
    """If one server does not accept a session, another one is asked. What passes by is not logged."""
    caplog.set_level(logging.INFO)
    one, other = Server(sessions=0), Server()
    with one.running(), other.running():
        for _ in range(3):
            with connect(Ensemble(f"{one.address},{other.address}"), Heartbeat()):
                pass
    assert (3, []) == (other.opened, caplog.messages)


@pytest.mark.parametrize("error", [-115, -124])
def test_logins(error: int) -> None:
    """A login that is refused, and one that is missing, is an error at once. No credential is shown."""
    expected = LoginRefused if error == -115 else LoginDemanded
    server = Server({AUTH: lambda _: reply(-4, error=error)})
    login = Login("digest", "user:zq7secret")
    with server.running(), pytest.raises(expected) as caught, connect(ensemble(server, login), Heartbeat()):
        pass
    assert "zq7secret" not in f"{caught.value}{login}"


def test_login_is_demanded() -> None:
    """A server may show at the first request that it demands a login."""
    server = Server({GET_ACL: lambda xid: reply(xid, error=-124)})
    with server.running(), pytest.raises(LoginDemanded), connect(ensemble(server), Heartbeat()):
        pass
