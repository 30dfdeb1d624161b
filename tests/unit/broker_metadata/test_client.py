"""How brokers are asked: tries, redirects, tokens, and what is not an answer."""

import json
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from metadata_tool.broker_metadata import limits
from metadata_tool.broker_metadata.access import BrokerAccess
from metadata_tool.broker_metadata.client import Answer, BrokerClient
from metadata_tool.errors import BrokerDenied, BrokerFailed, BrokerUnreachable, ToolError
from support.fake_broker import BROKERS, FakeBroker, Replies, Reply, fake_broker

PATH = "/admin/v2/schemas/t/ns/topic/schemas"
TOKEN = "zq7token"
FAILED = Reply(500, b'{"reason":"on purpose"}')


def client(broker: FakeBroker, **changes: object) -> BrokerClient:
    """A client with a token, which does not wait between its tries."""
    access = BrokerAccess(broker.url, token=TOKEN)
    return BrokerClient(replace(access, **changes), pauses=(0, 0, 0))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_answer(method: str) -> None:
    """A broker gets method, path, token and body as they were given, and its answer comes back whole."""
    with fake_broker({PATH: Reply(200, b'{"version":3}')}) as broker:
        body = None if method == "GET" else b"null"
        assert Answer(200, b'{"version":3}') == client(broker).request(method, PATH, body)
        assert [(method, PATH, TOKEN, body or b"")] == broker.asked


def test_no_token() -> None:
    """Without a token none is sent."""
    with fake_broker({PATH: Reply()}) as broker:
        BrokerClient(BrokerAccess(broker.url)).request("GET", PATH)
        assert [""] == [asked.token for asked in broker.asked]


def test_encoded_names() -> None:
    """Names that are encoded in the tree reach the broker as they are."""
    with fake_broker(default=Reply()) as broker:
        path = "/admin/v2/persistent/t/ns/a%2Fb+c%25d%C3%A4/internalStats"
        client(broker).request("GET", path)
        assert [path] == broker.paths()


@pytest.mark.parametrize("status", [404, 409, 412])
def test_refusal_is_an_answer(status: int) -> None:
    """A refusal is an answer with the broker's reason, for the caller to judge. It is not asked again."""
    body = json.dumps({"reason": "Topic\nnot found"}).encode()
    with fake_broker({PATH: Reply(status, body)}) as broker:
        assert Answer(status, body, "Topic not found") == client(broker).request("GET", PATH)
        assert [PATH] == broker.paths()


@pytest.mark.fault("Brokers", "an answer is 429, 5xx, or a broken connection")
@pytest.mark.parametrize("fault", [FAILED, Reply(503), Reply(429), Reply(None)])
def test_failed_request_is_sent_again(fault: Reply) -> None:
    """A request that failed is sent again."""
    with fake_broker({PATH: [fault, fault, Reply(200, b"1")]}) as broker:
        assert Answer(200, b"1") == client(broker).request("GET", PATH)


@pytest.mark.parametrize(("fault", "times"), [(FAILED, 1), (Reply(None), 1), (Reply(429), 4)])
def test_change_is_not_sent_twice(fault: Reply, times: int) -> None:
    """A change that a broker may have done is not sent again, unless the caller says that it may be."""
    with fake_broker({PATH: fault}) as broker:
        with pytest.raises(ToolError):
            client(broker).request("DELETE", PATH)
        assert times == len(broker.asked)
        with pytest.raises(ToolError):
            client(broker).request("DELETE", PATH, repeatable=True)
        assert times + 4 == len(broker.asked)


def test_failed_to_the_end() -> None:
    """A broker that fails each time is named, with its reason."""
    with fake_broker({PATH: FAILED}) as broker, pytest.raises(BrokerFailed, match=r"failed \(500, on purpose\)"):
        client(broker).request("GET", PATH)


