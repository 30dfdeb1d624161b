"""Values for Apache's chart, rendered by that chart's own templates. They are read from the folder APACHE_CHART.

The chart is not a part of this project. Without the folder these tests are skipped, and the run's summary says so.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.parts.chart_tools import OLDEST_AND_NEWEST
from metadata_tool.cli import main
from metadata_tool.restore_marker import Marker
from metadata_tool.zookeeper import probe
from support.helm import Manifest, conform_all, merged, nested, one, refusal, render

FOLDER = os.environ.get("APACHE_CHART", "")
POINT = "s3a://my-backuprestore/pulsar-backup-1623721488825.tar.gz"
DATA = "/pulsar/data"
BARE: dict[str, Any] = {"victoria-metrics-k8s-stack": {"enabled": False}, "initialize": True}
"""Without the charts that it depends on, which are not read."""

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="NOT TESTED: Apache's chart. Set APACHE_CHART to its folder charts/pulsar (CONTRIBUTING.md)"
)


@dataclass(frozen=True)
class Case:
    """A release of Apache's chart: its values, and the options for them."""

    release: str = "pulsar"
    values: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()


TLS = merged(
    nested("tls", {"enabled": True, "zookeeper": {"enabled": True}, "broker": {"enabled": True}}),
    nested("certs.internal_issuer.enabled", value=True),
)
LOG_DISK = nested("zookeeper.volumes.useSeparateDiskForTxlog", value=True)
CASES = {
    "default": Case(),
    "release": Case("prod", {"zookeeper": {"replicaCount": 5}}, ("--replicas", "5")),
    "TLS": Case("prod", TLS, ("--tls",)),
    "log disk": Case("my-pulsar", LOG_DISK, ("--separate-log-disk",)),
    "no volumes": Case("pulsar", {"volumes": {"persistence": False}}),
    "names": Case(
        "prod",
        {"fullnameOverride": "messages", "clusterName": "east", "clusterDomain": "k8s.local", "metadataPrefix": "/my"},
        ("--fullname", "messages", "--cluster", "east", "--domain", "k8s.local", "--metadata-prefix", "/my"),
    ),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of that chart without its dependencies, because helm renders nothing while they are missing."""
    copy = tmp_path_factory.mktemp("apache") / "pulsar"
    shutil.copytree(FOLDER, copy)
    description = yaml.safe_load((copy / "Chart.yaml").read_text())
    assert "pulsar" == description["name"]
    description.pop("dependencies", None)
    (copy / "Chart.yaml").write_text(yaml.dump(description))
    return copy


Printed = Callable[[Case, str], dict[str, Any]]


@pytest.fixture
def older(chart: Path) -> list[str]:
    """The option for an older chart."""
    version = yaml.safe_load((chart / "Chart.yaml").read_text())["version"]
    return ["--before-4.6"] if [int(part) for part in version.split(".")[:2]] < [4, 6] else []


@pytest.fixture
def printed(older: list[str], capsys: pytest.CaptureFixture[str]) -> Printed:
    """The values that the program prints to restore or to back up a release."""

    def run(case: Case, wanted: str) -> dict[str, Any]:
        more = (POINT,) if wanted == "restore" else ("--bucket", "s3a://my-backuprestore")
        alone = ("--replicas", "--cluster", "--separate-log-disk")  # those of a restore
        options = case.options if wanted == "restore" else tuple(_without(case.options, alone))
        arguments = ("apache-values", wanted, *more, "--release", case.release, "--namespace", "messaging")
        assert 0 == main([*arguments, "--secret", "aws-secret", *options, *older], {})
        return dict(yaml.safe_load(capsys.readouterr().out))

    return run


def _without(options: tuple[str, ...], names: tuple[str, ...]) -> Iterator[str]:
    skipping = False
    for option in options:
        skipping = option in names if option.startswith("--") else skipping
        if not skipping:
            yield option


def rendered(case: Case, chart: Path, more: dict[str, Any], major: int = 3) -> list[Manifest]:
    """The manifests of that release."""
    values = merged(BARE, case.values, more)
    return render(values, "--namespace", "messaging", release=case.release, chart=chart, major=major)


def zookeeper(manifests: list[Manifest]) -> Manifest:
    """The StatefulSet of ZooKeeper."""
    (found,) = (
        each
        for each in manifests
        if each["kind"] == "StatefulSet" and each["metadata"]["labels"]["component"] == "zookeeper"
    )
    return found


def ports(service: Manifest) -> list[int]:
    """The ports of a Service."""
    return [port["port"] for port in service["spec"]["ports"]]


def environment(container: Manifest) -> dict[str, str]:
    """The variables of a container."""
    return {each["name"]: each["value"] for each in container["env"]}


@every_case
def test_restore_is_in_each_member(case: Case, chart: Path, printed: Printed) -> None:
    """The members have the init container as it was printed, its volumes, and what they run before ZooKeeper."""
    values = printed(case, "restore")["zookeeper"]
    manifests = rendered(case, chart, {"zookeeper": values})
    template = zookeeper(manifests)["spec"]["template"]["spec"]
    assert values["initContainers"][0] == template["initContainers"][-1]
    claims = [claim["metadata"]["name"] for claim in zookeeper(manifests)["spec"].get("volumeClaimTemplates", [])]
    volumes = {*claims, *(volume["name"] for volume in template["volumes"])}
    assert {mount["name"] for mount in template["initContainers"][-1]["volumeMounts"]} <= volumes
    (script,) = template["containers"][0]["args"]
    assert script.index(values["additionalCommand"]) < script.index("exec bin/pulsar zookeeper")


@every_case
def test_restore_fills_the_directories_of_zookeeper(case: Case, chart: Path, printed: Printed) -> None:
    """The data directory, the one of the logs and the volumes below them are those of ZooKeeper's container."""
    manifests = rendered(case, chart, printed(case, "restore"))
    spec = zookeeper(manifests)["spec"]["template"]["spec"]
    own = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["initContainers"][-1]["volumeMounts"]}
    directories = {path: name for path, name in mounts.items() if path.startswith(DATA)}
    assert {path: name for path, name in own.items() if path.startswith(DATA)} == directories
    settings = one(manifests, "ConfigMap", zookeeper(manifests)["metadata"]["name"])["data"]
    found = environment(spec["initContainers"][-1])
    assert settings["dataDir"] == found["ZOOKEEPER_DATA_DIR"]
    assert settings.get("PULSAR_PREFIX_dataLogDir") == found.get("ZOOKEEPER_DATA_LOG_DIR")
    for variable in ("ZOOKEEPER_TLS_CA", "ZOOKEEPER_TLS_CERT", "ZOOKEEPER_TLS_KEY"):
        assert variable not in found or found[variable].rpartition("/")[0] in mounts


