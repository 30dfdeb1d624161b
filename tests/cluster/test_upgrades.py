"""What an ordinary `helm upgrade` does to a release, whether it runs or does not come up: nothing is lost or stuck."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient

from ci.chart import CHART
from support.cluster import Release, Surroundings, eventually, is_ready, items, kubectl, logged

pytestmark = pytest.mark.usefixtures("surroundings")
TOOLS = "zookeeper.customTools"
QUIET = {f"{TOOLS}.backup.enable": "false", "initialize": "false"}
SMALL = {**QUIET, "zookeeper.replicaCount": "1"}
POINT = "s3a://my-backuprestore/pulsar-backup-1623721488825.tar.gz"
"""One that is not there."""

BROKEN = {
    "image": {"images.zookeeper.tag": "no-such-tag"},
    "secret": {"zookeeper.extraEnvFrom[0].secretRef.name": "no-such-secret"},
    "memory": {"zookeeper.resources.limits.memory": "40Mi", "zookeeper.resources.requests.memory": "40Mi"},
    "placement": {"zookeeper.nodeSelector.disk": "no-such-disk"},
    "restore": {f"{TOOLS}.restore.enable": "true", f"{TOOLS}.restore.restorePoint": POINT},
}


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    """A release that is uninstalled afterwards."""
    made = Release(tmp_path, "up")
    yield made
    made.uninstall(3)


@pytest.mark.parametrize("values", BROKEN.values(), ids=BROKEN.keys())
def test_mended_values_reach_every_pod(release: Release, values: dict[str, str]) -> None:
    """Values with which no pod comes up, corrected by one `helm upgrade`: all three become ready by themselves."""
    release.install(3, QUIET | values)
    eventually("three pods are there", lambda: len(release.pods()) == 3)
    eventually("none can come up", lambda: all(stuck(pod) for pod in release.pods().values()))
    release.upgrade(3, QUIET)
    eventually("all are ready", lambda: release.ready() == [0, 1, 2])


def stuck(pod: dict[str, Any]) -> bool:
    """Whether a pod shows why it does not come up."""
    statuses = [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
    waiting = [status["state"].get("waiting", {}).get("reason", "") for status in statuses]
    failed = [status.get("lastState", {}).get("terminated") or status["state"].get("terminated") for status in statuses]
    unschedulable = [each.get("reason") for each in pod["status"].get("conditions", [])]
    return (
        any(reason.endswith(("BackOff", "Error", "ErrImagePull")) for reason in waiting)
        or any(each and each["exitCode"] for each in failed)
        or "Unschedulable" in unschedulable
    )


def test_rolling_restart_is_careful(release: Release) -> None:
    """A changed configuration restarts one member after the other: at every moment at least two of three are ready."""
    release.install(3, QUIET)
    eventually("all are ready", lambda: release.ready() == [0, 1, 2])
    old = {pod["metadata"]["uid"] for pod in release.pods().values()}
    release.upgrade(3, QUIET | {"zookeeper.config.snapCount": "50000"})
    ready: list[int] = []

    def done() -> bool:
        pods = release.pods().values()
        ready.append(sum(is_ready(pod) for pod in pods))
        return not old & {pod["metadata"]["uid"] for pod in pods} and ready[-1] == 3

    eventually("all are replaced", done)
    assert 2 == min(ready)


def test_changed_number_of_members_that_cannot_be_is_refused(release: Release) -> None:
    """Three members cannot become one, nor four. Nothing is changed."""
    release.install(3, QUIET)
    eventually("all are ready", lambda: release.ready() == [0, 1, 2])
    assert "this ensemble cannot shrink" in release.refusal(3, QUIET | {"zookeeper.replicaCount": "1"})
    assert "this ensemble cannot shrink" in release.refusal(4, QUIET | {"zookeeper.replicaCount": "1"})
    assert "Set it to 3 or 5" in release.refusal(3, QUIET | {"zookeeper.replicaCount": "4"})
    assert [0, 1, 2] == release.ready()
    assert "Set the ports back" in release.refusal(3, QUIET | {"zookeeper.ports.follower": "2999"})
    changed = QUIET | {"zookeeper.config.snapCount": "50000"}
    release.upgrade(3, changed)
    assert "being replaced" in release.refusal(3, changed | {"zookeeper.replicaCount": "5"})


def test_interrupted_initialisation_is_finished(surroundings: Surroundings, release: Release) -> None:
    """Upgrades soon after the install, the second without `initialize`: the Jobs run to their end."""
    release.install(3, SMALL | {"initialize": "true"})
    eventually("the Jobs run", lambda: len(unfinished(release)) == 2)
    release.upgrade(3, SMALL)
    eventually("the metadata is there", lambda: initialised(surroundings, release))
    release.upgrade(3, SMALL)
    assert [] == items("jobs", "--selector", f"release={release.name}")


def unfinished(release: Release) -> list[dict[str, Any]]:
    """The Jobs that have not succeeded."""
    jobs = items("jobs", "--selector", f"release={release.name}")
    return [job for job in jobs if not job["status"].get("succeeded")]


def initialised(surroundings: Surroundings, release: Release) -> bool:
    """Whether both Jobs have done their work."""
    jobs = items("jobs", "--selector", f"release={release.name}")
    if len(jobs) != 2 or unfinished(release):
        return False
    with surroundings.zookeeper(0, release.name) as client:
        return bool(client.exists("/admin/clusters/demo") and client.exists("/ledgers/INSTANCEID"))


def test_half_made_metadata_is_completed(surroundings: Surroundings, release: Release) -> None:
    """Whatever of the metadata is missing is created by an upgrade with `initialize`, and what is there stays."""
    release.install(3, SMALL | {"initialize": "true"})
    eventually("the metadata is there", lambda: initialised(surroundings, release))
    with surroundings.zookeeper(0, release.name) as client:
        instance = client.get("/ledgers/INSTANCEID")[0]
        whole = set(paths(client, "/"))
        for path in ("/admin/clusters/demo", "/admin/policies/public/default", "/ledgers/available/readonly"):
            client.delete(path, recursive=True)
    release.upgrade(3, SMALL)
    release.upgrade(3, SMALL | {"initialize": "true"})
    eventually("the metadata is there", lambda: initialised(surroundings, release))
    with surroundings.zookeeper(0, release.name) as client:
        assert instance == client.get("/ledgers/INSTANCEID")[0]
        assert set() == whole - set(paths(client, "/")) - {"/ledgers/available/readonly"}


def paths(client: KazooClient, path: str) -> Iterator[str]:
    """All paths below a znode."""
    for name in client.get_children(path):
        below = f"{path.rstrip('/')}/{name}"
        yield below
        yield from paths(client, below)


def test_helm_test_wants_a_cluster_in_the_backup(release: Release) -> None:
    """`helm test` fails where nothing was initialised, says so, and passes once it was."""
    backup = {f"{TOOLS}.backup.enable": "true", "zookeeper.replicaCount": "1", f"{TOOLS}.backup.backupPrefix": "up"}
    release.install(3, backup | {"initialize": "false"})
    eventually("it serves", lambda: release.ready() == [0])
    with pytest.raises(AssertionError, match="failed"):
        release.helm(3, "test", release.name)
    assert "holds no Pulsar cluster" in kubectl("logs", f"{release.name}-pulsar-backup-test")
    release.upgrade(3, backup | {"initialize": "true"})
    assert "Succeeded" in release.helm(3, "test", release.name)


FIXED_LIST = "03b2171978905daa482e79b66dba6eb96fac7fd3"
"""The last commit whose chart gave each member a fixed list of servers."""


ZOOKEEPER_ALONE = "585f7f6"
"""The last commit whose chart started nothing but ZooKeeper and its tools."""


@pytest.fixture(scope="module")
def earlier_chart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart of a commit."""
    directory = tmp_path_factory.mktemp("earlier")
    archive = directory / "chart.tar"
    command = ["git", "-C", str(CHART), "archive", "--output", str(archive), request.param, "."]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT RUN: the earlier chart is not in this clone: {done.stderr.strip()}")
    with tarfile.open(archive) as packed:
        packed.extractall(directory, filter="data")
    return directory


