"""What only brokers give out: the backup asks them for it, and a Job puts it back after a restore."""

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ci.chart import CHART
from support.helm import EVERYTHING, Manifest, merged, names, nested, one, refusal, render

TOOLS = "zookeeper.customTools"
BROKER = f"{TOOLS}.backup.broker"
PUT_BACK = f"{TOOLS}.restore.putBack"
BROKERS = nested("components.broker", value=True)
SAVED = merged(BROKERS, nested(f"{TOOLS}.backup.enable", value=True), nested(f"{BROKER}.enabled", value=True))
RESTORED = merged(
    BROKERS,
    nested(f"{TOOLS}.restore", {"enable": True, "restorePoint": "latest"}),
    nested(f"{PUT_BACK}.enabled", value=True),
)
BOTH = merged(SAVED, RESTORED)
OWN = "http://snpe-pulsar-broker.default.svc.cluster.local:8080"
TLS = nested(f"{BROKER}.tls", {"enabled": True, "secretName": "brokers-tls"})
HTTPS = merged(
    nested("broker.ports.https", 8443), nested("broker.configData.tlsCertificateFilePath", "/etc/broker-tls/tls.crt")
)
SCRIPT = "\n".join((CHART / "files" / name).read_text() for name in ("workload.sh", "put_back.sh"))


def job(*values: dict[str, Any], chart: Path = CHART) -> Manifest:
    """The Job that puts back."""
    (found,) = (each for each in render(merged(*values), chart=chart) if each["kind"] == "Job")
    return found


def pod(tool: str, *values: dict[str, Any]) -> Manifest:
    """The pod of the backup or of the put-back."""
    manifests = render(merged(BOTH, *values))
    found = job(BOTH, *values) if tool == "put-back" else one(manifests, "StatefulSet", "snpe-pulsar-backup")
    return dict(found["spec"]["template"]["spec"])


def settings(tool: str, *values: dict[str, Any]) -> dict[str, str]:
    """What the program reads about brokers."""
    data = one(render(merged(BOTH, *values)), "ConfigMap", f"snpe-pulsar-{tool}")["data"]
    return {name: value for name, value in data.items() if name.startswith("BROKER_")}


def secrets(pod: Manifest) -> dict[str, Manifest]:
    """The Secrets that the container of the program mounts, by the folder."""
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    return {mounts[each["name"]]: each["secret"] for each in pod["volumes"] if "secret" in each}


@pytest.mark.parametrize(
    "values",
    [
        merged(nested(f"{BROKER}.enabled", value=True), nested(f"{PUT_BACK}.enabled", value=True)),
        merged(BOTH, nested(f"{BROKER}.enabled", value=False), nested(f"{PUT_BACK}.enabled", value=False)),
    ],
)
def test_off_by_default(values: dict[str, Any]) -> None:
    """No broker is asked and nothing is put back, unless that is on, and the backup or the restore, too."""
    manifests = render(merged(values, nested("networkPolicy.enabled", value=True)))
    assert not [each for each in names(manifests) if "put-back" in each]
    data = [each.get("data", {}) for each in manifests if each["kind"] == "ConfigMap"]
    assert not [name for each in data for name in each if name.startswith("BROKER_")]


@pytest.mark.parametrize("tool", ["backup", "put-back"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, OWN),
        (nested("broker.ports.http", 18080), OWN.replace(":8080", ":18080")),
        (merged(TLS, HTTPS), OWN.replace("http:", "https:").replace(":8080", ":8443")),
        (nested("pulsar_metadata.webServiceUrl", "http://public.example.com/"), OWN),
        (nested(f"{BROKER}.serviceUrl", "https://brokers.example.com"), "https://brokers.example.com"),
    ],
)
def test_address(tool: str, values: dict[str, Any], expected: str) -> None:
    """The program asks the brokers of the release, by TLS if that is on, or those of the values."""
    assert expected == settings(tool, values)["BROKER_SERVICE_URL"]


