"""Unusual servers: each capture is exact at one zxid, or refused with an error of one line."""

import socket
from collections import Counter
from collections.abc import Callable, Container, Iterator
from functools import partial
from itertools import count
from operator import eq
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_acl, make_digest_acl

from ci.parts.zookeeper import NEWEST, OLDEST
from metadata_tool import errors
from metadata_tool.zookeeper.errors import SessionLost, ZnodeUnreadable
from metadata_tool.zookeeper.limits import ConnectionLimits, ReadLimits
from metadata_tool.zookeeper.protocol import ADD_WATCH, COUNT_BELOW, GET_ACL, MULTI_READ, SYNC
from support.capturing import Taken, judge, take
from support.latency import delayed
from support.processes import free_port
from support.relay import Meddling, relay
from support.seed import ADMIN
from support.tool import Outcome, assert_refused, run
from support.truth import load
from support.zookeeper import ZooKeeper, client, standalone

AGAIN = "Starting again"
KINDS = (ADD_WATCH, SYNC, GET_ACL, MULTI_READ, COUNT_BELOW)
LARGEST = (1 << 20) - 1
"""Bytes of a request that a server accepts by default."""
SMALL = 20_000
THROTTLING = (
    "-Dzookeeper.request_throttle_max_requests=1",
    "-Dzookeeper.request_throttle_stall_time=1",
    "-Dzookeeper.throttled_op_wait_time=1",
)


def require_exact(server: ZooKeeper, directory: Path, *taken: Taken) -> None:
    """The capture equals the tree that the server's own log gives."""
    verdict = judge(server.version, server.data_dir, {"all": taken}, directory / "truth")["all"]
    assert (len(taken), {}, []) == (verdict.captures, dict(verdict.wrong), verdict.examples)


def back_up(address: str, folder: Path, **settings: str) -> Outcome:
    """One backup, with a short wait for a server."""
    given = {"BUCKET": f"file://{folder}", "ZOOKEEPER_SERVERS": address, "ZOOKEEPER_CONNECT_TIMEOUT": "2"}
    return run("backup", settings={**given, **settings})


def create(source: KazooClient, paths: list[str], data: bytes = b"") -> None:
    """Create many znodes, a thousand in a transaction."""
    for begin in range(0, len(paths), 1000):
        transaction = source.transaction()
        for path in paths[begin : begin + 1000]:
            transaction.create(path, data)
        assert set(paths[begin : begin + 1000]) == set(transaction.commit())


def create_once(source: KazooClient, paths: list[str]) -> None:
    """The same in one transaction, which can be tried again if its reply is lost."""
    if not source.exists(paths[0]):
        create(source, paths)


@pytest.mark.fault("ZooKeeper", "the server takes only small requests")
def test_small_jute_maxbuffer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server that accepts only small requests hangs up on larger ones. The capture starts again with smaller ones."""
    small = (f"-Djute.maxbuffer={SMALL}",)
    with (
        standalone(NEWEST, tmp_path, java_options=small) as server,
        client(server.address) as source,
        relay(server.address) as (address, meddling),
    ):
        for number in range(40):
            source.create(f"/{number:02}-{'x' * 6000}", b"")
        source.create("/changing", b"")
        acl = [make_acl("world", "anyone", all=True)]
        acts = at_multi_reads(meddling, range(1000), lambda: source.set_acls("/changing", acl))  # so ACLs are proven
        taken = take(address, tmp_path / "capture")
    assert AGAIN in caplog.text
    assert acts
    require_exact(server, tmp_path, taken)


@pytest.mark.fault("ZooKeeper", "the server takes no request that is large enough")
def test_tiny_jute_maxbuffer(tmp_path: Path, folder: Path) -> None:
    """If no request is small enough, the error says what to check, and nothing is uploaded."""
    with standalone(NEWEST, tmp_path, java_options=("-Djute.maxbuffer=4096",)) as server:
        with client(server.address) as source:
            source.create("/" + "x" * 2500, b"")
            source.create("/" + "x" * 2500 + "/child", b"")
        outcome = back_up(server.address, folder)
    assert_refused(errors.ZooKeeperSessionLost, "jute.maxbuffer", outcome)
    assert [3, []] == [outcome.said.count(AGAIN), list(folder.iterdir())]


def test_large_replies_of_a_small_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The largest possible data and 2 MiB of children's names are captured from a server with a small heap."""
    path = "/largest"
    around = len(path) + 60  # the rest of a request that creates it
    with standalone(NEWEST, tmp_path, heap="96m") as server:
        with client(server.address) as source:
            source.create(path, bytes(LARGEST - around))
            source.create("/wide", b"")
            create(source, [f"/wide/{number:05}-{'n' * 100}" for number in range(20_000)])
        taken = take(server.address, tmp_path / "capture")
        assert "standalone" == server.mode()
    assert AGAIN not in caplog.text
    require_exact(server, tmp_path, taken)


