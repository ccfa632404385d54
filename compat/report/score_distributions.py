"""Distributions of scores: each query's best genuine and best impostor one, with thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compat.scored import OperatingPoint, ScoredCell
from registry.arrays import Float32Array, Float64Array

from . import svg
from .text import Html, join, percent

_HEIGHT, _TOP, _BASE = 214, 46, 180
_ROW, _LETTERS = 18, "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, eq=False)
class Distributions:
    """Shares of queries by score, in bins that several cells share.

    Attributes:
        cell: the cell's name.
        edges: borders of the bins. Shape: (n_bins + 1,)
        genuine: share of the queries whose best genuine score is in each bin. Shape: (n_bins,)
        impostor: the same of their best impostor score. Shape: (n_bins,)
        points: thresholds that are drawn.
        overlap: share of the queries whose best impostor score is at or above their best genuine
            one: wrong whatever the threshold.
    """

    cell: str
    edges: Float64Array
    genuine: Float64Array
    impostor: Float64Array
    points: tuple[OperatingPoint, ...]
    overlap: float


def distributions(
    cells: Sequence[tuple[str, ScoredCell]], *, n_bins: int = 40
) -> list[Distributions]:
    """Return the distributions of some cells, all over one axis."""
    scores = np.concatenate([side for _, one in cells for side in (one.genuine, one.impostor)])
    low, high = float(scores.min()), float(scores.max())
    edges = np.linspace(low, high if high > low else low + 1e-6, n_bins + 1)
    return [
        Distributions(
            cell,
            edges,
            _shares(one.genuine, edges),
            _shares(one.impostor, edges),
            one.points,
            float(np.mean(one.impostor >= one.genuine)),
        )
        for cell, one in cells
    ]


def _shares(scores: Float32Array, edges: Float64Array) -> Float64Array:
    counts, _ = np.histogram(np.clip(scores, edges[0], edges[-1]), edges)
    shares: Float64Array = counts / len(scores)
    return shares


def distribution_plot(found: Distributions) -> Html:
    """Return the plot: outlines of both distributions, and a line for every threshold."""
    scale = svg.Scale(float(found.edges[0]), float(found.edges[-1]))
    highest = max(float(found.genuine.max()), float(found.impostor.max()))
    outlines = join(
        svg.polyline(_outline(shares, highest), f"curve curve-{place}")
        for place, shares in enumerate((found.genuine, found.impostor))
    )
    axis = svg.line(("0", "100%"), (_BASE, _BASE), "axis")
    marks = [
        svg.text(scale(m), _BASE + 18, f"{m:g}", "middle muted")
        for m in svg.ticks(scale.low, scale.high)
    ]
    lines = [_threshold(place, one, scale) for place, one in enumerate(found.points)]
    frame = svg.stretched(outlines, _TOP, _BASE - _TOP)
    legend = _legend(found)
    height = _HEIGHT + _ROW * (2 + len(found.points))
    title = f"Best scores of each query, {found.cell}"
    return svg.figure(title, summary(found), height, axis, *marks, frame, *lines, legend)


def summary(found: Distributions) -> str:
    """Say where the scores lie and how far the two kinds overlap."""
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    means = [float(shares @ middles) for shares in (found.genuine, found.impostor)]
    return (
        f"Best genuine scores lie around {means[0]:.3g}, best impostor scores around "
        f"{means[1]:.3g}; of {percent(found.overlap)} of the queries an impostor scores at least "
        "as high as any genuine item."
    )


def _outline(shares: Float64Array, highest: float) -> list[tuple[float, float]]:
    """Return the steps of a histogram in a frame of 100 by 100."""
    width = 100 / len(shares)
    points = [(0.0, 100.0)]
    for place, share in enumerate(shares.tolist()):
        y = 100 - 100 * share / highest
        points += [(place * width, y), ((place + 1) * width, y)]
    return [*points, (100.0, 100.0)]


def _threshold(place: int, point: OperatingPoint, scale: svg.Scale) -> Html:
    x, top = scale(point.threshold), 12.0 + 11 * (place % 3)
    css = "zero" if point.is_deployed else "margin"
    letter = svg.text(x, top, _LETTERS[place % len(_LETTERS)], "middle")
    return join((svg.line((x, x), (top + 4, _BASE), css), letter))


def _legend(found: Distributions) -> Html:
    named = ("best genuine score", "best impostor score")
    rows = []
    for place, name in enumerate(named):
        y = _HEIGHT + 12 + _ROW * place
        rows.append(svg.line(("0", "28"), (y - 4, y - 4), f"curve curve-{place}"))
        rows.append(svg.text("36", y, name, "start"))
    for place, point in enumerate(found.points, start=2):
        y, letter = _HEIGHT + 12 + _ROW * place, _LETTERS[(place - 2) % len(_LETTERS)]
        kind = "deployed" if point.is_deployed else "recalibrated"
        text = f"{letter}   {point.name}: {point.threshold:.4f}, {kind}"
        rows.append(svg.text("0", y, svg.shortened(text, 60), "start"))
    return join(rows)
