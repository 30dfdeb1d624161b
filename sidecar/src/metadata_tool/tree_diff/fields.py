"""Compares two JSON values field by field."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Absent:
    """In place of a value that is not there."""

    def __repr__(self) -> str:
        return "(not set)"


ABSENT = Absent()


class FieldChange(NamedTuple):
    """A field by its dotted path, and its values, which are ABSENT where it is not there."""

    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.field}: {_text(self.before)} -> {_text(self.after)}"

    def to_json(self) -> dict[str, Any]:
        """The field, and the values that it has."""
        values = {"before": self.before, "after": self.after}
        return {"field": self.field, **{name: value for name, value in values.items() if value is not ABSENT}}


def field_changes(before: bytes | None, after: bytes | None) -> tuple[FieldChange, ...]:
    """The fields that differ between two JSON objects. Data that is not one is compared as a whole, by its size."""
    old, new = _object(before), _object(after)
    if old is None or new is None:
        return () if before == after else (FieldChange("data", _size(before), _size(after)),)
    return tuple(_changes("", old, new))


def _changes(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in sorted({*old, *new}):
        was, now = old.get(name, ABSENT), new.get(name, ABSENT)
        if isinstance(was, dict) and isinstance(now, dict):
            yield from _changes(f"{prefix}{name}.", was, now)
        elif was is ABSENT or now is ABSENT or json.dumps(was) != json.dumps(now):
            yield FieldChange(prefix + name, was, now)


def _object(data: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _size(data: bytes | None) -> str:
    return "null" if data is None else f"{len(data)} bytes"


def _text(value: Any) -> str:
    return repr(value) if value is ABSENT else json.dumps(value, ensure_ascii=False)
