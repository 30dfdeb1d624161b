import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from ci.docs import DOCS
from metadata_tool import __version__
from metadata_tool.cli import main
from metadata_tool.settings import Settings

POINT = "s3a://my-backuprestore/pulsar-backup-1623721488825.tar.gz"
RESTORE = ["restore", POINT, "--release", "pulsar", "--namespace", "messaging"]
BACKUP = ["backup", "--release", "pulsar", "--namespace", "messaging", "--bucket", "s3a://my-backuprestore"]
LATEST = ["restore", "latest", *RESTORE[2:]]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command. Returns its exit code, what it printed, and what it said to stderr."""

    def running(*arguments: str) -> tuple[int, str, str]:
        code = main(["apache-values", *arguments], {})
        said = capsys.readouterr()
        return code, said.out, said.err

    return running


@pytest.fixture
def printed(run: Run) -> Callable[..., dict[str, Any]]:
    """Runs the command, which succeeds. Returns the values."""

    def running(*arguments: str) -> dict[str, Any]:
        code, output, said = run(*arguments)
        assert (0, "") == (code, said)
        return dict(yaml.safe_load(output))

    return running


Printed = Callable[..., dict[str, Any]]


def container(values: dict[str, Any]) -> dict[str, Any]:
    """The init container that restores."""
    (found,) = values["zookeeper"]["initContainers"]
    return dict(found)


def environment(values: dict[str, Any]) -> dict[str, str]:
    """Its variables."""
    pairs = container(values)["env"]
    assert len(pairs) == len({pair["name"] for pair in pairs})
    return {pair["name"]: pair["value"] for pair in pairs}


def mounts(values: dict[str, Any]) -> dict[str, str]:
    """The paths of its volumes."""
    return {mount["mountPath"]: mount["name"] for mount in container(values)["volumeMounts"]}


def test_restore(printed: Printed) -> None:
    """The restore has the members, the cluster and the directories of that release, and the program takes all of it."""
    values = printed(*RESTORE)
    found = environment(values)
    job = Settings(found).restore()
    assert (POINT, "1", 9990, 10485760) == (str(job.point), job.version, job.admin_port, job.jute_maxbuffer)
    assert [
        f"pulsar-zookeeper-{number}.pulsar-zookeeper-headless.messaging.svc.cluster.local:2181" for number in range(3)
    ] == job.members
    assert ("bookies-lost", "pulsar") == (job.recovery_options.scope, job.recovery_options.cluster_name)
    assert "/pulsar/data/zookeeper" == str(job.data.path) == str(job.data.logs)
    assert {"/pulsar/data": "pulsar-zookeeper-data", "/tmp": "restore-spool"} == mounts(values)
    assert [{"name": "restore-spool", "emptyDir": {"sizeLimit": "4Gi"}}] == values["zookeeper"]["extraVolumes"]
    assert not {"S3_CREDENTIALS_DIR", "AWS_REGION", "AWS_ENDPOINT_URL_S3", "BUCKET"} & found.keys()


def test_container_runs_as_zookeeper(printed: Printed) -> None:
    """It runs the program as the user of Pulsar's image, meets the `restricted` level, and has a default image."""
    found = container(printed(*RESTORE))
    assert (f"pulsar-metadata-backup:{__version__}", ["restore"]) == (found["image"], found["args"])
    security = found["securityContext"]
    assert (10_000, 0, True) == tuple(security[name] for name in ("runAsUser", "runAsGroup", "runAsNonRoot"))
    assert (False, {"drop": ["ALL"]}) == (security["allowPrivilegeEscalation"], security["capabilities"])


def test_restore_with_everything(printed: Printed) -> None:
    """Every option reaches the restore."""
    values = printed(
        *RESTORE,
        *("--fullname", "messages", "--domain", "k8s.local", "--metadata-prefix", "/my", "--tls"),
        *("--image", "registry.example.com:5000/tool@sha256:" + "0" * 64, "--secret", "my-keys"),
        *("--endpoint", "https://s3.example.com:9000", "--region", "eu-west-1", "--restore-version", "7"),
        *("--replicas", "5", "--bookies-kept", "--cluster", "east", "--separate-log-disk"),
        *("--env", "ALLOW_OLDER=true", "--env", "INFINITE_RETENTION=true"),
    )
    found = environment(values)
    job = Settings(found).restore()
    assert "messages-zookeeper-4.messages-zookeeper-headless.messaging.svc.k8s.local:2281" == job.members[-1]
    assert (5, "7", True) == (len(job.members), job.version, job.allow_older)
    options = job.recovery_options
    assert ("/my", "bookies-kept", "east", True) == (
        options.layout.chroot,
        options.scope,
        options.cluster_name,
        options.infinite_retention,
    )
    assert "/pulsar/data-log" == str(job.data.logs)
    assert job.tls
    assert ("https://s3.example.com:9000", "eu-west-1") == (found["AWS_ENDPOINT_URL_S3"], found["AWS_REGION"])
    assert {
        "/pulsar/data": "messages-zookeeper-data",
        "/pulsar/data-log": "messages-zookeeper-datalog",
        "/tmp": "restore-spool",
        found["S3_CREDENTIALS_DIR"]: "restore-keys",
        "/pulsar/certs/zookeeper": "zookeeper-certs",
        "/pulsar/certs/ca": "ca",
    } == mounts(values)
    assert {"name": "restore-keys", "secret": {"secretName": "my-keys"}} in values["zookeeper"]["extraVolumes"]


def test_latest(printed: Printed) -> None:
    """`latest` is looked up where the options say."""
    found = environment(printed(*LATEST, "--bucket", "s3a://bucket/path", "--prefix", "mine"))
    assert "s3a://bucket/path/mine" == str(Settings(found).restore().wanted)


