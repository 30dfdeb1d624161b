"""TLS of the chart's own ZooKeeper: its certificate, its members, and everything that connects to them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ci.chart import CHART
from support.helm import Manifest, containers, merged, nested, one, pods, refusal, render, template

NAME = "snpe-pulsar-zookeeper"
SERVICE = f"{NAME}.default.svc.cluster.local"
OWN = nested("tls.zookeeper", {"enabled": True, "secretName": "a-secret"})
ISSUED = nested("tls.zookeeper", {"enabled": True, "certManager": {"issuerRef": {"name": "an-issuer"}}})
TOOLS = nested(
    "zookeeper.customTools",
    {"backup": {"enable": True, "drill": {"enabled": True}}, "restore": {"enable": True, "restorePoint": "latest"}},
)
PARTS = {"components": dict.fromkeys(("bookkeeper", "broker", "proxy", "toolset"), True)}
ALL: dict[str, Any] = merged(TOOLS, PARTS, {"initialize": True, "networkPolicy": {"enabled": True}})
MOUNT = {"name": "zookeeper-tls", "mountPath": "/etc/zookeeper-tls", "readOnly": True}


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """A release with TLS, and everything that connects to ZooKeeper."""
    return render(merged(ALL, OWN))


def test_certificate() -> None:
    """cert-manager issues a certificate for all members and the Service, in the form that ZooKeeper reads."""
    found = one(render(merged(ISSUED, {"namespace": "prod"})), "Certificate", NAME)
    assert {
        "secretName": f"{NAME}-tls",
        "additionalOutputFormats": [{"type": "CombinedPEM"}],
        "duration": "2160h",
        "renewBefore": "360h",
        "privateKey": {"algorithm": "RSA", "encoding": "PKCS8", "size": 2048},
        "usages": ["server auth", "client auth"],
        "dnsNames": [
            f"*.{NAME}-headless.prod.svc.cluster.local",
            f"{NAME}.prod.svc.cluster.local",
            f"{NAME}.prod.svc",
            f"{NAME}.prod",
            NAME,
        ],
        "issuerRef": {"name": "an-issuer", "kind": "Issuer", "group": "cert-manager.io"},
    } == found["spec"]


def test_secret_of_ones_own(manifests: list[Manifest]) -> None:
    """With a Secret of the user's, no certificate is issued."""
    assert [] == [each for each in manifests if each["kind"] == "Certificate"]


def test_every_client_has_the_certificate(manifests: list[Manifest]) -> None:
    """All pods mount the Secret, readable for their group, but the drill and the test, which ask no member."""
    found = dict(pods(manifests))
    drill = found.pop("snpe-pulsar-drill")
    found = {name: spec for name, spec in found.items() if not name.endswith("-test")}
    assert 8 == len(found)
    assert all(spec["securityContext"]["fsGroup"] for spec in found.values())
    volume = {"name": "zookeeper-tls", "secret": {"secretName": "a-secret", "defaultMode": 0o440}}
    for name, spec in found.items():
        assert volume in spec["volumes"], name
        assert all(MOUNT in each["volumeMounts"] for each in containers(spec)), name
    assert volume not in drill["volumes"]


@pytest.mark.parametrize("tool", ["backup", "restore"])
def test_program(manifests: list[Manifest], tool: str) -> None:
    """Backup and restore connect to the secure port with the certificate, and check host names."""
    data = one(manifests, "ConfigMap", f"snpe-pulsar-{tool}")["data"]
    assert {
        "ZOOKEEPER_TLS": "true",
        "ZOOKEEPER_TLS_CA": "/etc/zookeeper-tls/ca.crt",
        "ZOOKEEPER_TLS_CERT": "/etc/zookeeper-tls/tls.crt",
        "ZOOKEEPER_TLS_KEY": "/etc/zookeeper-tls/tls.key",
    } == {name: value for name, value in data.items() if "TLS" in name}
    assert {"2281"} == {address.rpartition(":")[2] for address in data["ZOOKEEPER_SERVERS"].split(",")}


