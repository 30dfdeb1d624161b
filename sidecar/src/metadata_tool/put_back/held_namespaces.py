"""The settings for schemas in a namespace's policies, and how a put-back changes them.

A restore holds namespaces: clients cannot register schemas there. A put-back also needs a compatibility strategy that
refuses no schema. The old settings are in the backup and in the restored tree. So the next put-back can complete one
that was killed.
"""

import json
from dataclasses import dataclass
from typing import Any

from metadata_tool.pulsar.rules import AUTO_UPDATE

UNDEFINED = "UNDEFINED"
"""The strategy of a namespace that has none of its own. The one of the broker applies."""
ACCEPTS_ALL = "ALWAYS_COMPATIBLE"
"""The strategy while schemas are put back."""
_STRATEGY = "schema_compatibility_strategy"


@dataclass(frozen=True)
class SchemaSettings:
    """The strategy, and whether clients may register schemas: None if the broker's configuration decides."""

    strategy: str = UNDEFINED
    auto_update: bool | None = None

    @classmethod
    def of(cls, policies: bytes) -> "SchemaSettings":
        """Those in the policies of a namespace, as Pulsar writes them."""
        return cls.of_fields(_fields(policies))

    @classmethod
    def of_fields(cls, fields: object) -> "SchemaSettings":
        """Those in the same policies as JSON."""
        found = fields if isinstance(fields, dict) else {}
        strategy, auto_update = found.get(_STRATEGY), found.get(AUTO_UPDATE)
        return cls(
            strategy if isinstance(strategy, str) and strategy else UNDEFINED,
            auto_update if isinstance(auto_update, bool) else None,
        )

    @staticmethod
    def released(policies: bytes, auto_update: bool | None) -> bytes | None:  # noqa: FBT001  # a value, not a switch
        """The same policies with this value of automatic registration, or without any for None.

        Returns None if the value is not `false`, so there is nothing to release.
        """
        fields = _fields(policies)
        if fields.get(AUTO_UPDATE) is not False:
            return None
        others = {name: value for name, value in fields.items() if name != AUTO_UPDATE}
        wanted = others if auto_update is None else fields | {AUTO_UPDATE: auto_update}
        return json.dumps(wanted, separators=(",", ":"), ensure_ascii=False).encode()


def agree(stored: SchemaSettings, given: SchemaSettings) -> bool:
    """Whether brokers give out what ZooKeeper has. Brokers fill in their configuration where it has no value."""
    return stored.strategy in (UNDEFINED, given.strategy) and stored.auto_update in (None, given.auto_update)


def objection(saved: SchemaSettings, current: SchemaSettings) -> str:
    """Why the namespace is left as it is. Empty if its schemas can be put back."""
    if current.strategy in (saved.strategy, ACCEPTS_ALL):
        return ""
    return (
        f"its schemaCompatibilityStrategy is {current.strategy}, and was {saved.strategy} at the backup, "
        "so somebody has changed it since the restore"
    )


def to_lift(saved: SchemaSettings, current: SchemaSettings) -> bool:
    """Whether clients are still held off from registering schemas, although they were not at the backup."""
    return current.auto_update is False and saved.auto_update is not False


def _fields(policies: bytes) -> dict[str, Any]:
    try:
        found = json.loads(policies)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
