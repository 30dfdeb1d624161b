"""What checks and documents the chart: kubeconform with Kubernetes' schemas, helm-docs, promtool, Prometheus."""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from ci.parts.cache import cached, digest, from_pypi
from ci.parts.go import module, program

KUBERNETES = ("1.25.0", "1.29.0", "1.32.0", "1.34.0", "1.37.0")
OLDEST_AND_NEWEST = (KUBERNETES[0], KUBERNETES[-1])
"""The versions that manifests are checked against: the chart's oldest, and newer ones."""
_OPERATOR = "v0.85.0"
_PROMETHEUS = "v0.316.0"
"""The version of the Go module. The release is called 3.16."""
_LOCK = Path(__file__).parent / "kubernetes_schemas.lock"


def kubeconform() -> str:
    """Checks manifests against schemas.

    Raises:
        PartMissing: it cannot be built.
    """
    return program("github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0", "kubeconform")


def helm_docs() -> str:
    """Writes a chart's README.

    Raises:
        PartMissing: it cannot be built.
    """
    return program("github.com/norwoodj/helm-docs/cmd/helm-docs", "v1.14.2", "helm-docs")


def promtool() -> str:
    """Checks and tests Prometheus' rules.

    Raises:
        PartMissing: it cannot be built.
    """
    return program("github.com/prometheus/prometheus/cmd/promtool", _PROMETHEUS, "promtool")


def prometheus() -> str:
    """Prometheus itself, without its pages. Building it takes some minutes, once.

    Raises:
        PartMissing: it cannot be built.
    """
    return program("github.com/prometheus/prometheus/cmd/prometheus", _PROMETHEUS, "Prometheus")


def schemas() -> Path:
    """A folder `<version>/` of strict JSON schemas, `<kind>-<group>-<version>.json`, for each of KUBERNETES.

    They come from the PyPI package kubernetes-validate, whose references are made relative here.

    Raises:
        PartMissing: they cannot be fetched.
    """

    def make(target: Path) -> None:
        package = from_pypi("kubernetes-schemas", _LOCK) / "kubernetes_validate" / "kubernetes-json-schema"
        for version in KUBERNETES:
            shutil.copytree(package / f"v{version}-local-strict", target / version)
            for file in (target / version).glob("*.json"):
                schema = json.loads(file.read_text().replace('"/api/_definitions.json', '"_definitions.json'))
                schema.pop("$id", None)  # references would be sought below it
                file.write_text(json.dumps(schema))

    return cached(f"schemas-{digest(_LOCK)}-{digest(Path(__file__))}", make)


def monitoring_schemas() -> Path:
    """A folder of strict JSON schemas, `<kind>-monitoring-v1.json`, of the Prometheus operator's objects.

    They come from the definitions that users install in their clusters, and are closed here, because a cluster drops an
    unknown field silently.

    Raises:
        PartMissing: they cannot be fetched.
    """

    def make(target: Path) -> None:
        source = module("github.com/prometheus-operator/prometheus-operator", _OPERATOR)
        for kind in ("podmonitor", "servicemonitor", "prometheusrule"):
            file = source / "example" / "prometheus-operator-crd" / f"monitoring.coreos.com_{kind}s.yaml"
            served = yaml.safe_load(file.read_text())["spec"]["versions"]
            schema = next(each["schema"]["openAPIV3Schema"] for each in served if each["name"] == "v1")
            (target / f"{kind}-monitoring-v1.json").write_text(json.dumps(_closed(schema)))

    return cached(f"monitoring-schemas-{_OPERATOR}-{digest(Path(__file__))}", make)


def _closed(schema: Any) -> Any:
    """A schema whose objects take no other keys than those it names."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    whole = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        whole.setdefault("additionalProperties", False)
    return whole
