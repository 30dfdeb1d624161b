"""Values files of other charts: one line for each key, with the key of this chart."""

import json
import re
from typing import Any

import pytest
import yaml

from ci import other_charts
from ci.chart import CHART
from support.helm import merged, nested, one, refusal, render

TABLE = yaml.load(other_charts.TABLE.read_text(), yaml.CSafeLoader)
DEFAULTS = yaml.load((CHART / "values.yaml").read_text(), yaml.CSafeLoader)
HEAD = "the values have keys of another chart. Change them as follows, and see Coming from another chart in the README"
APACHE = yaml.safe_load(
    """
    namespace: pulsar
    initialize: true
    clusterDomain: cluster.local
    clusterName: prod
    metadataPrefix: ""
    rbac: {enabled: true}
    affinity: {anti_affinity: true, type: requiredDuringSchedulingIgnoredDuringExecution}
    components: {zookeeper: true, bookkeeper: true, autorecovery: true, broker: true, proxy: false, oxia: false}
    defaultPulsarImageTag: 4.0.8
    images: {zookeeper: {repository: apachepulsar/pulsar-all, tag: 4.0.8}, broker: {tag: 4.0.8}}
    tls: {enabled: false}
    zookeeper:
      replicaCount: 3
      updateStrategy: {type: RollingUpdate}
      podMonitor: {enabled: true, interval: 60s}
      ports: {http: 8000, client: 2181, clientTls: 2281}
      probe: {startup: {enabled: false, failureThreshold: 30}}
      affinity: {anti_affinity: true}
      pdb: {usePolicy: true, maxUnavailable: 1}
      initContainers: []
      resources: {requests: {memory: 256Mi, cpu: 0.1}}
      volumes:
        useSeparateDiskForTxlog: false
        data: {name: data, size: 20Gi, local_storage: true}
      configData: {PULSAR_MEM: -Xmx128m, PULSAR_PREFIX_tickTime: "4000"}
    bookkeeper: {replicaCount: 4, pdb: {usePolicy: true}, volumes: {journal: {name: journal, size: 10Gi}}}
    broker: {configData: {managedLedgerDefaultEnsembleSize: "1"}, ports: {pulsarssl: 6651}, waitZookeeperTimeout: 600}
    victoria-metrics-k8s-stack: {enabled: false}
    extraDeploy: []
    """
)
STREAMNATIVE = yaml.safe_load(
    """
    initialize: true
    components: {vault: false, zookeeper: true}
    monitoring: {prometheus: true, grafana: false, loki: false}
    images:
      zookeeper:
        repository: streamnative/sn-platform
        tag: 3.3.3.3
        customTools:
          backup: {repository: streamnative/pulsar-metadata-tool, tag: 3.3.3.3}
          restore: {repository: registry.example.com/streamnative/pulsar-metadata-tool, tag: 3.3.3.3}
    zookeeper:
      ports: {metrics: 8000, client: 2181}
      updateStrategy: OnDelete
      pdb: {autoCreate: false}
      affinity: {anti_affinity: true, zone_anti_affinity: true}
      securityContext: {readOnlyRootFilesystem: true, runAsNonRoot: true}
      volumes: {persistence: true, reclaimPolicy: Delete, dataLog: {size: 10Gi}}
      jvm: {memoryOptions: [-Xmx1g]}
      configData: {autopurge.purgeInterval: "12"}
      customTools:
        serviceAccount: {use: true, create: true, clusterRole: true}
        backup: {enable: true, bucket: "s3a://bucket", configData: {OPTS: ""}, secrets: {use: false}}
    """
)


def lines(values: dict[str, Any], major: int = 3) -> dict[str, str]:
    """What helm says about each key."""
    said = refusal(values, major)
    assert HEAD in said
    found = re.findall(r"^  ([^:\n]+): (.+)$", said.partition(HEAD)[2], re.MULTILINE)
    return {key: way for keys, way in found for key in keys.split(", ")}


@pytest.mark.parametrize("major", [3, 4])
def test_values_of_apache(major: int) -> None:
    """Each key of Apache's chart that means something else here has its line, and no other."""
    found = lines(APACHE, major)
    assert {
        "affinity",
        "bookkeeper.pdb.usePolicy",
        "bookkeeper.volumes.journal.name",
        "broker.waitZookeeperTimeout",
        "clusterName",
        "components.autorecovery",
        "defaultPulsarImageTag",
        "rbac",
        "victoria-metrics-k8s-stack",
        "zookeeper.affinity.anti_affinity",
        "zookeeper.configData.PULSAR_PREFIX_tickTime",
        "zookeeper.pdb.usePolicy",
        "zookeeper.podMonitor",
        "zookeeper.probe.startup.enabled",
        "zookeeper.volumes.data.local_storage",
        "zookeeper.volumes.data.name",
    } == found.keys()
    assert "Use zookeeper.pdb.enabled" == found["zookeeper.pdb.usePolicy"]
    assert "Use zookeeper.config.tickTime" == found["zookeeper.configData.PULSAR_PREFIX_tickTime"]


