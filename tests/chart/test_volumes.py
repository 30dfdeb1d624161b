"""Volumes of a release that runs: what cannot change is refused, with the way to do it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from support.helm import Manifest, containers, merged, nested, one, refusal, refused_upgrade, render

DATA = "zookeeper.volumes.data"
LOGS = "zookeeper.volumes.datalog"
APART = nested("zookeeper.volumes.useSeparateDiskForTxlog", value=True)
"""Transaction logs on a volume of their own."""
NAME = "snpe-pulsar-zookeeper"
FOUND = '(.Files.Get "found.json" | fromJson)'


def call(key: str, name: str) -> str:
    """The check of the volumes of a component."""
    arguments = f'"root" . "key" "{key}" "name" "{name}" "found" {FOUND}'
    return f'{{{{- include "pulsar.validate.volumes" (dict {arguments}) }}}}\n'


CALL = call("zookeeper", NAME)
CALL_LEFT = f'{{{{- include "pulsar.validate.logs.left" (dict "root" . "claim" {FOUND}) }}}}\n'


def running(*values: dict[str, Any]) -> Manifest:
    """The StatefulSet of a release, as a cluster would have it."""
    return one(render(merged(*values)), "StatefulSet", NAME)


def upgrade(directory: Path, found: Manifest, *values: dict[str, Any], check: str = CALL) -> str:
    """The chart's refusal to upgrade what was found, empty if there is none."""
    return refused_upgrade(directory, found, check, merged(*values))


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({}, {}),
        (nested(f"{DATA}.size", "1024Mi"), nested(f"{DATA}.size", "1Gi")),
        (nested(f"{DATA}.size", "1.5Gi"), nested(f"{DATA}.size", "1536Mi")),
        (nested(f"{DATA}.size", "5000M"), nested(f"{DATA}.size", "5G")),
        (
            nested(f"{DATA}.storageClassName", "fast"),
            nested("global.storageClass", "fast"),
        ),
        (nested(f"{DATA}.storageClassName", "-"), nested("global.storageClass", "-")),
        (nested(f"{DATA}.labels", {"a": 1}), nested(f"{DATA}.labels", {"a": "1"})),
        ({}, nested(f"{LOGS}.size", "1Gi")),
        (APART, APART),
        (merged(APART, nested(f"{LOGS}.size", "1024Mi")), merged(APART, nested(f"{LOGS}.size", "1Gi"))),
        ({}, nested("zookeeper.volumes.retentionPolicy", {"whenDeleted": "Delete"})),
        (
            nested("zookeeper.volumes.persistence", value=False),
            nested("zookeeper.volumes.persistence", value=False),
        ),
    ],
)
def test_same_volumes(then: dict[str, Any], now: dict[str, Any], tmp_path: Path) -> None:
    """What comes to the same, however it is written, is no change."""
    assert "" == upgrade(tmp_path, running(then), now)


@pytest.mark.parametrize("key", ["size", "labels"])
def test_change_of_the_volume_for_logs(key: str, tmp_path: Path) -> None:
    """A changed volume for transaction logs is refused as that for data is, and named."""
    value = {"size": "40Gi"}.get(key, {"a": "b"})
    refused = upgrade(tmp_path, running(APART), APART, nested(f"{LOGS}.{key}", value))
    assert "zookeeper.volumes.datalog" in refused
    assert f"delete statefulset {NAME} --cascade=orphan" in refused


@pytest.mark.parametrize(("then", "now"), [({}, APART), (APART, {})])
def test_logs_move(then: dict[str, Any], now: dict[str, Any], tmp_path: Path) -> None:
    """A running release keeps its logs where they are, because its members would not find them elsewhere."""
    refused = upgrade(tmp_path, running(then), now)
    assert f"and StatefulSet {NAME} runs with another value. ZooKeeper would not find its transaction logs" in refused
    assert "kubectl" not in refused


