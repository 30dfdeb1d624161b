"""Coordinates of the charts, for SVG: values over time as points, and coverage as parts of a bar."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

WIDTH, HEIGHT = 600, 120
"""The size of a chart of values over time."""
_MARGIN = 6


class Point(NamedTuple):
    """A value at a time (epoch milliseconds), as text and as a place in the picture."""

    x: float
    y: float
    label: str
    marked: bool


@dataclass(frozen=True)
class Series:
    """A picture of values over time: its points by time, the path through them, and the labels of its axes."""

    points: tuple[Point, ...]
    path: str
    largest: str
    first: str
    last: str


class Value(NamedTuple):
    """A value at a time in epoch milliseconds. `marked`: it is shown in the colour of warnings."""

    time: int
    value: float
    marked: bool = False


def series(values: Sequence[Value], unit: Callable[[float], str], when: Callable[[int], str]) -> Series | None:
    """The picture of these values. None for less than two, which show no change."""
    if len(values) < 2:
        return None
    ordered = sorted(values)
    begin, end = ordered[0].time, ordered[-1].time
    top = max(each.value for each in ordered) or 1
    points = tuple(
        Point(
            round(_MARGIN + (WIDTH - 2 * _MARGIN) * (each.time - begin) / ((end - begin) or 1), 1),
            round(HEIGHT - _MARGIN - (HEIGHT - 2 * _MARGIN) * each.value / top, 1),
            f"{when(each.time)}: {unit(each.value)}",
            each.marked,
        )
        for each in ordered
    )
    path = "M" + " L".join(f"{point.x} {point.y}" for point in points)
    return Series(points, path, unit(top), when(begin), when(end))


class Part(NamedTuple):
    """A part of a bar: where it starts, and how wide it is, in percent."""

    kind: str
    start: float
    width: float


def parts(amounts: dict[str, int]) -> tuple[Part, ...]:
    """The parts of a bar, in the order of the amounts. Those of nothing are left out."""
    total, start, found = sum(amounts.values()), 0.0, []
    for kind, amount in amounts.items():
        if amount > 0:
            width = 100 * amount / total
            found.append(Part(kind, round(start, 2), round(width, 2)))
            start += width
    return tuple(found)
