"""What users add to the chart's own objects."""

from typing import Any

import pytest

from support.helm import EVERYTHING, Manifest, containers, merged, names, nested, one, pods, refusal, render

BACKUP = "zookeeper.customTools.backup"
ON = nested(f"{BACKUP}.enable", value=True)
COMPONENTS = [("zookeeper", "zookeeper"), (BACKUP, "backup")]
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def pod(component: str, *values: dict[str, Any]) -> Manifest:
    """The spec of a component's pod."""
    set_ = one(render(merged(ON, *values)), "StatefulSet", f"snpe-pulsar-{component}")
    return dict(set_["spec"]["template"]["spec"])


def test_extra_objects() -> None:
    """Manifests, and strings of manifests, become objects. Templates in both are rendered, with the chart's helpers."""
    name = '{{ include "pulsar.fullname" . }}'
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-one"}, "data": {"a": "1"}},
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}-two\n",
    ]
    manifests = render({"extraObjects": objects})
    assert {"ConfigMap/snpe-pulsar-one", "ConfigMap/snpe-pulsar-two"} == names(manifests) - names(render())
    assert {"a": "1"} == one(manifests, "ConfigMap", "snpe-pulsar-one")["data"]


@pytest.mark.parametrize(("path", "component"), COMPONENTS)
def test_extra_pod_spec(path: str, component: str) -> None:
    """Fields are merged into the pod, deeply: what else is there stays."""
    extra = {
        "dnsPolicy": "Default",
        "securityContext": {"supplementalGroups": [7]},
        "terminationGracePeriodSeconds": 99,
    }
    before, after = pod(component), pod(component, nested(f"{path}.extraPodSpec", extra))
    security = before["securityContext"] | {"supplementalGroups": [7]}
    assert before | extra | {"securityContext": security} == after


@pytest.mark.parametrize(("path", "component"), COMPONENTS)
@pytest.mark.parametrize("key", ["containers", "initContainers", "volumes"])
def test_extra_pod_spec_replaces_no_list(path: str, component: str, key: str) -> None:
    """Lists of the chart's own are refused there, with the key that adds to them."""
    said = refusal(nested(f"{path}.extraPodSpec.{key}", [{"name": component}]), 3)
    assert f"{path}.extraPodSpec.{key} would replace the chart's own. Use {path}.extra{key[0].upper()}{key[1:]}" in said


@pytest.mark.parametrize(("path", "component"), COMPONENTS)
def test_extra_containers(path: str, component: str) -> None:
    """A container stands behind the chart's own, which is as it was."""
    extra = {"name": "beside", "image": "busybox:1"}
    found = pod(component, nested(f"{path}.extraContainers", [extra]))["containers"]
    assert [*pod(component)["containers"], extra] == found


@pytest.mark.parametrize(("path", "component"), COMPONENTS)
def test_container_security_context(path: str, component: str) -> None:
    """It is merged over what the `restricted` level asks, for this component alone."""
    security = {"readOnlyRootFilesystem": False, "capabilities": {"add": ["NET_BIND_SERVICE"]}}
    values = merged(ON, nested(f"{path}.containerSecurityContext", security))
    expected = RESTRICTED | {
        "readOnlyRootFilesystem": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
    }
    found = {each["name"]: each["securityContext"] for _, spec in pods(render(values)) for each in containers(spec)}
    assert expected == found.pop(component)
    others = {name: context for name, context in found.items() if name != "test"}
    assert dict.fromkeys(others, RESTRICTED) == others


def test_volume_claims() -> None:
    """Volume claims take labels, annotations and a retention policy, and have none by default."""
    claims = one(render(EVERYTHING), "StatefulSet", "our-pulsar-zookeeper")["spec"]
    data, logs = (each["metadata"] for each in claims["volumeClaimTemplates"])
    assert {"name": "data", "labels": {"a-claim": "label"}, "annotations": {"a-claim": "annotation"}} == data
    assert {"name": "datalog", "labels": {"a-log": "label"}, "annotations": {"a-log": "annotation"}} == logs
    policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    assert policy == claims["persistentVolumeClaimRetentionPolicy"]
    claims = one(render(), "StatefulSet", "snpe-pulsar-zookeeper")["spec"]
    assert {"name": "data"} == claims["volumeClaimTemplates"][0]["metadata"]
    assert "persistentVolumeClaimRetentionPolicy" not in claims


