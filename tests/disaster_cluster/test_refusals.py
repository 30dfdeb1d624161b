"""What a restore refuses while a Pulsar runs, which goes on to serve its clients."""

from support.cluster import eventually, logged
from support.cluster_world import CLUSTER, RESTORE, RESTORING, World

LAST = f"{CLUSTER}-zookeeper-2"


def test_running_release_is_not_restored(running: World) -> None:
    """With another restoreVersion, the pod that is restarted first waits and says why. Clients notice nothing."""
    running.release.upgrade(4, {**(running.settings or RESTORING), f"{RESTORE}.restoreVersion": "another"})
    eventually("it refuses", lambda: "error: " in last_line(LAST))
    assert "already serves an ensemble" in last_line(LAST)
    running.flows()
    running.release.upgrade(4, running.settings)
    running.wait()
    running.check()


def last_line(pod: str) -> str:
    """The last line of what the restore of a pod said."""
    lines = logged(pod, "--container", "restore").splitlines()
    return lines[-1] if lines else ""