@pytest.mark.parametrize("status", [401, 403])
def test_denied(status: int) -> None:
    """A refused login is an error at the first try, with what to check."""
    with fake_broker({PATH: Reply(status, b"no")}) as broker:
        with pytest.raises(BrokerDenied, match=rf"refused the login \({status}, no\)\. Check BROKER_TOKEN"):
            client(broker).request("GET", PATH)
        assert [PATH] == broker.paths()


def test_nobody_listens() -> None:
    """An address where nothing listens is an error that names the setting to check."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        access = BrokerAccess(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(BrokerUnreachable, match=r"connection refused.*Check BROKER_SERVICE_URL"):
            BrokerClient(access, pauses=()).request("GET", PATH)


@pytest.mark.fault("Brokers", "an answer comes byte by byte")
@pytest.mark.parametrize("slow", [Reply(pause=60), Reply(body=b"x" * 1000, pause=0.02, drip=1)])
def test_slow_broker(slow: Reply) -> None:
    """A request ends after its limit, and is not sent again, if a broker answers byte by byte or not at all."""
    with fake_broker({PATH: slow}) as broker:
        with pytest.raises(BrokerUnreachable, match="did not answer in time"):
            client(broker, request_timeout=0.1).request("GET", PATH)
        assert [PATH] == broker.paths()


@pytest.mark.fault("Brokers", "an answer is too large")
def test_answer_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading an answer ends at its limit of bytes."""
    monkeypatch.setattr("metadata_tool.broker_metadata.client.MAX_ANSWER", limits.CHUNK)
    large = Reply(body=b"x" * (limits.CHUNK + 1))
    with fake_broker({PATH: large}) as broker, pytest.raises(BrokerFailed, match="more than 65536 bytes"):
        client(broker).request("GET", PATH)


def test_not_json() -> None:
    """Something else than JSON is an error of the broker."""
    with fake_broker({PATH: Reply(body=b"<html>")}) as broker, pytest.raises(BrokerFailed, match="is not JSON"):
        client(broker).request("GET", PATH).json()


