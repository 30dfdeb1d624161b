"""A Pulsar that was restored before is lost again, and its restore is set up wrongly first."""

from support.cluster import RELEASE, eventually, is_ready, items, kubectl, logged
from support.cluster_world import CLUSTER, RESTORE, RESTORING, World

FIRST = f"{CLUSTER}-zookeeper-0"


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
    eventually("the member that looks for the newest backup refuses", lambda: "no-such-bucket" in refusal())
    running.say(f"refused: {refusal()}")
    nothing_starts()
    running.release.upgrade(4, RESTORING | {f"{RESTORE}.secrets.aws.secretName": "no-such-secret"})
    kubectl("delete", "pods", "--selector", f"release={running.release.name},component=zookeeper", "--wait=false")
    eventually(
        "events name the Secret",
        lambda: any('"no-such-secret" not found' in each["message"] for each in items("events")),
    )
    nothing_starts()
    running.release.upgrade(4, RESTORING)
    running.settings = RESTORING
    kubectl("delete", "pods", "--selector", f"release={running.release.name},component=zookeeper", "--wait=false")
    running.wait()
    running.check_report(point)
    running.put_back()
    running.check_schemas()
    running.check_offloaded()
    running.flows()


def refusal() -> str:
    """The error with which the restore of the first member ended. Empty if it did not end with one."""
    lines = logged(FIRST, "--container", "restore").splitlines()
    return lines[-1] if lines and "error: " in lines[-1] else ""


def nothing_starts() -> None:
    """No ZooKeeper starts empty, and bookies and brokers wait for it."""
    selector = f"release={RELEASE},component in (zookeeper,bookie,broker)"
    assert [] == [pod["metadata"]["name"] for pod in items("pods", "--selector", selector) if is_ready(pod)]
