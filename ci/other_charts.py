"""Keys of other charts, which the chart's schema lets pass so that the templates name the keys to use here."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TABLE = Path(__file__).parents[1] / "charts" / "pulsar" / "other-charts.yaml"


def moved() -> dict[str, str]:
    """What to do about each key that has a counterpart here."""
    return dict(_table()["moved"])


def absent() -> list[tuple[str, list[str]]]:
    """Why there is no such key here, and the keys."""
    return [(group["why"], group["keys"]) for group in _table()["absent"]]


def paths() -> list[str]:
    """The paths of all keys in the table."""
    return [*moved(), *(key for _, keys in absent() for key in keys)]


@cache
def _table() -> dict[str, Any]:
    return dict(yaml.load(TABLE.read_text(), yaml.CSafeLoader))


def allow(schema: dict[str, Any], keys: Iterable[str]) -> None:
    """Let a schema accept anything at the paths of these keys. Above them, other unknown keys are still refused.

    Raises:
        ValueError: the chart has a key of its own at a path. The message names the path.
    """
    for path in keys:
        *above, name = path.split(".")
        place = schema
        for part in above:
            closed = {"type": ["object", "null"], "properties": {}, "additionalProperties": False}
            place = place["properties"].setdefault(part, closed)
        if place["properties"].setdefault(name, True) is not True:
            raise ValueError(f"{TABLE.name}: the chart has {path} itself. Remove it from the table")
