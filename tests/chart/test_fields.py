"""Values that become parts of Kubernetes' objects: unknown fields are refused, and strings are quoted."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ci import chart_kubernetes, other_charts
from ci.chart import CHART
from ci.parts.chart_tools import KUBERNETES, OLDEST_AND_NEWEST
from support.helm import EVERYTHING, conform, merged, names, nested, one, pods, refusal, render, text

BACKUP = "zookeeper.customTools.backup"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
OF_OTHER_CHARTS = set(other_charts.paths())
TERM = {"labelSelector": {"matchLabels": {"tier": 1}}, "topologyKey": "kubernetes.io/hostname"}
EXPRESSION = {"key": "number", "operator": "In", "values": [1, True, 0.5, "012"]}
AFFINITY = {
    "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]},
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [EXPRESSION]}]}
    },
}
CONTAINER = {
    "name": "beside",
    "image": "busybox:1",
    "command": ["sleep", 60],
    "args": [1_000_000, False],
    "env": [{"name": "PORT", "value": 8080}],
    "livenessProbe": {"httpGet": {"port": 80, "httpHeaders": [{"name": "Level", "value": 5}]}},
}
VOLUME = {"name": "csi", "csi": {"driver": "example.com", "volumeAttributes": {"retries": 3, "cache": True}}}
COMMON = {
    "affinity": AFFINITY,
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": 4711, "effect": "NoSchedule"}],
    "extraEnv": [
        {"name": "NUMBER", "value": 1_000_000},
        {"name": "SWITCH", "value": True},
        {"name": "PART", "value": 0.5},
    ],
    "extraPodSpec": {"nodeSelector": {"rack": 7}, "dnsConfig": {"options": [{"name": "ndots", "value": 2}]}},
}
PODS = {
    **COMMON,
    "extraVolumes": [VOLUME],
    "extraContainers": [CONTAINER],
    "extraInitContainers": [CONTAINER | {"name": "first", "livenessProbe": None}],
    "topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", **TERM}],
    "securityContext": {
        "sysctls": [{"name": "net.ipv4.ip_local_port_range", "value": 1024}],
        "runAsUser": 1_000_660_000,
    },
}
PEERS = [{"podSelector": {"matchLabels": {"tier": 1}, "matchExpressions": [EXPRESSION]}}]
OBJECTS = [
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "numbers", "labels": {"tier": 1}, "annotations": {"scrape": True}},
        "data": {"a": 1_000_000, "b": True, "c": None},
    }
]
NUMBERS = merged(
    EVERYTHING,
    nested("zookeeper", PODS),
    nested(BACKUP, PODS),
    nested("pulsar_metadata", COMMON),
    nested("zookeeper.customTools.restore.extraEnv", COMMON["extraEnv"]),
    nested("networkPolicy", {"clients": PEERS, "monitoring": PEERS, "admins": PEERS}),
    {"extraObjects": OBJECTS},
)
"""Numbers and booleans wherever Kubernetes expects a string."""
SETS = ["StatefulSet/our-pulsar-zookeeper", "StatefulSet/our-pulsar-backup"]


@pytest.mark.parametrize("kubernetes", OLDEST_AND_NEWEST)
def test_numbers_and_booleans_conform(kubernetes: str) -> None:
    """Kubernetes accepts what becomes of numbers and booleans, everywhere at once."""
    assert "" == conform(text(NUMBERS, "--kube-version", kubernetes), kubernetes)


@pytest.mark.parametrize("name", SETS)
def test_they_are_written_as_in_the_values(name: str) -> None:
    """A long number has no exponent, a string that looks like a number keeps its zero, and numbers stay numbers."""
    (spec,) = (spec for found, spec in pods(render(NUMBERS)) if name.endswith(f"/{found}"))
    expressions = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert ["1", "true", "0.5", "012"] == expressions[0]["matchExpressions"][0]["values"]
    assert "4711" == spec["tolerations"][0]["value"]
    assert {"NUMBER": "1000000", "SWITCH": "true", "PART": "0.5"}.items() <= {
        each["name"]: each.get("value") for each in spec["containers"][0]["env"]
    }.items()
    beside = spec["containers"][-1]
    assert (["sleep", "60"], ["1000000", "false"]) == (beside["command"], beside["args"])
    assert {"retries": "3", "cache": "true"} == spec["volumes"][-1]["csi"]["volumeAttributes"]
    assert "7" == spec["nodeSelector"]["rack"]
    assert 1_000_660_000 == spec["securityContext"]["runAsUser"]
    assert 1 == spec["topologySpreadConstraints"][0]["maxSkew"]


def test_texts_of_extra_objects() -> None:
    """Labels, annotations and the data of a ConfigMap are strings, too. Null is left out."""
    found = one(render({"extraObjects": OBJECTS}), "ConfigMap", "numbers")
    assert {"a": "1000000", "b": "true"} == found["data"]
    assert ({"tier": "1"}, {"scrape": "true"}) == (found["metadata"]["labels"], found["metadata"]["annotations"])


def test_template_quotes_what_the_schema_allows() -> None:
    """The names in the template are those of the schema."""
    template = (CHART / "templates" / "_quote.tpl").read_text()
    maps, lists = (
        tuple(re.findall('"([^"]+)"', found)) for found in re.findall(r"\(has \$name \(list (.*?)\)\)", template)
    )
    assert (maps, lists) == (chart_kubernetes.QUOTED_MAPS, chart_kubernetes.QUOTED_LISTS)
    assert f'(eq $name "{chart_kubernetes.QUOTED}")' in template


def open_values(described: dict[str, Any], above: str = "") -> Iterator[str]:
    """Paths of maps and lists that may hold anything."""
    for key, below in described["properties"].items():
        if below is True:
            assert above + key in OF_OTHER_CHARTS
        elif "description" not in below:
            yield from open_values(below, f"{above}{key}.")
        elif below.get("additionalProperties") is True or ("array" in below.get("type", ()) and "items" not in below):
            yield above + key


def test_no_value_is_passed_on_unseen() -> None:
    """The schema looks into every map and list."""
    assert [] == list(open_values(SCHEMA))


WRONG = {
    "affinity": {"podAntiAfinity": {}},
    "tolerations": [{"key": "a", "valeu": "b"}],
    "extraEnv": [{"name": "A", "values": "b"}],
    "resources": {"limit": {"memory": "1Gi"}},
    "containerSecurityContext": {"runAsRoot": False},
    "extraPodSpec": {"dnsConfigs": {}},
}
WRONG_OF_PODS = {
    **WRONG,
    "securityContext": {"allowPrivilegeEscalation": True},
    "extraEnvFrom": [{"secretReference": {"name": "a"}}],
    "extraVolumes": [{"name": "a", "emptydir": {}}],
    "extraVolumeMounts": [{"name": "a", "mountPath": "/a", "readonly": True}],
    "extraContainers": [{"name": "a", "livenessprobe": {}}],
    "extraInitContainers": [{"name": "a", "volumeMounts": [{"name": "a", "mountpath": "/a"}]}],
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "ScheduleAnyway", "max": 1}],
    "probe": {"liveness": {"enable": True}},
}
CASES = [
    *((f"zookeeper.{key}", value) for key, value in WRONG_OF_PODS.items()),
    *((f"{BACKUP}.{key}", value) for key, value in WRONG_OF_PODS.items()),
    *((f"pulsar_metadata.{key}", value) for key, value in WRONG.items()),
    *((f"zookeeper.customTools.restore.{key}", WRONG[key]) for key in ("extraEnv", "resources")),
    ("zookeeper.updateStrategy", {"types": "OnDelete"}),
    ("zookeeper.probe.readiness", {"httpGet": {"port": 80}}),
    ("networkPolicy.clients", [{"podSelektor": {}}]),
    ("monitoring.podMonitor.relabelings", [{"target_label": "a"}]),
    ("monitoring.serviceMonitor.metricRelabelings", [{"replacement": 1}]),
]


@pytest.mark.parametrize(("path", "value"), CASES, ids=[path for path, _ in CASES])
def test_unknown_field(path: str, value: object) -> None:
    """A field that Kubernetes does not know is refused by helm, with its place."""
    said = refusal(nested(path, value), 3)
    assert f"at '/{path.replace('.', '/')}" in said
    assert "not allowed" in said or "want string" in said


@pytest.mark.parametrize("kind", ["Affinity", "Container", "PodSpec"])
def test_kinds_are_closed(kind: str) -> None:
    """A rule takes the fields of a kind of Kubernetes' own, or refers to it below, and allows no others."""
    rule = chart_kubernetes.resolved({"kubernetes": kind, "without": ["containers"]})
    assert rule["additionalProperties"] is False
    assert rule["properties"]
    assert "containers" not in rule["properties"]
    below = chart_kubernetes.resolved({"items": {"kubernetes": kind}})
    assert {"items": {"$ref": f"#/definitions/{kind}"}} == below
    found = chart_kubernetes.definitions(below)
    assert found[kind]["additionalProperties"] is False
    assert set(re.findall("#/definitions/([A-Za-z0-9]+)", json.dumps(found))) <= found.keys()


def test_examples_of_relabelings() -> None:
    """The fields of a relabeling are those of the Prometheus operator."""
    full = {
        "action": "replace",
        "modulus": 2,
        "regex": "(.*)",
        "replacement": "$1",
        "separator": ";",
        "sourceLabels": ["a"],
        "targetLabel": "b",
    }
    values = merged(EVERYTHING, nested("monitoring.podMonitor.relabelings", [full]))
    assert "" == conform(text(values), KUBERNETES[-1])
    assert "PodMonitor/our-pulsar-backup" in names(
        render(merged(values, nested("monitoring.serviceMonitor.enabled", value=False)))
    )


def test_definitions_of_the_committed_schema() -> None:
    """The schema has the definitions that it refers to, and no others."""
    assert chart_kubernetes.definitions({**SCHEMA, "definitions": {}}) == SCHEMA["definitions"]
    assert yaml.safe_load(json.dumps(SCHEMA["definitions"]))
