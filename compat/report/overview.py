"""The first sections of a page: the verdict, what it rests on, what was not tested, the matrix."""

from __future__ import annotations

from collections.abc import Collection

from compat.matrix import GUARANTEED
from registry.domain.certificates import Verdict

from . import words
from .contents import BackfillCurve, Entry, Matrix, Report
from .curves import backfill_plot, roc_plot
from .heat_map import between_versions, cells_of, groups_of, heat_map, metrics_of
from .tables import table
from .text import SYMBOLS, Html, join, tag


def badge(verdict: Verdict) -> Html:
    """Return a verdict by symbol, word and colour."""
    return tag("span", f"{SYMBOLS[verdict]} {verdict}", {"class": f"badge {verdict.lower()}"})


def banner(report: Report) -> Html:
    """Return the verdict, what it means, and what stands against relying on it."""
    allows, denies = words.meaning(report)
    parts = [
        tag("p", badge(report.verdict), {"class": "verdict"}),
        tag("p", report.deciding.certificate.statement + ".", {"class": "statement"}),
        tag("p", join((tag("strong", "What it allows. "), allows), "")),
        tag("p", join((tag("strong", "What it does not. "), denies), "")),
        *(tag("p", text, {"class": "warning"}) for text in warnings(report)),
    ]
    css = f"banner {report.verdict.lower()}"
    return tag("section", join(parts), {"class": css, "aria-label": "Verdict"})


def warnings(report: Report) -> list[str]:
    """Return what a reader must know before relying on the verdict."""
    found = []
    if report.is_dry_run:
        found.append("Dry run: nothing was recorded, and nobody can be promoted on this.")
    for entry in report.entries:
        if entry.staleness is not None and entry.certificate.verdict is Verdict.COMPATIBLE:
            found.append(f"{words.heading(entry)}: holds no longer, {entry.staleness}.")
        found += [
            f"{words.heading(entry)}: the control '{control.name}' must be {control.expected} "
            f"but was {control.found}."
            for control in entry.certificate.controls
            if not control.is_passed
        ]
    return found


def certificates(report: Report) -> Html:
    """Return every certificate with the requirement that decides."""
    items = [
        tag("li", join((badge(entry.certificate.verdict), _linked(place, entry), worst), " "))
        for place, entry in enumerate(report.entries)
        for worst in (tag("div", words.worst_sentence(entry.certificate)),)
    ]
    return _section("certificates", "What was certified", tag("ul", join(items), _CLAIMS))


_CLAIMS = {"class": "claims"}


def not_tested(report: Report) -> Html:
    """Return the limits."""
    items = [tag("li", limit) for limit in report.limits]
    return _section("limits", "What was not tested", tag("ul", join(items)))


def matrix(report: Report) -> Html:
    """Return the heat maps of every measured metric and group, and their numbers as a table."""
    certified = {entry.cell for entry in report.entries}
    note = (
        "Rows are the version that embeds the queries, columns the version that made the vectors; "
        "the mean over the queries is in each cell, from 0 to 1, larger is better. "
        "Outlined cells are certified; the diagonal is each version on its own vectors. The table "
        "also has mixed galleries and what an index of its own finds, where they were measured."
    )
    several = len(report.matrices) > 1
    parts = [tag("p", note)]
    for held, means in report.matrices.items():
        where = f"On the items that {held} made"
        parts += [tag("h3", where)] if several else []
        parts += [
            tag("div", join(_maps(means, group, certified)), {"class": "maps"})
            for group in groups_of(means)
        ]
        parts.append(_numbers(means, where))
    return _section("matrix", "Compatibility matrix", join(parts))


def _maps(means: Matrix, group: str, certified: Collection[str]) -> list[Html]:
    shown = between_versions(means)
    return [
        tag("figure", join((_caption(metric, group), heat_map(shown, group, metric, certified))))
        for metric in metrics_of(shown)
        if metric != GUARANTEED  # which only the certified cell has
    ]


def curves(report: Report) -> Html:
    """Return verification and backfilling, as far as they were measured."""
    parts = []
    if report.roc:
        shown = join((tag("p", words.roc_note(report)), roc_plot(report.roc)))
        parts.append(_section("roc", "Verification by score", shown))
    if report.backfill:
        by_items: dict[str, list[BackfillCurve]] = {}
        for curve in report.backfill:
            by_items.setdefault(curve.items, []).append(curve)
        figures = [
            tag("figure", join((tag("figcaption", f"Items of {items}"), backfill_plot(found))))
            for items, found in by_items.items()
        ]
        parts.append(_section("backfill", "Backfilling", join(figures)))
    return join(parts)


def _numbers(means: Matrix, where: str) -> Html:
    names = metrics_of(means)
    rows = [
        (cell, group, *(f"{values[n]:.4f}" if n in values else "–" for n in names))
        for group in groups_of(means)
        for cell in cells_of(means)
        if (values := means[cell].get(group, {}))
    ]
    columns = ("queries → vectors", "group", *(f"#{name}" for name in names))
    summary = tag("summary", "The same as a table")
    return tag("details", join((summary, table(where, columns, rows))))


def _caption(metric: str, group: str) -> Html:
    whose = "all queries" if group == "all" else group
    return tag("figcaption", join((tag("strong", metric), " ", whose), ""))


def _linked(place: int, entry: Entry) -> Html:
    return tag("a", words.heading(entry), {"href": f"#pair-{place}"})


def _section(name: str, heading: str, content: Html) -> Html:
    shape = {"id": name, "aria-labelledby": f"{name}-heading"}
    return tag("section", join((tag("h2", heading, {"id": f"{name}-heading"}), content)), shape)
