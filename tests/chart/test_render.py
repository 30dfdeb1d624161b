"""What the chart makes of values."""

import re
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from ci.parts.chart_tools import KUBERNETES, OLDEST_AND_NEWEST
from metadata_tool.status_page.restore_values import restore_values
from support.helm import (
    EVERYTHING,
    EXAMPLE,
    conform,
    conform_all,
    containers,
    lint,
    merged,
    names,
    nested,
    one,
    pods,
    refusal,
    render,
    text,
)
from support.scenes import a_backup

TOOLS = "zookeeper.customTools"
BACKUP = nested(f"{TOOLS}.backup.enable", value=True)
POINT = "s3a://bucket/team/pulsar-backup-1623721488825.tar.gz"
RESTORE = merged(
    nested(f"{TOOLS}.restore.enable", value=True),
    nested(f"{TOOLS}.restore.restorePoint", POINT),
)
NO_ZOOKEEPER = {"components": {"zookeeper": False}}
EXTERNAL = {**NO_ZOOKEEPER, "zookeeper": {"connect": "zk-0:2181,zk-1:2181/pulsar"}}
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


def rendered(name: str, kubernetes: str) -> str:
    """The manifests of a set of options for a version of Kubernetes."""
    return text(SETS[name], "--kube-version", kubernetes)


IN_BETWEEN = [pytest.param(each, marks=pytest.mark.soak) for each in KUBERNETES if each not in OLDEST_AND_NEWEST]


@pytest.mark.parametrize("kubernetes", [*OLDEST_AND_NEWEST, *IN_BETWEEN])
def test_conforms(kubernetes: str) -> None:
    """Every set of options renders to objects that this Kubernetes knows, to the field."""
    assert "" == conform_all({name: rendered(name, kubernetes) for name in SETS}, kubernetes)


@pytest.mark.parametrize("kubernetes", [*OLDEST_AND_NEWEST, *IN_BETWEEN])
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
    """Names are `<release>-pulsar-<component>`, and both tools are off by default."""
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
    found = list(pods(render(values)))
    assert found
    for name, spec in found:
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(spec):
            if container["name"] not in ("first", "beside"):  # the user's own
                expected = {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                }
                assert expected == {key: container["securityContext"].get(key) for key in expected}, name


def test_admin_port() -> None:
    """The Service exposes the admin port, ready or not, and the probes ask it."""
    manifests = render(BACKUP)
    service = one(manifests, "Service", "snpe-pulsar-backup")["spec"]
    assert ([8088], True) == ([port["port"] for port in service["ports"]], service["publishNotReadyAddresses"])
    container = one(manifests, "StatefulSet", "snpe-pulsar-backup")["spec"]["template"]["spec"]["containers"][0]
    assert "/healthz" == container["livenessProbe"]["httpGet"]["path"]
    script = (CHART / "files/backup_ready.sh").read_text()
    assert ["bash", "-c", script, "backup_ready.sh", "8088"] == container["readinessProbe"]["exec"]["command"]
    assert (5, 5) == tuple(container["readinessProbe"][name] for name in ("periodSeconds", "timeoutSeconds"))


def test_settings_reach_the_program() -> None:
    """Numbers given as numbers, long ones too, and the rest arrive as they were written."""
    manifests = render(EVERYTHING)
    backup, restore = (one(manifests, "ConfigMap", f"our-pulsar-{tool}")["data"] for tool in ("backup", "restore"))
    assert ("300", "9088", "s3://bucket/team/prod") == tuple(
        backup[name] for name in ("BACKUP_INTERVAL", "WEB_SERVER_PORT", "BUCKET")
    )
    assert "1623721488825" == restore["RESTORE_VERSION"]
    assert "60" == backup["ZOOKEEPER_CONNECT_TIMEOUT"]


def test_restore_knows_the_new_cluster() -> None:
    """The restore gets the new cluster's name and addresses if the chart knows them, and otherwise none."""
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
        assert ("bookies-lost", "false", "false") == tuple(
            data[name] for name in ("RESTORE_SCOPE", "INFINITE_RETENTION", "RENAME_CLUSTER")
        )


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ({}, None),
        (None, None),
        ({"old": None}, None),
        ({"old": "new"}, "old=new"),
        ({"b.old": "new", "a-old": "newer"}, "a-old=newer,b.old=new"),
    ],
)
def test_moved_buckets(buckets: object, expected: str | None) -> None:
    """Moved buckets of tiered storage reach the restore, and the backup for `scrub`, in the order of their names."""
    values = merged(RESTORE, nested("zookeeper.customTools.backup.enable", value=True))
    rendered = render(merged(values, nested("zookeeper.customTools.restore.tieredStorage.buckets", buckets)))
    for tool in ("restore", "backup"):
        data = one(rendered, "ConfigMap", f"snpe-pulsar-{tool}")["data"]
        assert expected == data.get("TIERED_STORAGE_BUCKETS")


