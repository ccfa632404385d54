"""Curves: verification (ROC) and backfilling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from . import svg
from .contents import BackfillCurve, RocCurve
from .text import Html, join, percent

_HEIGHT, _TOP, _BASE, _LEFT = 260, 12, 220, 44
_STYLES = 4


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class _Axes:
    x: svg.Scale
    y: svg.Scale
    x_marks: Sequence[tuple[float, str]]
    x_name: str


def roc_plot(curves: Sequence[RocCurve]) -> Html:
    """Return true match rates over false match rates, the latter on a logarithmic axis."""
    rates = [p.false_match_rate for curve in curves for p in curve.points if p.false_match_rate > 0]
    least = math.floor(math.log10(min(rates, default=0.1)))
    lines = [
        _Line(
            curve.cell,
            tuple(
                (max(least, math.log10(p.false_match_rate or 10.0**least)), p.true_match_rate)
                for p in curve.points
            ),
        )
        for curve in curves
    ]
    marks = [(float(power), f"{10.0**power:g}") for power in range(least, 1)]
    axes = _Axes(svg.Scale(least, 0), svg.Scale(0, 1), marks, "false match rate (logarithmic)")
    return _plot("True match rate over false match rate", lines, axes)


def backfill_plot(curves: Sequence[BackfillCurve]) -> Html:
    """Return quality over the share of the gallery that is embedded again."""
    lines = [_Line(curve.metric, tuple(curve.points)) for curve in curves]
    values = [y for one in lines for _, y in one.points]
    air = 0.1 * (max(values) - min(values)) or 0.05
    marks = [(share, f"{100 * share:g} %") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    y = svg.Scale(min(values) - air, max(values) + air)
    axes = _Axes(svg.Scale(0, 1), y, marks, "share of the gallery embedded again")
    return _plot("Quality while the gallery is embedded again", lines, axes)


def _plot(title: str, lines: Sequence[_Line], axes: _Axes) -> Html:
    y_marks = svg.ticks(axes.y.low, axes.y.high)
    labels = [svg.text("0", _y(axes, value) + 4, f"{value:g}", "start muted") for value in y_marks]
    described = "; ".join(f"{one.name}: {_told(one)}" for one in lines)
    drawn = svg.inner(_area(lines, axes, y_marks), {"x": _LEFT, "width": "86%", "class": "area"})
    return svg.figure(title, described, _HEIGHT + 18 * len(lines), *labels, drawn, _legend(lines))


def _area(lines: Sequence[_Line], axes: _Axes, y_marks: Sequence[float]) -> Html:
    grid = [svg.line(("0", "100%"), (_y(axes, value),) * 2, "grid") for value in y_marks]
    marks = [
        svg.text(axes.x(value), _BASE + 18, label, "middle muted") for value, label in axes.x_marks
    ]
    drawn = join(_polyline(one, axes, place) for place, one in enumerate(lines))
    name = svg.text("50%", _BASE + 36, axes.x_name, "middle")
    return join((*grid, svg.stretched(drawn, _TOP, _BASE - _TOP), *marks, name))


def _polyline(one: _Line, axes: _Axes, place: int) -> Html:
    points = [(float(axes.x(x)[:-1]), 100 - float(axes.y(y)[:-1])) for x, y in one.points]
    return svg.polyline(points, _style(place))


def _legend(lines: Sequence[_Line]) -> Html:
    rows = []
    for place, one in enumerate(lines):
        y = _HEIGHT + 12 + 18 * place
        rows.append(svg.line((str(_LEFT), str(_LEFT + 28)), (y - 4, y - 4), _style(place)))
        rows.append(svg.text(str(_LEFT + 36), y, svg.shortened(one.name, 40), "start"))
    return join(rows)


def _style(place: int) -> str:
    return f"curve curve-{place % _STYLES}"


def _told(one: _Line) -> str:
    (x0, first), (x1, last) = one.points[0], one.points[-1]
    return f"from {percent(first)} at {x0:g} to {percent(last)} at {x1:g}"


def _y(axes: _Axes, value: float) -> float:
    return _BASE - (_BASE - _TOP) * float(axes.y(value)[:-1]) / 100
