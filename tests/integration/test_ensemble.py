"""The chart's own start script: members come and go, and no acknowledged znode is lost."""

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

from ci.parts.zookeeper import NEWEST, OLDER, OLDEST
from support.backups import make_backup
from support.members import Member, Pods, Writers, lost
from support.tool import succeed
from support.zookeeper import client


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parameters of tests that take long. Where they are left out, there is one case of each to be told."""
    soak = metafunc.config.getoption("--soak")
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", [NEWEST, OLDER, OLDEST] if soak else [NEWEST])
    if "stopped" in metafunc.fixturenames:
        metafunc.parametrize("stopped", [False, True] if soak else [True])


@pytest.fixture
def pods(version: str, tmp_path: Path) -> Iterator[Pods]:
    """Pods that are not started yet, for each version of ZooKeeper."""
    made = Pods(version, tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[Pods]:
    """Pods that are not started yet."""
    made = Pods(NEWEST, tmp_path)
    try:
        yield made
    finally:
        made.stop()


def three_hold(pods: Pods, path: str) -> None:
    """A new ensemble of three serves, and a znode was acknowledged."""
    pods.scale(3)
    pods.wait_for(3)
    with client(pods.members[0].address) as zookeeper:
        zookeeper.create(path, b"")


def waits(member: Member) -> bool:
    """Whether a new member has logged for whom it waits, since its last start."""
    return "so it has no vote. It waits for a leader" in member.said()


@pytest.mark.soak
def test_number_of_members_changes_under_load(pods: Pods, *, soak: bool) -> None:
    """From 1 to 3 to 5 to 3, with writers all the time: each acknowledged znode is on every member."""
    pods.scale(1)
    pods.wait_for(1)
    writers = Writers(pods.addresses(5))
    with writers.writing():
        for replicas in (3, *([5, 3] * (10 if soak else 1))):
            pods.scale(replicas)
            pods.wait_for(replicas)
            pods.eventually("writers go on", partial(writers.have, len(writers.acknowledged) + 50))
    for member in pods.members[:3]:
        assert set() == lost(writers.acknowledged, member)


@pytest.mark.soak
def test_new_ensemble_begins_when_all_are_empty(newest: Pods) -> None:
    """Two of three empty members do not start an ensemble. With the third they do, and each keeps the list."""
    newest.plan(3)
    for member in newest.members[:2]:
        member.start()
    newest.eventually("they wait and say so", lambda: all(waits(member) for member in newest.members[:2]))
    assert [] == newest.serving()
    newest.scale(3)
    newest.wait_for(3)


def test_new_members_alone_make_no_ensemble(newest: Pods) -> None:
    """From 1 to 3 while the first member is down: the new ones wait until it runs, and take its tree."""
    newest.scale(1)
    newest.wait_for(1)
    with client(newest.members[0].address) as zookeeper:
        zookeeper.create("/before", b"")
    newest.members[0].stop()
    newest.plan(3)
    for member in newest.members[1:]:
        member.start()
    newest.eventually("they wait and say so", lambda: all(waits(member) for member in newest.members[1:]))
    assert [] == newest.serving()
    newest.scale(3)
    newest.wait_for(3)
    assert [set()] * 3 == [lost(["/before"], member) for member in newest.members]


def test_lost_volumes_are_filled_by_the_leader(newest: Pods) -> None:
    """One of three that lost its volume follows. Two that did wait for an operator: the third alone has no majority."""
    three_hold(newest, "/before")
    newest.members[2].stop()
    newest.members[2].lose_volume()
    newest.members[2].start()
    newest.wait_for(3)
    newest.stop()
    for member in newest.members[1:]:
        member.lose_volume()
        member.forget()
    newest.scale(3)
    newest.eventually("they wait and say so", lambda: all(waits(member) for member in newest.members[1:]))
    assert [] == newest.serving()
    vote(newest.members[1])
    newest.members[1].stop()
    newest.members[1].start()
    newest.wait_for(3)
    assert [set()] * 3 == [lost(["/before"], member) for member in newest.members]


@pytest.mark.soak
def test_lost_volumes_beside_a_member_that_never_restarted(newest: Pods, *, stopped: bool) -> None:
    """Members that lost their volumes do not start a new ensemble with the one that kept its data."""
    three_hold(newest, "/before")
    first, *others = newest.members
    for member in others:
        member.stop()
        member.lose_volume()
        member.forget()
        member.start()
    newest.eventually("they wait and say so", lambda: all(waits(member) for member in others))
    if stopped:
        first.stop()
    newest.never("a member serves", newest.serving)
    vote(others[0])
    newest.stop()
    if stopped:
        for member in others:
            member.start()
        newest.never("a member serves", newest.serving)
    newest.scale(3)
    newest.wait_for(3)
    assert [set()] * 3 == [lost(["/before"], member) for member in newest.members]


def vote(member: Member) -> None:
    """The commands of docs/members.md that give an empty member a vote."""
    (member.data / "version-2" / "ensemble" / "vote").touch()


@pytest.mark.soak
def test_all_volumes_are_lost_one_after_the_other(newest: Pods) -> None:
    """Members that only received the list of a lost ensemble are still new, and start another ensemble."""
    newest.scale(3)
    newest.wait_for(3)
    first, *others = newest.members
    for member in others:
        member.stop()
        member.lose_volume()
        member.forget()
        member.start()
    newest.eventually("they know the list", lambda: all(any(member.data.rglob("*.dynamic.*")) for member in others))
    first.stop()
    first.lose_volume()
    newest.stop()
    newest.scale(3)
    newest.wait_for(3)


def test_restored_members_have_no_vote_beside_newer_data(newest: Pods, folder: Path) -> None:
    """Two of three members are restored while the third is down with newer data. No older tree is ever served."""
    settings = {"RESTORE_POINT": str(make_backup(folder)), "RESTORE_SCOPE": "bookies-kept"}
    three_hold(newest, "/acked")
    first, *others = newest.members
    newest.stop()
    for member in others:
        member.lose_volume()
        member.forget()
        restored(member, settings)
        member.start()
    newest.eventually("they wait and say so", lambda: all(waits(member) for member in others))
    first.start()
    newest.eventually("they know the list", lambda: all(any(member.data.rglob("*.dynamic.*")) for member in others))
    newest.never("a member serves", newest.serving)


@pytest.mark.soak
def test_restored_members_alone_make_no_ensemble(newest: Pods, folder: Path) -> None:
    """From 1 to 3 with the restore on, while the first member is down: the new ones are restored, and wait for it."""
    settings = {"RESTORE_POINT": str(make_backup(folder)), "RESTORE_SCOPE": "bookies-kept"}
    newest.plan(3)
    newest.want(1)
    first, *others = newest.members
    restored(first, settings)
    first.start()
    newest.wait_for(1)
    with client(first.address) as zookeeper:
        zookeeper.create("/since", b"")
    first.stop()
    newest.want(3)
    for member in others:
        restored(member, settings)
        member.start()
    newest.eventually("they wait and say so", lambda: all(waits(member) for member in others))
    newest.never("a member serves", newest.serving)
    newest.scale(3)
    newest.wait_for(3)
    assert [set()] * 3 == [lost(["/since"], member) for member in newest.members]


def restored(member: Member, settings: dict[str, str]) -> None:
    """What the init container does."""
    succeed("restore", settings={**settings, "ZOOKEEPER_DATA_DIR": str(member.data)})


def test_restored_ensemble_begins_when_all_are_restored(newest: Pods, folder: Path) -> None:
    """Two of three restored members wait for the third. Then all serve the restored tree."""
    settings = {"RESTORE_POINT": str(make_backup(folder)), "RESTORE_SCOPE": "bookies-kept"}
    newest.plan(3)
    for member in newest.members[:2]:
        restored(member, settings)
        member.start()
    newest.eventually("they wait and say so", lambda: all(waits(member) for member in newest.members[:2]))
    newest.never("a member serves", newest.serving)
    restored(newest.members[2], settings)
    newest.scale(3)
    newest.wait_for(3)
    assert [set()] * 3 == [lost(["/managed-ledgers"], member) for member in newest.members]


def test_interrupted_begin_goes_on(newest: Pods) -> None:
    """If all pods stop after only one has started the ensemble, the ensemble still starts."""
    newest.plan(3)
    for member in newest.members:
        member.start()
    first = newest.members[0]
    newest.eventually("one begins", lambda: "A new ensemble of 3 members starts" in first.said())
    newest.stop()
    newest.scale(3)
    newest.wait_for(3)


def test_pod_beyond_the_number_follows_without_a_vote(newest: Pods) -> None:
    """A new member that restarts before it is added is an observer. It is added once the values want it."""
    newest.scale(1)
    newest.wait_for(1)
    newest.plan(3)
    newest.want(1)
    extra = newest.members[2]
    extra.start()
    newest.eventually("it follows", extra.mode)
    extra.stop()
    extra.start()
    newest.eventually("it observes", lambda: extra.mode() == "observer")
    assert {1} == newest.voters()
    newest.scale(3)
    newest.wait_for(3)


def test_readiness_lets_a_rollout_reach_members_that_keep_the_quorum_away(newest: Pods) -> None:
    """A member that runs alone from its start counts as ready after a while. One of two in an election does not."""
    newest.scale(3)
    newest.wait_for(3)
    newest.stop()
    first, second, third = newest.members
    third.start()
    newest.eventually("it counts as ready", third.ready)
    assert "" == third.mode()
    second.start()
    newest.eventually("two serve", lambda: len(newest.serving()) == 2)
    first.start()
    newest.wait_for(3)
    assert [True] * 3 == [member.ready() for member in newest.members]


def test_ready_is_who_is_part_of_the_quorum(newest: Pods) -> None:
    """While the others run, a restarted member is ready when it is part of the quorum, the leader's pod too.

    A member that has lost its quorum after it served is not ready, for as long as that lasts.
    """
    newest.scale(3)
    newest.wait_for(3)
    for member in reversed(newest.members):
        member.stop()
        member.start()
        newest.eventually("it is ready", member.ready)
        assert member.mode()
    first, *others = newest.members
    for member in others:
        member.stop()
    newest.eventually("it has lost its quorum", lambda: not first.mode())
    time.sleep(6)  # more checks than a member alone needs from its start
    assert not first.ready()


def test_stopped_pod_leaves_no_process(newest: Pods) -> None:
    """SIGTERM ends ZooKeeper and the script that watches it. No command line has the superuser's password."""
    newest.scale(1)
    newest.wait_for(1)
    member = newest.members[0]
    password = (member.tmp / "superuser").read_text().strip()
    assert password not in member.command_lines()
    assert "superDigest=super:" in member.command_lines()
    member.terminate()
    newest.eventually("no process is left", lambda: not member.command_lines())


def test_member_without_heap_ends(newest: Pods) -> None:
    """A ZooKeeper that runs out of heap exits with an error, so that it is started again."""
    newest.plan(1)
    member = newest.members[0]
    member.start("-Xmx24m")
    newest.wait_for(1)
    with contextlib.suppress(KazooException, KazooTimeoutError), client(member.address) as zookeeper:
        for number in range(100):
            zookeeper.create(f"/large-{number}", bytes(900_000))
    assert 3 == member.wait()  # Java's own for ExitOnOutOfMemoryError
