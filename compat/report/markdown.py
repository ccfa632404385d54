"""The report as Markdown, short enough for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from compat.score_words import ratio_note
from registry.domain.canonical import Json

from . import words
from .contents import BackfillCurve, Entry, Matrix, Report, RocCurve
from .differences import count_flips
from .groups import worst_group_sentences
from .heat_map import cells_of, groups_of, metrics_of
from .overview import warnings
from .score_section import COLUMNS, guarantee_words, threshold_rows
from .text import SYMBOLS, percent, plain, required, signed

_MARKUP = re.compile(r"[^\w \-.,:;/()+=%→−✓✗?]|_|:(?=/)")


def render_markdown(report: Report) -> str:
    """Return the report; names from outside are shown as they are, never taken as markup."""
    lines = [
        f"## {SYMBOLS[report.verdict]} {report.verdict}: {inert(words.title(report))}",
        "",
        inert(report.deciding.certificate.statement) + ".",
        "",
        *(f"**{inert(text)}**\n" for text in warnings(report)),
    ]
    for held, means in report.matrices.items():
        lines += _table(f"Compatibility matrix, items of {inert(held)}", *_matrix(means))
    for entry in report.entries:
        lines += [f"### {SYMBOLS[entry.certificate.verdict]} {inert(words.heading(entry))}", ""]
        lines += [*_findings(entry), *_worst_groups(entry), *_thresholds(entry)]
        lines += [*_flips(entry), *_controls(entry)]
    lines += [*_roc(report), *_backfill(report)]
    return "\n".join([*lines, *_limits(report), *_digests(report)]) + "\n"


def inert(value: object) -> str:
    """Return text of which no character is markup, in one line."""
    text = " ".join(plain(value).split())
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", text)


def _code(value: object) -> str:
    """Return a name that nobody is notified by and nothing is linked to."""
    return f"<code>{inert(value)}</code>"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> tuple[str, ...]:
    head = "| " + " | ".join(name.removeprefix("#") for name in columns) + " |"
    rule = "|" + "|".join("---:" if name.startswith("#") else "---" for name in columns) + "|"
    body = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return (f"**{title}**", "", head, rule, *body, "")


def _matrix(means: Matrix) -> tuple[Sequence[str], list[Sequence[object]]]:
    names = metrics_of(means)
    rows: list[Sequence[object]] = [
        (
            _code(cell),
            _group(group),
            *(f"{values[n]:.4f}" if n in values else "–" for n in names),
        )
        for group in groups_of(means)
        for cell in cells_of(means)
        if (values := means[cell].get(group, {}))
    ]
    return ("queries → vectors", "group", *(f"#{inert(n)}" for n in names)), rows


def _findings(entry: Entry) -> tuple[str, ...]:
    rows = [
        (
            f"{SYMBOLS[f.verdict]} {f.verdict}",
            inert(f.what),
            _group(f.group),
            required(f),
            f"{f.baseline:.4f}",
            f"{f.candidate:.4f}",
            f"{signed(f.difference)} ({signed(f.low)}, {signed(f.high)})",
        )
        for f in entry.certificate.findings
    ]
    columns = ("verdict", "metric", "group", "required", "#before", "#after", "#difference, bounds")
    ratio = ratio_note(entry.metrics)
    about = () if ratio is None else (inert(ratio), "")
    return (*_table("Findings", columns, rows), *about)


def _worst_groups(entry: Entry) -> tuple[str, ...]:
    said = worst_group_sentences(entry.certificate)
    return tuple(inert(sentence) + "\n" for sentence in said)


def _flips(entry: Entry) -> tuple[str, ...]:
    rows = [
        (
            _group(f.group),
            f"{f.negative:g} ({percent(f.negative / f.n_queries)})",
            f"{f.positive:g} ({percent(f.positive / f.n_queries)})",
            f.n_queries,
        )
        for f in count_flips(entry)
    ]
    columns = ("group", "#right before, wrong now", "#wrong before, right now", "#queries")
    said = guarantee_words(entry)
    more = () if said is None else (inert(said), "")
    return (*(_table("Flips of the first hit", columns, rows) if rows else ()), *more)


def _thresholds(entry: Entry) -> tuple[str, ...]:
    rows = [tuple(inert(cell) for cell in row) for row in threshold_rows(entry)]
    return _table("Thresholds and false accepts, measured", COLUMNS, rows) if rows else ()


def _roc(report: Report) -> tuple[str, ...]:
    """Return the curves at a few false match rates, each at or below what the column says."""
    rows = [
        (_code(curve.cell), *(_true_match_rate(curve, rate) for rate in _RATES))
        for curve in report.roc
    ]
    columns = ("queries → vectors", *(f"#at FAR {rate:g}" for rate in _RATES))
    return _table("Verification: share of genuine pairs that match", columns, rows) if rows else ()


_RATES = (0.0001, 0.001, 0.01, 0.1)


def _true_match_rate(curve: RocCurve, rate: float) -> str:
    kept = [point for point in curve.points if point.false_match_rate <= rate]
    return f"{kept[-1].true_match_rate:.4f}" if kept else "–"


def _backfill(report: Report) -> tuple[str, ...]:
    lines: tuple[str, ...] = ()
    for items in dict.fromkeys(curve.items for curve in report.backfill):
        curves = [curve for curve in report.backfill if curve.items == items]
        shares = sorted({point.share for curve in curves for point in curve.points})
        rows = [(inert(curve.metric), *_along(curve, shares)) for curve in curves]
        columns = ("", *(f"#{share:.0%}" for share in shares))
        title = f"Quality while items of {inert(items)} are embedded again"
        lines += _table(title, columns, rows)
    return lines


def _along(curve: BackfillCurve, shares: Sequence[float]) -> list[str]:
    by_share = dict(curve.points)
    return [f"{by_share[share]:.4f}" if share in by_share else "" for share in shares]


def _controls(entry: Entry) -> tuple[str, ...]:
    controls = entry.certificate.controls
    n_passed = sum(control.is_passed for control in controls)
    return (
        f"{n_passed} of {len(controls)} planted controls came out as they must.",
        f"Leakage: {inert(words.leakage(entry))}.",
        "",
    )


def _limits(report: Report) -> tuple[str, ...]:
    items = [f"- {inert(limit)}" for limit in report.limits]
    return _details("What was not tested", items)


def _digests(report: Report) -> tuple[str, ...]:
    made = [entry.certificate for entry in report.entries]
    items = [
        f"- certificate {_code(c.digest)}, evidence {_code(c.evidence_digest)}, "
        f"{_probe_set(c.probe_set)}valid until {c.expires_at:%Y-%m-%d}, "
        f"issued by {_code(c.issued_by)}"
        for c in made
    ]
    return _details("Digests", items)


def _probe_set(said: Mapping[str, Json]) -> str:
    return f"probe set {_code(said['name'])} ({_code(said['digest'])}), " if said else ""


def _details(summary: str, items: Sequence[str]) -> tuple[str, ...]:
    return ("<details>", f"<summary>{summary}</summary>", "", *items, "", "</details>", "")


def _group(name: str) -> str:
    return "all queries" if name == "all" else _code(name)
