"""The schema that is made from values.yaml and ci/chart-schema.yaml."""

import json
import re
from typing import Any

import pytest
import yaml

from ci.chart import CHART, current_schema, rules, schema

VALUES = (CHART / "values.yaml").read_text()


def property_of(values: str, **said: dict[str, Any]) -> dict[str, Any]:
    """The schema of the only key."""
    return dict(schema(values, said)["properties"]["key"])


def test_schema_is_current() -> None:
    """The committed schema is the one that `make docs` writes."""
    assert current_schema() == json.loads((CHART / "values.schema.json").read_text())


def test_switches_have_one_name() -> None:
    """A part of the release is switched on by `enabled`, but for promised names and one of Apache's."""
    tools = "zookeeper.customTools"
    promised = {f"{tools}.{tool}.{key}" for tool in ("backup", "restore") for key in ("enable", "secrets.use")}

    def keys(values: dict[str, Any], above: str = "") -> list[str]:
        below = [
            each for key, value in values.items() if isinstance(value, dict) for each in keys(value, f"{above}{key}.")
        ]
        return [*(above + key for key in values), *below]

    found = {key for key in keys(yaml.safe_load(VALUES)) if re.match(r"(use|enable)(?!d$)", key.rpartition(".")[2])}
    named_by_apache = "zookeeper.volumes.useSeparateDiskForTxlog"
    assert {*promised, f"{tools}.serviceAccount.use", named_by_apache} == found


def test_values_are_for_their_readers() -> None:
    """No comment in values.yaml is for the schema, and each description fits a cell: at most two sentences."""
    assert "@schema" not in VALUES

    def descriptions(described: dict[str, Any]) -> list[str]:
        below = described.get("properties", {}).values()
        return [text for each in below for text in (each.get("description", ""), *descriptions(each))]

    found = [text for text in descriptions(schema(VALUES, rules())) if text]
    assert len(found) > 100
    assert [] == [text for text in found if text.endswith(".") or len(re.findall(r"[.] (?=\S)", text)) > 1]


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("text", "string"),
        ("'8088'", "string"),
        ("3", "integer"),
        ("0.5", "number"),
        ("true", "boolean"),
    ],
)
def test_type_comes_from_the_default(default: str, expected: str) -> None:
    """A key takes values of its default's type."""
    assert {"description": "What it is", "type": expected} == property_of(f"# -- What it is\nkey: {default}\n")


@pytest.mark.parametrize(
    ("default", "expected"),
    [("''", "string"), ("[]", "array"), ("[1]", "array"), ("{}", "object"), ("{a: 1}", "object")],
)
def test_null_where_nothing_is_a_value(default: str, expected: str) -> None:
    """A string that is empty by default, a map and a list may be null, which counts as empty."""
    values = f"# -- What it is\nkey: {default}\n"
    assert [expected, "null"] == property_of(values)["type"]
    assert [] == schema(values, {})["required"]


def test_null_among_choices() -> None:
    """Where an empty text is one of several choices, null is another."""
    values, rule = "# -- When\nkey: ''\n", {"enum": ["", "Always"]}
    assert ["", "Always", None] == property_of(values, key=rule)["enum"]
    assert [] == schema(values, {"key": rule})["required"]


@pytest.mark.parametrize("default", ["text", "3", "0.5", "true", "false"])
def test_null_is_refused_elsewhere(default: str) -> None:
    """Any other key must be there, so that helm names it where it is null."""
    assert ["key"] == schema(f"# -- What it is\nkey: {default}\n", {})["required"]


def test_rule_wins() -> None:
    """What a rule says replaces what the default says. Of two rules, the later one wins."""
    values = "# -- A port,\n# as a number or not\nkey: '8088'\n"
    said: dict[str, dict[str, Any]] = {"k*": {"type": "null", "minimum": 1}, "key": {"type": ["string", "integer"]}}
    assert property_of(values, **said) == {
        "description": "A port, as a number or not",
        "type": ["string", "integer"],
        "minimum": 1,
    }


def test_map_that_is_described_as_a_whole_is_open() -> None:
    """The default of such a map is an example. A rule may say which values its keys have."""
    assert property_of("# -- A map\nkey: {a: 1}\n")["additionalProperties"] is True
    rule = {"additionalProperties": {"type": "string"}}
    assert {"type": "string"} == property_of("# -- A map\nkey: {}\n", key=rule)["additionalProperties"]


def test_rule_for_no_key() -> None:
    """A rule with a typo is named."""
    with pytest.raises(ValueError, match=r"chart-schema.yaml: kye applies to no key"):
        schema("# -- A map\nkey: {}\n", {"kye": {"minimum": 1}})


def test_comment_of_another_key() -> None:
    """An example below a key is not a part of the next key's description."""
    values = "# -- One\nkey: {}\n#   -- a: b\n# -- Two\nother: 1\n"
    assert "Two" == schema(values, {})["properties"]["other"]["description"]


def test_described_keys_close_their_object() -> None:
    """A typo among keys that are described one by one is refused."""
    assert property_of("key:\n  # -- One\n  one: 1\n") == {
        "type": "object",
        "properties": {"one": {"description": "One", "type": "integer"}},
        "required": ["one"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("key: 1\n", "key has no description. Write"),
        ("key:\n  below: 1\n", "key.below has no description"),
        ("# -- Nothing\nkey: null\n", "key has a default without a type"),
    ],
)
def test_comment_that_says_too_little(values: str, said: str) -> None:
    """A key that is not described enough is named."""
    with pytest.raises(ValueError, match=said):
        schema(values, {})