@pytest.mark.parametrize(("tool", "more"), [("backup", {"BROKER_TIMEOUT": "120"}), ("put-back", {})])
def test_plain_by_default(tool: str, more: dict[str, str]) -> None:
    """Without a token and without TLS, there are neither files nor variables of them."""
    expected = {"BROKER_REQUESTS": "4", "BROKER_REQUEST_RATE": "200", "BROKER_SERVICE_URL": OWN}
    assert expected | more == settings(tool)
    assert {} == secrets(pod(tool))


@pytest.mark.parametrize("tool", ["backup", "put-back"])
@pytest.mark.parametrize("certificate", [True, False])
def test_login(tool: str, *, certificate: bool) -> None:
    """Token and certificates are files of Secrets, readable for the group of the pod."""
    token = nested(f"{BROKER}.token", {"secretName": "tokens", "key": "jwt"})
    values = merged(token, TLS, HTTPS, nested(f"{BROKER}.tls.clientCertificate", certificate))
    items = [{"key": "jwt", "path": "token"}]
    assert {
        "/etc/broker-token": {"secretName": "tokens", "defaultMode": 0o440, "items": items},
        "/etc/broker-tls": {"secretName": "brokers-tls", "defaultMode": 0o440},
    } == secrets(pod(tool, values))
    found = settings(tool, values)
    expected = {"TOKEN_FILE": "/etc/broker-token/token", "TLS_CA": "/etc/broker-tls/ca.crt"}
    own = {"TLS_CERT": "/etc/broker-tls/tls.crt", "TLS_KEY": "/etc/broker-tls/tls.key"} if certificate else {}
    assert {f"BROKER_{name}": path for name, path in (expected | own).items()} == {
        name: value for name, value in found.items() if name.startswith(("BROKER_TOKEN", "BROKER_TLS"))
    }


def test_login_of_its_own() -> None:
    """A put-back may log in as another role, which the backup never gets."""
    values = merged(
        TLS,
        HTTPS,
        nested(f"{BROKER}.token.secretName", "tokens"),
        nested(PUT_BACK, {"token": {"secretName": "admin", "key": "jwt"}, "tls": {"secretName": "admin-tls"}}),
    )
    used = {
        tool: {each["secretName"] for each in secrets(pod(tool, values)).values()} for tool in ("backup", "put-back")
    }
    assert {"backup": {"tokens", "brokers-tls"}, "put-back": {"admin", "admin-tls"}} == used


