"""The chart rendered by a real helm, as `helm install` would, and checked against Kubernetes' own schemas."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from ci.chart import CHART
from ci.parts.chart_tools import kubeconform, monitoring_schemas, schemas
from ci.parts.helm import helm

EXAMPLE = Path(__file__).parents[2] / "values.example.yaml"
EVERYTHING = yaml.load((Path(__file__).parents[1] / "chart" / "everything.yaml").read_text(), yaml.CSafeLoader)
"""Values that set every option."""

Values = Mapping[str, Any]
Manifest = dict[str, Any]


def nested(path: str, value: object) -> dict[str, Any]:
    """Values with one key set: `a.b.c`."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value) if isinstance(value, dict) else {}


def merged(*values: Values) -> dict[str, Any]:
    """Several values files as helm merges them: the later ones win."""
    whole: dict[str, Any] = {}
    for each in values:
        for key, value in each.items():
            below = whole.get(key)
            whole[key] = merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return whole


def _template(
    major: int, values: Values, arguments: Sequence[str], release: str, chart: Path = CHART
) -> "subprocess.CompletedProcess[str]":
    return _rendered(major, _dumped(values), tuple(arguments), release, chart)


@lru_cache(maxsize=64)  # many tests look at the same few releases
def _rendered(
    major: int, values: str, arguments: tuple[str, ...], release: str, chart: Path
) -> "subprocess.CompletedProcess[str]":
    with _file(values) as file:
        command = [helm(major), "template", release, str(chart), "--values", file, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=_env())


def _env() -> dict[str, str]:
    """Go programs that live for a tenth of a second spend a quarter of it collecting garbage."""
    return {**os.environ, "GOGC": "off"}


def _dumped(values: Values) -> str:
    return str(yaml.dump(dict(values), Dumper=yaml.CSafeDumper))


@contextlib.contextmanager
def _file(values: str) -> Iterator[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(values)
        file.flush()
        yield file.name


def text(
    values: Values | None = None, *arguments: str, major: int = 3, release: str = "snpe", chart: Path = CHART
) -> str:
    """The manifests of a release, as one YAML stream."""
    done = _template(major, values or {}, arguments, release, chart)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(
    values: Values | None = None, *arguments: str, major: int = 3, release: str = "snpe", chart: Path = CHART
) -> list[Manifest]:
    """The manifests of a release."""
    stream = text(values, *arguments, major=major, release=release, chart=chart)
    return [manifest for manifest in yaml.load_all(stream, yaml.CSafeLoader) if manifest]


def template(values: Values, major: int, chart: Path = CHART) -> "subprocess.CompletedProcess[str]":
    """`helm template`, whatever comes of it."""
    return _template(major, values, (), "snpe", chart)


def refused_upgrade(directory: Path, found: Manifest, call: str, values: Values) -> str:
    """What a validation says of values. The chart is copied, so that `found.json` is what a cluster would have."""
    chart = directory / "chart"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "validate.yaml").write_text(call)
    (chart / "found.json").write_text(json.dumps(found))
    return template(values, 3, chart=chart).stderr


def refusal(values: Values, major: int, release: str = "snpe") -> str:
    """What helm says of values that it must refuse."""
    done = _template(major, values, (), release)
    assert done.returncode != 0, "helm took these values"
    return done.stderr


def lint(values: Values, major: int) -> "subprocess.CompletedProcess[str]":
    """`helm lint --strict` of the chart with these values."""
    with _file(_dumped(values)) as file:
        command = [helm(major), "lint", "--strict", str(CHART), "--values", file]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=_env())


def one(manifests: Sequence[Manifest], kind: str, name: str) -> Manifest:
    """The object of this kind and name."""
    found = [manifest for manifest in manifests if (manifest["kind"], manifest["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    return found[0]


def names(manifests: Sequence[Manifest]) -> set[str]:
    """`Kind/name` of each."""
    return {f"{manifest['kind']}/{manifest['metadata']['name']}" for manifest in manifests}


def pods(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Name and spec of every pod that the manifests make."""
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            yield manifest["metadata"]["name"], manifest["spec"]
        elif manifest["kind"] in ("StatefulSet", "Job"):
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]
        elif manifest["kind"] == "CronJob":
            yield manifest["metadata"]["name"], manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def containers(spec: Manifest) -> list[Manifest]:
    """All containers of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def conform(manifests: str, kubernetes: str) -> str:
    """What kubeconform finds wrong with manifests, for one Kubernetes version. Empty if nothing is wrong."""
    return _kubeconform(["-"], kubernetes, manifests)


def conform_all(manifests: Mapping[str, str], kubernetes: str) -> str:
    """The same for several releases, each of which has a name. Loading the schemas is what takes the time."""
    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory, f"{name}.yaml") for name in manifests]
        for file, content in zip(files, manifests.values(), strict=True):
            file.write_text(content)
        return _kubeconform([str(file) for file in files], kubernetes)


def _kubeconform(files: Sequence[str], kubernetes: str, manifests: str = "") -> str:
    file = "{{.ResourceKind}}{{.KindSuffix}}.json"
    places = [f"{schemas()}/{kubernetes}/{file}", f"{monitoring_schemas()}/{file}"]
    locations = [argument for place in places for argument in ("-schema-location", place)]
    command = [kubeconform(), "-strict", "-skip", "Certificate", *locations, *files]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False, env=_env())
    return done.stdout + done.stderr