def test_kubernetes_expands_nothing(printed: Printed) -> None:
    """A reference to a variable in a value is escaped, because Kubernetes would expand it."""
    found = environment(printed(*RESTORE, "--restore-version", "$(HOME)"))
    assert "$$(HOME)" == found["RESTORE_VERSION"]


def test_backup(printed: Printed) -> None:
    """Our chart starts no ZooKeeper, and connects to the Service of that release."""
    values = printed(*BACKUP)
    assert {
        "components": {"zookeeper": False},
        "zookeeper": {
            "connect": "pulsar-zookeeper.messaging.svc.cluster.local:2181",
            "customTools": {
                "backup": {"enable": True, "bucket": "s3a://my-backuprestore", "backupPrefix": "metadata-backup"}
            },
        },
    } == values


def test_backup_with_everything(printed: Printed) -> None:
    """Every option reaches the backup. With TLS, it has the certificate of that chart's tools."""
    values = printed(
        *BACKUP,
        *("--metadata-prefix", "/my", "--tls", "--prefix", "mine", "--image", "registry.example.com/tool:1"),
        *("--secret", "my-keys", "--endpoint", "https://s3.example.com", "--region", "eu-west-1"),
    )
    assert {"repository": "registry.example.com/tool", "tag": "1"} == (
        values["images"]["zookeeper"]["customTools"]["backup"]
    )
    tools = values["zookeeper"]["customTools"]
    assert "pulsar-zookeeper:2281/my" == values["zookeeper"]["connect"]
    assert {"endpoint": "https://s3.example.com", "region": "eu-west-1"} == tools["objectStore"]
    assert {
        "enable": True,
        "bucket": "s3a://my-backuprestore",
        "backupPrefix": "mine",
        "secrets": {"use": True, "aws": {"secretName": "my-keys"}},
        "tls": {"enabled": True, "secretName": "pulsar-tls-toolset"},
    } == tools["backup"]


def test_commands_of_the_page(printed: Printed) -> None:
    """The commands in docs/apache-chart.md print values."""
    page = (DOCS / "apache-chart.md").read_text().replace("\\\n", "")
    commands = re.findall(r"^ *metadata-tool apache-values (.*?)(?: >.*)?$", page, re.MULTILINE)
    assert ["backup", "restore"] == [shlex.split(command)[0] for command in commands]
    for command in commands:
        assert printed(*shlex.split(command))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["restore", "wrong", *RESTORE[2:]], "RESTORE_POINT is not valid"),
        (["restore", "file:///backups/a-1.tar.gz", *RESTORE[2:]], "file:///backups is a directory"),
        (LATEST, "latest needs the bucket"),
        ([*LATEST, "--bucket", "bucket"], "BUCKET is not valid"),
        ([*LATEST, "--bucket", "s3a://bucket", "--prefix", "a/b"], "BACKUP_PREFIX is 'a/b'"),
        ([*RESTORE, "--replicas", "0"], "--replicas is '0'"),
        ([*RESTORE, "--replicas", "many"], "--replicas is 'many'"),
        ([*RESTORE, "--restore-version", "a\nb"], "RESTORE_VERSION has characters"),
        ([*RESTORE, "--cluster", "a b"], "CLUSTER_NAME is 'a b'"),
        ([*RESTORE, "--metadata-prefix", "/a/../b"], "its chroot is not the path of a znode"),
        ([*RESTORE, "--image", "a b"], "--image is 'a b'"),
        ([*RESTORE, "--release", "My"], "--release is 'My'"),
        ([*RESTORE, "--secret", "A"], "--secret is 'A'"),
        ([*RESTORE, "--endpoint", "s3.example.com"], "--endpoint is not the address of a server"),
        ([*RESTORE, "--env", "BACKUP_INTERVAL=3"], "NAME is not a variable of a restore"),
        ([*RESTORE, "--env", "ALLOW_OLDER"], "an --env is not NAME=VALUE"),
        ([*RESTORE, "--env", "ALLOW_OLDER=maybe"], "ALLOW_OLDER is 'maybe'"),
        ([*RESTORE, "--env", "LOG_FORMAT=a\tb"], "LOG_FORMAT has characters that cannot be printed"),
        ([*BACKUP[:-1], "file:///backups"], "file:///backups is a directory"),
        ([*BACKUP, "--image", "https://a"], "--image is 'https://a'"),
    ],
)
def test_wrong_input(arguments: list[str], said: str, run: Run) -> None:
    """Whatever is wrong is named in one line, and nothing is printed."""
    code, output, error = run(*arguments)
    assert (2, "") == (code, output)
    assert [error.rstrip("\n")] == error.splitlines()
    assert error.startswith("error: ")
    assert said in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["--env", "ZOOKEEPER_AUTH=digest:me:s3cr3t"],
        ["--env", "TIERED_STORAGE_SECRET_ACCESS_KEY=s3cr3t"],
        ["--env", "ZOOKEEPER_TLS_KEY_PASSWORD=s3cr3t"],
        ["--env", "TIERED_STORAGE_ENDPOINT_URL=https://me:s3cr3t@s3.example.com"],
        ["--env", "s3cr3t"],
        ["--endpoint", "https://me:s3cr3t@s3.example.com"],
    ],
)
def test_secrets_are_refused(arguments: list[str], run: Run) -> None:
    """A secret does not get into values, and is not repeated."""
    code, output, said = run(*RESTORE, *arguments)
    assert (2, "") == (code, output)
    assert "s3cr3t" not in said