def test_everything_reaches_the_job() -> None:
    """The Job has its own values, and the object store, the login and the volumes of the restore."""
    (found,) = (
        each
        for each in render(EVERYTHING)
        if each["kind"] == "Job" and each["metadata"]["name"].startswith("our-pulsar-put-back-")
    )
    spec = found["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert ["put-back", "--replace-schemas", "persistent://public/default/orders"] == container["args"]
    limits = container["resources"]["limits"]
    assert (3600, {"memory": "1Gi"}) == (found["spec"]["activeDeadlineSeconds"], limits)
    assert "/etc/aws-secret" in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/certificates", "/etc/zookeeper-tls"} <= {mount["mountPath"] for mount in container["volumeMounts"]}
    assert "HTTPS_PROXY" in {each["name"] for each in container["env"]}
    data = one(render(EVERYTHING), "ConfigMap", "our-pulsar-put-back")["data"]
    assert ("eu-central-1", "GSSAPI") == (data["AWS_REGION"], data["ZOOKEEPER_SASL_MECHANISM"])
    assert data["ZOOKEEPER_SERVERS"].endswith(":12281/one")
    assert {"restore-version": "1623721488825", "restore-scope": "bookies-kept"}.items() <= found["metadata"][
        "labels"
    ].items()


@pytest.mark.parametrize(("tools", "chroot"), [({}, ""), ({"backup": {"chroot": "/one"}}, "/one")])
def test_chroot(tools: dict[str, Any], chroot: str) -> None:
    """The put-back finds the tree below the chroot of the backup, as a restore without a chroot of its own does."""
    data = one(render(merged(RESTORED, nested(TOOLS, tools))), "ConfigMap", "snpe-pulsar-put-back")["data"]
    assert f"snpe-pulsar-zookeeper.default.svc.cluster.local:2181{chroot}" == data["ZOOKEEPER_SERVERS"]


def test_job_may_be_killed_and_wait() -> None:
    """The Job tries again after each failure until its deadline, as what it does may be repeated. It is not a hook."""
    found = job(RESTORED)
    assert (1000, 86400, "OnFailure") == (
        found["spec"]["backoffLimit"],
        found["spec"]["activeDeadlineSeconds"],
        found["spec"]["template"]["spec"]["restartPolicy"],
    )
    assert "annotations" not in found["metadata"]


@pytest.mark.parametrize(
    ("values", "same"),
    [
        (nested("commonLabels.team", "storage"), True),
        (nested(f"{TOOLS}.backup.backupInterval", 60), True),
        (nested("broker.replicaCount", 5), True),
        (nested(f"{TOOLS}.restore.allowOlder", value=True), True),
        (nested(f"{TOOLS}.restore.restoreVersion", "2"), False),
        (nested(f"{PUT_BACK}.token.secretName", "admin"), False),
        (nested(f"{PUT_BACK}.replaceSchemas", ["persistent://a/b/c"]), False),
        (nested(f"{BROKER}.serviceUrl", "http://brokers:8080"), False),
        (nested("images.zookeeper.customTools.backup.tag", "later"), False),
    ],
)
def test_a_job_for_each_restore(values: dict[str, Any], *, same: bool) -> None:
    """Another restore, and changed values of the put-back, make another Job, because Kubernetes changes none."""
    assert same == (job(RESTORED)["metadata"]["name"] == job(RESTORED, values)["metadata"]["name"])


OTHER_IMAGE = nested("images.zookeeper.customTools.backup.tag", "later")


@pytest.mark.parametrize(
    ("found", "stays"),
    [
        ({"status": {"succeeded": 1}}, True),
        ({"status": {"failed": 3}}, False),
        ({"status": {"succeeded": 1}, "annotations": {"restore-version": "0"}}, False),
        ({"status": {"succeeded": 1}, "labels": {"release": "other", "component": "put-back"}}, False),
        ({"status": {"succeeded": 1}, "labels": None, "annotations": None}, False),
    ],
)
def test_what_has_succeeded_is_not_done_again(found: dict[str, Any], tmp_path: Path, *, stays: bool) -> None:
    """After a put-back that has succeeded, an upgrade with another image leaves the Job as the cluster has it."""
    before = job(RESTORED)
    template = before["spec"]["template"]["metadata"]
    before["status"] = found.pop("status")
    template.update(found)
    before["spec"]["template"]["spec"]["schedulerName"] = "default-scheduler"  # as Kubernetes adds it
    after = job(RESTORED, OTHER_IMAGE, chart=running(tmp_path, before))
    assert stays == (after["spec"] == before["spec"])
    assert stays == (after["metadata"]["name"] == before["metadata"]["name"])


def running(directory: Path, found: Manifest) -> Path:
    """The chart, with this Job in place of those that it would look up in a cluster."""
    chart = directory / "chart"
    shutil.copytree(CHART, chart)
    (chart / "found.json").write_text(json.dumps([found]))
    template = chart / "templates" / "put-back" / "job.yaml"
    call = '(lookup "batch/v1" "Job" (include "pulsar.namespace" .) "").items'
    assert call in template.read_text()
    template.write_text(template.read_text().replace(call, '(.Files.Get "found.json" | fromJsonArray)'))
    return chart


def test_put_back_changes_no_other_pod() -> None:
    """With the put-back switched on, nothing else restarts."""
    sets = [
        [each for each in render(merged(RESTORED, nested(f"{PUT_BACK}.enabled", on))) if each["kind"] == "StatefulSet"]
        for on in (True, False)
    ]
    assert sets[0] == sets[1]


def test_network_policies() -> None:
    """Backup and put-back reach the brokers, and the put-back ZooKeeper. No pod reaches the put-back."""
    nobody: dict[str, Any] = {"enabled": True, "clients": [], "monitoring": [], "admins": []}
    policies = {
        each["metadata"]["name"].removeprefix("snpe-pulsar-"): each["spec"]["ingress"]
        for each in render(merged(SAVED, RESTORED, {"networkPolicy": nobody}))
        if each["kind"] == "NetworkPolicy"
    }
    assert [] == policies["put-back"]
    admitted = {
        name: {peer["podSelector"]["matchLabels"]["component"] for peer in policies[name][0]["from"]}
        for name in ("broker", "zookeeper")
    }
    assert {"backup", "put-back"} <= admitted["broker"]
    assert {"backup", "put-back"} <= admitted["zookeeper"]


@pytest.mark.parametrize("on", [SAVED, RESTORED], ids=["backup", "put-back"])
def test_brokers_must_be_known(on: dict[str, Any]) -> None:
    """Without an address, and without brokers of the release, there are no brokers to ask."""
    refused = refusal(merged(on, nested("components.broker", value=False)), 3)
    assert "broker.serviceUrl is empty, and this release starts no brokers" in refused


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (nested(f"{BROKER}.serviceUrl", "http://me:secret@brokers"), "broker.serviceUrl is a secret"),
        (merged(TLS, nested(f"{BROKER}.serviceUrl", "http://brokers:8080")), "but tls.enabled is true"),
        (nested(f"{BROKER}.tls.enabled", value=True), "broker.tls.secretName is empty"),
        (TLS, "broker.ports.https is empty"),
    ],
)
def test_refused(values: dict[str, Any], said: str) -> None:
    """Secrets in an address, and TLS that cannot work, are refused by their key."""
    assert said in refusal(merged(SAVED, values), 3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (nested(f"{PUT_BACK}.replaceSchemas", ["orders"]), "putBack/replaceSchemas/0"),
        (nested(f"{PUT_BACK}.deadlineSeconds", 1), "putBack/deadlineSeconds"),
        (nested("broker.component", "put-back"), "broker.component is put-back, and another part of the release"),
    ],
)
def test_refused_put_back(values: dict[str, Any], said: str) -> None:
    """Topics without a namespace, and a deadline that no cluster meets, are refused by their key."""
    assert said in refusal(merged(RESTORED, values), 3)


