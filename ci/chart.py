"""Writes what is made from the chart's values.yaml: the schema, and the README's table by helm-docs.

Comments above a key say all: `# -- text` describes it, as helm-docs reads it, and between two lines `# @schema` stands
JSON schema in YAML, as far as the default's own type does not say it. Objects whose keys are described one by one are
closed unless that opens them.

helm removes a key that is null from the values. So each key is required, and helm names a key that is null. Exceptions
are keys that may be empty: an empty text, or a map or list that is described as a unit.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ci.parts.chart_tools import helm_docs

CHART = Path(__file__).parents[1] / "charts" / "pulsar"
_TYPES = {"str": "string", "bool": "boolean", "int": "integer", "float": "number", "seq": "array", "map": "object"}
_OPEN = "additionalProperties"


def schema(values: str) -> dict[str, Any]:
    """The JSON schema (draft 7) of a values.yaml.

    Raises:
        ValueError: a key's comment does not say enough; the message names the key and what to write.
    """
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart"}
    return head | _object(root, values.splitlines(), "")


def main() -> None:
    """Write both."""
    made = schema((CHART / "values.yaml").read_text())
    (CHART / "values.schema.json").write_text(json.dumps(made, indent=2) + "\n")
    options = ["--chart-search-root", str(CHART), "--sort-values-order", "file", "--log-level", "warning"]
    subprocess.run([helm_docs(), *options], check=True)


def _object(node: yaml.MappingNode, lines: list[str], path: str) -> dict[str, Any]:
    properties = {
        key.value: _property(value, _comments(lines, key.start_mark.line), lines, f"{path}{key.value}")
        for key, value in node.value
    }
    required = [name for name, each in properties.items() if not _takes_null(each)]
    return {"type": "object", "properties": properties, "required": required, _OPEN: False}


def _property(node: yaml.Node, comments: list[str], lines: list[str], path: str) -> dict[str, Any]:
    said, annotated = _split(comments)
    if said:  # its default is an example, not the keys that it may have
        own = {"description": said}
        if not {"enum", "type"} & annotated.keys():
            own["type"] = _type(node, path)
        if isinstance(node, yaml.MappingNode) and _OPEN not in annotated:
            raise ValueError(f"values.yaml: {path} does not say which keys it takes: write {_OPEN} into its @schema")
        whole = own | annotated
        return _with_null(whole) if _may_be_empty(node) else whole
    if isinstance(node, yaml.MappingNode) and node.value:
        return _object(node, lines, f"{path}.") | annotated
    raise ValueError(f"values.yaml: {path} has no description: write `# -- …` above it")


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
        raise ValueError(f"values.yaml: {path} has a default that tells no type: write one into its @schema")
    return _TYPES[name]


def _comments(lines: list[str], line: int) -> list[str]:
    """The comment right above a line, without its marks."""
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return [re.sub(r"^\s*# ?", "", text) for text in lines[first:line]]


def _split(comments: list[str]) -> tuple[str, dict[str, Any]]:
    """Description and annotation."""
    text = "\n".join(comments)
    blocks = re.findall(r"^@schema\n(.*?)^@schema$", text, re.DOTALL | re.MULTILINE)
    said = re.search(r"^-- (.*)", text, re.DOTALL | re.MULTILINE)
    annotated: dict[str, Any] = {}
    for block in blocks:
        annotated |= yaml.safe_load(block)
    return " ".join(said[1].split()) if said else "", annotated


if __name__ == "__main__":
    main()