@pytest.mark.parametrize(
    ("values", "refused"),
    [({}, True), (APART, False), (nested("zookeeper.volumes.persistence", value=False), False)],
)
def test_logs_left_of_an_earlier_release(values: dict[str, Any], tmp_path: Path, *, refused: bool) -> None:
    """A release that is installed on claims with a volume for logs needs that volume."""
    claim = {"metadata": {"name": f"datalog-{NAME}-0"}}
    said = upgrade(tmp_path, claim, values, check=CALL_LEFT)
    assert refused == (f"PersistentVolumeClaim datalog-{NAME}-0 has transaction logs of an earlier release" in said)
    assert refused == bool(said)


def test_volume_for_logs() -> None:
    """Each member has a claim for data and one for logs, which ZooKeeper and the restore mount at the same place."""
    own = nested(LOGS, {"size": "3Gi", "storageClassName": "fast", "labels": {"a": "b"}, "annotations": {"c": "d"}})
    restore = nested("zookeeper.customTools.restore", {"enable": True, "restorePoint": "latest"})
    found = running(APART, own, restore)["spec"]
    data, logs = found["volumeClaimTemplates"]
    assert {"name": "datalog", "labels": {"a": "b"}, "annotations": {"c": "d"}} == logs["metadata"]
    assert ("fast", "3Gi") == (logs["spec"]["storageClassName"], logs["spec"]["resources"]["requests"]["storage"])
    assert ("data", "20Gi") == (data["metadata"]["name"], data["spec"]["resources"]["requests"]["storage"])
    mount = {"name": "datalog", "mountPath": "/pulsar/data-log"}
    assert all(mount in each["volumeMounts"] for each in containers(found["template"]["spec"]))
    assert "/pulsar/data-log" == one(render(merged(APART, own, restore)), "ConfigMap", "snpe-pulsar-restore")[
        "data"
    ].get("ZOOKEEPER_DATA_LOG_DIR")


def test_logs_without_persistence() -> None:
    """Without persistence, both volumes end with their pod."""
    found = running(APART, nested("zookeeper.volumes.persistence", value=False))["spec"]["template"]["spec"]["volumes"]
    assert [{"name": name, "emptyDir": {}} for name in ("data", "datalog")] == [
        each for each in found if each["name"].startswith("data")
    ]


def test_members_of_a_running_release_are_not_restarted() -> None:
    """The defaults render the pods of earlier charts. Change the digest only for what is worth a restart of all."""
    pods = json.dumps(running()["spec"], sort_keys=True).encode()
    assert "4a57025838a2e0b84e3790bf2432e32d74c527a6e0be2701a861eb0fecc7dbbf" == hashlib.sha256(pods).hexdigest()


def test_first_install(tmp_path: Path) -> None:
    """Where there is no StatefulSet yet, any volume is right."""
    assert "" == upgrade(tmp_path, {}, nested(f"{DATA}.size", "1Gi"))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            nested(f"{DATA}.size", "40Gi"),
            f"{DATA}.size is 40Gi, and StatefulSet {NAME} has 20Gi. Kubernetes does not",
        ),
        (
            nested(f"{DATA}.storageClassName", "fast"),
            f'is "fast", and StatefulSet {NAME} has the cluster\'s default. Only',
        ),
        (
            nested("global.storageClass", "fast"),
            f'is "fast", and StatefulSet {NAME} has the cluster\'s default. Only',
        ),
        (
            nested("global.storageClass", "-"),
            f'is "-", and StatefulSet {NAME} has the cluster\'s default. Only',
        ),
        (nested(f"{DATA}.labels", {"a": "b"}), f"{DATA}.labels are not those"),
        (
            nested(f"{DATA}.annotations", {"a": "b"}),
            f"{DATA}.annotations are not those",
        ),
    ],
)
def test_change_with_a_way(now: dict[str, Any], said: str, tmp_path: Path) -> None:
    """A change that Kubernetes refuses is refused before, with the commands."""
    refused = upgrade(tmp_path, running({"namespace": "prod"}), now, {"namespace": "prod"})
    assert said in refused
    assert f"kubectl -n prod delete statefulset {NAME} --cascade=orphan" in refused


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            nested(f"{DATA}.size", "19Gi"),
            f"{DATA}.size is 19Gi, and StatefulSet {NAME} has 20Gi. A volume cannot shrink",
        ),
        (
            nested("zookeeper.volumes.persistence", value=False),
            "zookeeper.volumes.persistence is false, and",
        ),
    ],
)
def test_change_without_a_way(now: dict[str, Any], said: str, tmp_path: Path) -> None:
    """A change that would lose data is refused, without commands."""
    refused = upgrade(tmp_path, running(), now)
    assert said in refused
    assert "kubectl" not in refused


