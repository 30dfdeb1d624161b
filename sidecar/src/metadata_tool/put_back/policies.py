"""Puts back the topic policies of a namespace, by sending their events again."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies
from metadata_tool.broker_metadata.topic_policies import GLOBAL_KEY, Event
from metadata_tool.errors import BrokerDenied, BrokerFailed, BrokerUnreachable
from metadata_tool.pulsar.holds import ACCEPTS_ALL
from metadata_tool.put_back.result import POLICIES, PutBackResult
from metadata_tool.put_back.topic_policies import PolicyKey, PolicyPlan, by_key, newest, plan

log = logging.getLogger(__name__)

_OF_BROKERS = (BrokerFailed, BrokerDenied, BrokerUnreachable)


class PolicyEvents(Protocol):
    """Reads and sends the events of topic policies."""

    def read(self, namespace: str) -> list[Event]:
        """All events of a namespace, in their order."""

    def send(self, namespace: str, events: Sequence[SavedPolicies], schemas: Mapping[int, PolicySchema]) -> None:
        """Send events, each with the schema of its version."""


class NamespacePolicies:
    """Puts back the policies of namespaces, and adds to the result what was done.

    `strategy` gives the strategy that a topic has of its own, empty if it has none.
    """

    def __init__(self, events: PolicyEvents, strategy: Callable[[str], str], result: PutBackResult) -> None:
        self._events, self._strategy, self._result = events, strategy, result

    def put_back(
        self,
        namespace: str,
        records: Iterable[SavedPolicies],
        schemas: Mapping[int, PolicySchema],
        accepting: Collection[str] = (),
        *,
        unfinished: bool = False,
    ) -> bool:
        """Send what is missing or older, and read it again. Whether everything is there in the end.

        `accepting` are topics whose own strategy this run has changed for a while. `unfinished`: an earlier run, which
        was killed, may have changed others.
        """
        counts, saved = self._result.policies, by_key(records)
        counts["saved"] += len(saved)
        try:
            current = newest(self._events.read(namespace))
            wanted = plan(saved, current)
            wanted = plan(saved, current, [key for key in wanted.changed if self._is_ours(key, accepting, unfinished)])
            if wanted.to_send and not self._result.dry_run:
                self._send(namespace, saved, wanted.to_send, schemas)
        except _OF_BROKERS as error:
            counts["failed"] += len(saved)
            self._result.fail(POLICIES, namespace, error.message, error.hint)
            return False
        self._count(wanted)
        return True

    def _is_ours(self, key: PolicyKey, accepting: Collection[str], unfinished: bool) -> bool:  # noqa: FBT001
        """Whether a put-back wrote the newest policies of a topic, so that it accepts all versions for a while."""
        topic = key.key.removeprefix(GLOBAL_KEY)
        return topic in accepting or (unfinished and self._strategy(topic) == ACCEPTS_ALL)

    def _count(self, done: PolicyPlan) -> None:
        counts = self._result.policies
        counts["present"] += len(done.equal)
        counts["sent"] += len(done.to_send)
        counts["changed"] += len(done.changed)
        counts["returned"] += len(done.returned)
        for key in done.changed:
            self._result.note(POLICIES, key.key, "its policies were changed since the backup")
        for key in done.returned:
            why = "its policies were deleted before the backup, and came back from tiered storage"
            self._result.note(POLICIES, key.key, why)

    def _send(
        self,
        namespace: str,
        saved: Mapping[PolicyKey, SavedPolicies],
        events: Sequence[SavedPolicies],
        schemas: Mapping[int, PolicySchema],
    ) -> None:
        """Send events until brokers give them out.

        Raises:
            BrokerFailed: they do not.
        """
        self._events.send(namespace, events, schemas)
        there = set(plan(saved, newest(self._events.read(namespace))).equal)
        missing = [record for key, record in by_key(events).items() if key not in there]
        if missing:
            raise BrokerFailed(
                f"brokers do not give out {len(missing)} events that were sent, such as that of {missing[0].key}",
                "Run put-back again",
            )
