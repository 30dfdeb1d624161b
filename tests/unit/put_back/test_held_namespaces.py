"""What policies of namespaces say of schemas."""

import json

import pytest

from metadata_tool.put_back.held_namespaces import SchemaSettings, agree, objection

STRATEGY, AUTO_UPDATE = "schema_compatibility_strategy", "is_allow_auto_update_schema"


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ({}, SchemaSettings("UNDEFINED", None)),
        ({STRATEGY: "FULL", AUTO_UPDATE: True}, SchemaSettings("FULL", auto_update=True)),
        ({STRATEGY: None, AUTO_UPDATE: None}, SchemaSettings("UNDEFINED", None)),
        ({STRATEGY: 7, AUTO_UPDATE: "false"}, SchemaSettings("UNDEFINED", None)),
        ([], SchemaSettings("UNDEFINED", None)),
    ],
)
def test_settings(policies: object, expected: SchemaSettings) -> None:
    """What policies do not say, or say in another form, the broker's configuration decides."""
    assert expected == SchemaSettings.of(json.dumps(policies).encode())
    assert expected == SchemaSettings.of_fields(policies)


@pytest.mark.parametrize("policies", [b"", b"{", b"[" * 100_000])
def test_damaged_policies(policies: bytes) -> None:
    """Policies that are not JSON say nothing."""
    assert SchemaSettings() == SchemaSettings.of(policies)


@pytest.mark.parametrize("current", ["FULL", "ALWAYS_COMPATIBLE"])
def test_no_objection(current: str) -> None:
    """A namespace may have its old strategy, or the one of a put-back that was killed."""
    assert "" == objection(SchemaSettings("FULL"), SchemaSettings(current))


@pytest.mark.parametrize(
    ("stored", "given", "expected"),
    [
        (SchemaSettings(), SchemaSettings("FULL", auto_update=True), True),
        (SchemaSettings("FULL", auto_update=False), SchemaSettings("FULL", auto_update=False), True),
        (SchemaSettings("FULL", auto_update=False), SchemaSettings("FULL", auto_update=True), False),
        (SchemaSettings("FULL"), SchemaSettings("BACKWARD"), False),
    ],
    ids=["filled in", "equal", "not held", "other strategy"],
)
def test_same_policies(stored: SchemaSettings, given: SchemaSettings, *, expected: bool) -> None:
    """Brokers of this ZooKeeper give out what it has, and fill in what it does not say."""
    assert expected == agree(stored, given)
