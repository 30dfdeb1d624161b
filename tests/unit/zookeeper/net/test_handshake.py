"""The handshake without a socket: what it sends, and what it makes of the answers."""

import hashlib
import re
import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kazoo.protocol.serialization import SASL, Auth, Connect

from metadata_tool.zookeeper.errors import (
    ConnectionBroken,
    LoginDemanded,
    LoginRefused,
    OtherLoginDemanded,
    SaslMismatch,
    SaslNotOffered,
    SaslRefused,
    ZooKeeperError,
)
from metadata_tool.zookeeper.jute import buffer
from metadata_tool.zookeeper.net.ensemble import Login
from metadata_tool.zookeeper.net.handshake import handshake
from metadata_tool.zookeeper.net.sasl import DIGEST_MD5, Sasl, fields
from support.frames import frame, reply
from support.trees import PATIENT

LOGIN = Login("digest", "backup:zq7secret")
BY_SASL = Sasl(DIGEST_MD5, user="backup", password="zq7secret")
CHALLENGE = b'realm="zk-sasl-md5",nonce="abc",charset=utf-8,algorithm=md5-sess'
AUTH_REPLY = reply(-4)


def accepted(milliseconds: int = 15000, read_only: bytes = b"\0") -> bytes:
    """A server's answer to the request for a session."""
    return frame(struct.pack(">iiq", 0, milliseconds, 7) + buffer(bytes(16)) + read_only)


React = Callable[[bytes], bytes]


def silent(_request: bytes) -> bytes:
    """Answers no request."""
    return b""


def talk(stream: bytes, login: Login | None, sasl: Sasl | None, react: React) -> tuple[float, list[bytes], bytes]:
    """The session timeout, what was sent and what was not received, if a server sends this and reacts to requests."""
    steps = handshake("zk-0", login, sasl)
    sent: list[bytes] = []
    step = next(steps)
    try:
        while True:
            if isinstance(step, bytes):
                sent.append(step)
                stream += react(step)
                step = steps.send(b"")
            elif len(stream) < step:
                step = steps.throw(ConnectionBroken("the server closed the connection"))
            else:
                received, stream = stream[:step], stream[step:]
                step = steps.send(received)
    except StopIteration as end:
        return end.value, sent, stream


def played(
    stream: bytes, login: Login | None = None, sasl: Sasl | None = None, react: React = silent
) -> tuple[float, list[bytes]]:
    """The session timeout, and what was sent, if the handshake receives exactly what the server sends."""
    timeout, sent, rest = talk(stream, login, sasl, react)
    assert b"" == rest
    return timeout, sent


def as_kazoo(xid: int | None, request: Connect | Auth | SASL) -> bytes:
    """A request as another client of ZooKeeper sends it."""
    head = b"" if xid is None else struct.pack(">ii", xid, request.type)
    return frame(head + request.serialize())


CONNECT = as_kazoo(None, Connect(0, 0, 15000, 0, bytes(16), False))


def test_without_login() -> None:
    """The server is asked for a session, as kazoo asks for one. Its timeout is the one that the server grants."""
    assert (4.5, [CONNECT]) == played(accepted(4500))


def test_old_server() -> None:
    """A server may leave out whether it is read-only."""
    assert (15.0, [CONNECT]) == played(accepted(read_only=b""))


def test_login() -> None:
    """The login by scheme and credential follows, as kazoo sends it."""
    expected = as_kazoo(-4, Auth(0, LOGIN.scheme, LOGIN.credential))
    assert (15.0, [CONNECT, expected]) == played(accepted() + AUTH_REPLY, LOGIN)


def knows_the_password(request: bytes) -> bytes:
    """Answers as a server that knows the password of the user."""
    xid, kind = struct.unpack_from(">ii", request, 4)
    if (xid, kind) == (-4, 100):
        return AUTH_REPLY
    if kind != 102:
        return b""
    token, _ = SASL.deserialize(request, 12)
    if not token:
        return reply(xid, buffer(CHALLENGE))
    said = fields(token)
    secret = hashlib.md5(b"backup:zk-sasl-md5:zq7secret").digest()
    a1 = hashlib.md5(secret + b":abc:" + said[b"cnonce"]).hexdigest()
    for a2 in ("AUTHENTICATE:zookeeper/zk-sasl-md5", ":zookeeper/zk-sasl-md5"):
        parts = (a1, "abc:00000001", said[b"cnonce"].decode(), "auth", hashlib.md5(a2.encode()).hexdigest())
        response = hashlib.md5(":".join(parts).encode()).hexdigest().encode()
        if a2[0] == "A":
            assert said[b"response"] == response
    return reply(xid, buffer(b"rspauth=" + response))