def test_not_http() -> None:
    """An answer that is not HTTP is an error of one line."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = BrokerClient(BrokerAccess(f"http://127.0.0.1:{server.getsockname()[1]}"), pauses=())
        server.settimeout(10)

        def speak() -> None:
            with server.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"220 smtp.example.com\r\n")

        speaker = threading.Thread(target=speak)
        speaker.start()
        with pytest.raises(BrokerUnreachable, match="not HTTP"):
            client.request("GET", PATH)
        speaker.join()


def test_redirect_to_a_broker() -> None:
    """A redirect to a broker of the cluster is followed with method, body and token."""
    with fake_broker(default=Reply(200, b"1")) as owner, fake_broker() as broker:
        broker.replies |= {PATH: Reply(307, location=_other(owner) + PATH + "?authoritative=true")}
        broker.replies |= {BROKERS: Reply(body=json.dumps([f"localhost:{owner.url.rpartition(':')[2]}"]).encode())}
        assert Answer(200, b"1") == client(broker).request("POST", PATH, b"{}")
        assert [("POST", PATH + "?authoritative=true", TOKEN, b"{}")] == owner.asked


def test_redirect_to_a_known_host() -> None:
    """A host that ZooKeeper names is followed, although the login may not list brokers."""
    with fake_broker(default=Reply(200, b"1")) as owner, fake_broker() as broker:
        broker.replies |= {PATH: Reply(307, location=_other(owner) + PATH), BROKERS: Reply(403)}
        asking = BrokerClient(BrokerAccess(broker.url, token=TOKEN), ["LOCALHOST"])
        assert Answer(200, b"1") == asking.request("GET", PATH)


@pytest.mark.parametrize("known", ["[::1]", "::1"])
def test_redirect_to_a_known_address(known: str) -> None:
    """An IPv6 address counts as known with and without brackets: names in ZooKeeper have them, hosts of URLs do not."""
    with fake_broker({BROKERS: Reply(403), PATH: Reply(307, location=f"http://[::1]:1{PATH}")}) as broker:
        asking = BrokerClient(BrokerAccess(broker.url, token=TOKEN), [known], pauses=())
        with pytest.raises(BrokerUnreachable, match="::1"):
            asking.request("GET", PATH)


@pytest.mark.fault("Brokers", "a redirect leads to a host outside the cluster")
@pytest.mark.parametrize("brokers", [Reply(403), Reply(body=b'["127.0.0.1:1","broker-0:8080"]'), Reply(body=b"{}")])
def test_redirect_to_an_unknown_host(brokers: Replies) -> None:
    """Nothing is sent to a host that neither the cluster nor its ZooKeeper names, so the token stays secret."""
    with fake_broker(default=Reply()) as stranger, fake_broker({BROKERS: brokers}) as broker:
        broker.replies[PATH] = Reply(307, location=_other(stranger) + PATH)
        with pytest.raises(
            BrokerFailed, match="'localhost', which is a broker that has just stopped, or not a broker of this"
        ):
            client(broker).request("POST", PATH, b"{}")
        assert [] == stranger.asked


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "http://[", "//", "javascript:1"])
def test_redirect_to_no_address(location: str) -> None:
    """A redirect to something that is not an address is an error of the broker."""
    with fake_broker({PATH: Reply(307, location=location)}) as broker, pytest.raises(BrokerFailed, match="redirected"):
        client(broker).request("GET", PATH)


@pytest.mark.fault("Brokers", "redirects lead in a circle")
def test_redirect_loop() -> None:
    """Redirects are followed five times."""
    with fake_broker({PATH: Reply(307, location=PATH)}) as broker:
        with pytest.raises(BrokerFailed, match="more than 5 times"):
            client(broker).request("GET", PATH)
        assert [PATH] * 6 == broker.paths()


def test_token_file_is_read_at_each_use(tmp_path: Path) -> None:
    """A token that is replaced in its file is used from the next request on."""
    file = tmp_path / "token"
    with fake_broker({PATH: Reply()}) as broker:
        asking = client(broker, token="", token_file=file)
        for token in ("first", "second"):
            file.write_text(f"{token}\n")
            asking.request("GET", PATH)
        assert ["first", "second"] == [asked.token for asked in broker.asked]


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), (b"\n", "is empty"), (b"a b", "is not one word"), (b"\xff", "ASCII")]
)
def test_unusable_token_file(tmp_path: Path, content: bytes | None, why: str) -> None:
    """A file without a token is named, and nothing is asked without one."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with fake_broker() as broker:
        with pytest.raises(BrokerDenied, match=rf"BROKER_TOKEN_FILE\).*{why}"):
            client(broker, token="", token_file=file).request("GET", PATH)
        assert [] == broker.asked


@pytest.mark.parametrize("status", [401, 404, 500])
def test_token_is_never_shown(status: int) -> None:
    """No message has the token, even if a broker repeats it in its answer."""
    with fake_broker({PATH: Reply(status, f"bad token {TOKEN}".encode())}) as broker:
        try:
            said = client(broker).request("GET", PATH).reason
        except ToolError as error:
            said = f"{error} {error!r} {error.__cause__!r}"
        assert "bad token ***" in said
        assert TOKEN not in said
        assert TOKEN not in repr(BrokerAccess(broker.url, token=TOKEN))


def test_unusable_authorities(tmp_path: Path) -> None:
    """A file that is not one of authorities is named with its setting."""
    with pytest.raises(BrokerUnreachable, match=r"BROKER_TLS_CA\) cannot be used"):
        BrokerClient(BrokerAccess("https://127.0.0.1:1", ca=tmp_path / "ca.pem"))


def _other(broker: FakeBroker) -> str:
    """The address of a broker by another name of the host."""
    return broker.url.replace("127.0.0.1", "localhost")
