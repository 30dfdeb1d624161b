"""Captures while other clients write, each compared with the server's own transaction log, byte for byte."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST, OLDER, OLDEST
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.protocol import MULTI_READ
from support.capturing import Taken, judge, take
from support.latency import delayed
from support.processes import READY_WITHIN, eventually
from support.relay import relay
from support.seed import ADMIN
from support.truth import load
from support.zookeeper import Ensemble, ZooKeeper, standalone

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("load")]
"""In the long form forty captures behind a slow network take five minutes. Two loads at once would slow each other."""
BUSY, BUSY_IN_A_SOAK = 4000, 5000
"""Writes per second. A capture takes about 20 rounds and 8 seconds with 4,000, and 140 and 100 with 5,000."""
WRITES, WRITES_IN_A_SOAK = 1000, 2000
"""Writes per second. In the short form, other tests need the machine too."""
ZNODES = 5000
IN_THE_MIDDLE = 6
"""The number of a multi-read that reads the last level, with many to follow."""
VERSIONS = (NEWEST, OLDER, OLDEST)
SHORT = 2
"""Captures in the short form: one with an empty ACL cache, and one with the ACLs of the first."""


@dataclass(frozen=True)
class Case:
    """A version, a round trip's milliseconds, captures to take."""

    version: str
    latency: float
    captures: int


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The newest and the oldest version. In the long form all combinations, and for longer."""
    soak = metafunc.config.getoption("--soak")
    if "case" in metafunc.fixturenames:
        pairs = itertools.product(VERSIONS, (0, 4, 20)) if soak else [(NEWEST, 0), (OLDEST, 20)]
        cases = [Case(version, latency, 40 if soak else SHORT) for version, latency in pairs]
        metafunc.parametrize("case", cases, ids=lambda case: f"{case.version}-{case.latency}ms")
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", VERSIONS if soak else [NEWEST])


@pytest.fixture
def writes(*, soak: bool) -> int:
    """Writes of a load each second."""
    return WRITES_IN_A_SOAK if soak else WRITES


def take_some(address: str, directory: Path, number: int) -> list[Taken]:
    """Captures one after the other, each with the cached ACLs of the previous one."""
    known = AclCache(directory)
    taken = [take(address, directory / f"capture-{each}", known=known) for each in range(number)]
    known.forget()
    return taken


def require_exact(version: str, server: ZooKeeper, taken: list[Taken], directory: Path) -> None:
    """Print the differences from the log. There must be none."""
    verdict = judge(version, server.data_dir, {"all": taken}, directory / "truth")["all"]
    print(verdict)
    assert (len(taken), {}, []) == (verdict.captures, dict(verdict.wrong), verdict.examples)


def test_standalone(case: Case, writes: int, tmp_path: Path) -> None:
    """While every kind of write happens fast, each capture is the tree at its zxid."""
    with (
        standalone(case.version, tmp_path) as server,
        delayed(server.address, case.latency) as address,
        load(server.address, writes, seed=6, znodes=ZNODES, quota=5),
    ):
        taken = take_some(address, tmp_path, case.captures)
    require_exact(case.version, server, taken, tmp_path)


@pytest.fixture
def ensemble(version: str, tmp_path: Path) -> Iterator[Ensemble]:
    """Three members that serve."""
    made = Ensemble(version, tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def at_multi_read(number: int, action: Callable[[], None]) -> Callable[[int], None]:
    """What a relay does: this, before it passes the multi-read of this number on."""
    numbers = itertools.count(1)

    def sees(kind: int) -> None:
        if kind == MULTI_READ and next(numbers) == number:
            action()

    return sees


@pytest.mark.fault("ZooKeeper", "the leader is killed during captures")
def test_leader_and_follower_whose_leader_is_killed(
    version: str, ensemble: Ensemble, writes: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, soak: bool
) -> None:
    """A capture from a leader is exact. So is one from a follower before, during and after an election.

    It starts again. All are compared with the follower's log, which has the leader's transactions.
    """
    follower, leader = (
        next(server for server in ensemble.servers if server.mode() == mode) for mode in ("follower", "leader")
    )

    def elect_another() -> None:
        epoch = follower.epoch()
        leader.kill()
        eventually("another leader is elected", lambda: follower.epoch() > epoch, READY_WITHIN)

    with load(ensemble.address, writes, seed=2, znodes=ZNODES), relay(follower.address) as (address, meddling):
        taken = take_some(leader.address, tmp_path / "leader", 20 if soak else SHORT)
        taken += take_some(follower.address, tmp_path / "before", 5 if soak else 1)
        meddling.sees = at_multi_read(IN_THE_MIDDLE, elect_another)
        taken.append(take(address, tmp_path / "while"))
        taken += take_some(follower.address, tmp_path / "after", 10 if soak else 1)
    assert "Starting again" in caplog.text
    require_exact(version, follower, taken, tmp_path)


@pytest.mark.parametrize(
    ("calm_version", "options"),
    [
        (NEWEST, {"setacl": 0, "failing": 0, "sessions": 0}),
        pytest.param(NEWEST, {"setacl": 0, "deletes": 0}, marks=pytest.mark.soak),
        (OLDEST, {"setacl": 0, "deletes": 0}),
    ],
    ids=["only what events tell of", "nothing deleted", "nothing deleted, no zxids in events"],
)
def test_nothing_unproven(calm_version: str, options: dict[str, float], writes: int, tmp_path: Path) -> None:
    """If no client sets ACLs, every ACL is verified, if events carry zxids or nothing is deleted."""
    with (
        standalone(calm_version, tmp_path) as server,
        load(server.address, writes, seed=3, znodes=ZNODES, login=ADMIN, **{"recreate": 0, "subtree": 0, **options}),
    ):
        taken = take_some(server.address, tmp_path, SHORT)
    require_exact(calm_version, server, taken, tmp_path)
    assert [0] * SHORT == [len(capture.unproven) for capture in taken]


@pytest.mark.soak
def test_never_starves(tmp_path: Path, *, soak: bool) -> None:
    """With thousands of writes a second below few parents and 20 ms of latency, captures end within limited rounds."""
    with (
        standalone(NEWEST, tmp_path) as server,
        delayed(server.address, 20) as address,
        load(server.address, BUSY_IN_A_SOAK if soak else BUSY, seed=4, znodes=ZNODES, hot=0.9) as writes,
    ):
        taken = take_some(address, tmp_path, 30 if soak else 1)
    assert writes.rate > 100
    print(f"{writes.rate:,.0f} writes per second; rounds: {', '.join(str(capture.rounds) for capture in taken)}")
    require_exact(NEWEST, server, taken, tmp_path)


@pytest.mark.fault("ZooKeeper", "the connection is lost during captures")
def test_connection_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the server stops during a capture, the capture starts again and reads everything again."""
    server = ZooKeeper(NEWEST, tmp_path)
    server.start()
    server.wait()

    def restart() -> None:
        server.kill()
        server.start()

    try:
        with load(server.address, 500, seed=5, znodes=ZNODES), relay(server.address) as (address, meddling):
            (before,) = take_some(server.address, tmp_path / "before", 1)
            meddling.sees = at_multi_read(IN_THE_MIDDLE, restart)
            taken = take(address, tmp_path / "while")
    finally:
        server.stop()
    assert "Starting again" in caplog.text
    require_exact(NEWEST, server, [before, taken], tmp_path)
