"""Captures of small servers, of unusual trees, and while clients write."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from kazoo.security import make_digest_acl

from ci.parts.zookeeper import NEWEST, OLDEST
from metadata_tool import backup
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.settings import Settings
from metadata_tool.store import open_store
from metadata_tool.zookeeper.capture.captured import captured
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.net.ensemble import Ensemble
from metadata_tool.zookeeper.protocol import MULTI_READ
from support.comparison import differences, read_tree
from support.relay import Meddling, relay
from support.tool import run, succeed
from support.zookeeper import ZooKeeper, client, create_container, create_with_ttl, standalone


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """A directory for backups, and one for what is restored."""
    (tmp_path / "bucket").mkdir()
    (tmp_path / "new" / "data").mkdir(parents=True)
    return {"BUCKET": f"file://{tmp_path}/bucket", "ZOOKEEPER_DATA_DIR": str(tmp_path / "new" / "data")}


def back_up(server: ZooKeeper, settings: dict[str, str]) -> str:
    """Make a backup. Returns its address."""
    return succeed("backup", settings={**settings, "ZOOKEEPER_SERVERS": server.address})


def back_up_here(address: str, settings: dict[str, str]) -> str:
    """Make a backup in this process, through a relay that acts. Returns its address."""
    plan = Settings({**settings, "ZOOKEEPER_SERVERS": address})
    return backup.run(plan.job(), open_store(plan.store().location), Heartbeat()).backup.uri


@pytest.mark.fault("ZooKeeper", "the server has little memory")
def test_small_server_survives_many_large_znodes(settings: dict[str, str], tmp_path: Path) -> None:
    """A server with little memory is never asked for more than it can hold at once."""
    with standalone(NEWEST, tmp_path / "old", heap="256m") as server:
        with client(server.address) as source:
            for number in range(600):
                source.create(f"/a-{number:04d}", b"")
            for number in range(110):
                source.create(f"/b-{number:04d}", os.urandom(1_000_000))
        uri = back_up(server, settings)
        assert "standalone" == server.mode()
    assert "is complete and undamaged: 714 znodes" in succeed("verify", uri, settings=settings)


@pytest.mark.fault("ZooKeeper", "the server gives one session")
def test_server_that_gives_one_session(settings: dict[str, str], tmp_path: Path) -> None:
    """If the server accepts only one session, it reads the ACLs too, with a warning. The tree is the same."""
    with standalone(NEWEST, tmp_path / "old", {"maxClientCnxns": "1"}) as server:
        with client(server.address, "user:password") as source:
            for number in range(600):
                source.create(f"/open-{number}", b"")
            source.create("/secret", b"", acl=[make_digest_acl("user", "password", all=True)])
            expected = read_tree(source)
        login = {"ZOOKEEPER_SERVERS": server.address, "ZOOKEEPER_AUTH": "digest:user:password"}
        outcome = run("backup", settings={**settings, **login})
        assert (0, True) == (outcome.exit_code, "ZooKeeper accepted 1 of 9 sessions" in outcome.said), outcome.said
    succeed("restore", settings={**settings, "RESTORE_POINT": outcome.output.strip(), "RESTORE_SCOPE": "bookies-kept"})
    with standalone(NEWEST, tmp_path / "new") as server, client(server.address, "user:password") as restored:
        assert [] == list(differences(expected, read_tree(restored)))


def test_deep_tree_comes_back(settings: dict[str, str], tmp_path: Path) -> None:
    """A tree with a thousand levels is captured, with its progress, and restored."""
    walked: list[int] = []
    with standalone(NEWEST, tmp_path / "old") as server, client(server.address) as source:
        source.create("/d" * 1000, b"bottom", makepath=True)
        expected = read_tree(source)
        uri = back_up(server, settings)
        with captured(Source(Ensemble(server.address)), tmp_path, Heartbeat(), walked=walked.append) as capture:
            assert len(list(capture.nodes())) == walked[-1]
    assert sorted(set(walked)) == walked
    succeed("restore", settings={**settings, "RESTORE_POINT": uri, "RESTORE_SCOPE": "bookies-kept"})
    with standalone(NEWEST, tmp_path / "new") as server, client(server.address) as restored:
        assert [] == list(differences(expected, read_tree(restored)))


def test_container_and_ttl_znodes_are_kept_as_ordinary_ones(settings: dict[str, str], tmp_path: Path) -> None:
    """Containers and TTL znodes come back as ordinary znodes, because clients cannot see what they are."""
    with standalone(NEWEST, tmp_path / "old") as server, client(server.address) as source:
        create_container(source, "/container", b"c")
        source.create("/container/child", b"")
        create_with_ttl(source, "/ttl", b"t", milliseconds=3_600_000)
        expected = read_tree(source)
        uri = back_up(server, settings)
    succeed("restore", settings={**settings, "RESTORE_POINT": uri, "RESTORE_SCOPE": "bookies-kept"})
    with standalone(NEWEST, tmp_path / "new") as server, client(server.address) as restored:
        assert [] == list(differences(expected, read_tree(restored)))
        assert {"/container", "/container/child", "/ttl"} <= expected.keys()


def test_znode_that_turns_ephemeral_is_left_out(settings: dict[str, str], tmp_path: Path) -> None:
    """A znode that is deleted and created again as an ephemeral between two reads does not break a backup."""
    with (
        standalone(NEWEST, tmp_path / "old") as server,
        client(server.address) as source,
        relay(server.address) as (address, meddling),
    ):
        source.create("/flip", b"")
        source.create("/flip/child", b"")

        def flip() -> None:
            source.delete("/flip", recursive=True)
            source.create("/flip", b"", ephemeral=True)

        acts = between_acls_and_data(meddling, flip)
        uri = back_up_here(address, settings)
    assert 1 == len(acts)
    assert ["/", "zookeeper"] == [
        line.split()[0] for line in succeed("inspect", "--tree", uri, settings=settings).splitlines()[:2]
    ]


def test_children_that_appear_meanwhile_are_read(settings: dict[str, str], tmp_path: Path) -> None:
    """A znode that gets its first child between the reads of its ACL and its data is read again with its children."""
    with (
        standalone(NEWEST, tmp_path / "old") as server,
        client(server.address) as source,
        relay(server.address) as (address, meddling),
    ):
        source.create("/parent", b"")
        acts = between_acls_and_data(meddling, lambda: source.create("/parent/late", b"", sequence=True))
        uri = back_up_here(address, settings)
        expected = read_tree(source)
    assert ["/parent/late0000000000"] == acts
    succeed("restore", settings={**settings, "RESTORE_POINT": uri, "RESTORE_SCOPE": "bookies-kept"})
    with standalone(NEWEST, tmp_path / "new") as server, client(server.address) as restored:
        assert [] == list(differences(expected, read_tree(restored)))
        assert "/parent/late0000000001" == restored.create("/parent/late", b"", sequence=True)


def between_acls_and_data(meddling: Meddling, change: Callable[[], object]) -> list[object]:
    """Change the tree once, between the reads of the second level's ACLs and its data. Returns the result."""
    seen: list[int] = []
    acts: list[object] = []

    def see(kind: int) -> None:
        seen.append(kind)
        if kind == MULTI_READ and seen.count(MULTI_READ) == 2:
            acts.append(change())

    meddling.sees = see
    return acts


