import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_tool.zookeeper.errors import ConnectionBroken, KeytabUnreadable, LibraryMissing, ZooKeeperError
from metadata_tool.zookeeper.jute import buffer
from metadata_tool.zookeeper.net import gssapi
from metadata_tool.zookeeper.net.sasl import DIGEST_MD5, GSSAPI, MechanismError, Sasl, digest, fields, log_in
from support.trees import EXAMPLES, PATIENT

SECRET = "zq7secret"
DIGEST = Sasl(DIGEST_MD5, user="backup", password=SECRET)
KERBEROS = Sasl(GSSAPI, principal="backup@EXAMPLE.TEST", keytab="/nowhere")
CHALLENGE = b'realm="zk-sasl-md5",nonce="abc",charset=utf-8,algorithm=md5-sess'


def play(sasl: Sasl, replies: Sequence[tuple[int, bytes]], sent: list[bytes]) -> None:
    """A login that the server answers with these replies (error, body), the last one repeated. Notes the requests."""
    steps = log_in(sasl, "zk-0")
    sent.append(next(steps))
    with suppress(StopIteration):
        while True:
            sent.append(steps.send(replies[min(len(sent), len(replies)) - 1]))


def refusal(*replies: tuple[int, bytes]) -> str:
    """The message of a login that these replies make fail."""
    with pytest.raises(ZooKeeperError) as caught:
        play(DIGEST, replies, [])
    return str(caught.value)


def test_rfc_example() -> None:
    """The example of RFC 2831, section 4."""
    challenge = b'realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8'
    response, verifier = digest("chris", "secret", fields(challenge), b"imap/elwood.innosoft.com", b"OA6MHXh6VqTrRk")
    assert {
        b"charset": b"utf-8",
        b"username": b"chris",
        b"realm": b"elwood.innosoft.com",
        b"nonce": b"OA6MG9tEQGm2hh",
        b"nc": b"00000001",
        b"cnonce": b"OA6MHXh6VqTrRk",
        b"digest-uri": b"imap/elwood.innosoft.com",
        b"response": b"d388dad90d4bbd760a152321f2143af7",
        b"qop": b"auth",
    } == fields(response)
    assert b"ea40f60335c427b5527b84dbabcdfffd" == verifier


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        (b"", {}),
        (b" , ,", {}),
        (b"a=b", {b"a": b"b"}),
        (b'A="b",', {b"a": b"b"}),
        (b'a = "b" , c=d', {b"a": b"b", b"c": b"d"}),
        (b'a="b, c=d"', {b"a": b"b, c=d"}),
        (rb'a="q\"u\\o"', {b"a": b'q"u\\o'}),
        (b'realm="one",realm="two"', {b"realm": b"one"}),
        (b'a=""', {b"a": b""}),
    ],
)
def test_fields(challenge: bytes, expected: dict[bytes, bytes]) -> None:
    """A challenge is read as its grammar has it."""
    assert expected == fields(challenge)


MALFORMED = [b"a", b"=", b"a=", b'a="', b'a="b', b'a="b" c=d', b"a=b c=d", b'a=b"c"', b"\xff=a", b"a;b=c", b"a" * 3000]


@pytest.mark.parametrize("challenge", MALFORMED, ids=lambda value: ascii(value)[:12])
def test_malformed(challenge: bytes) -> None:
    """A malformed challenge is refused, and so is the login."""
    with pytest.raises(MechanismError, match="challenge"):
        fields(challenge)
    assert "zk-0 does not speak SASL DIGEST-MD5" in refusal((0, buffer(challenge)))


words = st.binary(min_size=1, max_size=20)
names = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True).map(str.encode)


def quoted(data: bytes) -> bytes:
    """As a challenge has it."""
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", data) + b'"'


@settings(PATIENT)
@given(st.dictionaries(names, words, max_size=8), st.sampled_from([b",", b", ", b" ,\r\n", b",,"]))
def test_fields_read_what_was_written(expected: dict[bytes, bytes], separator: bytes) -> None:
    """Any quoted value is read back unchanged."""
    assert expected == fields(separator.join(name + b"=" + quoted(value) for name, value in expected.items()))