@pytest.mark.parametrize(
    ("buckets", "said"),
    [
        ({"old": "new=x"}, "'new=x' does not match"),
        ({"a,b": "new"}, "'a,b' does not match"),
        ({"old": ""}, "'' does not match"),
        ({"old": 7}, "buckets/old"),
        (["old"], "buckets"),
    ],
)
def test_wrong_moved_buckets(buckets: object, said: str) -> None:
    """Names that no bucket can have are refused."""
    assert said in refusal(merged(RESTORE, nested("zookeeper.customTools.restore.tieredStorage.buckets", buckets)), 3)


def pod(values: dict[str, Any], name: str) -> dict[str, Any]:
    """The pods of a StatefulSet."""
    return dict(
        one(render(values), "StatefulSet", f"{values.get('fullnameOverride', 'snpe-pulsar')}-{name}")["spec"][
            "template"
        ]["spec"]
    )


def of(tool: str, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The container of backup or restore, and the volumes of its pod by name."""
    spec = pod(values, "backup" if tool == "backup" else "zookeeper")
    (container,) = (each for each in containers(spec) if each["name"] == tool)
    return container, {volume["name"]: volume for volume in spec["volumes"]}


def variables(container: dict[str, Any]) -> dict[str, Any]:
    """The variables that a container sets by value."""
    return {variable["name"]: variable.get("value") for variable in container.get("env", [])}


def mounted(container: dict[str, Any]) -> dict[str, Any]:
    """What a container mounts, by path."""
    return {mount["mountPath"]: mount for mount in container["volumeMounts"]}


@pytest.mark.parametrize(("tool", "off"), [("backup", BACKUP), ("restore", RESTORE)])
def test_keys_are_mounted(tool: str, off: dict[str, Any]) -> None:
    """Keys come from the Secret as files, which change in a running pod. Without secrets.use there are none."""
    container, volumes = of(tool, off)
    assert ({}, {"spool"}) == (variables(container), set(volumes) & {"spool", "object-store-keys"})
    container, volumes = of(tool, merged(off, nested(f"{TOOLS}.{tool}.secrets.use", value=True)))
    assert {"S3_CREDENTIALS_DIR": "/etc/aws-secret"} == variables(container)
    mount = {"name": "object-store-keys", "mountPath": "/etc/aws-secret", "readOnly": True}
    assert mount == mounted(container)["/etc/aws-secret"]
    assert {
        "secretName": "aws-secret",
        "defaultMode": 0o440,
        "items": [{"key": name, "path": name} for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")],
    } == volumes["object-store-keys"]["secret"]


@pytest.mark.parametrize("tool", ["backup", "restore"])
def test_keys_of_other_names(tool: str) -> None:
    """A Secret whose keys are called otherwise is mounted under the names that the program knows."""
    container, volumes = of(tool, EVERYTHING)
    secret = volumes["object-store-keys"]["secret"]
    assert f"{tool}-keys" == secret["secretName"]
    assert [
        {"key": "id", "path": "AWS_ACCESS_KEY_ID"},
        {"key": "key", "path": "AWS_SECRET_ACCESS_KEY"},
        {"key": "token", "path": "AWS_SESSION_TOKEN"},
    ] == secret["items"]
    assert "/etc/object-store-ca/ca.crt" == variables(container)["AWS_CA_BUNDLE"]
    assert {"name": "object-store-ca", "mountPath": "/etc/object-store-ca", "readOnly": True} == mounted(container)[
        "/etc/object-store-ca"
    ]
    assert "authorities" == volumes["object-store-ca"]["secret"]["secretName"]


def test_admin_token() -> None:
    """The token of the admin port comes from a Secret, as a file that may change. It is off by default."""
    token = nested(f"{TOOLS}.backup.adminToken", {"secretName": "admin", "key": "word"})
    container, volumes = of("backup", merged(BACKUP, token))
    assert mounted(container)["/etc/admin-token"]["readOnly"]
    expected = {"secretName": "admin", "defaultMode": 0o440, "items": [{"key": "word", "path": "token"}]}
    assert expected == volumes["admin-token"]["secret"]
    found = [
        one(render(values), "ConfigMap", "snpe-pulsar-backup")["data"] for values in (merged(BACKUP, token), BACKUP)
    ]
    assert ["/etc/admin-token/token", None] == [data.get("ADMIN_TOKEN_FILE") for data in found]


@pytest.mark.parametrize("suspect", [False, True])
def test_values_of_the_status_page(suspect: bool) -> None:
    """The values that the status page gives for a backup are accepted, and restore it."""
    backup = a_backup(1_623_721_488_825, suspect=suspect)
    rendered = render(yaml.safe_load(restore_values(backup, newest=not suspect, encrypted=suspect)))
    data = one(rendered, "ConfigMap", "snpe-pulsar-restore")["data"]
    assert (backup.uri, "1623721488825") == (data["RESTORE_POINT"], data["RESTORE_VERSION"])


def test_heartbeat() -> None:
    """The address of the heartbeat comes from a Secret, and is in no ConfigMap."""
    values = merged(BACKUP, nested(f"{TOOLS}.backup.heartbeat", {"secretName": "watcher", "key": "address"}))
    container, _ = of("backup", values)
    expected = {"secretKeyRef": {"name": "watcher", "key": "address"}}
    assert [expected] == [each["valueFrom"] for each in container["env"] if each["name"] == "HEARTBEAT_URL"]
    assert "HEARTBEAT_URL" not in one(render(values), "ConfigMap", "snpe-pulsar-backup")["data"]


SCRUBS = nested(f"{TOOLS}.backup.scrub", {"interval": "86400", "listOnly": True, "requests": 16})
OFFLOADS = nested(
    f"{TOOLS}.tieredStorage",
    {
        "endpointUrl": "https://offloads.example.com",
        "region": "eu-west-3",
        "addressingStyle": "virtual",
        "secrets": {"enabled": True, "secretName": "offload-keys"},
    },
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"SCRUB_LIST_ONLY": "false", "SCRUB_REQUESTS": "8"}),
        (nested(f"{TOOLS}.backup.scrub.interval", None), {"SCRUB_LIST_ONLY": "false", "SCRUB_REQUESTS": "8"}),
        (nested(f"{TOOLS}.tieredStorage", None), {"SCRUB_LIST_ONLY": "false", "SCRUB_REQUESTS": "8"}),
        (SCRUBS, {"SCRUB_INTERVAL": "86400", "SCRUB_LIST_ONLY": "true", "SCRUB_REQUESTS": "16"}),
        (
            OFFLOADS,
            {
                "SCRUB_LIST_ONLY": "false",
                "SCRUB_REQUESTS": "8",
                "TIERED_STORAGE_ADDRESSING_STYLE": "virtual",
                "TIERED_STORAGE_ENDPOINT_URL": "https://offloads.example.com",
                "TIERED_STORAGE_REGION": "eu-west-3",
            },
        ),
        (
            merged(
                nested(f"{TOOLS}.backup.configData", {"TIERED_STORAGE_REGION": "own", "SCRUB_REQUESTS": 3}),
                nested(f"{TOOLS}.tieredStorage.region", "a"),
            ),
            {"SCRUB_LIST_ONLY": "false", "SCRUB_REQUESTS": "3", "TIERED_STORAGE_REGION": "own"},
        ),
    ],
)
def test_scrubs(values: dict[str, Any], expected: dict[str, str]) -> None:
    """Scrubs are off by default. What is not set for tiered storage is not in the environment, either."""
    data = one(render(merged(BACKUP, values)), "ConfigMap", "snpe-pulsar-backup")["data"]
    assert expected == {name: value for name, value in data.items() if name.startswith(("SCRUB", "TIERED"))}


def test_restore_reads_tiered_storage() -> None:
    """A restore reaches tiered storage like the scrubs do."""
    data = one(render(merged(RESTORE, OFFLOADS)), "ConfigMap", "snpe-pulsar-restore")["data"]
    expected = {
        "TIERED_STORAGE_ADDRESSING_STYLE": "virtual",
        "TIERED_STORAGE_ENDPOINT_URL": "https://offloads.example.com",
        "TIERED_STORAGE_RECONCILE": "false",
        "TIERED_STORAGE_REGION": "eu-west-3",
    }
    assert expected == {name: value for name, value in data.items() if name.startswith("TIERED")}


@pytest.mark.parametrize(("tool", "enabled"), [("backup", BACKUP), ("restore", RESTORE)])
def test_keys_of_tiered_storage(tool: str, enabled: dict[str, Any]) -> None:
    """Its keys come from a Secret of its own, beside those of the backups. Without one, nothing is mounted."""
    container, volumes = of(tool, enabled)
    assert not [name for name in volumes if name.startswith("tiered")]
    container, volumes = of(tool, merged(enabled, OFFLOADS, nested(f"{TOOLS}.{tool}.secrets.use", value=True)))
    folder = "/etc/tiered-storage-secret"
    expected = {"S3_CREDENTIALS_DIR": "/etc/aws-secret", "TIERED_STORAGE_CREDENTIALS_DIR": folder}
    assert expected == variables(container)
    assert {"name": "tiered-storage-keys", "mountPath": folder, "readOnly": True} == mounted(container)[folder]
    own, backups = (volumes[f"{name}-keys"]["secret"] for name in ("tiered-storage", "object-store"))
    assert "offload-keys" == own.pop("secretName")
    assert own == {key: value for key, value in backups.items() if key != "secretName"}


def test_zookeeper_has_no_keys_without_a_restore() -> None:
    """ZooKeeper's pods mount keys and authorities while a restore is switched on, in its container alone."""
    shared = nested(f"{TOOLS}.objectStore", {"endpoint": "https://s3.example.com", "caSecretName": "authorities"})
    used = merged(
        shared, OFFLOADS, *(nested(f"{TOOLS}.{tool}.secrets.use", value=True) for tool in ("backup", "restore"))
    )
    assert pod({}, "zookeeper") == pod(merged(BACKUP, used), "zookeeper")
    (container,) = pod(merged(RESTORE, used), "zookeeper")["containers"]
    assert not {"/etc/aws-secret", "/etc/object-store-ca", "/etc/tiered-storage-secret"} & set(mounted(container))


STORE = ("AWS_ENDPOINT_URL_S3", "AWS_REGION")


@pytest.mark.parametrize("tool", ["backup", "restore"])
@pytest.mark.parametrize(
    ("shared", "own", "expected"),
    [
        ({}, {}, (None, None)),
        ({"endpoint": "https://s3:9000", "region": "eu-west-1"}, {}, ("https://s3:9000", "eu-west-1")),
        ({"endpoint": "https://s3:9000"}, {"AWS_REGION": "a"}, ("https://s3:9000", "a")),
        ({"endpoint": "https://s3:9000", "region": "a"}, {"AWS_REGION": None}, ("https://s3:9000", "a")),
        ({"region": "a"}, dict.fromkeys(STORE, "http://own"), ("http://own", "http://own")),
        ({"endpoint": "https://s3:9000"}, None, ("https://s3:9000", None)),
    ],
)
def test_object_store_is_shared(
    tool: str, shared: dict[str, str], own: dict[str, str] | None, expected: tuple[str | None, ...]
) -> None:
    """Backup and restore have the same endpoint and region, unless a tool's own configData sets others."""
    values = merged(BACKUP, RESTORE, nested(f"{TOOLS}.objectStore", shared), nested(f"{TOOLS}.{tool}.configData", own))
    data = one(render(values), "ConfigMap", f"snpe-pulsar-{tool}")["data"]
    assert expected == tuple(data.get(name) for name in STORE)


@pytest.mark.parametrize("tool", ["backup", "restore"])
def test_authorities_of_its_own(tool: str) -> None:
    """A tool whose configData has AWS_CA_BUNDLE keeps it."""
    own = nested(f"{TOOLS}.{tool}.configData", {"AWS_CA_BUNDLE": "/mine"})
    container, _ = of(tool, merged(BACKUP, RESTORE, nested(f"{TOOLS}.objectStore.caSecretName", "authorities"), own))
    assert "AWS_CA_BUNDLE" not in variables(container)


def test_example_filled_in() -> None:
    """The lines of the example that are to be filled in fit where they stand: image and endpoint reach both tools."""
    filled = re.sub(r"^( *)# ( *[a-zA-Z]+:)", r"\1\2", EXAMPLE.read_text(), flags=re.MULTILINE)
    values = merged(yaml.safe_load(filled), RESTORE)
    for tool in ("backup", "restore"):
        assert "registry.example.com/pulsar-metadata-backup:0.1.0" == of(tool, values)[0]["image"]
        data = one(render(values), "ConfigMap", f"snpe-pulsar-{tool}")["data"]
        assert "https://s3.example.com" == data["AWS_ENDPOINT_URL_S3"]


def test_external_ensemble() -> None:
    """An ensemble that something else runs is backed up, and none is started."""
    manifests = render(merged(EXTERNAL, BACKUP))
    assert "StatefulSet/snpe-pulsar-zookeeper" not in names(manifests)
    assert (
        "zk-0:2181,zk-1:2181/pulsar" == one(manifests, "ConfigMap", "snpe-pulsar-backup")["data"]["ZOOKEEPER_SERVERS"]
    )


def test_restore_knows_where_newer_backups_are() -> None:
    """Going back in time is off. If the new cluster makes backups, the restore gets their place."""
    names = ("ALLOW_OLDER", "NEWER_BACKUPS_IN", "RESTORE_POINT", "BACKUP_PREFIX")
    latest = nested(f"{TOOLS}.restore", {"restorePoint": "latest", "allowOlder": True})
    own = nested(f"{TOOLS}.backup", {"enable": True, "bucket": "s3a://own/team/", "backupPrefix": "nightly"})
    for values, expected in (
        ({}, ("false", None, POINT, "metadata-backup")),
        (merged(own, latest), ("true", "s3a://own/team/nightly", "latest", "nightly")),
    ):
        data = one(render(merged(RESTORE, values)), "ConfigMap", "snpe-pulsar-restore")["data"]
        assert expected == tuple(data.get(name) for name in names)


def test_chroot() -> None:
    """The chroot of Pulsar's clients is appended to the members, for the backup and for the restore."""
    chroot = {tool: {"chroot": "/pulsar"} for tool in ("backup", "restore")}
    manifests = render(merged(BACKUP, RESTORE, {"zookeeper": {"customTools": chroot}}))
    for tool in ("backup", "restore"):
        servers = one(manifests, "ConfigMap", f"snpe-pulsar-{tool}")["data"]["ZOOKEEPER_SERVERS"]
        assert servers.endswith(":2181/pulsar")


@pytest.mark.parametrize(("value", "expected"), [("", None), (None, None), ("last=9,daily=14", "last=9,daily=14")])
def test_retention(value: str | None, expected: str | None) -> None:
    """Old backups stay, unless there are rules that say which."""
    values = merged(BACKUP, nested(f"{TOOLS}.backup.retention", value))
    assert expected == one(render(values), "ConfigMap", "snpe-pulsar-backup")["data"].get("RETENTION")


def test_partial_backups() -> None:
    """A backup that lacks a part of Pulsar's metadata is restored only on purpose."""
    for value, expected in ((None, "false"), (True, "true")):
        values = merged(RESTORE, nested(f"{TOOLS}.restore.allowPartial", value))
        assert expected == one(render(values), "ConfigMap", "snpe-pulsar-restore")["data"]["ALLOW_PARTIAL"]


REFUSED = [
    ({"backup": {"scrub": {"interval": "daily"}}}, 'backup.scrub.interval is "daily". It must be a number of seconds'),
    ({"backup": {"scrub": {"requests": 65}}}, 'backup.scrub.requests is "65". It must be a number of requests'),
    ({"tieredStorage": {"endpointUrl": "s3"}}, 'tieredStorage.endpointUrl is "s3". Set it to https://'),
    ({"tieredStorage": {"secrets": {"enabled": True, "secretName": ""}}}, "tieredStorage.secrets.secretName is empty"),
    (nested("backup.chroot", "pulsar"), 'backup.chroot is "pulsar". Set it to the path of a znode'),
    ({"restore": {"enable": True, "restorePoint": POINT, "chroot": "/pulsar/"}}, 'restore.chroot is "/pulsar/"'),
    (nested("backup.bucket", ""), "backup.bucket is empty"),
    (nested("backup.bucket", "my-bucket"), "backup.bucket is not the address of a bucket. Set it to s3a://"),
    ({"backup": {"secrets": {"use": True, "aws": {"secretName": ""}}}}, "backup.secrets.aws.secretName is empty"),
    ({"restore": {"enable": True}}, "restore.restorePoint is empty"),
    (
        {"restore": {"enable": True, "restorePoint": "s3a://bucket/latest"}},
        "restore.restorePoint is not the address of a backup",
    ),
    ({"restore": {"enable": True, "restorePoint": "latest", "bucket": ""}}, "restore.bucket is empty"),
    (
        {"restore": {"enable": True, "restorePoint": POINT, "configData": {"ALLOW_OLDER": "true"}}},
        "configData.ALLOW_OLDER is set by the chart",
    ),
    (
        nested("backup.backupInterval", 0),
        'backup.backupInterval is "0". It must be a number of seconds from 1 to 31536000',
    ),
    (nested("backup.backupInterval", "often"), 'backup.backupInterval is "often"'),
    (nested("backup.webServerPort", "65536"), 'backup.webServerPort is "65536"'),
    (nested("backup.enabled", value=True), "enabled"),
    (nested("backups.enable", value=True), "backups"),
    (nested("backup.enable", "true"), "enable"),
    (nested("backup.configData.AWS_SECRET_ACCESS_KEY", "secret"), "configData.AWS_SECRET_ACCESS_KEY is a secret"),
    (nested("backup.configData.BUCKET", "s3a://other"), "configData.BUCKET is set by the chart"),
    (nested("backup.configData.S3_CREDENTIALS_DIR", "/x"), "configData.S3_CREDENTIALS_DIR is set by the chart"),
    (nested("objectStore.endpoint", "s3.example.com"), 'objectStore.endpoint is "s3.example.com"'),
    (nested("objectStore.endpoint", "https://user:password@s3"), "objectStore.endpoint is a secret"),
    (nested("objectStore.secretKeys.accessKeyId", ""), "accessKeyId"),
    (nested("backup.configData.X", "http://user:password@proxy"), "configData.X is a secret"),
    (nested("backup.configData.X", {"a": 1}), "X"),
    (
        nested("backup.bucket", "s3a://bucket/two words"),
        "backup.bucket is not the address of a bucket. Set it to s3a://",
    ),
    (
        nested("backup.bucket", "s3a://bucket/../other"),
        "backup.bucket is not the address of a bucket. Set it to s3a://",
    ),
    (nested("backup.webServerPort", "010000"), 'backup.webServerPort is "010000"'),
    (nested("backup.component", "restore"), "restore.component is restore, and another part of the release"),
    (nested("backup.component", "init"), "backup.component is init, and another part of the release has this name"),
    (nested("backup.component", "b" * 50), "backup/component"),
    (
        merged({"restore": {"enable": True, "restorePoint": POINT, "bucket": "s3a://key:secret@b"}}),
        "restore.bucket is not the address",
    ),
    (merged({"restore": {"enable": True, "restorePoint": POINT, "restoreVersion": ""}}), "restoreVersion is empty"),
    ({"restore": {"enable": True, "restorePoint": POINT, "scope": "all"}}, "scope"),
    (nested("backup.sasl.mechanism", "PLAIN"), "mechanism"),
    (nested("backup.sasl.mechanism", "DIGEST-MD5"), "sasl.secretName is empty, but sasl.mechanism is DIGEST-MD5"),
    (nested("backup.sasl.mechanism", "GSSAPI"), "Set it to the name of a Secret with keytab and krb5.conf"),
    (nested("backup.sasl.principal", "backup@A"), "sasl.principal is set, but sasl.mechanism is empty"),
    (
        nested("backup.sasl", {"mechanism": "DIGEST-MD5", "secretName": "login", "krb5ConfigMap": "krb5"}),
        "sasl.krb5ConfigMap is set, but sasl.mechanism is DIGEST-MD5. Remove it, or set the mechanism to GSSAPI",
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
        "restore.restorePoint is not the address of a backup",
    ),
]
TLS: dict[str, Any] = {"backup": {"enable": True, "tls": {"enabled": True, "secretName": "zookeeper-tls"}}}
REFUSED_ELSEWHERE = [
    (
        merged(EXTERNAL, BACKUP, nested(f"{TOOLS}.backup.chroot", "/pulsar")),
        "zookeeper.connect has a chroot, and backup.chroot is set. Leave one of them empty",
    ),
    (
        {
            "zookeeper": {
                "extraEnv": [{"name": "OPTS", "value": "-Dzookeeper.admin.enableServer=false"}],
                "customTools": {"restore": {"enable": True, "restorePoint": POINT}},
            }
        },
        "sets the Java property zookeeper.admin.enableServer, which",
    ),
    (
        {"initialize": True, **NO_ZOOKEEPER, "zookeeper": {"connect": "zk-0:2281", "customTools": TLS}},
        "backup.tls.enabled and initialize are both true, but",
    ),
    ({"zookeeper": {"customTools": TLS}}, "backup.tls.enabled and components.zookeeper are both true, but"),
    (
        {
            **NO_ZOOKEEPER,
            "zookeeper": {
                "connect": "zk-0:2281",
                "customTools": merged(TLS, {"backup": {"tls": {"secretName": ""}}}),
            },
        },
        "backup.tls.secretName is empty",
    ),
    (
        {"zookeeper": {"customTools": {"backup": {"enable": True, "configData": {"ZOOKEEPER_TLS_KEY_PASSWORD": "x"}}}}},
        "configData.ZOOKEEPER_TLS_KEY_PASSWORD is a secret",
    ),
    ({"zookeeper": {"config": {"dataDir": "/elsewhere"}}}, "zookeeper.config.dataDir is set by the chart"),
    ({"zookeeper": {"replicaCount": 4}}, "zookeeper.replicaCount is 4. An even number"),
    (
        {"zookeeper": {"config": {"server.4": "zk-4:2888:3888"}}},
        "zookeeper.config.server.4 cannot be set, because the members keep",
    ),
    ({"zookeeper": {"config": {"reconfigEnabled": False}}}, "zookeeper.config.reconfigEnabled is set by the chart"),
    (
        {"zookeeper": {"config": {"dataLogDir": "/elsewhere"}}},
        "zookeeper.config.dataLogDir cannot be set, because the restore",
    ),
    ({"zookeeper": {"configData": {"AWS_SECRET_ACCESS_KEY": "x"}}}, "configData.AWS_SECRET_ACCESS_KEY is a secret"),
    (
        {
            "zookeeper": {
                "config": {"admin.enableServer": False},
                "customTools": {"restore": {"enable": True, "restorePoint": POINT}},
            }
        },
        "zookeeper.config.admin.enableServer cannot be set, because the members ask",
    ),
    (
        {"zookeeper": {"ports": {"http": 2181}}},
        "zookeeper.ports.http is 2181, and ZooKeeper uses this port for something else",
    ),
    (
        {"zookeeper": {"ports": {"http": 9990}}},
        "zookeeper.ports.http is 9990, and ZooKeeper uses this port for something else",
    ),
    (
        {**NO_ZOOKEEPER, "zookeeper": {"connect": "zk-0:x"}, "initialize": True},
        'zookeeper.connect is "zk-0:x", and its member 1 is not host:port. Set it to',
    ),
    ({"images": {"zookeeper": {"tag": 4.1}}}, "tag"),
    ({"images": {"zookeeper": {"tag": ""}}}, "tag"),
]


def test_messages_have_a_hint() -> None:
    """A message of the chart has no colon of its own, and its last sentence is a hint with a capital letter."""
    messages = [
        text
        for file in (CHART / "templates").rglob("*.tpl")
        for text in re.findall(r'fail \(?(?:printf )?"(.*?)"', file.read_text())
    ]
    assert len(messages) > 40
    assert [] == [each for each in messages if not re.search(r"[.] [A-Z%]", each)]
    plain = [re.sub(r"\S*(://|host:port)\S*", "", each) for each in messages]
    assert [] == [each for each in plain if ":" in each or ";" in each or each.endswith(".")]


def by_turns(number: int, major: int) -> list[pytest.MarkDecorator]:
    """In the short form each case has one helm: both run the same template."""
    return [] if number % 2 == major % 2 else [pytest.mark.soak]


@pytest.mark.parametrize(
    ("tools", "said", "major"),
    [
        pytest.param(tools, said, major, id=f"{said}-{major}", marks=by_turns(number, major))
        for number, (tools, said) in enumerate(REFUSED)
        for major in (3, 4)
    ],
)
def test_refusals(tools: dict[str, Any], said: str, major: int) -> None:
    """A value that cannot work is refused by helm itself, in a line that names it."""
    assert said in refusal(merged(BACKUP, {"zookeeper": {"customTools": tools}}), major)


@pytest.mark.parametrize(("values", "said"), REFUSED_ELSEWHERE, ids=[said for _, said in REFUSED_ELSEWHERE])
def test_refusals_elsewhere(values: dict[str, Any], said: str) -> None:
    """So are values of ZooKeeper's own, and images without a tag."""
    assert said in refusal(values, 3)


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
        merged(BACKUP, SCRUBS, OFFLOADS),
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


def test_number_of_members_changes_no_pod() -> None:
    """A running member learns it from its mounted ConfigMap: none is restarted, and none gets another list."""
    name = ("StatefulSet", "snpe-pulsar-zookeeper")
    three, five = (render({"zookeeper": {"replicaCount": number}}) for number in (3, 5))
    assert one(three, *name)["spec"]["template"] == one(five, *name)["spec"]["template"]
    files = [one(each, "ConfigMap", "snpe-pulsar-zookeeper")["data"] for each in (three, five)]
    assert ["3", "5"] == [each.pop("replicas") for each in files]
    assert files[0] == files[1]


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
    """Backup and Jobs always reach ZooKeeper, and `helm test` the admin port. An empty list admits no others."""
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
    """Certificates come from a Secret as files, and the program gets the names of these files."""
    tools = merged(TLS, {"backup": {"tls": {"clientCertificate": own, "checkHostname": own}}})
    manifests = render({**NO_ZOOKEEPER, "zookeeper": {"connect": "zk-0:2281", "customTools": tools}})
    pod = one(manifests, "StatefulSet", "snpe-pulsar-backup")["spec"]["template"]["spec"]
    assert {"secretName": "zookeeper-tls"} in [volume.get("secret") for volume in pod["volumes"]]
    assert "/etc/zookeeper-tls" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    told = one(manifests, "ConfigMap", "snpe-pulsar-backup")["data"]
    assert ("true", "/etc/zookeeper-tls/ca.crt") == (told["ZOOKEEPER_TLS"], told["ZOOKEEPER_TLS_CA"])
    assert own == (told.get("ZOOKEEPER_TLS_KEY") == "/etc/zookeeper-tls/tls.key")
    assert str(own).lower() == told["ZOOKEEPER_TLS_CHECK_HOSTNAME"]


IN_PODS = {
    "backup": (merged(BACKUP, EXTERNAL), "snpe-pulsar-backup", "snpe-pulsar-backup", "containers"),
    "restore": (RESTORE, "snpe-pulsar-zookeeper", "snpe-pulsar-restore", "initContainers"),
}
"""Values that run the program, its StatefulSet, its ConfigMap, and the list of its container."""


def sasl(tool: str, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The program's settings in its ConfigMap, its pod, and its container there."""
    given, stateful_set, config_map, containers = IN_PODS[tool]
    manifests = render(merged(given, nested(f"{TOOLS}.backup.sasl", values)))
    pod = one(manifests, "StatefulSet", stateful_set)["spec"]["template"]["spec"]
    told = one(manifests, "ConfigMap", config_map)["data"]
    plain = {name: value for name, value in told.items() if "SASL" in name or "KRB5" in name}
    return plain, pod, pod[containers][0]


@pytest.mark.parametrize("tool", IN_PODS)
def test_sasl_digest(tool: str) -> None:
    """User and password come from a Secret. The ConfigMap has only the mechanism."""
    told, pod, container = sasl(tool, {"mechanism": "DIGEST-MD5", "secretName": "login"})
    assert {"ZOOKEEPER_SASL_MECHANISM": "DIGEST-MD5"} == told
    assert [
        {"name": f"ZOOKEEPER_SASL_{key.upper()}", "valueFrom": {"secretKeyRef": {"name": "login", "key": key}}}
        for key in ("password", "user")
    ] == container["env"]
    assert "zookeeper-sasl" not in [volume["name"] for volume in pod["volumes"]]


@pytest.mark.parametrize("tool", IN_PODS)
@pytest.mark.parametrize("apart", [True, False])
def test_sasl_kerberos(tool: str, *, apart: bool) -> None:
    """The keytab comes from a Secret, and krb5.conf from the same Secret or from a ConfigMap. Both are files."""
    more = {"krb5ConfigMap": "krb5"} if apart else {}
    login = {"mechanism": "GSSAPI", "secretName": "login", "principal": "backup@EXAMPLE.TEST", **more}
    told, pod, container = sasl(tool, login)
    assert {
        "KRB5_CONFIG": "/etc/zookeeper-sasl/krb5.conf",
        "ZOOKEEPER_SASL_KEYTAB": "/etc/zookeeper-sasl/keytab",
        "ZOOKEEPER_SASL_MECHANISM": "GSSAPI",
        "ZOOKEEPER_SASL_PRINCIPAL": "backup@EXAMPLE.TEST",
        "ZOOKEEPER_SASL_SERVICE": "zookeeper",
    } == told
    assert "/etc/zookeeper-sasl" in [mount["mountPath"] for mount in container["volumeMounts"]]
    (sources,) = [volume["projected"]["sources"] for volume in pod["volumes"] if "projected" in volume]
    files = {
        (kind, place["name"], item["key"], item["path"])
        for source in sources
        for kind, place in source.items()
        for item in place["items"]
    }
    krb5 = ("configMap", "krb5") if apart else ("secret", "login")
    assert {("secret", "login", "keytab", "keytab"), (*krb5, "krb5.conf", "krb5.conf")} == files


@pytest.mark.parametrize("tool", IN_PODS)
def test_no_sasl_by_default(tool: str) -> None:
    """Nothing of SASL is there unless it is asked for."""
    told, pod, container = sasl(tool, {})
    assert {} == told
    assert "env" not in container
    assert "zookeeper-sasl" not in [volume["name"] for volume in pod["volumes"]]


def test_sasl_of_a_restore_is_checked() -> None:
    """The login is checked also if the backup is off."""
    values = merged(RESTORE, nested(f"{TOOLS}.backup.sasl.mechanism", "GSSAPI"))
    assert "sasl.secretName is empty, but sasl.mechanism is GSSAPI" in refusal(values, 3)


def test_numbers_and_nulls() -> None:
    """Numbers arrive as they were written, and null counts as unset."""
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
    """A monitor may have any label, even `release`. A pod's labels cannot replace those that select it."""
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
    assert "components.zookeeper is false" in refusal(merged(EXTERNAL, RESTORE), 3)
    assert "persistence is false" in refusal(merged(RESTORE, nested("zookeeper.volumes.persistence", value=False)), 3)


def test_null_is_as_good_as_nothing() -> None:
    """`configData: null` is taken for an empty one."""
    nothing = nested(f"{TOOLS}.backup.configData", None)
    assert names(render(BACKUP)) == names(render(merged(BACKUP, nothing)))