@pytest.mark.parametrize("earlier_chart", [FIXED_LIST], indirect=True)
@pytest.mark.parametrize("replicas", [1, 3])
def test_upgrade_from_a_chart_with_a_fixed_list(
    surroundings: Surroundings, release: Release, earlier_chart: Path, replicas: int
) -> None:
    """Its data stays. Another number of members is refused in the same step, and harmless if it is applied anyway."""
    values = QUIET | {"zookeeper.replicaCount": str(replicas)}
    release.chart, release.files = earlier_chart, [known_to_both(release.files[-1])]
    release.install(3, values)
    eventually("all are ready", lambda: release.ready() == list(range(replicas)))
    with surroundings.zookeeper(0, release.name) as client:
        client.create("/before", b"")
    release.chart = CHART
    more = QUIET | {"zookeeper.replicaCount": str(replicas + 2)}
    assert "which an earlier chart started" in release.refusal(3, more)
    release.apply(more)
    newest = f"{release.name}-pulsar-zookeeper-{replicas + 1}"
    eventually("the new one runs", lambda: logged(newest))
    with surroundings.zookeeper(0, release.name) as client:
        assert client.exists("/before")
    release.apply(values)
    eventually("all are ready again", lambda: release.ready() == list(range(replicas)))
    release.upgrade(3, values)
    kubectl("rollout", "status", f"statefulset/{release.name}-pulsar-zookeeper", "--timeout=280s")
    old = {pod["metadata"]["uid"] for pod in release.pods().values()}
    release.upgrade(3, more)
    eventually("more are ready", lambda: release.ready() == list(range(replicas + 2)))
    assert old <= {pod["metadata"]["uid"] for pod in release.pods().values()}
    for member in range(replicas + 2):
        with surroundings.zookeeper(member, release.name) as client:
            assert client.exists("/before")


