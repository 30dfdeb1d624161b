"""What checks and documents the chart: kubeconform with Kubernetes' schemas, helm-docs, promtool."""

import json
import shutil
from pathlib import Path

from ci.parts.cache import cached, digest, from_pypi
from ci.parts.go import program

KUBERNETES = ("1.25.0", "1.29.0", "1.32.0", "1.34.0", "1.37.0")
"""The versions that manifests are checked against: the chart's oldest, and newer ones."""
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
    return program("github.com/prometheus/prometheus/cmd/promtool", "v0.316.0", "promtool")


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
