"""What a namespace's policies say of schemas, and whether a put-back may change that.

A put-back needs a compatibility strategy that refuses no schema. The old one is in the backup, so the next put-back can
complete one that was killed.
"""

from dataclasses import dataclass

from metadata_tool.pulsar.holds import ACCEPTS_ALL, AUTO_UPDATE, STRATEGY, decode_object

UNDEFINED = "UNDEFINED"
"""The strategy of a namespace that has none of its own. The one of the broker applies."""


@dataclass(frozen=True)
class SchemaSettings:
    """The strategy, and whether clients may register schemas: None if the broker's configuration decides."""

    strategy: str = UNDEFINED
    auto_update: bool | None = None

    @classmethod
    def of(cls, policies: bytes) -> "SchemaSettings":
        """Those in the policies of a namespace, as Pulsar writes them."""
        return cls.of_fields(decode_object(policies))

    @classmethod
    def of_fields(cls, fields: object) -> "SchemaSettings":
        """Those in the same policies as JSON."""
        found = fields if isinstance(fields, dict) else {}
        strategy, auto_update = found.get(STRATEGY), found.get(AUTO_UPDATE)
        return cls(
            strategy if isinstance(strategy, str) and strategy else UNDEFINED,
            auto_update if isinstance(auto_update, bool) else None,
        )


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
