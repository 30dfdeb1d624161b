"""The example for a namespace with a ResourceQuota or a LimitRange."""

import re

import yaml

from ci.chart import CHART
from support.helm import Manifest, containers, merged, nested, pods, render

FILE = CHART / "examples" / "resource-quota.yaml"
VALUES = merged(
    yaml.safe_load(FILE.read_text()),
    {"initialize": True},
    nested("zookeeper.customTools.backup.enable", value=True),
    nested("zookeeper.customTools.restore.enable", value=True),
    nested("zookeeper.customTools.restore.restorePoint", "s3a://bucket/pulsar-backup-1623721488825.tar.gz"),
)
MILLI = {"": 1000, "m": 1, "Mi": 1000 * 2**20, "Gi": 1000 * 2**30}
MEMBERS = 3


def amount(quantity: str) -> int:
    """A quantity of Kubernetes' in thousandths."""
    match = re.fullmatch(r"([0-9]+)(\D*)", quantity)
    assert match
    return int(match[1]) * MILLI[match[2]]


def taken(spec: Manifest, kind: str, resource: str) -> int:
    """What a quota counts for a pod: the larger of its init containers and of all others together."""
    first, beside = (
        [amount(each["resources"][kind][resource]) for each in spec.get(key, [])]
        for key in ("initContainers", "containers")
    )
    return max([*first, sum(beside)])


def test_every_container_has_requests_and_limits() -> None:
    """Each container of each pod that the chart can start has both, of CPU and of memory."""
    components = ("bookkeeper", "broker", "proxy", "toolset")
    on = nested("zookeeper.customTools.restore.putBack.enabled", value=True)
    started = merged(VALUES, on, nested("components", dict.fromkeys(components, True)))
    found = {each["name"]: each["resources"] for _, spec in pods(render(started)) for each in containers(spec)}
    pulsar = {"zookeeper", "bookie", "broker", "proxy", "toolset"}
    assert pulsar | {"restore", "backup", "test", "init", "bookie-init", "put-back"} == set(found)
    for name, resources in found.items():
        assert [{"cpu", "memory"}] * 2 == [set(resources[kind]) for kind in ("requests", "limits")], name


def test_what_it_asks_of_the_quota() -> None:
    """The sums that the example names are those of its pods."""
    named = dict(re.findall(r"^#   ([a-z.]+): \"?(\w+)", FILE.read_text(), re.MULTILINE))
    specs = [spec for name, spec in pods(render(VALUES)) for _ in range(MEMBERS if name.endswith("zookeeper") else 1)]
    assert str(len(specs)) == named.pop("pods")
    assert {key: amount(value) for key, value in named.items()} == {
        f"{kind}.{resource}": sum(taken(spec, kind, resource) for spec in specs)
        for kind in ("requests", "limits")
        for resource in ("cpu", "memory")
    }
