"""A restore that was left switched on never brings back old metadata by itself."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support.cluster import BUCKET, Release, Surroundings, eventually, items, kubectl, logged

pytestmark = pytest.mark.usefixtures("surroundings")
TOOLS = "zookeeper.customTools"
PREFIX = "points"
BACKUP = {
    f"{TOOLS}.backup.enable": "true",
    f"{TOOLS}.backup.backupPrefix": PREFIX,
    "zookeeper.replicaCount": "1",
}
MEMBER = "points-pulsar-zookeeper-0"


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    """A release that is uninstalled afterwards."""
    made = Release(tmp_path, "points")
    yield made
    made.uninstall(3)


def newest(surroundings: Surroundings) -> str:
    """The newest backup's name, empty if there is none."""
    return max((name for name in surroundings.backups() if name.startswith(f"{PREFIX}-")), default="")


def newer(surroundings: Surroundings, name: str) -> bool:
    """Whether there are newer backups."""
    return newest(surroundings) > name


def jobs_are_done() -> bool:
    """Whether the Jobs that initialise have succeeded."""
    jobs = items("jobs", "--selector", "release=points")
    return len(jobs) == 2 and all(job["status"].get("succeeded") for job in jobs)


def says(*texts: str) -> bool:
    """Whether the restore has said all of these."""
    said = logged(MEMBER, "--container", "restore")
    return all(text in said for text in texts)


def test_restore_left_on_when_all_volumes_are_lost(surroundings: Surroundings, release: Release) -> None:
    """The pod waits, names the newest backup and the way on, and takes `latest` at its next try."""
    release.install(3, BACKUP)
    eventually("the metadata is initialised", jobs_are_done)
    eventually("a backup of it is made", partial(newer, surroundings, newest(surroundings)))
    release.uninstall(3)
    point = newest(surroundings)
    restore = {f"{TOOLS}.restore.enable": "true", f"{TOOLS}.restore.restorePoint": f"s3a://{BUCKET}/{point}"}
    release.install(3, BACKUP | restore)
    eventually("it is restored and serves", lambda: release.ready() == [0])
    with surroundings.zookeeper(0, release.name) as client:
        client.create("/since-the-restore", b"")
    eventually("a newer backup is made", partial(newer, surroundings, point))
    release.upgrade(3, BACKUP | restore | {f"{TOOLS}.backup.enable": "false"})
    kubectl("delete", "pvc", f"data-{MEMBER}", "--wait=false")
    kubectl("delete", "pod", MEMBER)
    eventually(
        "it refuses", partial(says, "newer than", f"s3a://{BUCKET}/{newest(surroundings)}", "restore.allowOlder")
    )
    assert [] == release.ready()
    release.upgrade(3, BACKUP | restore | {f"{TOOLS}.restore.restorePoint": "latest"})
    eventually("it has restored the newest", lambda: release.ready() == [0])
    with surroundings.zookeeper(0, release.name) as client:
        assert client.exists("/since-the-restore")
