"""The chart's data about the program, from its own variables: limits, choices, and names that the chart sets."""

import json
from dataclasses import fields
from typing import Any

from metadata_tool.retention import EXAMPLE, Retention
from metadata_tool.variables import OF_A_COPY, VARIABLES

SECRET = (
    "ADMIN_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "BROKER_TOKEN",
    "HEARTBEAT_URL",
    "TIERED_STORAGE_ACCESS_KEY_ID",
    "TIERED_STORAGE_SECRET_ACCESS_KEY",
    "ZOOKEEPER_AUTH",
    "ZOOKEEPER_SASL_PASSWORD",
    "ZOOKEEPER_TLS_KEY_PASSWORD",
)
"""Variables that a ConfigMap must not hold."""

FREE = (
    "AWS_REGION",
    "CACHE_DIR",
    "CACHE_SIZE",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAX_SHRINK",
    "S3_ADDRESSING_STYLE",
    "S3_CHECKSUMS",
    "S3_EXPECTED_BUCKET_OWNER",
    "S3_KMS_KEY_ID",
    "S3_OBJECT_ACL",
    "S3_REQUESTER_PAYS",
    "S3_SERVER_SIDE_ENCRYPTION",
    "S3_STORAGE_CLASS",
    "SCRUB_REQUESTS",
    "TIERED_STORAGE_ADDRESSING_STYLE",
    "TIERED_STORAGE_BROKER_ENDPOINT_URL",
    "TIERED_STORAGE_BROKER_REGION",
    "TIERED_STORAGE_BUCKET",
    "TIERED_STORAGE_DRIVER",
    "TIERED_STORAGE_ENDPOINT_URL",
    "TIERED_STORAGE_REGION",
    "ZOOKEEPER_ACL_BATCH",
    "ZOOKEEPER_ACL_CONNECTIONS",
    "ZOOKEEPER_CONNECT_TIMEOUT",
    "ZOOKEEPER_MULTI_READS_IN_FLIGHT",
    "ZOOKEEPER_MULTI_READ_SIZE",
)
"""Variables that users may set in configData. The chart sets the others from its own values."""

_HEAD = "{{/* The limits of the program's variables, written by `make docs`. Use it with fromJson. */}}"


def choices(name: str) -> list[str]:
    """The values that a variable may have, with the empty text if it may be unset."""
    (variable,) = (each for each in VARIABLES if each.name == name)
    return [*([] if variable.default else [""]), *variable.choices]


def program() -> dict[str, Any]:
    """The data of the templates: numbers with their limits, choices, and the names that configData must not have."""
    return {
        "numbers": {
            each.name: {"low": each.low, "high": each.high, "expected": each.expected}
            for each in VARIABLES
            if each.kind == "number"
        },
        "fractions": {each.name: {"expected": each.expected} for each in VARIABLES if each.kind == "fraction"},
        "choices": {
            each.name: {"values": list(each.choices), "expected": each.expected} for each in VARIABLES if each.choices
        },
        "retention": {"rules": [field.name for field in fields(Retention)], "example": EXAMPLE},
        "of_a_copy": sorted({each.name for each in OF_A_COPY} & {*FREE}),
        "secret": list(SECRET),
        "set_by_chart": sorted({each.name for each in VARIABLES} - {*SECRET, *FREE} | {"KRB5_CONFIG"}),
    }


def template() -> str:
    """The content of the chart's file with this data."""
    return f'{_HEAD}\n{{{{- define "pulsar.program" -}}}}\n{json.dumps(program(), indent=2)}\n{{{{- end }}}}\n'
