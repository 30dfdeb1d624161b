"""Puts back the schemas of one topic, step by step. After each step, the locator in ZooKeeper must show it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from metadata_tool.broker_metadata.records import SavedSchemas, SchemaVersion
from metadata_tool.errors import BrokerDenied, BrokerFailed, BrokerUnreachable, ToolError
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.holds import ACCEPTS_ALL
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.put_back import limits
from metadata_tool.put_back.registry import RejectedError
from metadata_tool.put_back.schema_steps import Done, Post, Refused, Step, Tombstone, next_step, unclear

log = logging.getLogger(__name__)


class Schemas(Protocol):
    """The registry, as far as one topic needs it."""

    def versions(self, topic: str) -> tuple[LocatedVersion, ...]:
        """What the locator has now."""

    def gives(self, topic: str, version: SchemaVersion) -> bool:
        """Whether brokers give out this version as it was saved."""

    def post(self, topic: str, version: SchemaVersion) -> None:
        """Register a schema."""

    def delete(self, topic: str, *, force: bool = False) -> None:
        """Add a deletion, or remove all versions."""

    def topic_strategy(self, topic: str) -> str:
        """The strategy of the topic alone, empty if it has none."""

    def set_topic_strategy(self, topic: str, strategy: str) -> None:
        """Set the strategy of the topic alone."""


@dataclass
class TopicOutcome:
    """What was done for a topic: versions registered, deletions added, and whether others were removed first.

    `why` is empty if all versions are there, and `hint` is what to do, if that is known. `replaceable`: the topic has
    other versions, which `--replace-schemas` removes. `unusable`: the backup does not have all versions.
    `unreachable`: a broker does not answer, perhaps not only for this topic. `accepting`: the topic's own strategy
    accepts all versions until its policies are put back.
    """

    posted: int = 0
    deletions: int = 0
    replaced: bool = False
    why: str = ""
    hint: str = ""
    replaceable: bool = False
    unusable: bool = False
    unreachable: bool = False
    accepting: bool = False


@dataclass(frozen=True)
class TopicWork:
    """What may be done for a topic.

    `replace`: remove other versions first, once. `has_policies`: the backup has policies of the topic, so its own
    strategy may be changed until these are put back. A dry run counts what would be done.
    """

    saved: SavedSchemas
    replace: bool = False
    has_policies: bool = False
    dry_run: bool = False


def put_back(work: TopicWork, schemas: Schemas, pause: Callable[[float], None]) -> TopicOutcome:
    """Register what is missing. `pause` waits, and raises Stopped after a stop."""
    done = TopicOutcome()
    try:
        if work.dry_run:
            _count(work, schemas, done)
        else:
            _run(work, schemas, pause, done)
    except (BrokerFailed, BrokerDenied, BrokerUnreachable) as error:
        done.why, done.hint = error.message, f"{error.hint}, then run put-back again" if error.hint else ""
        done.unreachable = isinstance(error, BrokerUnreachable)
    except UndecodableError as error:
        done.why = f"its locator in ZooKeeper is damaged, {error}"
        done.hint = (
            f"Delete the znode /schemas/{work.saved.topic}, which no broker can read or replace, then run put-back "
            "again"
        )
    return done


def _run(work: TopicWork, schemas: Schemas, pause: Callable[[float], None], done: TopicOutcome) -> None:
    topic, failures = work.saved.topic, 0
    current, step = _look(work.saved, schemas)
    while not isinstance(step, Done):
        if isinstance(step, Refused) and not (step.replaceable and work.replace and not done.replaced):
            _refuse(done, step)
            return
        failed = _taken(step, topic, schemas)
        before, (current, step) = current, _look(work.saved, schemas)
        if current != before:
            failures = 0
            _add(done, current)
            continue
        failures += 1
        if not failed:
            done.why = f"a broker answered that version {len(before)} is registered, but ZooKeeper does not have it"
            return
        if failures == limits.TRIES or not _may_succeed(failed, work, schemas, done):
            raise failed
        log.info("the schemas of %s are tried again, because %s", topic, failed.message)
        pause(limits.TRY_PAUSE)


def _refuse(done: TopicOutcome, step: Refused) -> None:
    done.why, done.replaceable, done.unusable = step.why, step.replaceable, not step.replaceable


def _may_succeed(failed: ToolError, work: TopicWork, schemas: Schemas, done: TopicOutcome) -> bool:
    """Whether the same step may succeed later. If the topic has a strategy of its own, that is changed first.

    Raises:
        BrokerFailed: it has one, and nothing would set it back.
    """
    if not isinstance(failed, RejectedError):
        return True
    if not failed.incompatible:
        return False
    strategy = schemas.topic_strategy(work.saved.topic)
    if strategy in ("", ACCEPTS_ALL):
        return done.accepting  # brokers need a moment to notice
    if not work.has_policies:
        raise BrokerFailed(
            f"its own schemaCompatibilityStrategy {strategy} refuses the version. Remove it by `pulsar-admin "
            "topicPolicies remove-schema-compatibility-strategy`"
        )
    schemas.set_topic_strategy(work.saved.topic, ACCEPTS_ALL)
    done.accepting = True
    return True


def _taken(step: Step, topic: str, schemas: Schemas) -> BrokerFailed | BrokerUnreachable | None:
    """Take a step. After an error, it may have been done nevertheless."""
    try:
        match step:
            case Post(version):
                schemas.post(topic, version)
            case Tombstone():
                schemas.delete(topic)
            case Refused():
                schemas.delete(topic, force=True)
    except (BrokerFailed, BrokerUnreachable) as error:
        return error
    return None


def _add(done: TopicOutcome, current: tuple[LocatedVersion, ...]) -> None:
    """Count a step by the versions that are there after it."""
    if not current:
        done.replaced = True
    elif current[-1].tombstone:
        done.deletions += 1
    else:
        done.posted += 1


def _look(saved: SavedSchemas, schemas: Schemas) -> tuple[tuple[LocatedVersion, ...], Step]:
    """The versions that are there, and the next step."""
    current = schemas.versions(saved.topic)
    same = [version.version for version in unclear(saved.versions, current) if schemas.gives(saved.topic, version)]
    return current, next_step(saved.versions, current, frozenset(same))


def _count(work: TopicWork, schemas: Schemas, done: TopicOutcome) -> None:
    """Count what would be done."""
    saved = work.saved
    current, step = _look(saved, schemas)
    if isinstance(step, Refused) and step.replaceable and work.replace:
        done.replaced, current, step = True, (), next_step(saved.versions, ())
    if isinstance(step, Refused):
        _refuse(done, step)
    elif not isinstance(step, Done):
        missing = saved.versions[len(current) :]
        done.posted = sum(version.readable for version in missing)
        done.deletions = len(missing) - done.posted
