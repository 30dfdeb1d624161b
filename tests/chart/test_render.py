"""What the chart makes of values."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.parts.chart_tools import KUBERNETES
from support.helm import EXAMPLE, conform, containers, lint, merged, names, nested, one, pods, refusal, render, text

EVERYTHING = yaml.safe_load((Path(__file__).parent / "everything.yaml").read_text())
TOOLS = "zookeeper.customTools"
BACKUP = nested(f"{TOOLS}.backup.enable", value=True)
POINT = "s3a://bucket/team/pulsar-backup-1623721488825.tar.gz"
RESTORE = merged(
    nested(f"{TOOLS}.restore.enable", value=True),
    nested(f"{TOOLS}.restore.restorePoint", POINT),
)
EXTERNAL = {"zookeeper": {"enabled": False, "connect": "zk-0:2181,zk-1:2181/pulsar"}}
SETS = {
    "defaults": {},
    "backup": BACKUP,
    "restore": RESTORE,
    "initialize": {"initialize": True},
    "external ensemble": merged(EXTERNAL, BACKUP),
    "example": yaml.safe_load(EXAMPLE.read_text()),
    "everything": EVERYTHING,
}


@cache
def rendered(name: str) -> str:
    """The manifests of a set of options, rendered once for all versions of Kubernetes."""
    return text(SETS[name])


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("name", SETS)
def test_conforms(name: str, kubernetes: str) -> None:
    """Every set of options renders to objects that this Kubernetes knows, to the field."""
    assert "" == conform(rendered(name), kubernetes)


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_conformance_can_fail(kubernetes: str) -> None:
    """A field that does not exist is found."""
    wrong = text(BACKUP).replace("automountServiceAccountToken:", "automountServiceAccountTokens:")
    assert "automountServiceAccountTokens" in conform(wrong, kubernetes)


@pytest.mark.parametrize(
    ("kind", "field"), [("PodMonitor", "interval"), ("ServiceMonitor", "interval"), ("PrometheusRule", "expr")]
)
def test_conformance_of_monitors_can_fail(kind: str, field: str) -> None:
    """A field that the Prometheus operator's kinds do not have is found."""
    manifest = next(each for each in render(EVERYTHING) if each["kind"] == kind)
    wrong = yaml.safe_dump(manifest).replace(f" {field}:", f" {field}s:")
    assert f"'{field}s' not allowed" in conform(wrong, KUBERNETES[0])


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize("values", SETS.values(), ids=SETS.keys())
def test_lint(values: dict[str, Any], major: int) -> None:
    """`helm lint --strict` finds nothing."""
    done = lint(values, major)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("values", SETS.values(), ids=SETS.keys())
def test_helm_3_and_4_agree(values: dict[str, Any]) -> None:
    """Both helms make the same objects."""
    assert sorted(map(str, render(values, major=3))) == sorted(map(str, render(values, major=4)))


def test_names() -> None:
    """Names are `<release>-pulsar-<component>`; both tools are off by default."""
    everyone = names(render())
    assert "StatefulSet/snpe-pulsar-zookeeper" in everyone
    assert not [name for name in everyone if "backup" in name or "restore" in name or "Job/" in name]
    assert "StatefulSet/snpe-pulsar-backup" in names(render(BACKUP))


@pytest.mark.parametrize(("values", "expected"), [({}, "default"), ({"namespace": "snpe"}, "snpe")])
def test_namespace(values: dict[str, Any], expected: str) -> None:
    """Everything is in the namespace that was set, by default the release's."""
    assert {expected} == {manifest["metadata"]["namespace"] for manifest in render(merged(BACKUP, values))}


def test_backup_does_not_restart_zookeeper() -> None:
    """Switching the backup on changes nothing of ZooKeeper's."""
    name = ("StatefulSet", "snpe-pulsar-zookeeper")
    assert one(render(), *name) == one(render(BACKUP), *name)


@pytest.mark.parametrize("values", SETS.values(), ids=SETS.keys())
def test_restricted(values: dict[str, Any]) -> None:
    """Every container keeps to the `restricted` Pod Security level, with a read-only root file system and no token."""
    for name, spec in pods(render(values)):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(spec):
            if container["name"] != "first":  # the user's own
                expected = {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                }
                assert expected == container["securityContext"], name


def test_admin_port() -> None:
    """The Service exposes the admin port, and the probes ask it."""
    manifests = render(BACKUP)
    assert [8088] == [port["port"] for port in one(manifests, "Service", "snpe-pulsar-backup")["spec"]["ports"]]
    container = one(manifests, "StatefulSet", "snpe-pulsar-backup")["spec"]["template"]["spec"]["containers"][0]
    assert "/healthz" == container["livenessProbe"]["httpGet"]["path"]
    assert "/readyz" == container["readinessProbe"]["httpGet"]["path"]


