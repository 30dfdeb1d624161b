"""Asks a broker for the exact positions of a topic's subscriptions: the mark-delete position, and the holes after it.

The request loads the topic. So it is sent only for topics that a broker loaded and did not close.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from metadata_tool.broker_metadata.client import Asks, api_of
from metadata_tool.broker_metadata.limits import MAX_HOLES
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.broker_metadata.questions import CursorQuestion
from metadata_tool.broker_metadata.records import Hole, Position, SavedCursor

_POSITION = r"([0-9]{1,19}):(-1|[0-9]{1,19})"
_HOLE = re.compile(rf"\({_POSITION}\.\.{_POSITION}\]")
_HOLES = re.compile(rf"\[(?:{_HOLE.pattern}(?:, ?{_HOLE.pattern})*+)?\]", re.ASCII)
"""The possessive repetition does not backtrack. Otherwise it would take a kilobyte for each hole."""

Found = tuple[str, SavedCursor | NotSavedError]
"""A subscription's name in the tree, and its position, or why that is not saved."""


def ask(broker: Asks, question: CursorQuestion, now: int) -> Iterator[Found]:
    """The position of each subscription, one by one: all holes of a topic would take much memory.

    Raises:
        NotSavedError: the broker gave out none of them.
        ToolError: the request failed.
    """
    if question.is_segment:
        raise NotSavedError(Reason.UNSUPPORTED, "brokers do not give out positions in segments of scalable topics")
    answer = broker.request("GET", stats_path(question.topic))
    if answer.status == 404:
        raise NotSavedError(Reason.DELETED, "the topic does not exist any more")
    if not answer.ok:
        raise NotSavedError(Reason.FAILED, f"the broker answered {answer.status}, {answer.reason}")
    found = answer.json()
    cursors = found.get("cursors") if isinstance(found, dict) else None
    if not isinstance(cursors, dict):
        raise NotSavedError(Reason.FAILED, "the broker's answer does not list subscriptions")
    return _positions(question, cursors, now)


def stats_path(topic: str) -> str:
    """The address of a topic's statistics. `topic` is the path of its managed ledger."""
    namespace, domain, name = topic.rsplit("/", 2)
    return f"{api_of(namespace)}/{domain}/{namespace}/{name}/internalStats"


def _positions(question: CursorQuestion, given: Mapping[str, Any], now: int) -> Iterator[Found]:
    """Names in the tree are encoded for URLs. The broker's may be, too."""
    decoded = {unquote_plus(name): cursor for name, cursor in given.items()}
    for name in question.cursors:
        cursor = given.get(name, given.get(unquote_plus(name), decoded.get(unquote_plus(name))))
        try:
            yield name, _cursor(f"{question.topic}/{name}", cursor, now)
        except NotSavedError as error:
            yield name, error


def _cursor(path: str, given: Any, now: int) -> SavedCursor:
    if given is None:
        raise NotSavedError(Reason.DELETED, "the subscription does not exist any more")
    fields = given if isinstance(given, dict) else {}
    position, holes = fields.get("markDeletePosition"), fields.get("individuallyDeletedMessages")
    match = re.fullmatch(_POSITION, position, re.ASCII) if isinstance(position, str) else None
    if not match or not isinstance(holes, str) or not _HOLES.fullmatch(holes):
        raise NotSavedError(Reason.FAILED, "the broker's answer is not a position")
    return SavedCursor(path, now, _position(*match.groups()), parsed_holes(holes))


def parsed_holes(text: str) -> tuple[Hole, ...]:
    """The first of the ranges `[(29:12..29:29],…]`, as many as a record may have."""
    holes = []
    for match in _HOLE.finditer(text):
        after_ledger, after_entry, ledger, entry = match.groups()
        holes.append(Hole(_position(after_ledger, after_entry), _position(ledger, entry)))
        if len(holes) == MAX_HOLES:
            break
    return tuple(holes)


def _position(ledger: str, entry: str) -> Position:
    found = Position(int(ledger), int(entry))
    if max(found) >= 1 << 63:
        raise NotSavedError(Reason.FAILED, "the broker's answer is not a position")
    return found
