"""The histogram of per-query differences."""

from __future__ import annotations

from . import svg
from .differences import Histogram
from .text import Html, join, percent, signed

_HEIGHT, _TOP, _BASE = 190, 26, 160


def histogram_plot(found: Histogram, metric: str) -> Html:
    """Return the plot: queries that lost on the left of 0, those that gained on the right."""
    scale = svg.Scale(float(found.edges[0]), float(found.edges[-1]))
    title = f"Per-query differences of {metric}"
    zero = svg.line((scale(0), scale(0)), (_TOP - 4, _BASE), "zero")
    heads = (
        svg.text("0", 14, f"◀ {found.n_worse} worse", "start incompatible"),
        svg.text("100%", 14, f"{found.n_better} better ▶", "end compatible"),
    )
    axis = svg.line(("0", "100%"), (_BASE, _BASE), "axis")
    marks = [_mark(scale, value) for value in svg.ticks(scale.low, scale.high, at_most=7)]
    drawn = (*_bars(found, scale), zero, axis, *marks, *heads)
    return svg.figure(title, summary(found), _HEIGHT, *drawn)


def summary(found: Histogram) -> str:
    """Say how many queries changed, and how."""
    unchanged = found.n_unchanged / found.n_queries
    return (
        f"{found.n_unchanged} of {found.n_queries} queries ({percent(unchanged)}) are unchanged "
        f"and not drawn; {found.n_worse} are worse, {found.n_better} better; "
        f"mean difference {signed(found.mean)}."
    )


def _bars(found: Histogram, scale: svg.Scale) -> list[Html]:
    highest = int(found.counts.max(initial=0)) or 1
    width = f"{100 / len(found.counts):.3f}%"
    return [
        svg.bar(
            scale(float(found.edges[place])),
            width,
            _BASE - (height := (_BASE - _TOP) * count / highest),
            height,
            "worse" if place < len(found.counts) // 2 else "better",
        )
        for place, count in enumerate(found.counts.tolist())
        if count
    ]


def _mark(scale: svg.Scale, value: float) -> Html:
    x = scale(value)
    edge = {"0.00%": "start", "100.00%": "end"}.get(x, "middle")
    label = svg.text(x, _BASE + 19, svg.mark(value), f"{edge} muted")
    return join((svg.line((x, x), (_BASE, _BASE + 4), "axis"), label))
