"""What thresholds do in one certified pair: distributions of scores, and a table."""

from __future__ import annotations

from compat import score_words
from compat.matrix import GUARANTEED

from .contents import Entry
from .score_distributions import distribution_plot, distributions, summary
from .tables import table
from .text import Html, join, percent, tag

Row = tuple[str, ...]


def score_section(entry: Entry) -> Html:
    """Return the part of a section that speaks of scores; nothing if none were measured."""
    rows = threshold_rows(entry)
    if not rows:
        return Html("")
    scored = entry.evidence.scored
    cells = [(cell, scored[cell]) for cell in dict.fromkeys((entry.baseline_cell, entry.cell))]
    figures = [
        tag("figure", join((_caption(found.cell, summary(found)), distribution_plot(found))))
        for found in distributions(cells)
    ]
    note = (
        "Each query's best genuine score and its best impostor score, before and after, over one "
        "axis. A recalibrated threshold keeps a declared rate of false accepts on all queries; for "
        "the findings it was found on one half of the units and used on the other. A deployed one "
        "is the same before and after. The table is measured, without bounds."
    )
    shown = table("Thresholds and false accepts", COLUMNS, rows)
    return join((tag("p", note), tag("div", join(figures), {"class": "pairwise"}), shown))


COLUMNS = (
    *("at", "#threshold before", "#threshold after"),
    *("#false accepts before", "#false accepts after", "change"),
)


def threshold_rows(entry: Entry) -> list[Row]:
    """Return what each operating point takes and does, before and after."""
    scored = entry.evidence.scored
    if entry.cell not in scored or entry.baseline_cell not in scored:
        return []
    return score_words.threshold_rows(scored[entry.baseline_cell].points, scored[entry.cell].points)


def guarantee_words(entry: Entry) -> str | None:
    """Say for how many queries geometry alone excludes a lost first hit, if that was computed."""
    made = entry.certificate
    share = made.matrix.get(entry.cell, {}).get("all", {}).get(GUARANTEED)
    if share is None:
        return None
    hits = made.matrix.get(entry.baseline_cell, {}).get("all", {}).get("hit@1")
    of_hits = "" if not hits else f" ({percent(share / hits)} of those whose first hit was right)"
    return (
        f"No-flip guarantee: {percent(share)} of the queries{of_hits} moved by less than "
        "2 arcsin(margin / 4), so that their first hit stays right whichever way they moved. The "
        "others are not lost by that: the bound assumes the worst direction. It speaks of exact "
        "search among these items."
    )


def _caption(cell: str, said: str) -> Html:
    return tag("figcaption", join((tag("strong", cell), said), " "))
