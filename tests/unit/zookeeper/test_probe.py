"""Which members run, whether they serve, and where their data is from, with malformed answers, too."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import (
    AnswerUnclear,
    CertificateUnusable,
    NameUnresolved,
    SpeaksNoTls,
    SpeaksTls,
    Untrusted,
    ZooKeeperError,
)
from metadata_tool.zookeeper.net.tls import Tls
from metadata_tool.zookeeper.probe import Member, Origin, look, origin
from support.certificates import Authority
from support.processes import free_port

NOTHING = Origin("", "")
LEADS = b"Zookeeper version: 3.9.5\nMode: leader\nNode count: 5\n"
WAITS = b"This ZooKeeper instance is not currently serving requests\n"
NOT_ALLOWED = b"srvr is not executed because it is not in the whitelist.\n"

Answer = Callable[[socket.socket], None]


def saying(answer: bytes, to_others: bytes = b"") -> Answer:
    """Sends one answer to `srvr`, another one to all else, and closes the connection."""

    def answer_to(connection: socket.socket) -> None:
        connection.sendall(answer if connection.recv(65536) == b"srvr" else to_others)

    return answer_to


def resetting(connection: socket.socket) -> None:
    """Resets the connection."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(connection: socket.socket) -> None:
    """Waits until the client closes the connection."""
    while connection.recv(65536):
        """Say nothing."""


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that answers each connection like this, with TLS if there is a context."""
    with socket.create_server((host, 0)) as server:

        def serve_one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                if not context:
                    answer(connection)
                    return
                with context.wrap_socket(connection, server_side=True) as secure:
                    answer(secure)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve_one, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def only(members: list[Member]) -> tuple[bool, str]:
    """Whether the only member serves, and the error if that is not clear."""
    (member,) = members
    return member.serves, str(member.unclear or "")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is silent is given up soon."""
    monkeypatch.setattr(limits, "PROBE_TIMEOUT", 0.25)
    monkeypatch.setattr(limits, "COMMAND_TIMEOUT", 0.25)


OF_MODES = [LEADS.replace(b"leader", mode) for mode in (b"leader", b"follower", b"observer", b"standalone")]


@pytest.mark.parametrize("answer", [*OF_MODES, NOT_ALLOWED])
def test_serves(answer: bytes) -> None:
    """A server with a mode is part of a quorum. One that does not allow the command may be."""
    with serving(saying(answer)) as port:
        server = f"127.0.0.1:{port}"
        assert [Member(server, serves=True, reached=(f"[127.0.0.1]:{port}",))] == look(server)


@pytest.mark.parametrize("answer", [WAITS, LEADS.replace(b"leader", b"read-only")])
def test_waits(answer: bytes) -> None:
    """A server without a quorum runs, and does not serve, even if it lets clients read."""
    with serving(saying(answer)) as port:
        server = f"127.0.0.1:{port}"
        assert [Member(server, serves=False, reached=(f"[127.0.0.1]:{port}",))] == look(server)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (saying(b""), "it closed the connection without an answer"),
        (resetting, "Connection reset by peer"),
        (silent, "it does not answer"),
        (saying(b"\xff\0 whatever"), "its answer is not that of a ZooKeeper"),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "its answer is not that of a ZooKeeper"),
        (saying(NOT_ALLOWED.replace(b"srvr", b"ruok")[:20]), "its answer is not that of a ZooKeeper"),
    ],
)
def test_unclear(answer: Answer, reason: str) -> None:
    """A port that accepts connections may be that of a server that serves, whatever it answers."""
    with serving(answer) as port:
        server = f"127.0.0.1:{port}"
        expected = str(AnswerUnclear(server, reason))
        assert (False, expected) == only(look(server))


@pytest.mark.usefixtures("impatient")
def test_late_end() -> None:
    """An answer counts also if the connection stays open after it."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(LEADS)
        silent(connection)

    with serving(answer) as port:
        assert (True, "") == only(look(f"127.0.0.1:{port}"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of the tests."""
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    """The server's side of TLS, which demands a client certificate."""
    own = authority.issue("server")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(own.cert, own.key)
    made.load_verify_locations(authority.path)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


@pytest.fixture(scope="module")
def client_tls(authority: Authority) -> Tls:
    """The client's side of it."""
    own = authority.issue("client")
    return Tls(str(authority.path), str(own.cert), str(own.key))


@pytest.mark.parametrize(
    ("answer", "serves"),
    [
        (saying(LEADS), True),
        (saying(WAITS), False),
    ],
)
def test_by_tls(context: ssl.SSLContext, client_tls: Tls, answer: Answer, *, serves: bool) -> None:
    """A server with a TLS port is asked by TLS."""
    with serving(answer, context) as port:
        assert (serves, "") == only(look(f"127.0.0.1:{port}", client_tls))


def error(port: int, secure: Tls | None) -> ZooKeeperError | None:
    """The error of a server at this port, if it is not clear what it does."""
    (member,) = look(f"127.0.0.1:{port}", secure)
    assert not member.serves
    return member.unclear