@pytest.mark.parametrize("size", ["20 Gi", "20GB", "much", "-1Gi", ""])
def test_size_that_is_none(size: str) -> None:
    """What is no quantity is refused by its key."""
    assert "zookeeper/volumes/data/size" in refusal(nested(f"{DATA}.size", size), 3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        (nested("global.storageClass", "fast"), {"storageClassName": "fast"}),
        (nested("global.storageClass", "-"), {"storageClassName": ""}),
        (nested(f"{DATA}.storageClassName", "-"), {"storageClassName": ""}),
        (
            merged(
                nested(f"{DATA}.storageClassName", "-"),
                nested("global.storageClass", "fast"),
            ),
            {"storageClassName": ""},
        ),
        (
            merged(
                nested(f"{DATA}.storageClassName", "fast"),
                nested("global.storageClass", "-"),
            ),
            {"storageClassName": "fast"},
        ),
    ],
)
def test_storage_class(values: dict[str, Any], expected: dict[str, str]) -> None:
    """Empty is the cluster's default, "-" is an empty class, and the volume's own value comes before the global one."""
    (claim,) = running(values)["spec"]["volumeClaimTemplates"]
    assert expected == {key: value for key, value in claim["spec"].items() if key == "storageClassName"}


def test_claims_are_as_kubernetes_returns_them() -> None:
    """A tool that compares the release with the cluster finds no difference in the volume claims."""
    values = merged(nested(f"{DATA}.storageClassName", "fast"), nested(f"{DATA}.labels", {"a": "b"}))
    returned = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "labels": {"a": "b"}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}},
            "storageClassName": "fast",
            "volumeMode": "Filesystem",
        },
        "status": {"phase": "Pending"},
    }
    assert [returned] == running(values)["spec"]["volumeClaimTemplates"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"whenDeleted": "Delete"}, {"whenDeleted": "Delete", "whenScaled": "Retain"}),
        ({"whenScaled": "Delete"}, {"whenDeleted": "Retain", "whenScaled": "Delete"}),
    ],
)
def test_retention_policy_is_complete(policy: dict[str, str], expected: dict[str, str]) -> None:
    """A part of the policy that is not set has the value that Kubernetes would add."""
    spec = running(nested("zookeeper.volumes.retentionPolicy", policy))["spec"]
    assert expected == spec["persistentVolumeClaimRetentionPolicy"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("20Gi", "20Gi"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1025Mi", "1025Mi"),
        ("5000M", "5G"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("21474836480", "21474836480"),
        ("1000000000000000", "1P"),
        ("2048Pi", "2Ei"),
        ("0.1Gi", "0.1Gi"),
        ("0", "0"),
    ],
)
def test_size_is_as_kubernetes_writes_it(size: str, expected: str) -> None:
    """A size has the largest unit that needs no fraction."""
    (claim,) = running(nested(f"{DATA}.size", size))["spec"]["volumeClaimTemplates"]
    assert expected == claim["spec"]["resources"]["requests"]["storage"]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({}, ""),
        (nested("bookkeeper.volumes.ledgers.size", "60Gi"), "bookkeeper.volumes.ledgers.size is 60Gi, and StatefulSet"),
        (nested("bookkeeper.volumes.journal.size", "1Gi"), "A volume cannot shrink. Set it back"),
        (nested("bookkeeper.volumes.ledgers.storageClassName", "fast"), "class of bookkeeper.volumes.ledgers is"),
        (nested("bookkeeper.volumes.persistence", value=False), "bookkeeper.volumes.persistence is false, and"),
    ],
)
def test_volumes_of_bookies(now: dict[str, Any], said: str, tmp_path: Path) -> None:
    """The same for the volumes of bookies."""
    on, name = nested("components.bookkeeper", value=True), "snpe-pulsar-bookie"
    found = one(render(on), "StatefulSet", name)
    refused = upgrade(tmp_path, found, on, now, check=call("bookkeeper", name))
    assert said in refused if said else refused == ""
