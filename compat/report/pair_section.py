"""One certificate as a section of a page: findings, differences, scores, flips, controls."""

from __future__ import annotations

from compat.attempts import level_of
from compat.score_words import ratio_note

from . import words
from .contents import Entry
from .differences import (
    count_flips,
    differences,
    histogram,
    negatively_flipped,
    worst_classes,
)
from .forest import forest
from .groups import group_changes, worst_group_sentences
from .histogram_plot import histogram_plot, summary
from .overview import badge
from .score_section import guarantee_words, score_section
from .tables import table
from .text import Html, join, percent, required, signed, tag

MOST_IDS = 100


def pair_section(place: int, entry: Entry) -> Html:
    """Return the section of one certificate; parts without numbers are left out."""
    name = f"pair-{place}"
    head = tag("h2", words.heading(entry), {"id": f"{name}-heading"})
    verdict = (badge(entry.certificate.verdict), " ", entry.certificate.statement, ".")
    parts = (head, tag("p", join(verdict, "")), _findings(entry), _differences(entry))
    more = (_scores(entry), _group_changes(entry), _flips(entry), _classes(entry))
    shape = {"id": name, "class": "pair", "aria-labelledby": f"{name}-heading"}
    return tag("section", join((*parts, *more, _controls(entry))), shape)


def _findings(entry: Entry) -> Html:
    made = entry.certificate
    note = (
        "Candidate minus baseline, query by query. The bounds decide, never the mean: the lower "
        "one must stay right of the dashed line. Each bound is one-sided, at confidence "
        f"{level_of(made):.6g}; what is resampled is the {made.policy['unit']}."
    )
    rows = [
        (
            f.what,
            f.group,
            required(f),
            f"{f.baseline:.4f}",
            f"{f.candidate:.4f}",
            signed(f.difference),
            f"{signed(f.low)}, {signed(f.high)}",
            f"{f.n_queries} / {f.n_clusters}",
            badge(f.verdict),
        )
        for f in made.findings
    ]
    columns = ("metric", "group", "required", "#before", "#after", "#difference")
    more = ("#lower, upper bound", "#queries / units", "verdict")
    said = (words.worst_sentence(made), *worst_group_sentences(made))
    worst = join([tag("p", sentence) for sentence in said])
    plot = tag("figure", forest(made.findings))
    shown = table("Findings", (*columns, *more), rows)
    ratio = ratio_note(entry.metrics)
    about = Html("") if ratio is None else tag("p", ratio)
    return _part("Findings", join((tag("p", note), plot, worst, shown, about)))


def _differences(entry: Entry) -> Html:
    figures = []
    for metric in entry.metrics:
        values = differences(entry, metric)
        if values is not None:
            found = histogram(values)
            label = join((tag("strong", metric), " ", summary(found)), "")
            inside = (tag("figcaption", label), histogram_plot(found, metric))
            figures.append(tag("figure", join(inside)))
    if not figures:
        return Html("")
    return _part("Differences, query by query", tag("div", join(figures), {"class": "pairwise"}))


def _scores(entry: Entry) -> Html:
    content = score_section(entry)
    return _part("Scores and thresholds", content) if content else content


def _flips(entry: Entry) -> Html:
    flips = count_flips(entry)
    if not flips:
        return Html("")
    rows = [
        (
            "all queries" if f.group == "all" else f.group,
            f"{f.negative:g}",
            percent(f.negative / f.n_queries),
            f"{f.positive:g}",
            percent(f.positive / f.n_queries),
            f.n_queries,
        )
        for f in flips
    ]
    columns = ("group", "#right before, wrong now", "#rate", "#wrong before, right now", "#rate")
    shown = table("Flips of the first hit (hit@1)", (*columns, "#queries"), rows)
    said = guarantee_words(entry)
    guarantee = Html("") if said is None else tag("p", said)
    return _part("Flips", join((shown, _flipped_ids(entry), guarantee)))


def _flipped_ids(entry: Entry) -> Html:
    ids = negatively_flipped(entry)
    if not ids:
        return tag("p", "No query lost its first hit.")
    more = len(ids) - MOST_IDS
    rest = f", the first {MOST_IDS}; {more} more are in the evidence" if more > 0 else ""
    noun = "query that" if len(ids) == 1 else "queries that"
    head = tag("summary", f"{len(ids)} {noun} lost the first hit{rest}")
    items = [tag("li", tag("code", query)) for query in ids[:MOST_IDS]]
    return tag("details", join((head, tag("ul", join(items), {"class": "ids"}))))


def _group_changes(entry: Entry) -> Html:
    rows = [
        (c.group, c.metric, signed(c.difference), f"{c.p_value:.2g}") for c in group_changes(entry)
    ]
    if not rows:
        return Html("")
    note = tag(
        "p",
        "Another claim than the verdict's: that a group changed at all, for better or worse. The "
        "p-values are two-sided and adjusted by Holm for all rows together, because whoever looks "
        "at many groups finds one that changed by chance.",
    )
    columns = ("group", "metric", "#mean difference", "#adjusted p")
    return _part("Groups that changed", join((note, table("Groups that changed", columns, rows))))


def _classes(entry: Entry) -> Html:
    tables = [
        table(
            f"Largest mean drop of {metric}",
            ("class", "#mean difference", "#queries"),
            [(c.label, signed(c.difference), c.n_queries) for c in found],
        )
        for metric in entry.metrics
        if (found := worst_classes(entry, metric))
    ]
    if not tables:
        return Html("")
    note = tag("p", "Picked because they are the worst of many: an invitation to look, not a test.")
    grid = tag("div", join(tables), {"class": "pairwise"})
    return _part("Classes that lost most", join((note, grid)))


def _controls(entry: Entry) -> Html:
    rows = [
        (
            c.name,
            f"{c.value:.4f}",
            c.expected,
            c.found,
            "✓ as it must" if c.is_passed else "✗ misbehaved",
        )
        for c in entry.certificate.controls
    ]
    note = tag(
        "p", "Planted cases with a known outcome: they show that the gate can say no, and yes."
    )
    columns = ("control", "#value", "must be", "was", "so")
    return _part("Planted controls", join((note, table("Planted controls", columns, rows))))


def _part(heading: str, content: Html) -> Html:
    return join((tag("h3", heading), content))
