"""What the chart makes of values."""

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from ci.parts.chart_tools import KUBERNETES
from metadata_tool.marker import Marker
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
    "restore of the latest": merged(RESTORE, nested(f"{TOOLS}.restore.restorePoint", "latest")),
    "initialize": {"initialize": True},
    "external ensemble": merged(EXTERNAL, BACKUP),
    "login by password": merged(
        BACKUP, nested(f"{TOOLS}.backup.sasl", {"mechanism": "DIGEST-MD5", "secretName": "login"})
    ),
    "login by keytab": merged(BACKUP, nested(f"{TOOLS}.backup.sasl", {"mechanism": "GSSAPI", "secretName": "login"})),
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


def test_restore_knows_where_newer_backups_are() -> None:
    """Going back in time is off; the place of the new cluster's own backups is told where it makes any."""
    names = ("ALLOW_OLDER", "NEWER_BACKUPS_IN", "RESTORE_POINT", "BACKUP_PREFIX")
    latest = nested(f"{TOOLS}.restore", {"restorePoint": "latest", "allowOlder": True})
    own = nested(f"{TOOLS}.backup", {"enable": True, "bucket": "s3a://own/team/", "backupPrefix": "nightly"})
    for values, expected in (
        ({}, ("false", None, POINT, "metadata-backup")),
        (merged(own, latest), ("true", "s3a://own/team/nightly", "latest", "nightly")),
    ):
        data = one(render(merged(RESTORE, values)), "ConfigMap", "snpe-pulsar-restore")["data"]
        assert expected == tuple(data.get(name) for name in names)