def test_settings_reach_the_program() -> None:
    """Numbers given as numbers, long ones too, and the rest arrive as they were written."""
    manifests = render(EVERYTHING)
    backup, restore = (one(manifests, "ConfigMap", f"snpe-pulsar-{tool}")["data"] for tool in ("backup", "restore"))
    assert ("300", "9088", "s3://bucket/team/prod") == tuple(
        backup[name] for name in ("BACKUP_INTERVAL", "WEB_SERVER_PORT", "BUCKET")
    )
    assert "1623721488825" == restore["RESTORE_VERSION"]
    assert "60" == backup["ZOOKEEPER_CONNECT_TIMEOUT"]


def test_restore_knows_the_new_cluster() -> None:
    """The restore is told the new cluster's name and addresses where the chart knows them, and else nothing of them."""
    names = ("CLUSTER_NAME", "CLUSTER_SERVICE_URL", "CLUSTER_BROKER_SERVICE_URL")
    for values, expected in (
        ({}, (None, None, None)),
        ({"pulsar_metadata": {"clusterName": "prod"}}, ("prod", None, None)),
        (
            {"initialize": True, "namespace": "snpe"},
            (
                "snpe-pulsar",
                "http://snpe-pulsar-broker.snpe.svc.cluster.local:8080/",
                "pulsar://snpe-pulsar-broker.snpe.svc.cluster.local:6650/",
            ),
        ),
    ):
        data = one(render(merged(RESTORE, values)), "ConfigMap", "snpe-pulsar-restore")["data"]
        assert expected == tuple(data.get(name) for name in names)
        assert ("tiered-storage", "false", "false") == tuple(
            data[name] for name in ("RESTORE_SCOPE", "HOLD_RETENTION", "RENAME_CLUSTER")
        )


def test_secrets_by_key() -> None:
    """Credentials are taken from the Secret by their keys; without secrets.use there are none."""
    used = merged(BACKUP, nested(f"{TOOLS}.backup.secrets.use", value=True))
    for values, expected in ((BACKUP, []), (used, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])):
        spec = one(render(values), "StatefulSet", "snpe-pulsar-backup")["spec"]["template"]["spec"]
        variables = spec["containers"][0].get("env", [])
        assert expected == [variable["valueFrom"]["secretKeyRef"]["key"] for variable in variables]


def test_external_ensemble() -> None:
    """An ensemble that something else runs is backed up, and none is started."""
    manifests = render(merged(EXTERNAL, BACKUP))
    assert "StatefulSet/snpe-pulsar-zookeeper" not in names(manifests)
    assert (
        "zk-0:2181,zk-1:2181/pulsar" == one(manifests, "ConfigMap", "snpe-pulsar-backup")["data"]["ZOOKEEPER_SERVERS"]
    )


REFUSED = [
    (nested("backup.bucket", ""), "backup.bucket is empty"),
    (nested("backup.bucket", "my-bucket"), "backup.bucket is no address"),
    ({"backup": {"secrets": {"use": True, "aws": {"secretName": ""}}}}, "backup.secrets.aws.secretName is empty"),
    ({"restore": {"enable": True}}, "restore.restorePoint is empty"),
    (
        {"restore": {"enable": True, "restorePoint": "s3a://bucket/latest"}},
        "restore.restorePoint is no backup's address",
    ),
    (nested("backup.backupInterval", 9), "backup.backupInterval (seconds) is 9"),
    (nested("backup.backupInterval", "often"), 'backup.backupInterval (seconds) is "often"'),
    (nested("backup.webServerPort", "65536"), "backup.webServerPort is 65536"),
    (nested("backup.enabled", value=True), "enabled"),
    (nested("backups.enable", value=True), "backups"),
    (nested("backup.enable", "true"), "enable"),
    (nested("backup.configData.AWS_SECRET_ACCESS_KEY", "secret"), "configData.AWS_SECRET_ACCESS_KEY is a secret"),
    (nested("backup.configData.BUCKET", "s3a://other"), "configData.BUCKET is set by the chart"),
]


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize(("tools", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_refusals(tools: dict[str, Any], said: str, major: int) -> None:
    """A value that cannot work is refused by helm itself, in a line that names it."""
    assert said in refusal(merged(BACKUP, {"zookeeper": {"customTools": tools}}), major)


def test_restore_needs_its_own_zookeeper() -> None:
    """A restore into an ensemble that something else runs is refused, and one without volumes."""
    assert "zookeeper.enabled is false" in refusal(merged(EXTERNAL, RESTORE), 3)
    assert "persistence is false" in refusal(merged(RESTORE, nested("zookeeper.volumes.persistence", value=False)), 3)


def test_null_is_as_good_as_nothing() -> None:
    """`configData: null` is taken for an empty one."""
    nothing = nested(f"{TOOLS}.backup.configData", None)
    assert names(render(BACKUP)) == names(render(merged(BACKUP, nothing)))