@pytest.mark.parametrize("login", [None, LOGIN])
def test_sasl(login: Login | None) -> None:
    """The login by SASL comes first, with xids from 1."""
    timeout, sent = played(accepted(), login, BY_SASL, knows_the_password)
    heads = [struct.unpack_from(">ii", request, 4) for request in sent[1:]]
    assert (15.0, [(1, 102), (2, 102)] + [(-4, 100)] * bool(login)) == (timeout, heads)
    assert as_kazoo(1, SASL(b"")) == sent[1]


Failure = type[ZooKeeperError] | type[ConnectionBroken]


@pytest.mark.parametrize(
    ("frames", "login", "sasl", "error", "said"),
    [
        ([], None, None, ConnectionBroken, "the server closed the connection"),
        ([accepted(0)], None, None, ConnectionBroken, "it grants no session"),
        ([accepted(-1)], None, None, ConnectionBroken, "it grants no session"),
        ([accepted(read_only=b"\1")], None, None, ConnectionBroken, "it lost its quorum and is read-only"),
        ([frame(b"short")], None, None, ConnectionBroken, "the answer cannot be decoded"),
        ([frame(bytes(15) + b"\1" + b"\1\0\0\0")], None, None, ConnectionBroken, "the answer cannot be decoded"),
        ([struct.pack(">i", -1)], None, None, ConnectionBroken, "an answer claims -1 bytes"),
        ([b"HTTP/1.1 400 Bad Request"], None, None, ConnectionBroken, "an answer claims 1213486160 bytes"),
        ([accepted(), reply(-4, error=-115)], LOGIN, None, LoginRefused, "refused the login"),
        ([accepted(), reply(-4, error=-124)], LOGIN, None, LoginDemanded, "demands a login"),
        ([accepted(), reply(-4, error=-6)], LOGIN, None, ConnectionBroken, "ZooKeeper's error -6"),
        ([accepted(), reply(1)], LOGIN, None, ConnectionBroken, "reply 1 with error 0 arrived instead of reply -4"),
        ([accepted(), frame(b"short")], LOGIN, None, ConnectionBroken, "the answer cannot be decoded"),
        ([accepted(), frame(b"")], LOGIN, None, ConnectionBroken, "the answer cannot be decoded"),
        ([accepted(), reply(1, buffer(None))], None, BY_SASL, SaslNotOffered, "ZooKeeper at zk-0 offers no SASL"),
        ([accepted(), reply(1, error=-115)], None, BY_SASL, SaslRefused, "at zk-0 refused the login by SASL"),
        ([accepted(), reply(1, error=-124)], None, BY_SASL, SaslRefused, "at zk-0 refused the login by SASL"),
        ([accepted(), reply(1, buffer(b"?"))], None, BY_SASL, SaslMismatch, "does not speak SASL DIGEST-MD5"),
        (
            [accepted(), reply(2, buffer(CHALLENGE))],
            None,
            BY_SASL,
            ConnectionBroken,
            r"broke during the login by SASL DIGEST-MD5 \(reply 2 with error 0 arrived instead of reply 1\)",
        ),
        (
            [accepted(), reply(1, error=-6)],
            None,
            BY_SASL,
            ConnectionBroken,
            r"broke during the login by SASL DIGEST-MD5 \(ZooKeeper's error -6\)",
        ),
        (
            [accepted(), reply(1, buffer(CHALLENGE))],
            None,
            BY_SASL,
            ConnectionBroken,
            r"broke during the login by SASL DIGEST-MD5 \(the server closed the connection\)",
        ),
    ],
)
def test_failures(frames: Sequence[bytes], login: Login | None, sasl: Sasl | None, error: Failure, said: str) -> None:
    """What goes wrong is said, and without the password."""
    with pytest.raises(error, match=said) as caught:
        played(b"".join(frames), login, sasl)
    assert "zq7secret" not in str(caught.value)


def test_login_beside_sasl_is_demanded() -> None:
    """If there was a login by SASL, another one is demanded."""

    def demanding(request: bytes) -> bytes:
        return re.sub(re.escape(AUTH_REPLY), reply(-4, error=-124), knows_the_password(request))

    with pytest.raises(OtherLoginDemanded):
        played(accepted(), LOGIN, BY_SASL, demanding)


TALK = accepted() + reply(1, buffer(CHALLENGE)) + reply(2, buffer(b"rspauth=0")) + AUTH_REPLY


@settings(PATIENT)
@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    """If answers are cut off, or a bit of them is flipped, nothing but these errors is raised."""
    stream = bytearray(TALK)
    if data.draw(st.booleans()):
        bit = data.draw(st.integers(0, 8 * len(stream) - 1))
        stream[bit // 8] ^= 1 << bit % 8
    else:
        del stream[data.draw(st.integers(0, len(stream) - 1)) :]
    for login, sasl in ((LOGIN, None), (None, BY_SASL), (LOGIN, BY_SASL)):
        try:
            talk(bytes(stream), login, sasl, silent)
        except (ZooKeeperError, ConnectionBroken):
            continue
