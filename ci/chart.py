"""Writes generated files of the chart: the schema of its values, the program's limits, its README by helm-docs.

A comment `# -- text` above a key describes the key, as helm-docs reads it. A value has the type of its default.
ci/chart-schema.yaml says the rest. A map whose keys are described one by one is closed. A map that is described as a
whole is open, because its default is only an example.

helm removes a key that is null from the values. So each key is required, and helm names a key that is null. Exceptions
are keys that may be empty: an empty text, or a map or list that is described as a whole.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from ci import chart_kubernetes, chart_program, other_charts
from ci.parts.chart_tools import helm_docs

CHART = Path(__file__).parents[1] / "charts" / "pulsar"
PROGRAM = CHART / "templates" / "_program.tpl"
RULES = Path(__file__).parent / "chart-schema.yaml"
_TYPES = {"str": "string", "bool": "boolean", "int": "integer", "float": "number", "seq": "array", "map": "object"}
_OPEN = "additionalProperties"

Rules = Mapping[str, dict[str, Any]]
"""JSON schema by a path in values.yaml, in which * stands for anything."""


def rules() -> dict[str, dict[str, Any]]:
    """The rules of ci/chart-schema.yaml, with the program's choices and Kubernetes' kinds in them."""
    said: dict[str, dict[str, Any]] = yaml.safe_load(RULES.read_text())["paths"]
    for rule in said.values():
        if "choicesOf" in rule:
            rule["enum"] = chart_program.choices(rule.pop("choicesOf"))
    return {path: chart_kubernetes.resolved(rule) for path, rule in said.items()}


def current_schema() -> dict[str, Any]:
    """The schema of the chart's values, which also accepts the keys of other charts that the templates refuse."""
    made = schema((CHART / "values.yaml").read_text(), rules())
    other_charts.allow(made, other_charts.paths())
    return made


def schema(values: str, said: Rules) -> dict[str, Any]:
    """The JSON schema (draft 7) of a values.yaml.

    Raises:
        ValueError: a key has no description or no type, or a rule applies to no key. The message names it.
    """
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    source = _Source(values.splitlines(), said, set())
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart"}
    made = head | _object(root, source, "")
    if kinds := chart_kubernetes.definitions(made):
        made["definitions"] = kinds
    if unused := sorted(said.keys() - source.used):
        raise ValueError(f"{RULES.name}: {', '.join(unused)} applies to no key of values.yaml")
    return made


@dataclass(frozen=True)
class _Source:
    """The lines of values.yaml, the rules, and those of them that were used."""

    lines: list[str]
    rules: Rules
    used: set[str]

    def description(self, line: int) -> str:
        """The comment above a line."""
        first = line
        while first and self.lines[first - 1].lstrip().startswith("#"):
            first -= 1
        comments = [re.sub(r"^\s*# ?", "", text) for text in self.lines[first:line]]
        found = re.search(r"^-- (.*)", "\n".join(comments), re.DOTALL | re.MULTILINE)
        return " ".join(found[1].split()) if found else ""

    def rule(self, path: str) -> dict[str, Any]:
        """The JSON schema of a key, according to the rules."""
        found: dict[str, Any] = {}
        for pattern, said in self.rules.items():
            if fnmatchcase(path, pattern):
                self.used.add(pattern)
                found |= said
        return deepcopy(found)  # a rule may match several keys


def main() -> None:
    """Write the schema, the limits and the README."""
    PROGRAM.write_text(chart_program.template())
    (CHART / "values.schema.json").write_text(json.dumps(current_schema(), indent=2) + "\n")
    options = ["--chart-search-root", str(CHART), "--sort-values-order", "file", "--log-level", "warning"]
    subprocess.run([helm_docs(), *options], check=True)


def _object(node: yaml.MappingNode, source: _Source, above: str) -> dict[str, Any]:
    properties = {
        key.value: _property(value, source.description(key.start_mark.line), source, f"{above}{key.value}")
        for key, value in node.value
    }
    required = [name for name, each in properties.items() if not _takes_null(each)]
    return {"type": "object", "properties": properties, "required": required, _OPEN: False}


def _property(node: yaml.Node, description: str, source: _Source, path: str) -> dict[str, Any]:
    rule = source.rule(path)
    if description:
        own: dict[str, Any] = {"description": description}
        if not {"enum", "type"} & rule.keys():
            own["type"] = _type(node, path)
        if isinstance(node, yaml.MappingNode):
            own[_OPEN] = True
        whole = own | rule
        return _with_null(whole) if _may_be_empty(node) else whole
    if isinstance(node, yaml.MappingNode) and node.value:
        return _object(node, source, f"{path}.") | rule
    raise ValueError(f"values.yaml: {path} has no description. Write `# -- …` above it")


def _may_be_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) or node.value == ""


def _takes_null(described: dict[str, Any]) -> bool:
    return "null" in described.get("type", []) or None in described.get("enum", [])


def _with_null(described: dict[str, Any]) -> dict[str, Any]:
    """The same, or null: a null stays in the values if this chart is part of another."""
    if _takes_null(described):
        return described
    more: dict[str, Any] = {}
    if "type" in described:
        types = described["type"]
        more["type"] = [*(types if isinstance(types, list) else [types]), "null"]
    if "enum" in described:
        more["enum"] = [*described["enum"], None]
    return described | more


def _type(node: yaml.Node, path: str) -> str:
    name = node.tag.rpartition(":")[2]
    if name not in _TYPES:
        raise ValueError(f"values.yaml: {path} has a default without a type. Write its type into {RULES.name}")
    return _TYPES[name]


if __name__ == "__main__":
    main()
