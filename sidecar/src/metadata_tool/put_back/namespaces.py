"""Puts back the schemas of a namespace, which accepts all versions meanwhile, then lets clients register schemas."""

import itertools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from metadata_tool.broker_metadata.questions import CHANGE_EVENTS
from metadata_tool.broker_metadata.records import SavedSchemas
from metadata_tool.errors import BrokerDenied, BrokerFailed, BrokerUnreachable, ClusterRunning, ToolError
from metadata_tool.lifecycle import Every, Heartbeat
from metadata_tool.pulsar.codec import UndecodableError
from metadata_tool.pulsar.holds import ACCEPTS_ALL, OF_SCHEMAS, STRATEGY
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.put_back import limits, topic_schemas
from metadata_tool.put_back.held_namespaces import SchemaSettings, agree, objection
from metadata_tool.put_back.holds import Holds, finish
from metadata_tool.put_back.registry import Registry, topic_name
from metadata_tool.put_back.result import NAMESPACES, SCHEMAS, PutBackResult
from metadata_tool.put_back.saved_metadata import SavedNamespace
from metadata_tool.put_back.schema_steps import Done, next_step, unclear
from metadata_tool.put_back.topic_schemas import TopicOutcome, TopicWork
from metadata_tool.tiered_storage.ordered_pool import in_order

log = logging.getLogger(__name__)

_SYSTEM_TOPICS = (CHANGE_EVENTS, "__transaction_buffer_snapshot", "__transaction_pending_ack")
"""Starts of the names of topics whose schemas brokers register themselves, also in held namespaces."""
_DELETED = "it was deleted meanwhile"
_RUN_AGAIN = "Run put-back again"
_UPLOAD = "Upload all versions by hand, in their old order (`pulsar-admin schemas upload`)"


class SchemaWork(NamedTuple):
    """How many topics are put back at a time, and those (paths below `/schemas`) whose versions may be replaced."""

    threads: int
    replace: frozenset[str] = frozenset()


