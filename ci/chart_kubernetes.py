"""Kubernetes' own schemas, for values that become parts of Kubernetes' objects.

They are closed, so helm refuses a field that Kubernetes does not know. They come from the newest version that the tests
check manifests against. Where Kubernetes expects a string, a number or a boolean is allowed, too, if the
templates quote it (`pulsar.quote`).
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from ci.parts.chart_tools import KUBERNETES, schemas

QUOTED_MAPS = ("annotations", "labels", "matchLabels", "nodeSelector", "options", "userAnnotations", "volumeAttributes")
"""Maps whose values are strings."""

QUOTED_LISTS = ("args", "command", "values")
"""Lists of strings."""

QUOTED = "value"
"""A string beside a name: of a variable, a header, a toleration, an option."""

_SCALAR = ["string", "number", "boolean", "null"]
_PREFIX = "#/definitions/"


def resolved(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule in which `kubernetes: <kind>` is replaced by the fields of that kind, without those of `without`.

    Below the rule, as for the items of a list, a reference to the kind replaces it.
    """
    whole = {key: _referring(value) for key, value in rule.items() if key not in ("kubernetes", "without")}
    if "kubernetes" in rule:
        fields = _kinds()[rule["kubernetes"]]["properties"]
        named = {name: field for name, field in fields.items() if name not in rule.get("without", [])}
        whole |= {"properties": named, "additionalProperties": False}
    return whole


def definitions(schema: Any) -> dict[str, Any]:
    """The kinds that a schema refers to, and those that they refer to."""
    found: dict[str, Any] = {}
    names = list(_references(schema))
    while names:
        name = names.pop()
        if name not in found:
            found[name] = _kinds()[name]
            names.extend(_references(found[name]))
    return dict(sorted(found.items()))


def _referring(rule: Any) -> Any:
    if isinstance(rule, list):
        return [_referring(each) for each in rule]
    if not isinstance(rule, dict):
        return rule
    if "kubernetes" in rule:
        return {"$ref": _PREFIX + rule["kubernetes"]}
    return {key: _referring(value) for key, value in rule.items()}


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_PREFIX)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


@cache
def _kinds() -> dict[str, dict[str, Any]]:
    """Each kind by the last part of its name, such as PodSpec."""
    kinds = json.loads((schemas() / KUBERNETES[-1] / "_definitions.json").read_text())["$defs"]
    wanted = ("io.k8s.api.core.v1.", "io.k8s.api.apps.v1.", "io.k8s.api.networking.v1.", "io.k8s.apimachinery.")
    return {name.rpartition(".")[2]: _simple(kind) for name, kind in kinds.items() if name.startswith(wanted)}


def _simple(kind: dict[str, Any]) -> dict[str, Any]:
    """A kind as helm needs it: without descriptions, and with the strings that may be numbers and booleans."""
    simple: dict[str, Any] = {key: value for key, value in kind.items() if key in ("type", "required", "enum", "oneOf")}
    if "$ref" in kind:
        return {"$ref": _PREFIX + kind["$ref"].rpartition(".")[2]}
    for key in ("items", "additionalProperties"):
        if key in kind:
            simple[key] = _simple(kind[key]) if isinstance(kind[key], dict) else kind[key]
    if "properties" in kind:
        simple["properties"] = {name: _field(name, _simple(field)) for name, field in kind["properties"].items()}
    return simple


def _field(name: str, field: dict[str, Any]) -> dict[str, Any]:
    """A field that may hold numbers and booleans where the templates quote them."""
    if name == QUOTED and "string" in field.get("type", ()):
        return field | {"type": _SCALAR}
    for key, names in (("additionalProperties", QUOTED_MAPS), ("items", QUOTED_LISTS)):
        if name in names and "string" in (_type(field.get(key))):
            return field | {key: {"type": _SCALAR}}
    return field


def _type(schema: Any) -> Any:
    return schema.get("type", ()) if isinstance(schema, dict) else ()
