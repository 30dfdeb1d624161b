"""The promise as an operator lives it, on a real cluster: the parts follow each other, and `make test-cluster` stops at
the first that fails. The first cluster is helm 3's, the second helm 4's.
"""

import json
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from support import seed
from support.cluster import BUCKET, PREFIX, RELEASE, Release, Surroundings, eventually, is_ready, items, kubectl
from support.comparison import Tree, Znode, differences

ZOOKEEPERS = [f"{RELEASE}-pulsar-zookeeper-{member}" for member in range(3)]
BACKUP = f"{RELEASE}-pulsar-backup-0"
ADMIN_PORT = f"http://{RELEASE}-pulsar-backup:8088"

TOOLS = "zookeeper.customTools"
NOTHING = {f"{TOOLS}.backup.enable": "false"}
WRITTEN_AGAIN = ("/admin/policies/public", "/admin/policies/pulsar")
"""initialize-cluster-metadata always writes these tenants, the same content where the cluster is one of theirs. The
fields of the JSON come in the order in which Java happens to find them, another one now and then.
"""
BACKING_UP = {f"{TOOLS}.backup.enable": "true"}


@dataclass
class Story:
    """What one part hands to the next."""

    tree: Tree = field(default_factory=dict)
    point: str = ""
    pods: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story() -> Story:
    """Empty at the start."""
    return Story()


def restoring(point: str) -> dict[str, str]:
    """Values that restore, whatever newer backups there are. The backup stays off."""
    restore = f"{TOOLS}.restore"
    return NOTHING | {f"{restore}.enable": "true", f"{restore}.restorePoint": point, f"{restore}.allowOlder": "true"}


def zookeepers() -> dict[str, Any]:
    """The ZooKeeper pods by name."""
    found = items("pods", "--selector", f"release={RELEASE},component=zookeeper")
    return {pod["metadata"]["name"]: pod for pod in found}


def replace_zookeepers() -> None:
    """Delete the ZooKeeper pods at once, and wait until others have their names: kubectl's own wait may miss that."""
    old = {pod["metadata"]["uid"] for pod in zookeepers().values()}
    kubectl("delete", "pods", "--selector", f"release={RELEASE},component=zookeeper", "--wait=false")
    eventually("all pods are others", lambda: old.isdisjoint(pod["metadata"]["uid"] for pod in zookeepers().values()))


