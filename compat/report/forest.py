"""The forest plot: every finding with its two bounds, the margin and 0."""

from __future__ import annotations

from collections.abc import Sequence

from registry.domain.certificates import Finding

from . import svg
from .text import SYMBOLS, Html, join, required, signed, tag

_ROW, _TOP, _BOTTOM = 52, 8, 26


def forest(findings: Sequence[Finding]) -> Html:
    """Return the plot of some findings, one row each, on one axis.

    In each row the dashed line is what the lower bound must reach, the full line is 0.
    """
    scale = svg.Scale(*_reach(findings))
    height = _TOP + _ROW * len(findings) + _BOTTOM
    rows = [_row(found, scale, _TOP + _ROW * place) for place, found in enumerate(findings)]
    said = "; ".join(
        f"{f.what} {f.group}: {signed(f.difference)}, bounds {signed(f.low)} and "
        f"{signed(f.high)}, required {required(f)}, {f.verdict}"
        for f in findings
    )
    title = "Difference of candidate and baseline with its one-sided bounds"
    return svg.figure(title, said, height, *rows, _axis(scale, height))


def _reach(findings: Sequence[Finding]) -> tuple[float, float]:
    """Return what the axis shows: all bounds, all margins and 0, with some air."""
    ends = [0.0, *(end for f in findings for end in (f.low, f.high, -f.margin))]
    low, high = min(ends), max(ends)
    air = 0.06 * (high - low) or 0.1
    return low - air, high + air


def _row(found: Finding, scale: svg.Scale, top: float) -> Html:
    middle = top + 34
    css = found.verdict.lower()
    group = "all queries" if found.group == "all" else svg.shortened(found.group, 18)
    name = tag("tspan", f"{SYMBOLS[found.verdict]} {found.what}", {"class": css})
    margin = scale(-found.margin)
    return join(
        (
            svg.text("0", top + 15, join((name, group), " "), "start"),
            svg.text("100%", top + 15, _numbers(found), "end number"),
            svg.line((scale(0), scale(0)), (middle - 11, middle + 11), "zero"),
            svg.line((margin, margin), (middle - 11, middle + 11), "margin"),
            svg.line((scale(found.low), scale(found.high)), (middle, middle), f"bounds {css}"),
            *(
                svg.line((scale(end),) * 2, (middle - 5, middle + 5), f"bounds {css}")
                for end in (found.low, found.high)
            ),
            svg.point(scale(found.difference), middle, f"point {css}"),
        )
    )


def _axis(scale: svg.Scale, height: float) -> Html:
    y = height - _BOTTOM
    marks = svg.ticks(scale.low, scale.high)
    labels = [svg.text(scale(m), y + 18, svg.mark(m), "middle muted") for m in marks]
    return join((svg.line(("0", "100%"), (y, y), "axis"), *labels))


def _numbers(found: Finding) -> str:
    difference, low, high = (
        f"{value:+.3f}".replace("-", "−") for value in (found.difference, found.low, found.high)
    )
    return f"{difference} [{low}, {high}]"