@every_case
def test_restore_asks_the_members(case: Case, chart: Path, printed: Printed) -> None:
    """The addresses are those of the pods behind the headless Service, whose port is open before a pod is ready."""
    manifests = rendered(case, chart, printed(case, "restore"))
    members = zookeeper(manifests)
    headless = one(manifests, "Service", members["spec"]["serviceName"])
    servers = environment(members["spec"]["template"]["spec"]["initContainers"][-1])["ZOOKEEPER_SERVERS"]
    domain = f"{headless['metadata']['name']}.{headless['metadata']['namespace']}.svc.{_domain(case)}"
    hosts, _, chroot = servers.partition("/")
    expected = [f"{members['metadata']['name']}-{number}.{domain}" for number in range(members["spec"]["replicas"])]
    assert expected == [host.rpartition(":")[0] for host in hosts.split(",")]
    assert {int(host.rpartition(":")[2]) for host in hosts.split(",")} <= set(ports(headless))
    assert headless["spec"]["publishNotReadyAddresses"]
    assert "Parallel" == members["spec"]["podManagementPolicy"]
    assert case.values.get("metadataPrefix", "") == (f"/{chroot}" if chroot else "")
    if "--tls" in case.options:
        names = _certificate(manifests, "tls-zookeeper")["spec"]["dnsNames"]
        assert f"*.{domain}" in names