@pytest.mark.parametrize("major", [3, 4])
def test_values_of_streamnative(major: int) -> None:
    """The same for StreamNative's. Its image of backup and restore is another program."""
    found = lines(STREAMNATIVE, major)
    assert {
        "images.zookeeper.customTools.backup.repository",
        "images.zookeeper.customTools.restore.repository",
        "monitoring.grafana",
        "monitoring.prometheus",
        "zookeeper.affinity.anti_affinity",
        "zookeeper.affinity.zone_anti_affinity",
        "zookeeper.configData.autopurge.purgeInterval",
        "zookeeper.customTools.serviceAccount.clusterRole",
        "zookeeper.jvm",
        "zookeeper.pdb.autoCreate",
        "zookeeper.ports.metrics",
        "zookeeper.securityContext.readOnlyRootFilesystem",
        "zookeeper.volumes.dataLog",
        "zookeeper.volumes.reclaimPolicy",
    } == found.keys()


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize("strategy", ["OnDelete", {"type": "OnDelete"}])
def test_update_strategy_as_a_text(strategy: object, major: int) -> None:
    """StreamNative's chart has only the type. It takes effect here, too, and any other string is refused."""
    manifests = render(nested("zookeeper.updateStrategy", strategy), major=major)
    assert {"type": "OnDelete"} == one(manifests, "StatefulSet", "snpe-pulsar-zookeeper")["spec"]["updateStrategy"]
    assert "zookeeper/updateStrategy" in refusal(nested("zookeeper.updateStrategy", "Recreate"), major)


@pytest.mark.parametrize("tool", ["backup", "restore"])
def test_image_of_another_program(tool: str) -> None:
    """The image of StreamNative's program is refused. An image of that name from elsewhere is not."""
    key = f"images.zookeeper.customTools.{tool}.repository"
    assert {
        key: "Set it to an image of this project's program. streamnative/pulsar-metadata-tool is another program"
    } == (lines(nested(key, "streamnative/pulsar-metadata-tool")))
    assert render(nested(key, "registry.example.com/pulsar-metadata-tool"))


@pytest.mark.parametrize("key", ["repository", "tag"])
def test_image_that_is_null(key: str) -> None:
    """Apache's chart has null for its default image, which is refused, with what to do."""
    said = refusal(nested(f"images.zookeeper.{key}", None), 3)
    assert f"images.zookeeper.{key} is empty. Set repository and tag to an image with Pulsar in /pulsar" in said


def test_every_key_has_a_line() -> None:
    """Each key of the table passes the schema, and has its line."""
    keys = other_charts.paths()
    values = merged(*({} if any(other.startswith(f"{key}.") for other in keys) else nested(key, "x") for key in keys))
    assert set(keys) == lines(values).keys()


@pytest.mark.parametrize("empty", [None, "", {}, []])
def test_empty_values_ask_for_nothing(empty: object) -> None:
    """A key of another chart without a value is not refused, unless it would become a field of a pod."""
    fields = re.compile(r"(zookeeper|bookkeeper|broker|proxy)\.(affinity|probe|securityContext)\.")
    keys = [key for key in other_charts.paths() if not fields.match(key)]
    assert render() == render(merged(*(nested(key, empty) for key in keys)))
    inside = [key for key in other_charts.paths() if fields.match(key)]
    if empty is not None:
        assert set(inside) == lines(merged(*(nested(key, empty) for key in inside))).keys()


def test_false_asks_for_nothing_that_is_absent() -> None:
    """`false` is not refused for a key without a counterpart here. For a key that has moved, it is refused."""
    absent = [key for group in TABLE["absent"] for key in group["keys"]]
    assert render() == render(merged(*(nested(key, value=False) for key in absent)))
    assert {"zookeeper.pdb.usePolicy"} == lines(nested("zookeeper.pdb.usePolicy", value=False)).keys()


def exists(path: str) -> bool:
    """Whether the chart has a key."""
    values: Any = DEFAULTS
    for key in path.split("."):
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


NAMES = re.compile(
    r"\b(?:tls|(?<!tls\.)zookeeper|images|monitoring|pulsar_metadata|global)(?:\.[A-Za-z]+)+|\b(?:commonLabels|extraObjects)\b"
)


@pytest.mark.parametrize(("key", "way"), TABLE["moved"].items())
def test_ways_lead_to_keys(key: str, way: str) -> None:
    """The key to use here exists, or is a field of Kubernetes' own below one."""
    fields = ("zookeeper.affinity.podAntiAffinity", "zookeeper.containerSecurityContext", "zookeeper.config.")
    others = ("components.zookeeper",)
    for name in NAMES.findall(way):
        assert exists(name) or name.startswith(fields) or f"components.{name}" in others, name
    assert not exists(key)


def test_readme_and_table_agree() -> None:
    """Each name of another chart in the README is in the table, unless the key is the same here."""
    section = (CHART / "README.md").read_text().partition("| here |")[2].partition("\n## ")[0]
    keys = other_charts.paths()
    for row in section.splitlines()[2:]:
        for cell in row.split("|")[2:4] if row.startswith("|") else ():
            for name in re.findall("`([^`]+)`", cell):
                known = [key for key in keys if key == name or key.startswith(f"{name}.") or name.startswith(f"{key}.")]
                assert known or exists(name) or exists(name.lstrip(".")), row


def test_keys_elsewhere_are_refused_by_the_schema() -> None:
    """Beside such a key, a typo is refused as anywhere else."""
    for path in ("podMonitor.customLabel", "zookeeper.jvms", "zookeeper.customTools.backup.affinity.anti_affinity"):
        assert "additional properties" in refusal(nested(path, "x"), 3)


def test_own_keys_are_not_in_the_table() -> None:
    """A key that the chart has itself is refused in the table."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    with pytest.raises(ValueError, match=r"the chart has zookeeper.replicaCount itself"):
        other_charts.allow(schema, ["zookeeper.replicaCount"])
