"""The names that documents use are there: variables, values of the chart, modules."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ci import other_charts
from ci.docs import DOCS
from metadata_tool.variables import VARIABLES

ROOT = DOCS.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
"""Not CHANGELOG.md, which also has names of the past."""
OTHERS = {"CLUSTER_LOAD"}
"""A variable that tests read."""
PROPERTIES = {"zookeeper.watchManagerName", "zookeeper.DigestAuthenticationProvider.superDigest"}
"""ZooKeeper's own properties, which look like values."""
FILES = (".age", ".gz", ".conf", ".crt", ".json", ".key", ".md", ".py", ".sh", ".yaml")
OF_OTHER_CHARTS = {"tls.zookeeper.enabled", *other_charts.paths()}
"""Keys of other charts, which look like values of this one."""


def test_variables_are_there() -> None:
    """Whatever looks like a variable of the program is one."""
    known = {variable.name for variable in VARIABLES} | OTHERS
    firsts = "|".join({name.split("_")[0] for name in known} - {"AWS"})
    found = set(found_in_documents(rf"(?<![\w-])(?:{firsts})_[A-Z_]+[A-Z]\b"))
    assert set() == {(name, document) for name, document in found if name not in known}


def test_values_are_there() -> None:
    """Whatever looks like a value of the chart is one, with or without the keys above it."""
    values = set(paths(yaml.safe_load((ROOT / "charts" / "pulsar" / "values.yaml").read_text())))
    firsts = {part for path in values for part in path.split(".")[:-1]}
    missing = [
        (name, document)
        for name, document in found_in_documents(r"`([A-Za-z]+(?:\.[A-Za-z]+)+)(?:: [^`]*|=[^`]*)?`")
        if name.split(".")[0] in firsts and not name.endswith(FILES) and name not in PROPERTIES | OF_OTHER_CHARTS
        if not any(f".{path}".endswith((f".{name}", f".{name.rpartition('.')[0]}.*")) for path in values)
    ]
    assert [] == missing


def test_modules_are_there() -> None:
    """A module that a document names is one of the project's."""
    modules = {path.name for folder in ("sidecar", "ci", "tests") for path in (ROOT / folder).rglob("*.py")}
    found = found_in_documents(r"`(\w+\.py)`")
    assert [] == [(name, document) for name, document in found if name not in modules]


def found_in_documents(pattern: str) -> Iterator[tuple[str, str]]:
    """What matches in the documents, with the name of the document."""
    for document in DOCUMENTS:
        for name in re.findall(pattern, document.read_text()):
            yield name, document.name


def paths(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The path of each value and of each map of values: `a`, `a.b`.

    An empty map may have any key, and so may one for the environment: `a.c.*`.
    """
    for key, value in values.items():
        yield f"{above}{key}"
        if isinstance(value, Mapping):
            yield from paths(value, f"{above}{key}.")
            if not value or key == "configData":
                yield f"{above}{key}.*"