@pytest.mark.parametrize("version", [NEWEST, pytest.param(OLDEST, marks=pytest.mark.soak)])
def test_sound_while_writers_never_stop(version: str, settings: dict[str, str], tmp_path: Path) -> None:
    """Backups during constant changes are valid and can be restored, and no sequential name is used twice."""
    with standalone(version, tmp_path / "old") as server, client(server.address) as source:
        source.create("/sequential", b"")
        source.create("/churn", b"")
        for number in range(2_000):
            source.create_async(f"/churn/{number}", b"")
        with writing(server):
            uris = [back_up(server, settings) for _ in range(3)]
        taken = set(source.get_children("/sequential"))
    assert [] == [uri for uri in uris if "is complete and undamaged" not in succeed("verify", uri, settings=settings)]
    succeed("restore", settings={**settings, "RESTORE_POINT": uris[-1], "RESTORE_SCOPE": "bookies-kept"})
    with standalone(version, tmp_path / "new") as server, client(server.address) as restored:
        kept = set(restored.get_children("/sequential"))
        fresh = restored.create("/sequential/s-", b"", sequence=True).rpartition("/")[2]
        assert kept <= taken
        assert len(kept) > 0
        assert fresh > max(kept)


@contextmanager
def writing(server: ZooKeeper) -> Iterator[None]:
    """A client that changes the tree as fast as it can."""
    stop = threading.Event()
    thread = threading.Thread(target=_write, args=(server, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _write(server: ZooKeeper, stop: threading.Event) -> None:
    with client(server.address) as writer:
        number = 0
        while not stop.is_set():
            number = (number + 1) % 2_000
            _churn(writer, f"/churn/{number}")


def _churn(writer: KazooClient, path: str) -> None:
    writer.create("/sequential/s-", b"", sequence=True)
    try:
        writer.set(path, os.urandom(20))
        writer.set_acls(path, writer.get_acls(path)[0])
        writer.create(f"{path}/below", b"")
        writer.delete(path, recursive=True)
    except NoNodeError:
        writer.create(path, b"")
    else:
        writer.create(path, b"again")