@pytest.mark.parametrize("earlier_chart", [ZOOKEEPER_ALONE], indirect=True)
def test_upgrade_from_a_chart_of_zookeeper_alone(
    surroundings: Surroundings, release: Release, earlier_chart: Path
) -> None:
    """ZooKeeper keeps its data and is not restarted, also if the upgrade starts bookies and brokers."""
    backup = {f"{TOOLS}.backup.enable": "true", f"{TOOLS}.backup.backupPrefix": "up", "initialize": "true"}
    release.chart, release.files = earlier_chart, [known_to_both(release.files[-1])]
    release.install(3, backup)
    eventually("all are ready", lambda: release.ready() == [0, 1, 2])
    eventually("the metadata is there", lambda: initialised(surroundings, release))
    with surroundings.zookeeper(0, release.name) as client:
        client.create("/before", b"")
    old = {pod["metadata"]["uid"] for pod in release.pods().values()}
    release.chart = CHART
    release.upgrade(3, backup)
    pulsar = {"components.bookkeeper": "true", "components.broker": "true", **ONE_OF_EACH}
    release.upgrade(3, backup | pulsar)
    eventually("a broker is ready", lambda: [*map(is_ready, release.pods("broker").values())] == [True])
    assert old == {pod["metadata"]["uid"] for pod in release.pods().values()}
    broker = f"{release.name}-pulsar-broker-0"
    assert "1 messages successfully produced" in kubectl(
        "exec", broker, "--", "bin/pulsar-client", "produce", "t", "-m", "a"
    )
    for member in range(3):
        with surroundings.zookeeper(member, release.name) as client:
            assert client.exists("/before")


def test_changed_brokers_serve(release: Release) -> None:
    """While two brokers restart one after the other, a producer gets every message acknowledged."""
    parts = {f"components.{name}": "true" for name in ("bookkeeper", "broker", "toolset")}
    values = {**SMALL, **ONE_OF_EACH, **parts, "broker.replicaCount": "2", "initialize": "true"}
    release.install(3, values)
    for component, expected in (("broker", 2), ("toolset", 1)):
        eventually("they are ready", lambda: sum(map(is_ready, release.pods(component).values())) == expected)  # noqa: B023
    old = {pod["metadata"]["uid"] for pod in release.pods("broker").values()}
    toolset = f"{release.name}-pulsar-toolset-0"
    command = ["bin/pulsar-client", "produce", "rolling", "--messages", "a", "--num-produce", "900", "--rate", "10"]
    with ThreadPoolExecutor() as pool:
        producing = pool.submit(kubectl, "exec", toolset, "--", *command)
        release.upgrade(3, values | {"broker.configData.brokerDeleteInactiveTopicsEnabled": "false"})
        kubectl("rollout", "status", f"statefulset/{release.name}-pulsar-broker", "--timeout=280s")
        said = producing.result()
    assert "900 messages successfully produced" in said
    assert not old & {pod["metadata"]["uid"] for pod in release.pods("broker").values()}


ONE_OF_EACH = {
    "bookkeeper.replicaCount": "1",
    "broker.replicaCount": "1",
    "bookkeeper.volumes.journal.size": "1Gi",
    "bookkeeper.volumes.ledgers.size": "1Gi",
    "bookkeeper.resources.requests.memory": "64Mi",
    "broker.resources.requests.memory": "64Mi",
    "broker.configData.loadBalancerOverrideBrokerNicSpeedGbps": "1",
}


def known_to_both(file: Path) -> Path:
    """The same values without those whose keys an earlier chart refuses."""
    values = json.loads(file.read_text())
    del values["components"]
    for key in ("objectStore", "restore"):
        del values["zookeeper"]["customTools"][key]
    file.write_text(json.dumps(values))
    return file
