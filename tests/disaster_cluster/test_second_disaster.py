"""A Pulsar that was restored before is lost again, and its restore is set up wrongly first."""

from typing import Any

from support.cluster import eventually, items, kubectl, logged
from support.cluster_world import CLUSTER, RESTORE, RESTORING, World

MEMBERS = [f"{CLUSTER}-zookeeper-{number}" for number in range(3)]


def test_second_disaster(running: World) -> None:
    """All that is offloaded by now is read, although the restore waits for a right bucket and for its Secret first."""
    running.produce(running.topics.values(), 20)
    running.offload(running.topics.values())
    point = running.back_up()
    running.produce(running.named("plain", "avro"), 60)
    running.offload(running.named("plain", "avro"))
    running.lose()
    running.release.install(4, RESTORING | {f"{RESTORE}.bucket": "s3a://no-such-bucket"})
    running.helm = 4
    eventually(
        "all members say that the bucket is wrong", lambda: all("no-such-bucket" in refusal(pod) for pod in MEMBERS)
    )
    running.say(f"refused: {refusal(MEMBERS[0])}")
    nothing_starts()
    running.release.upgrade(4, RESTORING | {f"{RESTORE}.secrets.aws.secretName": "no-such-secret"})
    kubectl("delete", "pods", "--selector", f"release={running.release.name},component=zookeeper", "--wait=false")
    eventually(
        "events name the Secret", lambda: any('"no-such-secret" not found' in each["message"] for each in events())
    )
    nothing_starts()
    running.release.upgrade(4, RESTORING)
    running.settings = RESTORING
    kubectl("delete", "pods", "--selector", f"release={running.release.name},component=zookeeper", "--wait=false")
    running.wait()
    running.check_report(point)
    running.register_lost_schemas()
    running.check_offloaded()
    running.flows()


def refusal(pod: str) -> str:
    """The error with which the restore of a pod ended. Empty if it did not end with one."""
    lines = logged(pod, "--container", "restore").splitlines()
    return lines[-1] if lines and "error: " in lines[-1] else ""


def events() -> list[dict[str, Any]]:
    """All events of the namespace."""
    return items("events")


def nothing_starts() -> None:
    """No ZooKeeper runs, so that bookies and brokers wait for their metadata."""
    statuses = [pod["status"] for pod in items("pods", "--selector", f"release={CLUSTER.partition('-')[0]}")]
    ready = [each for each in statuses if any(status["ready"] for status in each.get("containerStatuses", []))]
    assert len(ready) <= 1  # the backup's pod may be