class NamespaceSchemas:
    """Puts back the schemas of namespaces, and adds to the result what was done."""

    def __init__(
        self, registry: Registry, holds: Holds, work: SchemaWork, result: PutBackResult, heartbeat: Heartbeat
    ) -> None:
        self._registry, self._holds, self._work = registry, holds, work
        self._result, self._heartbeat = result, heartbeat
        self._time_to_say = Every(limits.LOG_INTERVAL)
        self.accepting: set[str] = set()
        """Topics of the last namespace whose own strategy accepts all versions until their policies are put back."""

    def put_back(self, saved: SavedNamespace, topics: Iterable[SavedSchemas], keys: Collection[str] = ()) -> bool:
        """Put back the schemas of a namespace. Whether all of them are there in the end.

        `keys` are the names of topics whose policies are put back afterwards.

        Raises:
            ClusterRunning: the brokers are not those of this ZooKeeper.
            BrokerUnreachable: no broker answers.
        """
        self._result.schemas["topics"] += len(saved.topics)
        self.accepting = set()
        try:
            current = self._registry.ensemble.settings(saved.name)
            why = objection(saved.settings, current) if current else _DELETED
            if current is None or why:
                hint = f"Set it to {saved.settings.strategy}, then run put-back again" if current else _RUN_AGAIN
                self._refuse(saved, why, hint)
                return False
            self._require_own_brokers(saved.name, current)
            with self._old_strategy_after(saved):
                complete = self._put_back_topics(saved, topics, keys)
        except (BrokerFailed, BrokerDenied) as error:
            self._result.fail(NAMESPACES, saved.name, error.message, error.hint)
            return False
        return complete

    def is_unfinished(self, saved: SavedNamespace) -> bool:
        """Whether schemas are not all put back yet. So an earlier run may have changed strategies for a while."""
        return not self._holds.of(saved.name).keys().isdisjoint(OF_SCHEMAS)

    def finish(self, saved: SavedNamespace, *, complete: bool) -> None:
        """Let clients register schemas again, if everything of the namespace is there."""
        self._result.namespaces["done"] += complete
        finish(self._holds, saved.name, OF_SCHEMAS, self._result, complete=complete)

    def _refuse(self, saved: SavedNamespace, why: str, hint: str) -> None:
        self._result.schemas["refused"] += len(saved.topics)
        self._result.fail(NAMESPACES, saved.name, why, hint)

    def _require_own_brokers(self, namespace: str, current: SchemaSettings) -> None:
        """Refuse brokers that know other settings of the namespace than this ZooKeeper has."""
        for again in range(limits.TRIES):
            if again:
                self._pause(limits.TRY_PAUSE)
                current = self._registry.ensemble.settings(namespace) or current
            if agree(current, self._registry.settings(namespace)):
                return
        raise ClusterRunning(
            f"the brokers know other policies of namespace {namespace} than this ZooKeeper has",
            "Set BROKER_SERVICE_URL to the brokers of the restored cluster. No schema was changed",
        )

    def _put_back_topics(self, saved: SavedNamespace, topics: Iterable[SavedSchemas], keys: Collection[str]) -> bool:
        """Whether all schemas of clients are there in the end."""
        complete = True
        for topic, outcome in in_order(
            self._steps(saved, topics, keys), self._work.threads, "schemas", self._heartbeat
        ):
            complete &= self._add(topic, outcome)
            if outcome.accepting:
                self.accepting.add(topic_name(topic.topic))
            if outcome.unreachable:
                self._registry.clusters()  # ends the run if no broker answers
            if self._time_to_say():
                counts = self._result.schemas
                done = counts["present"] + counts["putBack"] + counts["refused"] + counts["failed"]
                log.info("%d topics are done", done)
        return complete

    def _steps(
        self, saved: SavedNamespace, topics: Iterable[SavedSchemas], keys: Collection[str]
    ) -> "Iterator[_Outcome | Callable[[], _Outcome]]":
        """What was found of each topic, or the work on it. All schemas are accepted before the first work."""
        accepting = self._result.dry_run
        remaining = iter(topics)
        while batch := list(itertools.islice(remaining, limits.LOCATORS_AT_ONCE)):
            for topic, present in zip(batch, self._present(batch), strict=True):
                if present:
                    yield topic, TopicOutcome()
                    continue
                if not accepting:
                    self._accept_all(saved)
                    accepting = True
                yield partial(self._put_back_topic, topic, keys)

    def _present(self, batch: list[SavedSchemas]) -> list[bool]:
        """Whether all versions of topics are there, from one request to ZooKeeper."""
        try:
            located = self._registry.ensemble.located([topic.topic for topic in batch])
        except UndecodableError:
            return [False] * len(batch)  # then each topic is read on its own
        found = []
        for topic, current in zip(batch, located, strict=True):
            try:
                found.append(self._is_complete(topic, current))
            except (BrokerFailed, BrokerDenied, BrokerUnreachable):
                found.append(False)  # the work on this topic reports the error
        return found

    def _is_complete(self, topic: SavedSchemas, current: Sequence[LocatedVersion]) -> bool:
        versions = unclear(topic.versions, current)
        same = [version.version for version in versions if self._registry.gives(topic.topic, version)]
        return isinstance(next_step(topic.versions, current, frozenset(same)), Done)

    def _put_back_topic(self, topic: SavedSchemas, keys: Collection[str]) -> "_Outcome":
        work = TopicWork(
            topic,
            replace=topic.topic in self._work.replace,
            has_policies=topic_name(topic.topic) in keys,
            dry_run=self._result.dry_run,
        )
        return topic, topic_schemas.put_back(work, self._registry, self._pause)

    def _add(self, topic: SavedSchemas, outcome: TopicOutcome) -> bool:
        """Count a topic. Whether its schemas are there, or are those of brokers."""
        counts, name = self._result.schemas, topic_name(topic.topic)
        counts["versions"] += outcome.posted
        counts["deletions"] += outcome.deletions
        counts["replaced"] += outcome.replaced
        counts["unreadable"] += sum(bool(version.sha256) and not version.readable for version in topic.versions)
        if not outcome.why:
            counts["putBack" if outcome.posted or outcome.deletions or outcome.replaced else "present"] += 1
            return True
        if topic.topic.rpartition("/")[2].startswith(_SYSTEM_TOPICS):
            counts["present"] += 1
            self._result.note(SCHEMAS, name, f"{outcome.why}. Brokers register the schemas of this topic themselves")
            return True
        counts["refused" if outcome.replaceable else "failed"] += 1
        hint = _UPLOAD if outcome.unusable else outcome.hint or _RUN_AGAIN
        self._result.fail(SCHEMAS, name, outcome.why, _replacing(name) if outcome.replaceable else hint)
        return False

    @contextmanager
    def _old_strategy_after(self, saved: SavedNamespace) -> Iterator[None]:
        """Set the old strategy at the end, even after an error or a stop, because there may be no further run."""
        try:
            yield
        except (BrokerUnreachable, ClusterRunning):
            raise
        except BaseException:
            with suppress(ToolError):  # the first error is the cause
                self._set_old_strategy(saved)
            raise
        self._set_old_strategy(saved)

    def _set_old_strategy(self, saved: SavedNamespace) -> None:
        if self._result.dry_run:
            return
        current = self._registry.ensemble.settings(saved.name)
        if not current:
            raise BrokerFailed(_DELETED, _RUN_AGAIN)
        if current.strategy != saved.settings.strategy:
            self._set_strategy(saved.name, saved.settings.strategy)

    def _accept_all(self, saved: SavedNamespace) -> None:
        """Let the namespace accept all versions.

        Before that its own strategy is noted, for a backup that is made meanwhile, and for the next run if this one is
        killed.
        """
        self._holds.remember(saved.name, STRATEGY, saved.settings.strategy)
        self._set_strategy(saved.name, ACCEPTS_ALL)

    def _set_strategy(self, namespace: str, strategy: str) -> None:
        """Set the strategy, and require that ZooKeeper shows it."""
        self._registry.set_strategy(namespace, strategy)
        found = self._registry.ensemble.settings(namespace)
        if not found or found.strategy != strategy:
            raise ClusterRunning(
                f"a broker has set the schemaCompatibilityStrategy of {namespace}, but ZooKeeper does not show it",
                "Set BROKER_SERVICE_URL to the brokers of the restored cluster",
            )

    def _pause(self, seconds: float) -> None:
        if self._heartbeat.sleep(seconds):
            self._heartbeat()


_Outcome = tuple[SavedSchemas, TopicOutcome]


def _replacing(name: str) -> str:
    return (
        f"To remove its versions and put the saved ones back, run `metadata-tool put-back --replace-schemas {name}`. "
        "Messages that clients sent since the restore with their own version may then not be decoded"
    )