def identities(pods: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Tells pods and containers apart from those that replaced them: uid, restarts."""
    return {
        name: (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
        for name, pod in pods.items()
    }


def serving() -> list[str]:
    """The names of the ZooKeepers that serve."""
    return sorted(name for name, pod in zookeepers().items() if is_ready(pod))


def all_ready() -> bool:
    """Whether all three ZooKeepers serve."""
    return serving() == ZOOKEEPERS


def jobs_complete() -> bool:
    """Whether the Jobs that initialise are done."""
    jobs = items("jobs", "--selector", f"release={RELEASE}")
    return len(jobs) == 2 and all(job["status"].get("succeeded") for job in jobs)


def waiting_in_restore(pod: dict[str, Any]) -> bool:
    """Whether the restore of a pod has failed, at least once."""
    statuses = pod["status"].get("initContainerStatuses", [])
    return any(
        (status.get("lastState") or status["state"]).get("terminated", {}).get("exitCode") for status in statuses
    )


def curl(url: str) -> str:
    """What a pod gets from an address. The backup's own pod asks by Python, because it has no curl."""
    program = f"import urllib.request; print(urllib.request.urlopen({url!r}).read().decode())"
    return kubectl("exec", BACKUP, "--", "python", "-c", program)


def restore_log(name: str) -> str:
    """What the restore of a pod said."""
    return kubectl("logs", name, "--container", "restore")


def says(name: str, *texts: str) -> bool:
    """Whether the restore of a pod ended with a line that has all of these. The pod runs it again and again."""
    lines = restore_log(name).splitlines()
    return bool(lines) and all(text in lines[-1] for text in texts)


def test_install_without_backup(surroundings: Surroundings, release: Release) -> None:
    """A first install, initialised: three ZooKeepers serve, and nothing else runs."""
    notes = release.install(3, NOTHING)
    eventually("three ZooKeepers serve", all_ready)
    eventually("the cluster's metadata is initialised", jobs_complete)
    running = [pod["metadata"]["name"] for pod in items("pods", "--selector", f"release={RELEASE}") if is_ready(pod)]
    assert ZOOKEEPERS == sorted(running)
    assert "Backup: OFF" in notes
    with surroundings.zookeeper(0) as client:
        assert ["demo", "global"] == sorted(client.get_children("/admin/clusters"))
        assert "INSTANCEID" in client.get_children("/ledgers")


def test_upgrade_switches_the_backup_on(surroundings: Surroundings, release: Release, story: Story) -> None:
    """`helm upgrade` starts `<release>-pulsar-backup-0`. The bucket fills, and ZooKeeper is not restarted."""
    with surroundings.zookeeper(1) as client:
        seed.pulsar(client)
        seed.everything(client, wide=2_000)
    story.tree, story.pods = surroundings.tree(0), zookeepers()
    written = time.time() * 1000
    notes = release.upgrade(3, BACKING_UP)
    assert "Backup: ON" in notes
    name = eventually(
        "a backup appears", lambda: next((name for name in surroundings.backups() if newer(name, written)), "")
    )
    story.point = f"s3a://{BUCKET}/{name}"
    eventually("its pod is ready", lambda: is_ready(items("pods", "--field-selector", f"metadata.name={BACKUP}")[0]))
    assert identities(story.pods) == identities(zookeepers())


def newer(name: str, moment: float) -> bool:
    """Whether a file is a backup that was begun after this moment, in epoch milliseconds."""
    timestamp = name.removeprefix(f"{PREFIX}-").removesuffix(".tar.gz")
    return name == f"{PREFIX}-{timestamp}.tar.gz" and int(timestamp) > moment


def test_admin_port_answers_through_the_service() -> None:
    """The Service exposes 8088: the newest backup, all of them, and metrics."""
    latest = json.loads(curl(f"{ADMIN_PORT}/backup/latest"))
    assert latest["uri"] == f"s3a://{BUCKET}/{latest['name']}"
    assert latest["name"] in [backup["name"] for backup in json.loads(curl(f"{ADMIN_PORT}/backup/list"))]
    assert "# TYPE backup_count counter" in curl(f"{ADMIN_PORT}/metrics")


def test_backup_has_no_kubernetes_token() -> None:
    """The program can ask nothing of Kubernetes."""
    program = "import os; print(os.path.exists('/var/run/secrets/kubernetes.io'))"
    assert "False" == kubectl("exec", BACKUP, "--", "python", "-c", program).strip()


@pytest.mark.parametrize("major", [3, 4])
def test_helm_test(release: Release, major: int) -> None:
    """`helm test` asks the admin port for a backup, and passes."""
    assert "Succeeded" in release.helm(major, "test", RELEASE, "--timeout", "3m")


def test_secrets_are_nowhere_to_be_read() -> None:
    """Neither a log nor an object but the Secrets holds a secret."""
    said = kubectl("logs", BACKUP) + kubectl("get", "configmaps,statefulsets,pods,jobs,services", "--output", "yaml")
    assert "a-secret-of-the-tests" not in said
    assert "a-password" not in said


def test_upgrade_switches_the_backup_off(release: Release, story: Story) -> None:
    """`helm upgrade` removes the backup, and ZooKeeper is not restarted."""
    release.upgrade(3, NOTHING)
    eventually("the backup's pod is gone", lambda: not items("pods", "--field-selector", f"metadata.name={BACKUP}"))
    assert identities(story.pods) == identities(zookeepers())


def test_restore_does_not_touch_a_running_cluster(surroundings: Surroundings, release: Release, story: Story) -> None:
    """A restore switched on in a running cluster: one pod waits and says why, the others serve, nothing changes."""
    last = ZOOKEEPERS[-1]
    release.upgrade(3, restoring(story.point))
    eventually("the last pod refuses to restore", lambda: waiting_in_restore(zookeepers().get(last, {"status": {}})))
    eventually("it says why", lambda: says(last, "did not come from a restore", "Nothing was touched"))
    assert ZOOKEEPERS[:-1] == serving()
    assert [] == list(differences(story.tree, surroundings.tree(0)))


def test_cluster_recovers_when_the_restore_is_off_again(
    surroundings: Surroundings, release: Release, story: Story
) -> None:
    """With the restore off, the pod that waited comes back with its data. The others are not restarted."""
    release.upgrade(3, NOTHING)
    kubectl("rollout", "status", f"statefulset/{RELEASE}-pulsar-zookeeper", "--timeout=280s")
    now = identities(zookeepers())
    assert [identities(story.pods)[name] for name in ZOOKEEPERS[:-1]] == [now[name] for name in ZOOKEEPERS[:-1]]
    for member in range(3):
        assert [] == list(differences(story.tree, surroundings.tree(member)))


def test_uninstall(release: Release) -> None:
    """The disaster: the release and its volumes are gone."""
    release.uninstall(3)
    assert [] == items("pvc", "--selector", f"release={RELEASE}")


def test_wrong_restore_point(release: Release) -> None:
    """With a restore point that is not there the pods wait, say why, and no ZooKeeper starts empty."""
    point = f"s3a://{BUCKET}/{PREFIX}-1623721488825.tar.gz"
    release.install(4, restoring(point))

    def all_refused() -> bool:
        return [name for name, pod in sorted(zookeepers().items()) if waiting_in_restore(pod)] == ZOOKEEPERS

    eventually("all three pods refuse", all_refused)
    for name, pod in zookeepers().items():
        eventually("it says why", partial(says, name, "error: ", f"{PREFIX}-1623721488825.tar.gz does not exist"))
        assert "waiting" in pod["status"]["containerStatuses"][0]["state"]


def test_corrected_restore_point(surroundings: Surroundings, release: Release, story: Story) -> None:
    """Corrected by `helm upgrade`, the restore point is taken by the pods that wait, at their next try."""
    release.upgrade(4, restoring(story.point))
    eventually("three ZooKeepers serve", all_ready)
    eventually("the Jobs that initialise are done", jobs_complete)
    assert [] == list(differences(content(story.tree), content(surroundings.tree(0))))
    release.uninstall(4)


def test_install_with_restore(surroundings: Surroundings, release: Release, story: Story) -> None:
    """A new cluster from the backup: every member has the tree that was saved, and its content is all the same."""
    notes = release.install(4, restoring(story.point))
    assert "Restore: ON" in notes
    eventually("three ZooKeepers serve", all_ready)
    eventually("the Jobs that initialise are done", jobs_complete)
    saved = content(story.tree)
    for member in range(3):
        assert [] == list(differences(saved, content(surroundings.tree(member))))


def content(tree: Tree) -> Tree:
    """A tree without the traces that writing the same content again leaves."""
    return {path: as_written_once(znode) if path in WRITTEN_AGAIN else znode for path, znode in tree.items()}


def as_written_once(znode: Znode) -> Znode:
    """The znode of a tenant with its fields in one order, and as if nobody had written it since it was created."""
    data = json.dumps(json.loads(znode.data or b"null"), sort_keys=True).encode()
    return replace(znode, data=data, version=0, mzxid=0, mtime=0)


def test_restart_restores_nothing(surroundings: Surroundings, story: Story) -> None:
    """All pods deleted, and the object store away: they come back by themselves, with what was written since."""
    with surroundings.zookeeper(0) as client:
        client.create("/written-after-the-restore", b"kept")
    story.tree = surroundings.tree(0)
    kubectl("patch", "service", "s3", "--patch", '{"spec": {"selector": {"app": "nothing"}}}')
    before = identities(zookeepers())
    replace_zookeepers()
    eventually("three ZooKeepers serve again", all_ready)
    assert not set(before.values()) & set(identities(zookeepers()).values())
    for member, name in enumerate(ZOOKEEPERS):
        assert "version 1 was restored here before" in restore_log(name)
        assert [] == list(differences(story.tree, surroundings.tree(member)))


def test_lost_volume_is_filled_by_the_others(surroundings: Surroundings, story: Story) -> None:
    """A member that comes back with an empty volume is not restored: it takes the tree from the others."""
    last = ZOOKEEPERS[-1]
    kubectl("delete", "pvc", f"data-{last}", "--wait=false")
    kubectl("delete", "pod", last)
    eventually("three ZooKeepers serve again", all_ready)
    assert "This member joins it, and takes its tree from" in restore_log(last)
    assert [] == list(differences(story.tree, surroundings.tree(2)))


def test_restore_again(surroundings: Surroundings, release: Release, story: Story) -> None:
    """Another version, and all pods deleted at once: the saved tree is there again, what was there is kept aside."""
    kubectl("patch", "service", "s3", "--patch", '{"spec": {"selector": {"app": "s3"}}}')
    release.upgrade(4, restoring(story.point) | {f"{TOOLS}.restore.restoreVersion": "2"})
    eventually("the pod that is restarted first refuses", lambda: waiting_in_restore(zookeepers()[ZOOKEEPERS[-1]]))
    eventually("it says why", partial(says, ZOOKEEPERS[-1], "error: ", "of restore version 1"))
    replace_zookeepers()
    eventually("three ZooKeepers serve again", all_ready)
    for member, name in enumerate(ZOOKEEPERS):
        assert "/written-after-the-restore" not in surroundings.tree(member)
        assert "version-2.replaced-by-restore-2." in kubectl("exec", name, "--", "ls", "/pulsar/data/zookeeper")