def test_script_is_that_of_the_job() -> None:
    """The container runs the script with the arguments of the program."""
    (container,) = pod("put-back")["containers"]
    assert ["bash", "-c", SCRIPT, "put_back.sh"] == container["command"]
    assert "$$" not in SCRIPT  # Kubernetes would make one $ of it


def first_line(tmp_path: Path, broker: str, zookeeper: str) -> str:
    """What the script prints first, with a program in place of metadata-tool."""
    program = tmp_path / "metadata-tool"
    program.write_text('#!/bin/sh\necho ran "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {"PATH": path, "BROKER_SERVICE_URL": broker, "ZOOKEEPER_SERVERS": zookeeper}
    command = ["bash", "-c", SCRIPT, "put_back.sh", "put-back", "--replace-schemas", "a b"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True) as run:
        assert run.stdout
        line = run.stdout.readline()
        os.killpg(run.pid, signal.SIGKILL)  # with the pause of the script
    return line.rstrip("\n")


def test_script_waits(tmp_path: Path) -> None:
    """The program starts when ZooKeeper and a broker accept connections, and gets the arguments."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as closed:
        open_, silent = (f"127.0.0.1:{each.getsockname()[1]}" for each in (server, closed))
        closed.close()
        both = first_line(tmp_path, f"http://{open_}/", f"{silent},{open_}/chroot")
        assert "ran put-back --replace-schemas a b" == both
        assert f"waiting for a broker at {silent}" == first_line(tmp_path, f"http://{silent}", open_)
        assert f"waiting for ZooKeeper at {silent}" == first_line(tmp_path, f"http://{open_}", silent)


@pytest.mark.parametrize(("address", "port"), [("http://[::1]", 80), ("https://127.0.0.1/", 443)])
def test_script_knows_the_ports(tmp_path: Path, address: str, port: int) -> None:
    """An address without a port has that of its scheme."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = first_line(tmp_path, address, f"127.0.0.1:{server.getsockname()[1]}")
    assert line.startswith("waiting for a broker at ")
    assert line.endswith(f":{port}")