pieces = st.lists(
    st.sampled_from([b'"', b"=", b",", b"\\", b" ", b"nonce", b"realm", b"algorithm=md5-sess", b"qop", b"auth", b"\0"])
    | st.binary(max_size=4),
    max_size=12,
).map(b"".join)


@settings(PATIENT, max_examples=3 * EXAMPLES)
@given(st.lists(st.tuples(st.sampled_from([0, 0, 0, -4, -115, -124, 7]), pieces | st.none()), min_size=1, max_size=4))
def test_any_answer(answers: list[tuple[int, bytes | None]]) -> None:
    """Whatever a server without the password answers, the login soon fails with an error that does not show it."""
    sent: list[bytes] = []
    with pytest.raises((ZooKeeperError, ConnectionBroken)) as caught:
        play(DIGEST, [(error, buffer(answer)) for error, answer in answers], sent)
    assert SECRET not in f"{caught.value}{caught.value!r}"
    assert len(sent) <= 6


@settings(PATIENT)
@given(st.binary(max_size=8))
def test_truncated_reply(body: bytes) -> None:
    """A reply that is cut off is a connection that broke, or a login that failed."""
    with pytest.raises((ZooKeeperError, ConnectionBroken)):
        play(DIGEST, [(0, body)], [])


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ([(0, buffer(None))], "offers no SASL"),
        ([(-115, b"")], "refused the login by SASL DIGEST-MD5"),
        ([(-124, b"")], "refused the login by SASL DIGEST-MD5"),
        ([(0, buffer(CHALLENGE)), (-115, b"")], "refused the login by SASL DIGEST-MD5"),
        ([(0, buffer(CHALLENGE)), (0, buffer(None))], "refused the login by SASL DIGEST-MD5"),
        ([(0, buffer(b""))], "its challenge does not belong to DIGEST-MD5"),
        ([(0, buffer(CHALLENGE.replace(b"md5-sess", b"md5")))], "its challenge does not belong to DIGEST-MD5"),
        ([(0, buffer(CHALLENGE + b',qop="auth-int,auth-conf"'))], "it wants all traffic signed or encrypted"),
        ([(0, buffer(CHALLENGE)), (0, buffer(b"rspauth=0123"))], "it did not show that it knows the password"),
        ([(0, buffer(CHALLENGE)), (0, buffer(CHALLENGE))], "it did not show that it knows the password"),
    ],
)
def test_refusals(replies: list[tuple[int, bytes]], said: str) -> None:
    """A login that a server refuses is an error that names the server and the reason."""
    error = refusal(*replies)
    assert said in error
    assert error.startswith("ZooKeeper at zk-0 ")
    assert SECRET not in error


def test_secrets_are_hidden() -> None:
    """The password is in no repr and no request. A digest of it is sent."""
    sent: list[bytes] = []
    with pytest.raises(ZooKeeperError):
        play(DIGEST, [(0, buffer(CHALLENGE)), (0, buffer(None))], sent)
    assert SECRET not in repr(DIGEST)
    assert SECRET.encode() not in b"".join(sent)
    assert b"response=" in sent[1]


@pytest.mark.parametrize("user", ["backup", "b\u00e4ckup", "\u65e5\u672c", 'q"u\\o', "a,b=c"])
def test_any_user(user: str) -> None:
    """A user's name is sent as UTF-8, quoted."""
    response, _ = digest(user, SECRET, fields(CHALLENGE), b"uri", b"cnonce")
    assert user.encode() == fields(response)[b"username"]


@pytest.fixture
def missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Kerberos."""
    monkeypatch.setattr(gssapi, "LIBRARY", "libnowhere.so.2")


@pytest.mark.usefixtures("missing_library")
def test_no_library(tmp_path: Path) -> None:
    """GSSAPI without its library names it, before any server is asked. DIGEST-MD5 needs none."""
    (tmp_path / "keytab").touch()
    for round_ in (
        Sasl(GSSAPI, keytab=str(tmp_path / "keytab")).require,
        lambda: next(log_in(KERBEROS, "zk-0")),
    ):
        with pytest.raises(LibraryMissing, match="needs libnowhere"):
            round_()
    DIGEST.require()


def test_no_keytab() -> None:
    """The error names a keytab that does not exist."""
    with pytest.raises(KeytabUnreadable, match="the keytab /nowhere cannot be read: No such file"):
        KERBEROS.require()
