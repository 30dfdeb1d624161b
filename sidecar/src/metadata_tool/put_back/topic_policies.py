"""What to do with the topic policies of a namespace, from the saved events and those that are there now.

A restored `__change_events` has the events that were offloaded before the disaster, and those that brokers and
operators wrote since. An event that is newer than the backup stays, because these policies were set after the restore.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from metadata_tool.broker_metadata.records import SavedPolicies
from metadata_tool.broker_metadata.topic_policies import Event, is_global


class PolicyKey(NamedTuple):
    """The key of an event, and whether its policies are for all clusters: before Pulsar 4.0, both have the same key."""

    key: str
    for_all: bool


class PolicyPlan(NamedTuple):
    """What to do.

    `to_send` are sent again. `equal` are there already. `changed` were changed since the backup. `returned` were
    deleted before the backup, and came back with offloaded events. The last two stay as they are.
    """

    to_send: tuple[SavedPolicies, ...]
    equal: tuple[PolicyKey, ...]
    changed: tuple[PolicyKey, ...]
    returned: tuple[PolicyKey, ...]


def by_key(saved: Iterable[SavedPolicies]) -> dict[PolicyKey, SavedPolicies]:
    """Saved policies by their keys."""
    return {_key(record.key, record.event): record for record in saved}


def newest(events: Iterable[Event]) -> dict[PolicyKey, Event]:
    """The newest event of each key. One without data deletes what has its key."""
    found: dict[PolicyKey, Event] = {}
    for event in events:
        keys = [_key(event.key, event.data)] if event.data else [PolicyKey(event.key, each) for each in (True, False)]
        found |= dict.fromkeys(keys, event)
    return found


def plan(
    saved: Mapping[PolicyKey, SavedPolicies],
    current: Mapping[PolicyKey, Event],
    ours: Collection[PolicyKey] = (),
) -> PolicyPlan:
    """What to do with the policies of a namespace. `ours` are keys that a put-back itself has changed for a while."""
    to_send, equal, changed = [], [], []
    for key, wanted in saved.items():
        found = current.get(key)
        if found and found.data == wanted.event:
            equal.append(key)
        elif found and found.published > wanted.time and key not in ours:
            changed.append(key)
        else:
            to_send.append(wanted)
    asked = min((record.time for record in saved.values()), default=0)
    returned = [key for key, found in current.items() if key not in saved and found.data and found.published < asked]
    in_order = sorted(to_send, key=lambda record: record.published)
    return PolicyPlan(tuple(in_order), tuple(equal), tuple(changed), tuple(returned))


def _key(key: str, data: bytes) -> PolicyKey:
    return PolicyKey(key, is_global(Event(key, data, 0, None)))