@pytest.mark.usefixtures("impatient")
def test_only_one_speaks_tls(context: ssl.SSLContext, client_tls: Tls) -> None:
    """If only the server speaks TLS, or only the client, that is said, also by a server that waits."""
    with serving(saying(LEADS), context) as port:
        assert isinstance(error(port, None), SpeaksTls)
    for answer in (LEADS, WAITS, NOT_ALLOWED):
        with serving(saying(answer)) as port:
            assert isinstance(error(port, client_tls), SpeaksNoTls)


@pytest.mark.usefixtures("impatient")
def test_no_trust(context: ssl.SSLContext, client_tls: Tls, authority: Authority, tmp_path: Path) -> None:
    """If one side does not trust the other, the server is not taken for one that waits."""
    other = Tls(str(Authority(tmp_path / "other").path), client_tls.cert, client_tls.key)
    with serving(saying(WAITS), context) as port:
        for secure in (other, Tls(str(authority.path))):
            assert isinstance(error(port, secure), Untrusted)
        with pytest.raises(CertificateUnusable):
            look(f"127.0.0.1:{port}", Tls(str(authority.path), "/nowhere", "/nowhere"))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", [silent, saying(b"")])
def test_unclear_by_tls(client_tls: Tls, answer: Answer) -> None:
    """A port that answers nothing to TLS may be that of a server that serves."""
    with serving(answer) as port:
        assert isinstance(error(port, client_tls), AnswerUnclear | Untrusted)


def resolving(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let the name `members` have an address for each of these ports."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *rest: Any, **more: Any) -> Any:
        if host != "members":
            return resolve(host, port, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each)) for each in ports]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([WAITS, LEADS], (True, "")),
        ([b"", LEADS], (True, "")),
        ([WAITS, WAITS], (False, "")),
        ([WAITS, b""], (False, "members:2181 accepts connections, but does not show whether it serves: ")),
    ],
)
def test_name_with_several_addresses(
    monkeypatch: pytest.MonkeyPatch, answers: list[bytes], expected: tuple[bool, str]
) -> None:
    """All addresses of a name are asked, because each may be that of another member."""
    with ExitStack() as servers:
        ports = [servers.enter_context(serving(saying(answer))) for answer in answers]
        resolving(monkeypatch, free_port(), *ports)
        (member,) = look("members:2181")
    serves, said = expected
    assert (serves, True) == (member.serves, str(member.unclear or "").startswith(said))
    assert tuple(f"[127.0.0.1]:{port}" for port in ports) == member.reached


def test_nobody_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses connections or has no name does not run."""
    resolving(monkeypatch)
    assert [] == look(f"127.0.0.1:{free_port()},members:2181,{'x' * 70}.invalid:2181,[::1]:{free_port()}")


@pytest.mark.parametrize(
    "number", [socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM]
)
def test_name_resolution_fails(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """If DNS says that a name does not exist, its server does not run. If DNS does not answer, that is unknown."""

    def getaddrinfo(*_: Any, **__: Any) -> None:
        raise socket.gaierror(number, "why")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    found = look("zk-0:2181")
    unknown = number not in (socket.EAI_NONAME, socket.EAI_NODATA)
    assert [NameUnresolved] * unknown == [type(member.unclear) for member in found]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"metadata-backup.restored": "abc", "java.version": "21"}', Origin("abc", "")),
        (
            b'{"metadata-backup.restored": "abc", "metadata-backup.restore-point": "s3a://b/p-1.tar.gz"}',
            Origin("abc", "s3a://b/p-1.tar.gz"),
        ),
        (b'{"metadata-backup.restored": "abc", "metadata-backup.has-run": "true"}', Origin("abc", "", has_run=True)),
        (b'{"java.version": "21"}', NOTHING),
        (b"[1]", NOTHING),
        (b"no JSON", NOTHING),
        (b"\xff", NOTHING),
        (b"[" * 100_000, NOTHING),
    ],
)
@pytest.mark.parametrize("by_tls", [False, True])
def test_origin(body: bytes, expected: Origin, context: ssl.SSLContext, client_tls: Tls, *, by_tls: bool) -> None:
    """The properties are read by HTTP or HTTPS if the answer has them. Any other answer counts as none."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with serving(saying(b"", answer), context if by_tls else None) as port:
        assert expected == origin("127.0.0.1:2181", port, client_tls if by_tls else None)


def test_admin_server_of_another_authority(authority: Authority) -> None:
    """The certificate of an AdminServer is not checked, because other authorities may have signed it."""
    own = authority.issue("elsewhere", host="another.host")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert, own.key)
    body = b'{"metadata-backup.restored": "abc"}'
    with serving(saying(b"", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)), context) as port:
        assert Origin("abc", "") == origin("[127.0.0.1]:2181", port)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", [silent, saying(b""), resetting])
def test_admin_server_that_does_not_answer(answer: Answer) -> None:
    """Without an answer by HTTP and HTTPS there are no properties."""
    with serving(answer) as port:
        assert NOTHING == origin("127.0.0.1:2181", port)


def test_no_admin_server() -> None:
    """Without an AdminServer there are no properties."""
    assert NOTHING == origin("127.0.0.1:2181", free_port())
