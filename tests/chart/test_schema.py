"""The schema that is made from values.yaml."""

import json
from typing import Any

import pytest

from ci.chart import CHART, schema


def property_of(values: str) -> dict[str, Any]:
    """The schema of the only key."""
    return dict(schema(values)["properties"]["key"])


def test_schema_is_current() -> None:
    """The committed schema is the one that `make docs` writes."""
    assert schema((CHART / "values.yaml").read_text()) == json.loads((CHART / "values.schema.json").read_text())


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
    """A text that is empty by default, a map and a list may be null, which is as good as empty."""
    values = f"# @schema\n# additionalProperties: true\n# @schema\n# -- What it is\nkey: {default}\n"
    assert [expected, "null"] == property_of(values)["type"]
    assert [] == schema(values)["required"]


def test_null_among_choices() -> None:
    """Where an empty text is one of several choices, null is another."""
    values = "# @schema\n# enum: ['', Always]\n# @schema\n# -- When\nkey: ''\n"
    assert ["", "Always", None] == property_of(values)["enum"]
    assert [] == schema(values)["required"]


@pytest.mark.parametrize("default", ["text", "3", "0.5", "true", "false"])
def test_null_is_refused_elsewhere(default: str) -> None:
    """Any other key must be there, so that helm names it where it is null."""
    assert ["key"] == schema(f"# -- What it is\nkey: {default}\n")["required"]


def test_annotation_wins() -> None:
    """What `@schema` says replaces what the default says."""
    values = "# @schema\n# type: [string, integer]\n# @schema\n# -- A port,\n# as a number or not\nkey: '8088'\n"
    assert {"description": "A port, as a number or not", "type": ["string", "integer"]} == property_of(values)


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
        ("key: 1\n", "key has no description"),
        ("key:\n  below: 1\n", "key.below has no description"),
        ("# -- Nothing\nkey: null\n", "key has a default that tells no type"),
        ("# -- An object\nkey: {}\n", "key does not say which keys it takes"),
    ],
)
def test_comment_that_says_too_little(values: str, said: str) -> None:
    """A key that is not described enough is named."""
    with pytest.raises(ValueError, match=said):
        schema(values)
