"""Writes values as readable YAML: nested blocks, and short collections on one line."""

import json
import re
from collections.abc import Iterable, Iterator

Value = str | int | list["Value"] | dict[str, "Value"]

_WIDTH = 100
"""The most characters of a collection that is written on one line."""
_PLAIN = re.compile(r"[A-Za-z_/](?:[A-Za-z0-9_./-]|:(?=[A-Za-z0-9/]))*|[0-9]+(?:m|Mi|Gi)")
"""Strings that need no quotes in YAML, except those in _WORDS."""
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def dump(values: dict[str, Value]) -> str:
    """YAML with a final newline. Every string must be printable."""
    return "\n".join(_lines(values)) + "\n"


def _lines(value: Value) -> Iterator[str]:
    """The lines of a block."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _entry(f"{_scalar(key)}:", each)
    elif isinstance(value, list) and value:
        for each in value:
            yield from _item(each)
    else:
        yield _flow(value)


def _entry(head: str, value: Value) -> Iterator[str]:
    if _is_short(value):
        yield f"{head} {_flow(value)}"
    else:
        yield head
        yield from _indented(_lines(value))


def _item(value: Value) -> Iterator[str]:
    if _is_short(value):
        yield f"- {_flow(value)}"
    else:
        first, *others = _lines(value)
        yield f"- {first}"
        yield from _indented(others)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _is_short(value: Value) -> bool:
    """Whether a value is written on one line: a scalar, or a short collection without collections of collections."""
    if not isinstance(value, dict | list) or not value:
        return True
    members = value.values() if isinstance(value, dict) else value
    nested = [each for each in members if isinstance(each, dict | list) and each]
    return len(_flow(value)) <= _WIDTH and (isinstance(value, dict) or not nested) and all(map(_is_flat, nested))


def _is_flat(value: Value) -> bool:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not any(isinstance(each, dict | list) and each for each in members)


def _flow(value: Value) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: str | int) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
