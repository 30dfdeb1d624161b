"""The Kubernetes of the current kubeconfig: kubectl, helm, and everything that a test needs besides the chart."""

import contextlib
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError

from ci.chart import CHART
from ci.parts.helm import helm
from ci.parts.images import Image, metadata_tool, pulsar, s3
from support import processes, seed
from support.comparison import Tree, read_tree
from support.helm import EXAMPLE
from support.processes import Process, free_port
from support.s3 import ACCESS_KEY, SECRET_KEY, s3_client
from support.zookeeper import client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAMESPACE = "metadata-backup-test"
RELEASE = "snpe"
BUCKET = "my-backuprestore"
PREFIX = "pulsar-backup"
PATIENCE = 300
"""Seconds: a bound for a machine under load, not an expectation."""

T = TypeVar("T")


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl in the tests' namespace. Returns its output."""
    command = ["kubectl", "--namespace", NAMESPACE, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"
    return done.stdout


def logged(pod: str, *arguments: str) -> str:
    """The log of a pod. Empty before it has started."""
    command = ["kubectl", "--namespace", NAMESPACE, "logs", pod, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout


def items(kind: str, *arguments: str) -> list[dict[str, Any]]:
    """All objects of a kind."""
    return list(json.loads(kubectl("get", kind, "--output", "json", *arguments))["items"])


def eventually(what: str, probe: Callable[[], T]) -> T:
    """Repeat a check until its result is true. If it never is, show the pods."""
    return processes.eventually(what, probe, PATIENCE, lambda: kubectl("get", "pods", "-o", "wide"), every=1)


def load(image: Image) -> None:
    """Bring an image into the cluster: CLUSTER_LOAD is the command, kind's by default, the file its last argument."""
    command = shlex.split(os.environ.get("CLUSTER_LOAD", "kind load image-archive"))
    done = subprocess.run([*command, str(image.archive)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"CLUSTER_LOAD ({shlex.join(command)}) failed: {done.stderr}"


@contextlib.contextmanager
def forwarded(target: str, port: int, directory: Path) -> Iterator[int]:
    """A loopback port that leads to a pod or a Service."""
    local = free_port()
    command = ["kubectl", "--namespace", NAMESPACE, "port-forward", target, f"{local}:{port}"]
    process = Process(command, directory / "forward.log", os.environ)
    try:
        process.wait_until(lambda: f"127.0.0.1:{local}" in process.output())
        yield local
    finally:
        process.stop()


class Release:
    """The chart, as an operator installs it: values.example.yaml, a file for this cluster, and what is set besides."""

    def __init__(self, directory: Path, name: str = RELEASE) -> None:
        self.name = name
        self.chart = CHART
        own = directory / "values.yaml"
        own.write_text(json.dumps(_values(metadata_tool(), pulsar())))
        self.files = [EXAMPLE, own]
        """Values files. The later ones win."""
        self._rendered = ""

    def helm(self, major: int, *arguments: str) -> str:
        """Run helm. Returns its output."""
        done = self._run(major, arguments)
        assert done.returncode == 0, f"{shlex.join(done.args)}: {done.stderr}{done.stdout}"
        return done.stdout

    def _run(self, major: int, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        command = [helm(major), "--namespace", NAMESPACE, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def install(self, major: int, settings: Mapping[str, str]) -> str:
        """Run `helm install`. Returns the notes."""
        return self._apply(major, "install", settings)

    def upgrade(self, major: int, settings: Mapping[str, str]) -> str:
        """Run `helm upgrade`. Returns the notes."""
        return self._apply(major, "upgrade", settings)

    def uninstall(self, major: int, components: Sequence[str] = ()) -> None:
        """Run `helm uninstall`, and delete the volumes: those of these components, or all if there are none."""
        self.helm(major, "uninstall", self.name)
        self._clear(components)

    def refusal(self, major: int, settings: Mapping[str, str]) -> str:
        """The error of `helm upgrade`, which must refuse these settings."""
        done = self._run(major, self._arguments("upgrade", settings))
        assert done.returncode != 0, done.stdout
        return done.stderr

    def apply(self, settings: Mapping[str, str]) -> None:
        """Render without a cluster (`helm template`), and run `kubectl apply`, which deletes nothing."""
        self._rendered = self.helm(3, *self._arguments("template", settings))
        kubectl("apply", "--filename", "-", stdin=self._rendered)

    def unapply(self) -> None:
        """Remove what was applied, and the volumes."""
        kubectl("delete", "--wait=false", "--filename", "-", stdin=self._rendered)
        self._clear()

    def pods(self, component: str = "zookeeper") -> dict[str, Any]:
        """The pods of a component by name."""
        found = items("pods", "--selector", f"release={self.name},component={component}")
        return {pod["metadata"]["name"]: pod for pod in found}

    def ready(self) -> list[int]:
        """The ordinals of the ZooKeeper pods that are ready."""
        return sorted(int(name.rpartition("-")[2]) for name, pod in self.pods().items() if is_ready(pod))

    def _clear(self, components: Sequence[str] = ()) -> None:
        kubectl("delete", "pods", "--selector", f"release={self.name},component=test")  # helm leaves its tests' pods
        eventually("no pod is left", lambda: not items("pods", "--selector", f"release={self.name}"))
        chosen = [f"release={self.name}", *([f"component in ({','.join(components)})"] if components else [])]
        kubectl("delete", "pvc", "--selector", ",".join(chosen))

    def _apply(self, major: int, verb: str, settings: Mapping[str, str]) -> str:
        return self.helm(major, *self._arguments(verb, settings))

    def _arguments(self, verb: str, settings: Mapping[str, str]) -> list[str]:
        files = [f"--values={file}" for file in self.files]
        sets = [
            f"--set={key}={value}" for key, value in {"namespace": NAMESPACE, "initialize": "true", **settings}.items()
        ]
        return [verb, self.name, str(self.chart), *files, *sets]


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is ready."""
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _values(tool: Image, zookeeper: Image) -> dict[str, Any]:
    """Values for a small cluster without a registry and without Amazon's S3."""
    small = {"requests": {"cpu": "10m", "memory": "64Mi"}}
    login = {"secretKeyRef": {"name": "zookeeper-login", "key": "login"}}
    return {
        "components": {"bookkeeper": False, "broker": False, "toolset": False},
        "images": {
            "zookeeper": {
                "repository": zookeeper.repository,
                "tag": zookeeper.tag,
                "customTools": {"backup": {"repository": tool.repository, "tag": tool.tag}},
            }
        },
        "zookeeper": {
            "configData": {
                "PULSAR_MEM": "-Xms64m -Xmx256m",
                "PULSAR_GC": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
                "PULSAR_EXTRA_OPTS": "-Dzookeeper.extendedTypesEnabled=true",
            },
            "resources": small,
            "volumes": {"data": {"size": "1Gi"}},
            "customTools": {
                "objectStore": {"endpoint": "http://s3:7070", "region": "us-east-1"},
                "backup": {
                    "resources": small,
                    "backupInterval": 10,
                    "extraEnv": [{"name": "ZOOKEEPER_AUTH", "valueFrom": login}],
                },
                "restore": {"resources": small, "scope": "bookies-kept"},
            },
        },
        "pulsar_metadata": {"clusterName": "demo", "resources": small},
    }


@dataclass
class Surroundings:
    """The parts that must exist before the chart: a namespace, an object store, credentials."""

    directory: Path
    keys: tuple[str, str] = (ACCESS_KEY, SECRET_KEY)
    """The credentials that the object store accepts."""

    def set_up(self) -> None:
        """Create these parts. The namespace admits only pods that keep to the `restricted` level."""
        for image in (metadata_tool(), pulsar(), s3()):
            load(image)
        phase = ("get", "namespace", NAMESPACE, "--ignore-not-found", "--output", "jsonpath={.status.phase}")
        eventually("the namespace of an earlier run is deleted", lambda: kubectl(*phase) != "Terminating")
        kubectl("create", "namespace", NAMESPACE)
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        self.set_keys(*self.keys)
        kubectl("create", "secret", "generic", "zookeeper-login", f"--from-literal=login=digest:{seed.ADMIN}")
        self.restart_object_store(*self.keys)

    def set_keys(self, access_key: str, secret_key: str) -> None:
        """Put these credentials into the Secret of the release."""
        _set_secret("aws-secret", access_key, secret_key)

    def restart_object_store(self, access_key: str, secret_key: str) -> None:
        """An object store that accepts only these keys, with an empty bucket."""
        self.keys = access_key, secret_key
        _set_secret("s3-keys", access_key, secret_key)
        kubectl("delete", "pod", "s3", "--ignore-not-found", "--grace-period=1")
        kubectl("apply", "--filename", "-", stdin=json.dumps(_object_store(s3())))
        kubectl("wait", "pod/s3", "--for=condition=Ready", f"--timeout={PATIENCE}s")
        with self.bucket() as bucket:
            bucket.create_bucket(Bucket=BUCKET)

    @staticmethod
    def ask(host: str, port: int, path: str) -> str:
        """The answer of a Service to a pod."""
        program = 'exec 3<> "/dev/tcp/$0/$1"; printf "GET $2 HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'
        return kubectl("exec", "s3", "--", "bash", "-c", program, host, str(port), path)

    def tear_down(self) -> None:
        """Delete the namespace with everything in it."""
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")

    @contextlib.contextmanager
    def bucket(self) -> Iterator["S3Client"]:
        """A client of the object store."""
        with forwarded("pod/s3", 7070, self.directory) as port:
            yield s3_client(f"http://127.0.0.1:{port}", *self.keys)

    def backups(self) -> list[str]:
        """The files in the bucket, oldest first."""
        with self.bucket() as bucket:
            listed = bucket.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return sorted(item["Key"] for item in listed)

    @contextlib.contextmanager
    def zookeeper(self, member: int, release: str = RELEASE) -> Iterator[KazooClient]:
        """A client of one member of an ensemble."""
        with (
            forwarded(f"pod/{release}-pulsar-zookeeper-{member}", 2181, self.directory) as port,
            client(f"127.0.0.1:{port}", seed.ADMIN) as connected,
        ):
            yield connected

    def tree(self, member: int, release: str = RELEASE) -> Tree:
        """The tree that a member serves, once it has caught up with its leader."""
        for _ in range(3):  # kubectl ends a forwarding at the first connection that the pod resets
            with contextlib.suppress(KazooTimeoutError), self.zookeeper(member, release) as connected:
                connected.sync("/")
                return read_tree(connected)
        raise AssertionError(
            f"member {member} cannot be reached: {(self.directory / 'forward.log').read_text()[-2000:]}"
        )


def _set_secret(name: str, access_key: str, secret_key: str) -> None:
    data = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
    kubectl("apply", "--filename", "-", stdin=json.dumps(secret))


def restricted(name: str, user: int, container: dict[str, Any], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """A pod of one container that the level `restricted` admits. It ends at once when it is deleted."""
    confined = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    security = {
        "runAsNonRoot": True,
        "runAsUser": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "securityContext": security,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [{**container, "securityContext": confined}],
            "volumes": volumes,
        },
    }


def _object_store(image: Image) -> dict[str, Any]:
    """A pod with the S3 server, and its Service."""
    keys = {"ROOT_ACCESS_KEY": "AWS_ACCESS_KEY_ID", "ROOT_SECRET_KEY": "AWS_SECRET_ACCESS_KEY"}
    container = {
        "name": "s3",
        "image": image.name,
        "imagePullPolicy": "IfNotPresent",
        "args": ["--port", ":7070", "posix", "/data"],
        "env": [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": "s3-keys", "key": key}}} for name, key in keys.items()
        ],
        "readinessProbe": {"tcpSocket": {"port": 7070}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = restricted("s3", 10002, container, [{"name": "data", "emptyDir": {}}])
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s3"},
        "spec": {"selector": {"app": "s3"}, "ports": [{"port": 7070}]},
    }
    return {"apiVersion": "v1", "kind": "List", "items": [pod, service]}