@every_case
def test_restore_has_the_cluster_of_the_jobs(case: Case, chart: Path, printed: Printed) -> None:
    """The cluster's name and addresses are those that the chart's own Job writes."""
    manifests = rendered(case, chart, printed(case, "restore"))
    (job,) = (each for each in manifests if each["kind"] == "Job" and "initialize-cluster-metadata" in str(each))
    (script,) = job["spec"]["template"]["spec"]["containers"][0]["args"]
    said = dict(re.findall(r"--([a-z-]+) (\S+)", script))
    found = environment(zookeeper(manifests)["spec"]["template"]["spec"]["initContainers"][-1])
    assert said["cluster"] == found["CLUSTER_NAME"]
    assert said["web-service-url"] == found["CLUSTER_SERVICE_URL"]
    assert said["broker-service-url"] == found["CLUSTER_BROKER_SERVICE_URL"]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_members_report_their_restore(chart: Path, printed: Printed, tmp_path: Path, shell: str) -> None:
    """What the container of ZooKeeper runs gives the digest and the point to Java, beside the chart's own options."""
    manifests = rendered(CASES["default"], chart, printed(CASES["default"], "restore"))
    (script,) = zookeeper(manifests)["spec"]["template"]["spec"]["containers"][0]["args"]
    (tmp_path / "bin").mkdir()
    for name in ("apply-config-from-env.py", "generate-zookeeper-config.sh", "pulsar"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n" + ('echo "$OPTS"\n' if name == "pulsar" else ""))
        (tmp_path / "bin" / name).chmod(0o755)
    marker = Marker("1", POINT, {})
    (tmp_path / "zookeeper" / "version-2").mkdir(parents=True)
    (tmp_path / "zookeeper" / "version-2" / "restore.json").write_bytes(marker.to_json())
    command = [shell, "-c", script.replace(DATA, str(tmp_path))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    options = done.stdout.split()
    assert {f"-D{probe.ORIGIN}={marker.digest}", f"-D{probe.POINT}={POINT}"} <= set(options)
    assert "-Dlog4j2.formatMsgNoLookups=true" in options


@every_case
def test_backup_connects_to_the_service(case: Case, chart: Path, printed: Printed) -> None:
    """The address in the backup's values is that of the Service for clients, and TLS has that chart's certificate."""
    manifests = rendered(case, chart, {})
    ours = render(printed(case, "backup"), "--namespace", "messaging", release="metadata")
    found = one(ours, "ConfigMap", "metadata-pulsar-backup")["data"]
    hosts, _, chroot = found["ZOOKEEPER_SERVERS"].partition("/")
    host, _, port = hosts.rpartition(":")
    name, _, domain = host.partition(".")
    service = one(manifests, "Service", name)
    in_full = f"{service['metadata']['namespace']}.svc.{_domain(case)}"
    assert domain == ("" if "--tls" in case.options else in_full)
    assert int(port) in ports(service)
    assert case.values.get("metadataPrefix", "") == (f"/{chroot}" if chroot else "")
    secrets = [
        volume["secret"]["secretName"]
        for volume in one(ours, "StatefulSet", "metadata-pulsar-backup")["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "zookeeper-tls"
    ]
    tools = [_certificate(manifests, "tls-toolset")["spec"]["secretName"]] if "--tls" in case.options else []
    assert tools == secrets
    if tools:
        assert host in _certificate(manifests, "tls-zookeeper")["spec"]["dnsNames"]


def test_helm_4(chart: Path, printed: Printed) -> None:
    """Both helms render the same members."""
    case = CASES["default"]
    values = printed(case, "restore")
    assert zookeeper(rendered(case, chart, values)) == zookeeper(rendered(case, chart, values, major=4))


@pytest.mark.parametrize("kubernetes", OLDEST_AND_NEWEST)
def test_conforms(chart: Path, printed: Printed, kubernetes: str) -> None:
    """Kubernetes knows each field of the members with the restore."""
    members = {
        name.replace(" ", "-"): yaml.dump(zookeeper(rendered(case, chart, printed(case, "restore"))))
        for name, case in CASES.items()
    }
    assert "" == conform_all(members, kubernetes)


def test_its_own_defaults_are_known_here(chart: Path) -> None:
    """This project's chart knows each key of its values, so that the documents say what to do about it."""
    said = refusal(yaml.safe_load((chart / "values.yaml").read_text()), 3)
    assert "additional properties" not in said, said


def test_user_of_zookeeper(chart: Path) -> None:
    """The pod sets no user, so that of Pulsar's image is used, which is in the group that owns the volumes."""
    template = zookeeper(rendered(CASES["default"], chart, {}))["spec"]["template"]["spec"]
    assert 0 == template["securityContext"]["fsGroup"]
    assert "runAsUser" not in template["securityContext"]
    assert "securityContext" not in template["containers"][0]


def _domain(case: Case) -> str:
    return str(case.values.get("clusterDomain", "cluster.local"))


def _certificate(manifests: list[Manifest], name: str) -> Manifest:
    (found,) = (
        each for each in manifests if each["kind"] == "Certificate" and each["metadata"]["name"].endswith(f"-{name}")
    )
    return found
