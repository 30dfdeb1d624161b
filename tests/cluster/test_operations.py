"""What operators do to a release in its life: quotas, volumes that grow, keys that rotate."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from support.cluster import Release, Surroundings, eventually, is_ready, items, kubectl
from support.s3 import ACCESS_KEY, SECRET_KEY

pytestmark = pytest.mark.usefixtures("surroundings")
BACKUP = "zookeeper.customTools.backup"
QUIET = {f"{BACKUP}.enable": "false", "initialize": "false"}
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "quota"},
    "spec": {"hard": {"requests.cpu": "8", "requests.memory": "16Gi", "limits.cpu": "32", "limits.memory": "32Gi"}},
}


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    """A release that is uninstalled afterwards."""
    made = Release(tmp_path, "ops")
    yield made
    made.uninstall(3)


@pytest.fixture
def quota() -> Iterator[None]:
    """A quota on the namespace: each container needs requests and limits."""
    kubectl("apply", "--filename", "-", stdin=json.dumps(QUOTA))
    yield
    kubectl("delete", "resourcequota", "quota")


@pytest.mark.usefixtures("quota")
def test_namespace_with_a_quota(release: Release, tmp_path: Path) -> None:
    """With the example's values all pods start, also those of the Jobs and the test. Without them none does."""
    everything = {f"{BACKUP}.enable": "true", f"{BACKUP}.backupPrefix": "ops"}
    release.install(3, everything)
    refused = "must specify limits"
    eventually(
        "no pod is admitted", lambda: refused in kubectl("get", "events", "--field-selector", "reason=FailedCreate")
    )
    assert {} == release.pods()
    example = yaml.safe_load((CHART / "examples" / "resource-quota.yaml").read_text())
    small = tmp_path / "quota.yaml"
    small.write_text(json.dumps(_with_less_processor(example)))
    release.files.append(small)
    release.upgrade(3, everything)
    eventually("all are ready", lambda: release.ready() == [0, 1, 2])
    assert "Succeeded" in release.helm(3, "test", release.name, "--timeout", "4m")


def _with_less_processor(values: object) -> object:
    """The same values for a machine of two cores: requests of 10m."""
    if not isinstance(values, dict):
        return values
    return {
        key: "10m" if (key, value) == ("cpu", "100m") else _with_less_processor(value) for key, value in values.items()
    }


def test_volumes_grow(release: Release) -> None:
    """Another size is refused with the way to it, which restarts nothing. Its driver grows the volume itself."""
    release.install(3, QUIET)
    eventually("all are ready", lambda: release.ready() == [0, 1, 2])
    before = {name: pod["metadata"]["uid"] for name, pod in release.pods().items()}
    larger = QUIET | {"zookeeper.volumes.data.size": "2Gi"}
    said = release.refusal(3, larger)
    name = f"{release.name}-pulsar-zookeeper"
    assert f"delete statefulset {name} --cascade=orphan" in said
    kubectl("delete", "statefulset", name, "--cascade=orphan")
    release.upgrade(3, larger)
    eventually("all are ready", lambda: release.ready() == [0, 1, 2])
    assert before == {name: pod["metadata"]["uid"] for name, pod in release.pods().items()}
    (claims,) = [
        each["spec"]["volumeClaimTemplates"] for each in items("statefulset", "--selector", f"release={release.name}")
    ]
    assert "2Gi" == claims[0]["spec"]["resources"]["requests"]["storage"]


def test_keys_rotate(surroundings: Surroundings, release: Release) -> None:
    """Refused keys show in `kubectl get` and `describe`. New keys in the Secret are used without a restart."""
    values = {f"{BACKUP}.enable": "true", f"{BACKUP}.backupPrefix": "keys", "zookeeper.replicaCount": "1"}
    release.install(3, values)
    name = f"{release.name}-pulsar-backup-0"

    def pod() -> dict[str, Any]:
        return dict(release.pods("backup").get(name, {"status": {}}))

    eventually("a backup appears", lambda: [key for key in surroundings.backups() if key.startswith("keys-")])
    eventually("it is ready", lambda: is_ready(pod()))
    before = pod()["metadata"]["uid"], pod()["status"]["containerStatuses"][0]["restartCount"]
    try:
        surroundings.restart_object_store("another-key", "another-secret-of-the-tests")
        eventually("it is not ready any more", lambda: not is_ready(pod()))
        eventually("the pod's events say why", lambda: "refused the credentials" in kubectl("describe", "pod", name))
        assert "backup_failure_count" in surroundings.ask(f"{release.name}-pulsar-backup", 8088, "/metrics")
        surroundings.set_keys("another-key", "another-secret-of-the-tests")
        eventually("it is ready again", lambda: is_ready(pod()))
        assert [key for key in surroundings.backups() if key.startswith("keys-")]
        assert before == (pod()["metadata"]["uid"], pod()["status"]["containerStatuses"][0]["restartCount"])
        assert "another-secret-of-the-tests" not in kubectl("logs", name) + kubectl("describe", "pod", name)
    finally:
        surroundings.restart_object_store(ACCESS_KEY, SECRET_KEY)
        surroundings.set_keys(ACCESS_KEY, SECRET_KEY)
