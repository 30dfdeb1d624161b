"""The number of members changes while clients write through the Service: what was acknowledged is there.

Once by `helm upgrade`, once by `kubectl apply` of what was rendered without a cluster.
"""

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

from ci.parts.images import metadata_tool
from support.cluster import NAMESPACE, PATIENCE, Release, Surroundings, eventually, kubectl

pytestmark = pytest.mark.usefixtures("surroundings")
WRITER = Path(__file__).parents[1] / "support" / "writer.py"
WRITERS = 4


class Writer:
    """A pod that writes as long as it is there."""

    def __init__(self, release: str) -> None:
        self._name = f"writer-{release}"
        servers = f"{release}-pulsar-zookeeper.{NAMESPACE}.svc.cluster.local:2181"
        kubectl("apply", "--filename", "-", stdin=json.dumps(_pod(self._name, servers)))
        kubectl("wait", f"pod/{self._name}", "--for=condition=Ready", f"--timeout={PATIENCE}s")
        eventually("it writes", self.acknowledged)

    def acknowledged(self) -> set[str]:
        """The paths that were acknowledged up to now."""
        return {line for line in kubectl("logs", self._name).splitlines() if line.startswith("/written-")}

    def go_on(self) -> None:
        """Wait until more was written."""
        enough = len(self.acknowledged()) + 100
        eventually("writers go on", lambda: len(self.acknowledged()) > enough)

    def end(self) -> set[str]:
        """Stop writing. Returns all that was acknowledged."""
        kubectl("exec", self._name, "--", "touch", "/tmp/end")
        eventually(
            "it has ended", lambda: "Running" not in kubectl("get", "pod", self._name, "-o", "jsonpath={.status.phase}")
        )
        written = self.acknowledged()
        kubectl("delete", "pod", self._name)
        return written


def _pod(name: str, servers: str) -> dict[str, Any]:
    container = {
        "name": "writer",
        "image": metadata_tool().name,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/metadata-tool/bin/python", "-c", WRITER.read_text(), servers, str(WRITERS)],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "securityContext": security}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**spec, "containers": [container]}}


def members(number: int) -> dict[str, str]:
    """What is set for a number of members."""
    return {
        "zookeeper.replicaCount": str(number),
        "zookeeper.customTools.backup.enable": "false",
        "zookeeper.configData.PULSAR_MEM": "-Xms64m -Xmx512m",  # a leader ran out of the other tests' heap once
    }


@pytest.fixture(params=["upgrade", "apply"])
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Release]:
    """One member serves."""
    made = Release(tmp_path, f"by-{request.param}")
    if request.param == "upgrade":
        made.install(3, members(1))
        yield made
        made.uninstall(3)
    else:
        made.apply(members(1))
        yield made
        made.unapply()


def all_ready(release: Release, number: int) -> bool:
    """Whether there are exactly this many pods, and all are ready."""
    return release.ready() == list(range(number))


def has_voters(surroundings: Surroundings, release: Release, number: int) -> bool:
    """Whether the ensemble has this many members, by the report of the first one."""
    with contextlib.suppress(KazooException, KazooTimeoutError), surroundings.zookeeper(0, release.name) as client:
        lines: bytes = client.get("/zookeeper/config")[0]
        return lines.count(b":participant") == number
    return False


def test_number_of_members_changes_under_load(surroundings: Surroundings, release: Release) -> None:
    """From 1 to 3 to 5 to 3: no acknowledged znode is lost on any member, and the pods that stay are not restarted."""
    eventually("one member serves", lambda: release.ready() == [0])
    uid = release.pods()[f"{release.name}-pulsar-zookeeper-0"]["metadata"]["uid"]
    writer = Writer(release.name)
    for number in (3, 5, 3):
        if release.name == "by-apply":
            release.apply(members(number))
        else:
            release.upgrade(3, members(number))
        eventually(f"{number} pods are ready", partial(all_ready, release, number))
        eventually(f"the ensemble has {number} members", partial(has_voters, surroundings, release, number))
        writer.go_on()
    written = writer.end()
    for member in range(3):
        with surroundings.zookeeper(member, release.name) as client:
            client.sync("/")
            assert set() == written - {f"/{name}" for name in client.get_children("/")}
    assert uid == release.pods()[f"{release.name}-pulsar-zookeeper-0"]["metadata"]["uid"]
    print(f"{release.name}: {len(written)} znodes acknowledged, none lost")
