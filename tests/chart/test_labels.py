"""Labels, annotations and other texts that the API wants as texts."""

from collections.abc import Iterator
from typing import Any

import pytest

from ci.parts.chart_tools import KUBERNETES
from support.helm import EVERYTHING, conform, merged, nested, pods, refusal, render, text

BACKUP = "zookeeper.customTools.backup"
MAPS = [
    "commonLabels",
    "zookeeper.labels",
    "zookeeper.annotations",
    "zookeeper.statefulsetAnnotations",
    "zookeeper.nodeSelector",
    "zookeeper.service.annotations",
    "zookeeper.volumes.data.labels",
    "zookeeper.volumes.data.annotations",
    f"{BACKUP}.labels",
    f"{BACKUP}.annotations",
    f"{BACKUP}.nodeSelector",
    f"{BACKUP}.service.annotations",
    "zookeeper.customTools.serviceAccount.annotations",
    "pulsar_metadata.nodeSelector",
    "monitoring.podMonitor.labels",
    "monitoring.serviceMonitor.labels",
    "monitoring.prometheusRule.labels",
    "monitoring.prometheusRule.alertLabels",
    "monitoring.dashboard.labels",
    "monitoring.dashboard.annotations",
]
VALUES = {"whole": 1_000_000, "part": 0.5, "truth": True, "text": "012", "nothing": None}
TEXTS = {"whole": "1000000", "part": "0.5", "truth": "true", "text": "012"}


def maps(manifest: Any) -> Iterator[dict[str, Any]]:
    """Every map in a manifest, however deep."""
    if isinstance(manifest, dict):
        yield manifest
        for below in manifest.values():
            yield from maps(below)
    elif isinstance(manifest, list):
        for below in manifest:
            yield from maps(below)


@pytest.mark.parametrize("path", MAPS)
def test_numbers_and_booleans_become_text(path: str) -> None:
    """The API gets strings, written as they were in the values. Null is left out."""
    manifests = render(merged(EVERYTHING, nested(path, VALUES)))
    found = [each for manifest in manifests for each in maps(manifest) if "truth" in each]
    assert found
    for each in found:
        assert {name: each.get(name) for name in VALUES} == TEXTS | {"nothing": None}
        assert "nothing" not in each


def test_they_conform() -> None:
    """Kubernetes takes them, all at once."""
    values = merged(EVERYTHING, *(nested(path, VALUES) for path in MAPS))
    assert "" == conform(text(values), KUBERNETES[-1])


@pytest.mark.parametrize("path", MAPS)
@pytest.mark.parametrize("value", [{"a": "b"}, ["a"]])
def test_anything_deeper_is_refused(path: str, value: object) -> None:
    """A map or a list where a text must be is refused by its key."""
    assert f"{path.replace('.', '/')}/deep" in refusal(nested(path, {"deep": value}), 3)


def test_pull_secrets_by_name() -> None:
    """A Secret for pulling images is a name, or an object with one, in every pod."""
    values = merged(EVERYTHING, nested("global.imagePullSecrets", ["one", {"name": "two"}]))
    found = [spec["imagePullSecrets"] for _, spec in pods(render(values))]
    assert found
    assert [[{"name": "one"}, {"name": "two"}]] * len(found) == found


@pytest.mark.parametrize("secret", ["", 1, {"nam": "one"}, {"name": ""}, ["one"]])
def test_pull_secret_without_a_name(secret: object) -> None:
    """Anything else is refused by its key."""
    assert "global/imagePullSecrets/0" in refusal(nested("global.imagePullSecrets", [secret]), 3)