MARKER = Marker("1", "s3a://bucket/p-1.tar.gz", {"restorePoint": "s3a://other/p-2.tar.gz"})


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        (None, ""),
        (MARKER, f" -Dmetadata-backup.restored={MARKER.digest} -Dmetadata-backup.restore-point={MARKER.point}"),
        (odd := Marker("1", "s3a://bucket/(a) b*/p-1.tar.gz"), f" -Dmetadata-backup.restored={odd.digest} "),
    ],
    ids=["none", "safe", "unsafe"],
)
def test_start_tells_the_origin(marker: Marker | None, expected: str, tmp_path: Path) -> None:
    """ZooKeeper is started with the digest of its restore's marker, and with its point where that needs no quoting."""
    (tmp_path / "version-2").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulsar").write_text('#!/bin/sh\nprintf %s "$OPTS"\n')
    (tmp_path / "bin" / "pulsar").chmod(0o755)
    if marker:
        (tmp_path / "version-2" / "restore.json").write_bytes(marker.to_json())
    program = (CHART / "files" / "start.sh").read_text().replace("/pulsar/data/zookeeper", str(tmp_path))
    environment = {"PATH": os.environ["PATH"], "POD_NAME": "zookeeper-2", "OPTS": ""}
    done = subprocess.run(
        ["bash", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert (expected, "3\n") == (done.stdout, (tmp_path / "myid").read_text())


REFUSED = [
    (nested("backup.bucket", ""), "backup.bucket is empty"),
    (nested("backup.bucket", "my-bucket"), "backup.bucket is no address"),
    ({"backup": {"secrets": {"use": True, "aws": {"secretName": ""}}}}, "backup.secrets.aws.secretName is empty"),
    ({"restore": {"enable": True}}, "restore.restorePoint is empty"),
    (
        {"restore": {"enable": True, "restorePoint": "s3a://bucket/latest"}},
        "restore.restorePoint is no backup's address",
    ),
    ({"restore": {"enable": True, "restorePoint": "latest", "bucket": ""}}, "restore.bucket is empty"),
    (
        {"restore": {"enable": True, "restorePoint": POINT, "configData": {"ALLOW_OLDER": "true"}}},
        "configData.ALLOW_OLDER is set by the chart",
    ),
    (nested("backup.backupInterval", 9), "backup.backupInterval (seconds) is 9"),
    (nested("backup.backupInterval", "often"), 'backup.backupInterval (seconds) is "often"'),
    (nested("backup.webServerPort", "65536"), "backup.webServerPort is 65536"),
    (nested("backup.enabled", value=True), "enabled"),
    (nested("backups.enable", value=True), "backups"),
    (nested("backup.enable", "true"), "enable"),
    (nested("backup.configData.AWS_SECRET_ACCESS_KEY", "secret"), "configData.AWS_SECRET_ACCESS_KEY is a secret"),
    (nested("backup.configData.BUCKET", "s3a://other"), "configData.BUCKET is set by the chart"),
    (nested("backup.configData.X", "http://user:password@proxy"), "configData.X is a secret"),
    (nested("backup.configData.X", {"a": 1}), "X"),
    (nested("backup.bucket", "s3a://bucket/two words"), "backup.bucket is no address"),
    (nested("backup.bucket", "s3a://bucket/../other"), "backup.bucket is no address"),
    (nested("backup.webServerPort", "010000"), 'backup.webServerPort is "010000"'),
    (nested("backup.component", "restore"), "are the same: zookeeper, restore, restore"),
    (nested("backup.component", "init"), "backup.component is init, which something else"),
    (nested("backup.component", "b" * 50), "is too long"),
    (
        merged({"restore": {"enable": True, "restorePoint": POINT, "bucket": "s3a://key:secret@b"}}),
        "restore.bucket is no",
    ),
    (merged({"restore": {"enable": True, "restorePoint": POINT, "restoreVersion": ""}}), "restoreVersion is empty"),
    ({"restore": {"enable": True, "restorePoint": POINT, "scope": "all"}}, "scope"),
    (nested("backup.sasl.mechanism", "PLAIN"), "mechanism"),
    (nested("backup.sasl.mechanism", "DIGEST-MD5"), "sasl.secretName is empty, and sasl.mechanism is DIGEST-MD5"),
    (nested("backup.sasl.mechanism", "GSSAPI"), "set it to the name of a Secret with keytab and krb5.conf"),
    (nested("backup.sasl.principal", "backup@A"), "sasl.principal is set, and sasl.mechanism is empty"),
    (
        nested("backup.sasl", {"mechanism": "DIGEST-MD5", "secretName": "login", "krb5ConfigMap": "krb5"}),
        "sasl.krb5ConfigMap is set, and sasl.mechanism is DIGEST-MD5: it belongs to GSSAPI",
    ),
    (
        nested("backup.sasl", {"mechanism": "GSSAPI", "secretName": "login", "service": "zk/host"}),
        'sasl.service is "zk/host"',
    ),
    (nested("backup.sasl.password", "x"), "password"),
    (nested("backup.configData", {"ZOOKEEPER_SASL_PASSWORD": "x"}), "configData.ZOOKEEPER_SASL_PASSWORD is a secret"),
    (nested("backup.configData", {"ZOOKEEPER_SASL_USER": "x"}), "configData.ZOOKEEPER_SASL_USER is set by the chart"),
    (nested("backup.configData", {"KRB5_CONFIG": "/x"}), "configData.KRB5_CONFIG is set by the chart"),
    (
        {"restore": {"enable": True, "restorePoint": POINT.replace("team", "..")}},
        "restore.restorePoint is no backup's address",
    ),
]
TLS: dict[str, Any] = {"backup": {"enable": True, "tls": {"use": True, "secretName": "zookeeper-tls"}}}
REFUSED_ELSEWHERE = [
    (
        {
            "zookeeper": {
                "extraEnv": [{"name": "OPTS", "value": "-Dzookeeper.admin.enableServer=false"}],
                "customTools": {"restore": {"enable": True, "restorePoint": POINT}},
            }
        },
        "sets a zookeeper.admin property",
    ),
    (
        {"initialize": True, "zookeeper": {"enabled": False, "connect": "zk-0:2281", "customTools": TLS}},
        "backup.tls.use is true, and initialize, too",
    ),
    ({"zookeeper": {"customTools": TLS}}, "backup.tls.use is true, and zookeeper.enabled, too"),
    (
        {
            "zookeeper": {
                "enabled": False,
                "connect": "zk-0:2281",
                "customTools": merged(TLS, {"backup": {"tls": {"secretName": ""}}}),
            }
        },
        "backup.tls.secretName is empty",
    ),
    (
        {"zookeeper": {"customTools": {"backup": {"enable": True, "configData": {"ZOOKEEPER_TLS_KEY_PASSWORD": "x"}}}}},
        "configData.ZOOKEEPER_TLS_KEY_PASSWORD is a secret",
    ),
    ({"zookeeper": {"config": {"dataDir": "/elsewhere"}}}, "zookeeper.config.dataDir is set by the chart"),
    ({"zookeeper": {"config": {"dataLogDir": "/elsewhere"}}}, "zookeeper.config.dataLogDir is set by the chart"),
    ({"zookeeper": {"configData": {"AWS_SECRET_ACCESS_KEY": "x"}}}, "configData.AWS_SECRET_ACCESS_KEY is a secret"),
    (
        {
            "zookeeper": {
                "config": {"admin.enableServer": False},
                "customTools": {"restore": {"enable": True, "restorePoint": POINT}},
            }
        },
        "zookeeper.config.admin.enableServer cannot be set while",
    ),
    ({"zookeeper": {"ports": {"http": 2181}}}, "zookeeper.ports.http is 2181, which is another port"),
    ({"zookeeper": {"ports": {"http": 9990}}}, "zookeeper.ports.http is 9990, which is another port"),
    ({"zookeeper": {"enabled": False, "connect": "zk-0"}, "initialize": True}, 'zookeeper.connect is "zk-0"'),
    ({"images": {"zookeeper": {"tag": 4.1}}}, "tag"),
    ({"images": {"zookeeper": {"tag": ""}}}, "tag"),
]


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize(("tools", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_refusals(tools: dict[str, Any], said: str, major: int) -> None:
    """A value that cannot work is refused by helm itself, in a line that names it."""
    assert said in refusal(merged(BACKUP, {"zookeeper": {"customTools": tools}}), major)


@pytest.mark.parametrize(("values", "said"), REFUSED_ELSEWHERE, ids=[said for _, said in REFUSED_ELSEWHERE])
def test_refusals_elsewhere(values: dict[str, Any], said: str) -> None:
    """So are values of ZooKeeper's own, and images without a tag."""
    assert said in refusal(values, 3)


@pytest.mark.parametrize("release", ["my.release", "2prod", "a" * 40])
def test_release_names(release: str) -> None:
    """A release whose name Kubernetes would refuse half-way is refused before."""
    assert "the release's name" in refusal({}, 3, release) or "is too long" in refusal({}, 3, release)


def test_labels_are_text() -> None:
    """A release called like a YAML word keeps its name."""
    labels = one(render(release="true"), "StatefulSet", "true-pulsar-zookeeper")["metadata"]["labels"]
    assert ("true", "true") == (labels["release"], labels["app.kubernetes.io/instance"])


@pytest.mark.parametrize(
    "values",
    [
        {"commonLabels": {"team": "storage"}},
        {"zookeeper": {"labels": {}}, "monitoring": {"podMonitor": {"enabled": True}}},
        merged(BACKUP, nested(f"{TOOLS}.backup.backupInterval", 60)),
    ],
)
def test_zookeeper_is_restarted_for_itself_alone(values: dict[str, Any]) -> None:
    """What does not change ZooKeeper does not change its pods."""
    name = ("StatefulSet", "snpe-pulsar-zookeeper")
    assert one(render(), *name)["spec"] == one(render(values), *name)["spec"]


def test_corrected_restore_point_reaches_pods_that_wait() -> None:
    """It changes no pod: they take it from the ConfigMap at their next try. Another version does."""
    name = ("StatefulSet", "snpe-pulsar-zookeeper")
    first = one(render(RESTORE), *name)["spec"]
    corrected = merged(RESTORE, nested(f"{TOOLS}.restore.restorePoint", POINT.replace("team", "other")))
    assert first == one(render(corrected), *name)["spec"]
    assert first != one(render(merged(RESTORE, nested(f"{TOOLS}.restore.restoreVersion", "2"))), *name)["spec"]


def test_zookeeper_is_restarted_for_its_configuration() -> None:
    """A changed configuration changes the pods."""
    name = ("StatefulSet", "snpe-pulsar-zookeeper")
    for values in (
        {"zookeeper": {"config": {"tickTime": 3000}}},
        {"zookeeper": {"configData": {"PULSAR_MEM": "-Xmx1g"}}},
    ):
        assert one(render(), *name)["spec"]["template"] != one(render(values), *name)["spec"]["template"]


def test_account_is_there_with_and_without_a_restore() -> None:
    """Kubernetes keeps the account of a pod's template that is taken out again: it is never taken out."""
    name = ("StatefulSet", "snpe-pulsar-zookeeper")
    accounts = {one(render(v), *name)["spec"]["template"]["spec"]["serviceAccountName"] for v in ({}, RESTORE)}
    assert {"snpe-pulsar-metadata-tool"} == accounts


def test_jobs_are_called_after_what_they_do() -> None:
    """Changed values of what initialises make new Jobs, others do not."""

    def jobs(values: dict[str, Any]) -> set[str]:
        return {name for name in names(render(merged({"initialize": True}, values))) if name.startswith("Job/")}

    assert jobs({}) == jobs({"commonLabels": {"team": "storage"}})
    assert not jobs({}) & jobs({"pulsar_metadata": {"clusterName": "other"}})


def peers(manifests: list[dict[str, Any]], name: str, port: str | int) -> list[dict[str, Any]]:
    """Who may reach a port."""
    rules = one(manifests, "NetworkPolicy", name)["spec"]["ingress"]
    return [peer for rule in rules if {"port": port} in rule["ports"] for peer in rule["from"]]


def test_network_policy_never_cuts_off_the_chart_itself() -> None:
    """However few others may, backup and Jobs reach ZooKeeper, `helm test` the admin port; an empty list is nobody."""
    nobody: dict[str, Any] = {"enabled": True, "clients": [], "monitoring": [], "admins": []}
    manifests = render(merged(BACKUP, {"networkPolicy": nobody}))

    def components(name: str, port: str | int) -> list[str]:
        return [peer["podSelector"]["matchLabels"]["component"] for peer in peers(manifests, name, port)]

    assert ["zookeeper", "backup", "bookie-init", "init"] == components("snpe-pulsar-zookeeper", "client")
    assert ["zookeeper"] == components("snpe-pulsar-zookeeper", "election")
    assert ["zookeeper"] == components("snpe-pulsar-zookeeper", 9990)
    assert ["test"] == components("snpe-pulsar-backup", "http")
    for policy in (each for each in manifests if each["kind"] == "NetworkPolicy"):
        assert all(rule["from"] for rule in policy["spec"]["ingress"])


@pytest.mark.parametrize("own", [True, False])
def test_tls(*, own: bool) -> None:
    """Certificates come from a Secret, as files; what the program is told are their names."""
    tools = merged(TLS, {"backup": {"tls": {"clientCertificate": own, "checkHostname": own}}})
    manifests = render({"zookeeper": {"enabled": False, "connect": "zk-0:2281", "customTools": tools}})
    pod = one(manifests, "StatefulSet", "snpe-pulsar-backup")["spec"]["template"]["spec"]
    assert {"secretName": "zookeeper-tls"} in [volume.get("secret") for volume in pod["volumes"]]
    assert "/etc/zookeeper-tls" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    told = one(manifests, "ConfigMap", "snpe-pulsar-backup")["data"]
    assert ("true", "/etc/zookeeper-tls/ca.crt") == (told["ZOOKEEPER_TLS"], told["ZOOKEEPER_TLS_CA"])
    assert own == (told.get("ZOOKEEPER_TLS_KEY") == "/etc/zookeeper-tls/tls.key")
    assert str(own).lower() == told["ZOOKEEPER_TLS_CHECK_HOSTNAME"]


def sasl(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the program is told in plain, and its pod."""
    manifests = render(merged(BACKUP, EXTERNAL, nested(f"{TOOLS}.backup.sasl", values)))
    pod = one(manifests, "StatefulSet", "snpe-pulsar-backup")["spec"]["template"]["spec"]
    told = one(manifests, "ConfigMap", "snpe-pulsar-backup")["data"]
    return {name: value for name, value in told.items() if "SASL" in name or "KRB5" in name}, pod


def test_sasl_digest() -> None:
    """User and password come from a Secret; a ConfigMap has the mechanism alone."""
    told, pod = sasl({"mechanism": "DIGEST-MD5", "secretName": "login"})
    assert {"ZOOKEEPER_SASL_MECHANISM": "DIGEST-MD5"} == told
    assert [
        {"name": f"ZOOKEEPER_SASL_{key.upper()}", "valueFrom": {"secretKeyRef": {"name": "login", "key": key}}}
        for key in ("password", "user")
    ] == pod["containers"][0]["env"]
    assert ["spool"] == [volume["name"] for volume in pod["volumes"]]


@pytest.mark.parametrize("apart", [True, False])
def test_sasl_kerberos(*, apart: bool) -> None:
    """The keytab comes from a Secret, krb5.conf from there, too, or from a ConfigMap; both are files."""
    more = {"krb5ConfigMap": "krb5"} if apart else {}
    told, pod = sasl({"mechanism": "GSSAPI", "secretName": "login", "principal": "backup@EXAMPLE.TEST", **more})
    assert {
        "KRB5_CONFIG": "/etc/zookeeper-sasl/krb5.conf",
        "ZOOKEEPER_SASL_KEYTAB": "/etc/zookeeper-sasl/keytab",
        "ZOOKEEPER_SASL_MECHANISM": "GSSAPI",
        "ZOOKEEPER_SASL_PRINCIPAL": "backup@EXAMPLE.TEST",
        "ZOOKEEPER_SASL_SERVICE": "zookeeper",
    } == told
    assert "/etc/zookeeper-sasl" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    (sources,) = [volume["projected"]["sources"] for volume in pod["volumes"] if "projected" in volume]
    files = {
        (kind, place["name"], item["key"], item["path"])
        for source in sources
        for kind, place in source.items()
        for item in place["items"]
    }
    krb5 = ("configMap", "krb5") if apart else ("secret", "login")
    assert {("secret", "login", "keytab", "keytab"), (*krb5, "krb5.conf", "krb5.conf")} == files


def test_no_sasl_by_default() -> None:
    """Nothing of SASL is there unless it is asked for."""
    told, pod = sasl({})
    assert {} == told
    assert "env" not in pod["containers"][0]


def test_numbers_and_nulls() -> None:
    """Numbers arrive as they were written; null is as good as nothing."""
    values = {
        "zookeeper": {
            "config": {"snapCount": 1_000_000, "snapSizeLimitInKb": 0.5, "maxClientCnxns": None},
            "customTools": {"backup": {"configData": {"A": 0.5, "B": 3, "C": None}}},
        }
    }
    manifests = render(merged(BACKUP, values))
    conf = one(manifests, "ConfigMap", "snpe-pulsar-zookeeper")["data"]["zookeeper.conf"].splitlines()
    assert {"snapCount=1000000", "snapSizeLimitInKb=0.5"} <= set(conf)
    assert not [line for line in conf if line.startswith("maxClientCnxns")]
    data = one(manifests, "ConfigMap", "snpe-pulsar-backup")["data"]
    assert ("0.5", "3", None) == tuple(data.get(name) for name in "ABC")


def test_one_monitor_of_the_backup() -> None:
    """With both kinds switched on, the backup is scraped once."""
    both = {"monitoring": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}}
    monitors = {name for name in names(render(merged(BACKUP, both))) if "Monitor/" in name}
    assert {"PodMonitor/snpe-pulsar-zookeeper", "ServiceMonitor/snpe-pulsar-backup"} == monitors


def test_labels_that_a_prometheus_selects_by() -> None:
    """A monitor's labels are the user's, even `release`; a pod's cannot replace what selects it."""
    values = merged(
        BACKUP,
        {"monitoring": {"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}},
        {"zookeeper": {"labels": {"component": "other", "mine": "yes"}}},
    )
    manifests = render(values)
    assert "prometheus" == one(manifests, "PodMonitor", "snpe-pulsar-backup")["metadata"]["labels"]["release"]
    labels = one(manifests, "StatefulSet", "snpe-pulsar-zookeeper")["spec"]["template"]["metadata"]["labels"]
    assert ("zookeeper", "yes") == (labels["component"], labels["mine"])


def test_restore_needs_its_own_zookeeper() -> None:
    """A restore into an ensemble that something else runs is refused, and one without volumes."""
    assert "zookeeper.enabled is false" in refusal(merged(EXTERNAL, RESTORE), 3)
    assert "persistence is false" in refusal(merged(RESTORE, nested("zookeeper.volumes.persistence", value=False)), 3)


def test_null_is_as_good_as_nothing() -> None:
    """`configData: null` is taken for an empty one."""
    nothing = nested(f"{TOOLS}.backup.configData", None)
    assert names(render(BACKUP)) == names(render(merged(BACKUP, nothing)))
