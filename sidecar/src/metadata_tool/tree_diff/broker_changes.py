"""What changed of that which brokers gave out for two backups: versions of schemas, and topic policies field by field.

Positions of subscriptions are of different moments, and are not compared.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple, TypeVar
from urllib.parse import unquote_plus

from metadata_tool.broker_metadata.broker_file import order
from metadata_tool.broker_metadata.policy_events import PolicyEvents
from metadata_tool.broker_metadata.records import (
    POLICIES,
    SCHEMAS,
    PolicySchema,
    SavedPolicies,
    SavedSchemas,
    SchemaVersion,
)
from metadata_tool.broker_metadata.topic_policies import GLOBAL_KEY, Event, is_global
from metadata_tool.tree_diff.fields import ABSENT, FieldChange, field_changes
from metadata_tool.tree_diff.kept_records import At, KeptRecords
from metadata_tool.tree_diff.objects import How, ObjectChange

SAVED_SCHEMA, TOPIC_POLICIES = "saved schema of topic", "policies of topic"
"""Kinds of changed objects."""
_SHOWN = 12
"""Digits of a schema's SHA-256."""

T = TypeVar("T")


class BrokerSide(NamedTuple):
    """The records of a backup, and how much of each kind brokers did not give out."""

    kept: KeptRecords
    not_saved: Mapping[str, int]

    def may_lack(self, kind: str, name: str) -> bool:
        """Whether brokers may not have given out this, so that it is unknown whether it was there."""
        return self.kept.may_lack(kind, name, self.not_saved.get(kind, 0))


def broker_changes(before: BrokerSide, after: BrokerSide, unknown: Counter[str]) -> Iterator[ObjectChange]:
    """All changes in the order of the tree, schemas first.

    What brokers gave out for one of the two only is counted in `unknown`, by kind. The memory is that of the policies'
    digests of one namespace.
    """
    yield from _schema_changes(before, after, unknown)
    yield from _policy_changes(before, after, unknown)


def _schema_changes(before: BrokerSide, after: BrokerSide, unknown: Counter[str]) -> Iterator[ObjectChange]:
    """The tree itself tells which topics have schemas, so only topics with schemas in both are compared."""
    for old, new in _pairs(before.kept.schemas(), after.kept.schemas(), lambda record: record.topic):
        if old and new:
            was, now = (_by_version(each) for each in (old, new))
            fields = [
                FieldChange(f"version {number}", was.get(number, ABSENT), now.get(number, ABSENT))
                for number in sorted({*was, *now})
                if was.get(number) != now.get(number)
            ]
            if fields:
                yield ObjectChange(How.CHANGED, SAVED_SCHEMA, unquote_plus(new.topic), tuple(fields))
        elif record := old or new:
            unknown[SAVED_SCHEMA] += (after if old else before).may_lack(SCHEMAS, record.topic)


def _by_version(saved: SavedSchemas) -> dict[int, str]:
    return {version.version: _in_words(version) for version in saved.versions}


def _in_words(version: SchemaVersion) -> str:
    if version.readable:
        return f"{version.type} {version.sha256.hex()[:_SHOWN]}"
    return "deleted" if version.sha256 else "deletes the schema"


def _policy_changes(before: BrokerSide, after: BrokerSide, unknown: Counter[str]) -> Iterator[ObjectChange]:
    for old, new in _pairs(before.kept.policies(), after.kept.policies(), lambda group: group[0]):
        namespace = (old or new or ("",))[0]
        compared = _Namespace(before, after, namespace, unknown)
        compared.add_old(old[1] if old else iter(()))
        yield from compared.changes(new[1] if new else iter(()))


class _Namespace:
    """The policies of one namespace. Of the earlier ones, only digests of their keys are kept, and where they are."""

    def __init__(self, before: BrokerSide, after: BrokerSide, namespace: str, unknown: Counter[str]) -> None:
        self._before = before.kept
        self._may_be_new = not before.may_lack(POLICIES, namespace)
        self._may_be_gone = not after.may_lack(POLICIES, namespace)
        self._unknown = unknown
        self._old: dict[bytes, int] = {}
        self._old_events, self._new_events = PolicyEvents(), PolicyEvents()

    def add_old(self, records: Iterator[At]) -> None:
        """All of the earlier backup."""
        for offset, record in records:
            if isinstance(record, SavedPolicies):
                self._old[_digest(record)] = offset
            elif isinstance(record, PolicySchema):
                self._old_events.add(record)

    def changes(self, records: Iterator[At]) -> Iterator[ObjectChange]:
        """The changes to those of the later backup, and then what is only in the earlier one."""
        for _, record in records:
            if isinstance(record, PolicySchema):
                self._new_events.add(record)
            elif isinstance(record, SavedPolicies):
                offset = self._old.pop(_digest(record), None)
                yield from self._compared(None if offset is None else self._before.at(offset), record)
        for offset in self._old.values():
            yield from self._compared(self._before.at(offset), None)

    def _compared(self, old: SavedPolicies | None, new: SavedPolicies | None) -> Iterator[ObjectChange]:
        named = new or old
        assert named
        if (old is None and not self._may_be_new) or (new is None and not self._may_be_gone):
            self._unknown[TOPIC_POLICIES] += 1
            return
        was, now = _set_ones(self._old_events, old), _set_ones(self._new_events, new)
        if was is None or now is None:  # one of them cannot be decoded
            was, now = (each.event if each else b"" for each in (old, new))
        fields = field_changes(was, now)
        how = How.ADDED if old is None else How.REMOVED if new is None else How.CHANGED
        if fields or how is not How.CHANGED:
            yield ObjectChange(how, TOPIC_POLICIES, _topic(named), fields)


def _set_ones(events: PolicyEvents, saved: SavedPolicies | None) -> bytes | None:
    """The policies that are set, as a JSON object. None if they cannot be decoded.

    Whether they are for all clusters is a part of the topic's name.
    """
    policies = {} if saved is None else events.policies(saved)
    if policies is None:
        return None
    return json.dumps({name: value for name, value in policies.items() if name != "isGlobal"}).encode()


def _digest(record: SavedPolicies) -> bytes:
    """A digest of what the policies are for. Before Pulsar 4.0, those for all clusters and for one have one key."""
    return sha256(f"{_is_global(record):d}{record.key}".encode("utf-8", "surrogatepass")).digest()[:16]


def _topic(record: SavedPolicies) -> str:
    return record.key.removeprefix(GLOBAL_KEY) + (" for all clusters" if _is_global(record) else "")


def _is_global(record: SavedPolicies) -> bool:
    return is_global(Event(record.key, record.event, record.published, record.version))


def _pairs(old: Iterator[T], new: Iterator[T], name: Callable[[T], str]) -> Iterator[tuple[T | None, T | None]]:
    """What has one name in both, or is in one only, in the order of the tree. Both are in this order."""
    was, now = next(old, None), next(new, None)
    while was is not None or now is not None:
        first = min(order(name(each)) for each in (was, now) if each is not None)
        is_old = was is not None and order(name(was)) == first
        is_new = now is not None and order(name(now)) == first
        yield was if is_old else None, now if is_new else None
        was = next(old, None) if is_old else was
        now = next(new, None) if is_new else now
