"""Drills in the chart: a CronJob whose pod has the program and a ZooKeeper."""

from pathlib import Path
from typing import Any

import pytest

from metadata_tool.catalog import RestorePoint
from metadata_tool.settings import Settings
from support.helm import EVERYTHING, Manifest, merged, names, nested, one, refusal, render

BACKUP = "zookeeper.customTools.backup"
ON = merged(nested(f"{BACKUP}.enable", value=True), nested(f"{BACKUP}.drill.enabled", value=True))
POINT = RestorePoint.parse("s3a://bucket/pulsar-backup-1623721488825.tar.gz")


def job(*values: dict[str, Any]) -> Manifest:
    """The spec of the Jobs."""
    return dict(one(render(merged(ON, *values)), "CronJob", "snpe-pulsar-drill")["spec"]["jobTemplate"]["spec"])


def containers(*values: dict[str, Any]) -> tuple[Manifest, Manifest]:
    """The containers of the program and of ZooKeeper."""
    program, zookeeper = job(*values)["template"]["spec"]["containers"]
    return program, zookeeper


def variables(container: Manifest) -> dict[str, str]:
    """Its environment, without what comes from Secrets."""
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


@pytest.mark.parametrize(
    "values", [{}, nested(f"{BACKUP}.enable", value=True), nested(f"{BACKUP}.drill.enabled", value=True)]
)
def test_off_by_default(values: dict[str, Any]) -> None:
    """There are no drills unless they are on, and the backup too."""
    found = names(render(merged(values, nested("networkPolicy.enabled", value=True))))
    assert not [each for each in found if "drill" in each]


def test_schedule() -> None:
    """One drill at a time, within a deadline, without a second try, and few Jobs are kept."""
    spec = one(render(EVERYTHING), "CronJob", "our-pulsar-drill")["spec"]
    assert ("@weekly", "Forbid", 2, 4) == (
        spec["schedule"],
        spec["concurrencyPolicy"],
        spec["successfulJobsHistoryLimit"],
        spec["failedJobsHistoryLimit"],
    )
    made = spec["jobTemplate"]["spec"]
    assert (600, 0, "Never") == (
        made["activeDeadlineSeconds"],
        made["backoffLimit"],
        made["template"]["spec"]["restartPolicy"],
    )


def test_pod() -> None:
    """Both containers run as ZooKeeper's user, share a volume with a limit, and have no token."""
    pod = job(nested("zookeeper.securityContext.runAsUser", 4242))["template"]["spec"]
    assert (4242, False) == (pod["securityContext"]["runAsUser"], pod["automountServiceAccountToken"])
    assert "snpe-pulsar-metadata-tool" == pod["serviceAccountName"]
    assert {"sizeLimit": "8Gi"} == {each["name"]: each.get("emptyDir") for each in pod["volumes"]}["scratch"]
    for container in pod["containers"]:
        assert "/tmp" in {each["mountPath"] for each in container["volumeMounts"] if each["name"] == "scratch"}


def test_program_reads_what_the_backup_reads() -> None:
    """The program has the backup's settings and credentials, and those of drills."""
    values = nested(
        f"{BACKUP}", {"secrets": {"use": True}, "drill": {"extraEnv": [{"name": "ALLOW_PARTIAL", "value": "true"}]}}
    )
    program, _ = containers(values)
    config = one(render(merged(ON, values)), "ConfigMap", "snpe-pulsar-backup")["data"]
    assert [{"configMapRef": {"name": "snpe-pulsar-backup"}}] == program["envFrom"]
    assert "/etc/aws-secret" in {each["mountPath"] for each in program["volumeMounts"]}
    found = Settings({**config, **variables(program), "PATH": "/usr/bin:/bin"})
    drill = found.drill(POINT, looked_up=True)
    assert (True, Path("/tmp"), 10485760) == (drill.allow_partial, drill.spool_dir, drill.jute_maxbuffer)
    assert drill.server
    assert ("bash", "/etc/drill/drill.sh", "server") == drill.server.command[:3]
    assert Path("/etc/aws-secret") == found.store(POINT.location, uploads=True).options.credentials_dir


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ({}, "-Djute.maxbuffer=10485760"),
        (nested("zookeeper.juteMaxBuffer", 20971520), "-Djute.maxbuffer=20971520"),
        (
            nested("zookeeper.configData.PULSAR_EXTRA_OPTS", "-Dx=1 -Djute.maxbuffer=5000000"),
            "-Djute.maxbuffer=5000000",
        ),
        (
            merged(nested("components.zookeeper", value=False), nested("zookeeper.connect", "zk:2181")),
            "-Djute.maxbuffer=10485760",
        ),
    ],
)
def test_server_is_like_the_members(values: dict[str, Any], options: str) -> None:
    """ZooKeeper's container has the image, the memory and the limit of znodes of the members, also without any."""
    _, zookeeper = containers(values, nested("zookeeper.configData.PULSAR_MEM", "-Xmx3g"))
    found = variables(zookeeper)
    assert ("-Xmx3g", options) == (found["PULSAR_MEM"], found["PULSAR_EXTRA_OPTS"].split()[-1])
    assert "apachepulsar/pulsar:4.0.8" == zookeeper["image"]


def test_nobody_reaches_it() -> None:
    """With network policies, the pod accepts no connections."""
    found = one(render(merged(ON, nested("networkPolicy.enabled", value=True))), "NetworkPolicy", "snpe-pulsar-drill")
    assert ([], ["Ingress"]) == (found["spec"]["ingress"], found["spec"]["policyTypes"])
    labels = job()["template"]["metadata"]["labels"]
    assert found["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def test_fields_of_the_pod_are_merged() -> None:
    """What users add to the backup's pod is in the pod of drills, too."""
    assert {"a": "b"} == job(nested(f"{BACKUP}.extraPodSpec.nodeSelector", {"a": "b"}))["template"]["spec"][
        "nodeSelector"
    ]


@pytest.mark.parametrize(
    ("key", "value"), [("schedule", "daily"), ("schedule", "* * * *"), ("deadlineSeconds", 5), ("history.failed", -1)]
)
def test_values_that_cannot_be(key: str, value: object) -> None:
    """A schedule that Kubernetes would refuse, and numbers that make no sense, are refused by their key."""
    assert f"drill/{key.replace('.', '/')}" in refusal(merged(ON, nested(f"{BACKUP}.drill.{key}", value)), 3)