def test_java(manifests: list[Manifest]) -> None:
    """Jobs, bookies, brokers, proxies and the toolset have the options of a ZooKeeper client, and the secure port."""
    options = (
        "-Dzookeeper.client.secure=true -Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty "
        "-Dzookeeper.ssl.keyStore.location=/etc/zookeeper-tls/tls-combined.pem -Dzookeeper.ssl.keyStore.type=PEM "
        "-Dzookeeper.ssl.trustStore.location=/etc/zookeeper-tls/ca.crt -Dzookeeper.ssl.trustStore.type=PEM"
    )
    found = {name: spec["containers"][0].get("env", []) for name, spec in pods(manifests)}
    found = {name: variables for name, variables in found.items() if "OPTS" in [each["name"] for each in variables]}
    assert 6 == len(found)
    for name, variables in found.items():
        (given,) = (each["value"] for each in variables if each["name"] == "OPTS")
        assert given.endswith(options), name
        assert all(each["value"] == f"{SERVICE}:2281" for each in variables if each["name"] == "ZOOKEEPER_SERVERS")
    data = one(manifests, "ConfigMap", "snpe-pulsar-initialize")["data"]
    assert f"metadataServiceUri=metadata-store:zk:{SERVICE}:2281\n" == data["bookkeeper.conf"]


def test_plain_port_is_not_reachable(manifests: list[Manifest]) -> None:
    """Services and the network policy have the secure port alone. The plain one listens on the loopback interface."""
    for name in (NAME, f"{NAME}-headless"):
        ports = {each["name"]: each["port"] for each in one(manifests, "Service", name)["spec"]["ports"]}
        assert (2281, False) == (ports["client-tls"], "client" in ports)
    assert "client" not in str(one(manifests, "NetworkPolicy", NAME)["spec"]["ingress"]).replace("client-tls", "")
    files = one(manifests, "ConfigMap", NAME)["data"]
    assert files["member"].strip().endswith(":2888:3888:{role};127.0.0.1:2181")
    conf = dict(line.split("=", 1) for line in files["zookeeper.conf"].splitlines() if line)
    assert ("2181", "2281", "true") == (conf["clientPort"], conf["secureClientPort"], conf["sslQuorum"])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (nested("tls.zookeeper.enabled", value=True), "tls.zookeeper.enabled is true, but there is no certificate"),
        (
            merged(OWN, {"components": {"zookeeper": False}, "zookeeper": {"connect": "zk:2281"}}),
            "tls.zookeeper.enabled is true, but this release starts no ZooKeeper",
        ),
        (merged(OWN, nested("zookeeper.config.sslQuorum", value=False)), "zookeeper.config.sslQuorum is set by"),
        (merged(OWN, nested("zookeeper.ports.clientTls", 2181)), "and ZooKeeper uses this port for something else"),
        (merged(OWN, nested("zookeeper.configData.ZOOKEEPER_TLS", "x")), "sets ZOOKEEPER_TLS, which the chart sets"),
    ],
)
def test_what_cannot_work(values: dict[str, Any], said: str) -> None:
    """TLS without a certificate, without members, or beside settings against it is refused."""
    assert said in refusal(values, 3)


@pytest.mark.parametrize(
    ("then", "now", "ready", "refused"),
    [({}, OWN, 2, True), (OWN, {}, 2, True), (OWN, OWN, 2, False), ({}, OWN, 0, False)],
)
def test_running_members(
    then: dict[str, Any], now: dict[str, Any], ready: int, tmp_path: Path, *, refused: bool
) -> None:
    """TLS of an ensemble that serves cannot change, because a rollout would leave it without a quorum."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    conf = one(render(then), "ConfigMap", NAME)["data"]["zookeeper.conf"]
    (chart / "found.json").write_text(json.dumps({"ready": ready, "now": conf}))
    call = '{{- include "pulsar.validate.members.tls" (merge (dict "root" .) (.Files.Get "found.json" | fromJson)) }}'
    (chart / "templates" / "validate.yaml").write_text(call)
    said = template(now, 3, chart=chart).stderr
    assert refused == ("the members that run have another setting" in said)
