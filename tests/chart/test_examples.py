"""The examples of the chart: values files to start from."""

import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from ci.parts.chart_tools import KUBERNETES, OLDEST_AND_NEWEST
from metadata_tool.cli import main
from metadata_tool.encryption.keys import BackupKeys
from metadata_tool.errors import SettingError
from metadata_tool.settings import Settings
from support.helm import (
    EXAMPLE,
    Manifest,
    conform,
    conform_all,
    containers,
    lint,
    merged,
    nested,
    one,
    pods,
    render,
    text,
)

FILES = sorted((CHART / "examples").glob("*.yaml"))
TOOLS = "zookeeper.customTools"


def values(name: str) -> dict[str, Any]:
    """An example."""
    return dict(yaml.safe_load((CHART / "examples" / f"{name}.yaml").read_text()))


def settings(name: str, tool: str = "backup") -> dict[str, str]:
    """What the program reads, with an example alone."""
    return dict(one(render(values(name)), "ConfigMap", f"snpe-pulsar-{tool}")["data"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_says_what_it_is_for(file: Path) -> None:
    """A comment at the top says it."""
    head = re.match(r"(#.*\n)+", file.read_text())
    assert head
    assert head[0].count("\n") >= 2


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_helm_accepts_it(file: Path, major: int) -> None:
    """Both helms render it as it is, and find nothing to warn of."""
    done = lint(values(file.stem), major)
    assert (0, False) == (done.returncode, "[WARNING]" in done.stdout), done.stdout + done.stderr


def test_conforms() -> None:
    """Kubernetes accepts the objects that each of them leads to. With everything switched on, see the next test."""
    manifests = {file.stem: text(values(file.stem)) for file in FILES}
    assert "" == conform_all(manifests, KUBERNETES[-1])


def every_values_file() -> dict[str, dict[str, Any]]:
    """Every values file of the project, and every piece of one in its documents, by name."""
    files = [*FILES, EXAMPLE, *Path(__file__).parent.glob("*.yaml")]
    documents = [*(EXAMPLE.parent / "docs").glob("*.md"), CHART / "README.md"]
    pieces = {
        f"{document.stem}-{number}": textwrap.dedent(piece)
        for document in documents
        for number, piece in enumerate(re.findall("```yaml\n(.*?)```", document.read_text(), re.DOTALL))
    }
    return {name: yaml.safe_load(text) for name, text in {**{f.stem: f.read_text() for f in files}, **pieces}.items()}


def test_every_values_file_conforms() -> None:
    """Kubernetes knows each field of what any values file leads to, with everything switched on.

    What is rendered for its oldest version is accepted by the newest one, too.
    """
    on = merged(
        {"initialize": True},
        nested(f"{TOOLS}.backup.enable", value=True),
        nested("networkPolicy.enabled", value=True),
        *(nested(f"monitoring.{each}.enabled", value=True) for each in ("podMonitor", "prometheusRule", "dashboard")),
    )
    manifests = {}
    for name, found in every_values_file().items():
        jobs = {"initialize": False} if "tls" in name else {}  # the Jobs cannot use TLS
        manifests[name] = text(merged(on, found, jobs), "--kube-version", OLDEST_AND_NEWEST[0])
    assert len(manifests) > len(FILES) + 5
    assert ["", ""] == [conform_all(manifests, kubernetes) for kubernetes in OLDEST_AND_NEWEST]


def test_restore() -> None:
    """It restores the newest backup, and sets infinite retention."""
    names = ("RESTORE_POINT", "BUCKET", "BACKUP_PREFIX", "INFINITE_RETENTION", "ALLOW_OLDER")
    found = settings("restore", "restore")
    assert ["latest", "s3a://my-backuprestore", "pulsar-backup", "true", "false"] == [found[name] for name in names]


APACHE = {"apache-chart": "pulsar-zookeeper.pulsar.svc.cluster.local:2181", "apache-chart-tls": "pulsar-zookeeper:2281"}


@pytest.mark.parametrize("name", APACHE)
def test_ensemble_of_apaches_chart(name: str) -> None:
    """It starts no ZooKeeper, and connects to that chart's Service, by TLS if that has TLS."""
    manifests = render(values(name))
    assert ["snpe-pulsar-backup"] == [
        each["metadata"]["name"] for each in manifests if each["kind"] in ("StatefulSet", "Job")
    ]
    found = settings(name)
    assert APACHE[name] == found["ZOOKEEPER_SERVERS"]
    tls = {"ZOOKEEPER_TLS": "true", "ZOOKEEPER_TLS_KEY": "/etc/zookeeper-tls/tls.key"} if "tls" in name else {}
    assert tls == {each: found[each] for each in ("ZOOKEEPER_TLS", "ZOOKEEPER_TLS_KEY") if each in found}


@pytest.mark.parametrize("name", APACHE)
def test_program_prints_the_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command in the comment prints these values."""
    lines = (CHART / "examples" / f"{name}.yaml").read_text().partition("#   metadata-tool ")[2].splitlines()
    command = " ".join(line.lstrip("# ").rstrip("\\") for line in of_a_command(lines))
    assert 0 == main(shlex.split(command), {})
    assert values(name) == yaml.safe_load(capsys.readouterr().out)


def of_a_command(lines: list[str]) -> list[str]:
    """The lines of a command: each but the last ends with a backslash."""
    last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
    return lines[: last + 1]


def test_kerberos() -> None:
    """It logs in by Kerberos, with the principal of the example."""
    found = settings("kerberos")
    assert ("GSSAPI", "backup@EXAMPLE.COM") == tuple(
        found[f"ZOOKEEPER_SASL_{name}"] for name in ("MECHANISM", "PRINCIPAL")
    )


def test_role() -> None:
    """The service account has the role, backup and members run under it, and no keys are mounted."""
    manifests = render(merged(values("role"), nested(f"{TOOLS}.restore", {"enable": True, "restorePoint": "latest"})))
    account = one(manifests, "ServiceAccount", "snpe-pulsar-metadata-tool")["metadata"]
    assert {"eks.amazonaws.com/role-arn"} == set(account["annotations"])
    for name in ("backup", "zookeeper"):
        spec = one(manifests, "StatefulSet", f"snpe-pulsar-{name}")["spec"]["template"]["spec"]
        assert account["name"] == spec["serviceAccountName"]
        assert "object-store-keys" not in [volume["name"] for volume in spec["volumes"]]


def test_role_without_an_annotation() -> None:
    """The lines for other clusters, in use, mount a token for the role."""
    lines = re.findall(r"^#   ( *\S.*)", (CHART / "examples" / "role.yaml").read_text(), re.MULTILINE)
    token = {"zookeeper": {"customTools": yaml.safe_load("\n".join(lines))}}
    manifests = text(merged(values("role"), token))
    assert "" == conform(manifests, KUBERNETES[-1])
    assert "/var/run/aws/token" in manifests


def test_other_s3() -> None:
    """Endpoint, region and addressing style reach backup and restore."""
    both = merged(values("other-s3"), nested(f"{TOOLS}.restore", {"enable": True, "restorePoint": "latest"}))
    for tool in ("backup", "restore"):
        found = one(render(both), "ConfigMap", f"snpe-pulsar-{tool}")["data"]
        names = ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "S3_ADDRESSING_STYLE")
        assert ["https://s3.example.com:9000", "us-east-1", "path"] == [found[name] for name in names]


def test_copies_and_encryption() -> None:
    """The program reads the other place with its keys, and refuses the public key, which everybody must replace."""
    manifests = render(values("copies-and-encryption"))
    (copy,) = Settings(one(manifests, "ConfigMap", "snpe-pulsar-backup")["data"]).copies()
    assert ("s3a://other-bucket/prod", "https://s3.other.example.com", "eu-west-1", Path("/etc/copy-keys/0")) == (
        str(copy.location),
        copy.options.endpoint_url,
        copy.options.region,
        copy.options.credentials_dir,
    )
    assert_refuses_the_recipient(manifests)


def assert_refuses_the_recipient(manifests: list[Manifest]) -> None:
    """Nobody has the private key of an example, so a service that was given its public key ends with an error."""
    (recipient,) = [each["value"] for each in box("backup", manifests)["env"] if each["name"] == "ENCRYPTION_RECIPIENT"]
    with pytest.raises(SettingError, match="ENCRYPTION_RECIPIENT is not valid, key 1 is not a public key of age"):
        BackupKeys((recipient,), signing_file=Path("/etc/signing-key/signing.pem")).checked()


def box(name: str, manifests: list[Manifest]) -> Manifest:
    """The container of this name."""
    (found,) = [each for _, spec in pods(manifests) for each in containers(spec) if each["name"] == name]
    return found


def test_lines_to_switch_on() -> None:
    """The settings in the comments of the example at the top are those of the chart, and the program reads them."""
    on = re.sub(r"^( *)# ( *)(?=[\w-]+: |\w+:$|- [{])", r"\1\2", EXAMPLE.read_text(), flags=re.MULTILINE)
    restore = nested(f"{TOOLS}.restore", {"enable": True, "restorePoint": "latest"})
    manifests = render(merged(yaml.safe_load(on), restore))
    found = one(manifests, "ConfigMap", "snpe-pulsar-backup")["data"]
    assert "s3a://other-bucket/prod;AWS_REGION=eu-west-1;S3_CREDENTIALS_DIR=/etc/copy-keys/0" == found["BACKUP_COPIES"]
    assert_refuses_the_recipient(manifests)
    for container, mounts in (("backup", {"signing-key", "copy-keys-0"}), ("restore", {"backup-keys"})):
        assert mounts <= {each["name"] for each in box(container, manifests)["volumeMounts"]}


def test_whole_pulsar() -> None:
    """It starts every part that a first message needs, offloads, and backs up with the same keys."""
    manifests = render(values("whole-pulsar"))
    sets = {each["metadata"]["name"] for each in manifests if each["kind"] == "StatefulSet"}
    assert {f"snpe-pulsar-{name}" for name in ("zookeeper", "bookie", "broker", "toolset", "backup")} == sets
    found = one(manifests, "ConfigMap", "snpe-pulsar-broker")["data"]["broker.conf"]
    assert "s3ManagedLedgerOffloadBucket=my-offloads" in found.split()


def test_tls_and_tokens() -> None:
    """Clients reach the ports with TLS, and each file of the settings is in a mounted volume."""
    manifests = render(values("tls-and-tokens"))
    ports = {port["name"] for port in one(manifests, "Service", "snpe-pulsar-broker")["spec"]["ports"]}
    assert {"pulsarssl", "https"} <= ports
    for component, file in (("broker", "broker.conf"), ("toolset", "client.conf")):
        settings = one(manifests, "ConfigMap", f"snpe-pulsar-{component}")["data"][file]
        spec = one(manifests, "StatefulSet", f"snpe-pulsar-{component}")["spec"]["template"]["spec"]
        mounts = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        assert {"/etc/broker-tls", "/etc/pulsar-tokens"} <= mounts
        folders = set(re.findall(r"=(?:file://)?(/etc/[^/\n]+)", settings))
        assert {"/etc/broker-tls", "/etc/pulsar-tokens"} == folders


def test_tls_and_tokens_of_the_program() -> None:
    """Backup and put-back reach the brokers by TLS, each with a token of its own."""
    on = merged(
        nested(f"{TOOLS}.backup.enable", value=True),
        nested(f"{TOOLS}.restore", {"enable": True, "restorePoint": "latest"}),
    )
    manifests = render(merged(values("tls-and-tokens"), on))
    for tool, token in (("backup", "backup-token"), ("put-back", "pulsar-tokens")):
        data = one(manifests, "ConfigMap", f"snpe-pulsar-{tool}")["data"]
        assert "https://snpe-pulsar-broker.default.svc.cluster.local:8443" == data["BROKER_SERVICE_URL"]
        (spec,) = (spec for _, spec in pods(manifests) if spec["containers"][0]["name"] == tool)
        used = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
        assert [token, "broker-tls"] == used