@pytest.mark.parametrize("policy", [{"whenDeleted": "Keep"}, {"whenGone": "Delete"}])
def test_retention_policy_that_cannot_be(policy: dict[str, str]) -> None:
    """What Kubernetes would drop without a word is refused."""
    assert "zookeeper/volumes/retentionPolicy" in refusal(nested("zookeeper.volumes.retentionPolicy", policy), 3)


@pytest.mark.parametrize(
    ("policy", "kubernetes", "expected"),
    [("", "1.34.0", None), ("AlwaysAllow", "1.34.0", "AlwaysAllow"), ("AlwaysAllow", "1.25.0", None)],
)
def test_eviction_of_pods_that_are_not_ready(policy: str, kubernetes: str, expected: str | None) -> None:
    """It is there where it is set, and where Kubernetes knows it."""
    values = nested("zookeeper.pdb.unhealthyPodEvictionPolicy", policy)
    budget = one(render(values, "--kube-version", kubernetes), "PodDisruptionBudget", "snpe-pulsar-zookeeper")
    assert expected == budget["spec"].get("unhealthyPodEvictionPolicy")


@pytest.mark.parametrize(
    ("key", "kind", "endpoints"),
    [("podMonitor", "PodMonitor", "podMetricsEndpoints"), ("serviceMonitor", "ServiceMonitor", "endpoints")],
)
def test_monitors(key: str, kind: str, endpoints: str) -> None:
    """Relabelings and the timeout of a scrape reach every endpoint, and are not there by default."""
    relabelings = [{"targetLabel": "cluster", "replacement": "prod"}]
    more = {"scrapeTimeout": "7s", "relabelings": relabelings, "metricRelabelings": relabelings}
    values = merged(ON, nested(f"monitoring.{key}.enabled", value=True))
    for extra in ({}, more):
        manifests = render(merged(values, nested(f"monitoring.{key}", extra)))
        found = [end for each in manifests if each["kind"] == kind for end in each["spec"][endpoints]]
        assert [{"port": "http", "path": "/metrics", "interval": "30s"} | extra] * len(found) == found
        assert found


@pytest.mark.parametrize("timeout", ["soon", "10", "1.5s"])
def test_scrape_timeout_that_is_none(timeout: str) -> None:
    """What the operator would refuse is refused before."""
    said = refusal(nested("monitoring.podMonitor.scrapeTimeout", timeout), 3)
    assert "monitoring/podMonitor/scrapeTimeout" in said


def jobs(*values: dict[str, Any]) -> dict[str, Manifest]:
    """The pods of the Jobs that initialise, by the Jobs' names."""
    manifests = render(merged({"initialize": True}, *values))
    return {name: spec for name, spec in pods(manifests) if "init" in name}


def test_extensions_of_the_jobs() -> None:
    """Fields of their pods and their containers' security are the user's, too. Other pods need other Jobs."""
    extra = nested("pulsar_metadata.extraPodSpec", {"dnsPolicy": "Default"})
    security = nested("pulsar_metadata.containerSecurityContext", {"runAsUser": 7})
    after = jobs(extra, security)
    assert ["Default"] * 2 == [spec["dnsPolicy"] for spec in after.values()]
    expected = RESTRICTED | {"runAsUser": 7}
    assert [expected] * 2 == [each["securityContext"] for spec in after.values() for each in containers(spec)]
    assert not jobs().keys() & jobs(extra).keys()
    said = refusal(nested("pulsar_metadata.extraPodSpec.volumes", []), 3)
    assert "pulsar_metadata.extraPodSpec.volumes would replace the chart's own. Remove it" in said