def told(server: ZooKeeper, word: str, name: str) -> str:
    """A value in a server's answer to a four-letter command."""
    with socket.create_connection((server.host, server.port), timeout=5) as connection:
        connection.sendall(word.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return next(line.split("\t")[1] for line in answer.splitlines() if line.startswith(f"{name}\t"))


@pytest.mark.fault("ZooKeeper", "the server throttles")
def test_server_throttles(tmp_path: Path) -> None:
    """Requests that a server throttles (error -127) are sent again, many times."""
    with standalone(NEWEST, tmp_path) as server, client(server.address, ADMIN) as source:
        acl = [make_digest_acl(*ADMIN.split(":"), all=True)]
        for number in range(1000):
            source.create_async(f"/{number}", b"", acl=acl)
        source.get("/")
    server = ZooKeeper(NEWEST, tmp_path, {"4lw.commands.whitelist": "*"}, java_options=THROTTLING)
    taken: list[Taken] = []
    throttled = 0
    try:
        server.start()
        server.wait()
        while throttled <= 100 and len(taken) < 20:  # a slow machine sends few requests at once
            taken.append(take(server.address, tmp_path / f"capture-{len(taken)}"))
            throttled = int(told(server, "mntr", "zk_throttled_ops"))
    finally:
        server.stop()
    assert throttled > 100
    require_exact(server, tmp_path, *taken)


def some() -> Callable[[int], bool]:
    """The first request of each kind, and every third one from then on."""
    seen: Counter[int] = Counter()

    def throttles(kind: int) -> bool:
        seen[kind] += 1
        return kind in KINDS and seen[kind] % 3 == 1

    return throttles


@pytest.mark.fault("ZooKeeper", "requests of every kind are throttled at times")
def test_anything_is_throttled_at_times(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Throttled requests of every kind are sent again, the capture does not start again, and it is exact."""
    with (
        standalone(NEWEST, tmp_path) as server,
        load(server.address, 500, seed=2, znodes=500, quota=5),
        relay(server.address) as (address, meddling),
    ):
        meddling.throttles = some()
        taken = [take(address, tmp_path / f"capture-{number}") for number in range(2)]
    assert set(KINDS) == set(meddling.throttled)
    assert AGAIN not in caplog.text
    require_exact(server, tmp_path, *taken)


@pytest.mark.fault("ZooKeeper", "requests of a kind are always throttled")
def test_all_of_a_kind_is_throttled(tmp_path: Path) -> None:
    """Requests that are throttled every time end in an error that says so."""
    limits = ConnectionLimits(throttled_tries=5)
    with standalone(NEWEST, tmp_path) as server, relay(server.address) as (address, meddling):
        for throttled in KINDS:
            meddling.throttles = partial(eq, throttled)
            with pytest.raises(SessionLost, match="throttles"):
                take(address, tmp_path / f"capture-{throttled}", connection=limits)


def test_chroot_under_load(tmp_path: Path) -> None:
    """With a chroot, its subtree, the znodes above it and ZooKeeper's own are exact, and nothing else is saved."""
    with standalone(NEWEST, tmp_path) as server, load(server.address, 1000, seed=3, znodes=3000, quota=5):
        taken = [
            take(server.address, tmp_path / f"capture-{number}", chroot=chroot)
            for number, chroot in enumerate(2 * ("/load", "/load/branch-1"))
        ]
    require_exact(server, tmp_path, *taken)


def nth_multi_read(number: int) -> Callable[[int], bool]:
    """The one of this number."""
    seen: Counter[int] = Counter()

    def mutes(kind: int) -> bool:
        seen[kind] += 1
        return kind == MULTI_READ and seen[kind] == number

    return mutes


@pytest.mark.fault("ZooKeeper", "the session expires")
def test_session_expires(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A capture whose connection breaks starts again, and is exact."""
    with (
        standalone(NEWEST, tmp_path, {"maxSessionTimeout": "3000"}) as server,
        load(server.address, 500, seed=4, znodes=3000),
        relay(server.address) as (address, meddling),
    ):
        meddling.mutes = nth_multi_read(6)
        taken = take(address, tmp_path / "capture")
    assert 1 == caplog.text.count(AGAIN)
    require_exact(server, tmp_path, taken)


@pytest.mark.fault("ZooKeeper", "the session expires again and again")
def test_session_expires_again_and_again(tmp_path: Path, folder: Path) -> None:
    """If the connection breaks four times, the backup fails, and nothing is uploaded."""
    with (
        standalone(NEWEST, tmp_path, {"maxSessionTimeout": "1000"}) as server,
        relay(server.address) as (address, meddling),
    ):
        meddling.mutes = lambda kind: kind == MULTI_READ
        outcome = back_up(address, folder)
    assert_refused(errors.ZooKeeperSessionLost, "the server closed the connection", outcome)
    assert [3, []] == [outcome.said.count(AGAIN), list(folder.iterdir())]


def at_multi_reads(meddling: Meddling, which: Container[int], change: Callable[[], object]) -> list[int]:
    """Change the tree before these multi-reads. Returns the numbers of those before which it was changed."""
    numbers: Iterator[int] = count(1)
    acts: list[int] = []

    def see(kind: int) -> None:
        if kind == MULTI_READ and (number := next(numbers)) in which:
            change()
            acts.append(number)

    meddling.sees = see
    return acts


@pytest.mark.fault("ZooKeeper", "the server grants short sessions")
def test_server_grants_short_sessions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sessions with a timeout of three seconds stay open for a capture that takes longer."""
    with (
        standalone(OLDEST, tmp_path, {"maxSessionTimeout": "3000"}) as server,
        client(server.address) as source,
        relay(server.address) as (address, meddling),
        delayed(address, 100) as far,  # fifty replies, one after the other
    ):
        source.retry(create_once, source, [f"/{number}" for number in range(800)])
        acts = at_multi_reads(meddling, [48], lambda: source.retry(source.set, "/1", b"x"))  # so ACLs are proven
        taken = take(far, tmp_path / "capture", ReadLimits(batch=16, in_flight=1))
    assert [48] == acts
    assert AGAIN not in caplog.text
    require_exact(server, tmp_path, taken)


@pytest.mark.fault("ZooKeeper", "the server has lost its quorum")
def test_server_has_lost_its_quorum(tmp_path: Path, folder: Path) -> None:
    """A read-only server (readonlymode) may have an older tree, so it is refused with the reason."""
    members = {f"server.{number}": f"127.0.0.{number}:{free_port()}:{free_port()}" for number in (1, 2, 3)}
    server = ZooKeeper(NEWEST, tmp_path, members, java_options=("-Dreadonlymode.enabled=true",))
    (server.data_dir / "myid").write_text("1\n")
    try:
        server.start()
        server.wait()
        outcome = back_up(server.address, folder)
    finally:
        server.stop()
    assert_refused(errors.ZooKeeperUnreachable, "it lost its quorum and is read-only", outcome)
    assert [] == list(folder.iterdir())


@pytest.mark.fault("ZooKeeper", "the server cannot watch a tree")
def test_server_cannot_watch_a_tree(tmp_path: Path, folder: Path) -> None:
    """A server with WatchManagerOptimized cannot watch a tree, so it is refused, with what to do."""
    optimized = "org.apache.zookeeper.server.watch.WatchManagerOptimized"
    with standalone(NEWEST, tmp_path, java_options=(f"-Dzookeeper.watchManagerName={optimized}",)) as server:
        outcome = back_up(server.address, folder)
    assert_refused(errors.ZooKeeperUnsupported, "it runs with WatchManagerOptimized", outcome)
    assert "Remove the Java property zookeeper.watchManagerName" in outcome.error


@pytest.mark.parametrize("stays", [True, False])
def test_znode_is_hidden(tmp_path: Path, *, stays: bool) -> None:
    """A hidden znode that is created during the capture is found, even if it is deleted again."""
    with (
        standalone(NEWEST, tmp_path) as server,
        client(server.address, "other:password") as source,
        relay(server.address) as (address, meddling),
    ):
        source.create("/parent", b"")

        def hide() -> None:
            source.create("/parent/hidden", b"", acl=[make_digest_acl("other", "password", all=True)])
            if not stays:
                source.delete("/parent/hidden")

        acts = at_multi_reads(meddling, [3], hide)
        with pytest.raises(ZnodeUnreadable, match="znode /parent changed without a watch event") as told:
            take(address, tmp_path / "capture")
    assert [3] == acts
    expected = "READ and ADMIN on every znode"
    assert expected == told.value.rights


@pytest.mark.parametrize(
    ("acl", "said", "granted"),
    [
        ([make_digest_acl("other", "password", all=True)], "the login cannot read znode /a/b/c", "READ and ADMIN"),
        (
            [make_acl("world", "anyone", read=True), make_digest_acl("other", "password", all=True)],
            "the server masks the ACL of znode /a/b/c",
            "ADMIN",
        ),
    ],
    ids=["READ", "ADMIN"],
)
@pytest.mark.fault("ZooKeeper", "the login lacks rights")
def test_login_lacks(acl: list[object], said: str, granted: str, tmp_path: Path, folder: Path) -> None:
    """If a login lacks rights on a znode, the error names its path and the rights."""
    with standalone(NEWEST, tmp_path) as server, client(server.address) as source:
        source.create("/a/b", b"", makepath=True)
        source.create("/a/b/c", b"", acl=acl)
        outcome = back_up(server.address, folder, ZOOKEEPER_AUTH=f"digest:{ADMIN}")
    assert_refused(errors.ZnodeUnreadable, said, outcome)
    assert f"a login (ZOOKEEPER_AUTH or SASL) with {granted} on it" in outcome.error
    assert [] == list(folder.iterdir())
