"""What is next for the schemas of a topic, from the saved versions and from what the topic's locator has now.

Steps keep no state, so a put-back continues where a killed one ended. A version is registered with its old number,
because each message names its schema by that number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from metadata_tool.broker_metadata.records import SchemaVersion
from metadata_tool.pulsar.schema_locator import LocatedVersion, last_tombstone

KEY_VALUE = "KEY_VALUE"
"""A type that brokers give out in another form than they keep, so an equal schema may get another hash."""


@dataclass(frozen=True)
class Post:
    """Register a version. It gets the next number."""

    version: SchemaVersion


@dataclass(frozen=True)
class Tombstone:
    """Delete the topic's schema, which uses up this number.

    It stands for a deletion, or for a version before one, which no broker gave out and no client can read.
    """

    version: int


@dataclass(frozen=True)
class Done:
    """All versions are there. Later ones may follow them."""


@dataclass(frozen=True)
class Refused:
    """The topic is left as it is. `replaceable`: it has other versions, which can be deleted first."""

    why: str
    replaceable: bool


Step = Post | Tombstone | Done | Refused


def next_step(
    saved: Sequence[SchemaVersion], current: Sequence[LocatedVersion], same: frozenset[int] = frozenset()
) -> Step:
    """The next step. `same` are versions of the topic that brokers give out as they were saved."""
    if problem := _unusable(saved):
        return Refused(problem, replaceable=False)
    for version, found in zip(saved, current, strict=False):
        if found.version != version.version or not (_equal(version, found) or found.version in same):
            return Refused(_other_version(found), replaceable=True)
    if len(current) >= len(saved):
        return Done()
    due = saved[len(current)]
    return Post(due) if due.readable else Tombstone(due.version)


def unclear(saved: Sequence[SchemaVersion], current: Sequence[LocatedVersion]) -> tuple[SchemaVersion, ...]:
    """Key-value versions whose number has another hash now. The schema may be equal nevertheless."""
    return tuple(
        version
        for version, found in zip(saved, current, strict=False)
        if version.type == KEY_VALUE and found.version == version.version and not _equal(version, found)
    )


def _equal(version: SchemaVersion, found: LocatedVersion) -> bool:
    return found.sha256 == version.sha256 or (found.tombstone and not version.readable)


def _unusable(saved: Sequence[SchemaVersion]) -> str:
    """Why the saved versions cannot be put back. Empty if they can."""
    if [version.version for version in saved] != list(range(len(saved))):
        return "the backup does not have all of its versions"
    deleted = last_tombstone(tuple(LocatedVersion(version.version, version.sha256) for version in saved))
    lost = next((version for version in saved[deleted + 1 :] if not version.readable), None)
    return f"no broker gave out version {lost.version} at the backup" if lost else ""


def _other_version(found: LocatedVersion) -> str:
    if found.tombstone:
        return f"its version {found.version} is a deletion, and not the saved version"
    return f"its version {found.version} is not the saved one, because a client registered a schema first"
