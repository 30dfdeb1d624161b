"""A drill on a real cluster: the CronJob's pod restores the newest backup, and a ZooKeeper starts from it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import Release, Surroundings, eventually, items, kubectl

pytestmark = pytest.mark.usefixtures("surroundings")
BACKUP = "zookeeper.customTools.backup"
ON = {
    "zookeeper.replicaCount": "1",
    f"{BACKUP}.enable": "true",
    f"{BACKUP}.backupPrefix": "drilled",
    f"{BACKUP}.drill.enabled": "true",
    f"{BACKUP}.drill.schedule": "@yearly",
}


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    """A release that is uninstalled afterwards."""
    made = Release(tmp_path, "drills")
    yield made
    made.uninstall(3)


def test_drill(release: Release, surroundings: Surroundings) -> None:
    """A Job of the CronJob passes, both of its containers end, and the service knows of it after the next backup."""
    release.install(3, ON)
    kubectl("rollout", "status", f"statefulset/{release.name}-pulsar-zookeeper", "--timeout", "5m")
    release.helm(3, "test", release.name, "--timeout", "4m")
    kubectl("create", "job", f"--from=cronjob/{release.name}-pulsar-drill", "drill-now")
    eventually(
        "the drill ends",
        lambda: items("jobs", "--field-selector", "metadata.name=drill-now")[0]["status"].get("conditions"),
    )
    (job,) = items("jobs", "--field-selector", "metadata.name=drill-now")
    said = kubectl("logs", "job/drill-now", "--container", "drill")
    assert 1 == job["status"].get("succeeded"), said + kubectl("logs", "job/drill-now", "--container", "zookeeper")
    assert " restores. ZooKeeper 3.9" in said
    assert 1 == len([key for key in surroundings.backups() if key.startswith("drilled-drill-passed-")])
    program = "import urllib.request as r; print(r.urlopen('http://localhost:8088/backup/latest').read().decode())"
    pod = f"{release.name}-pulsar-backup-0"

    def drilled() -> object:
        return json.loads(kubectl("exec", pod, "--", "python", "-c", program)).get("drill")

    eventually("the service knows of it", drilled)
