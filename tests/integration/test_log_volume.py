"""Members whose transaction logs are on a volume of their own, by the chart's own scripts, and their restore."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from support.backups import make_backup
from support.members import LOG_VOLUME, Member, Pods
from support.processes import free_port
from support.tool import succeed
from support.zookeeper import client


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    """The only member of an ensemble, which is not started yet."""
    pods = Pods(NEWEST, tmp_path, LOG_VOLUME)
    pods.plan(1)
    try:
        yield pods.members[0]
    finally:
        pods.stop()


def test_new_member_starts(member: Member) -> None:
    """With two empty volumes, a new ensemble starts."""
    member.start()
    with client(member.address) as zookeeper:
        zookeeper.create("/new", b"")


def restore(member: Member, point: str, version: str) -> None:
    """What the init container does, while no member runs."""
    succeed(
        "restore",
        settings={
            "RESTORE_POINT": point,
            "RESTORE_SCOPE": "bookies-kept",
            "RESTORE_VERSION": version,
            "ZOOKEEPER_DATA_DIR": str(member.data),
            "ZOOKEEPER_DATA_LOG_DIR": str(member.logs),
            "ZOOKEEPER_SERVERS": f"127.0.0.1:{free_port()}",
        },
    )


def test_restored_member_keeps_its_logs_apart(member: Member, folder: Path) -> None:
    """Transactions since a restore come from their volume after a restart. After the next restore, none comes back."""
    point = str(make_backup(folder))
    restore(member, point, "1")
    member.start()
    with client(member.address) as zookeeper:
        zookeeper.create("/since", b"")
    member.stop()
    assert [] == list(member.data.glob("version-2/log.*"))
    assert 1 == len(list(member.logs.glob("version-2/log.*")))
    member.start()
    with client(member.address) as zookeeper:
        assert zookeeper.exists("/since")
    member.stop()
    restore(member, point, "2")
    member.start()
    with client(member.address) as zookeeper:
        assert (True, None) == (bool(zookeeper.exists("/managed-ledgers")), zookeeper.exists("/since"))
