"""Small pieces of SVG. Across, positions are shares of the width; down, they are pixels.

So a figure is as wide as its place, on a phone and on paper, and its letters keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .text import Html, join, plain, tag


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a value stands between the left and the right border.

    Attributes:
        low: the value at the left border.
        high: the value at the right border, above `low`.
    """

    low: float
    high: float

    def __call__(self, value: float) -> str:
        """Return where a value stands, as a share of the width, and at the border if outside."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(1.0, max(0.0, share)):.2f}%"


def figure(title: str, description: str, height: int, *parts: Html, css: str = "plot") -> Html:
    """Return an image with a name and a description for those who do not see it."""
    head = (tag("title", title), tag("desc", description))
    shape = {"class": css, "role": "img", "aria-label": title, "height": height, "width": "100%"}
    return tag("svg", join((*head, *parts)), shape)


def line(x: tuple[str, str], y: tuple[float, float], css: str) -> Html:
    """Return a straight line."""
    ends = {"x1": x[0], "x2": x[1], "y1": _number(y[0]), "y2": _number(y[1]), "class": css}
    return tag("line", "", ends)


def text(x: str, y: float, content: object, css: str) -> Html:
    """Return a line of text whose anchor the style names: ``start``, ``middle`` or ``end``."""
    return tag("text", content, {"x": x, "y": _number(y), "class": css})


def bar(x: str, width: str, y: float, height: float, css: str) -> Html:
    """Return a filled rectangle."""
    at = {"x": x, "width": width, "y": _number(y), "height": _number(height), "class": css}
    return tag("rect", "", at)


def point(x: str, y: float, css: str) -> Html:
    """Return a dot."""
    return tag("circle", "", {"cx": x, "cy": _number(y), "r": 5, "class": css})


def inner(parts: Html, shape: Mapping[str, object]) -> Html:
    """Return a figure within a figure, with a width of its own."""
    return tag("svg", parts, shape)


def stretched(parts: Html, top: float, height: float) -> Html:
    """Return a frame as wide as its place whose inside is 100 by 100, for lines that follow it."""
    shape: dict[str, object] = {"y": _number(top), "height": _number(height), "width": "100%"}
    shape |= {"class": "stretched", "viewBox": "0 0 100 100", "preserveAspectRatio": "none"}
    return inner(parts, shape)


def polyline(points: Iterable[tuple[float, float]], css: str) -> Html:
    """Return a line through points of a `stretched` frame, from the left and from the top."""
    at = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return tag("polyline", "", {"points": at, "class": css})


def ticks(low: float, high: float, *, at_most: int = 6) -> tuple[float, ...]:
    """Return the round numbers from `low` to `high`, as many as there may be."""
    for step in (lead * 10.0**power for power in range(-9, 9) for lead in (1, 2, 5)):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < at_most:
            return tuple(round(step * n, 9) for n in range(first, last + 1))
    return (low, high)


def mark(value: float) -> str:
    """Return the label of a place on an axis of differences."""
    return f"{value:+g}".replace("-", "−") if value else "0"


def shortened(value: object, limit: int) -> str:
    """Return text that is not longer than so many letters."""
    found = plain(value)
    return found if len(found) <= limit else found[: limit - 1] + "…"


def _number(value: float) -> str:
    return f"{value:g}"
