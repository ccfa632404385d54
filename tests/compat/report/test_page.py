from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from compat.report import (
    BackfillCurve,
    BackfillPoint,
    Report,
    RocCurve,
    RocPoint,
    render_html,
)
from compat.report.page import POLICY
from compat.report.pair_section import MOST_IDS
from registry.domain.certificates import Verdict
from tests.compat.report.builders import (
    BAD,
    GOOD,
    HOSTILE,
    NEW,
    NOW,
    OLD,
    N,
    bad_report,
    cell,
    good_report,
    hostile_report,
    make_entry,
    open_report,
)

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """What a page consists of: elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def top_of(page: str) -> str:
    """The text above the limits."""
    return Page(page).text.partition("\nWhat was not tested\n")[0]


@pytest.mark.parametrize(
    ("report", "verdict", "word"),
    [
        (good_report(), Verdict.COMPATIBLE, "may search"),
        (bad_report(), Verdict.INCOMPATIBLE, "must not search"),
        (open_report(), Verdict.INCONCLUSIVE, "was not shown fit to search"),
    ],
)
def test_the_verdict_comes_first_with_what_it_means(
    report: Report, verdict: Verdict, word: str
) -> None:
    assert report.verdict is verdict
    page = Page(render_html(report))
    before, _, after = page.text.partition("\nWhat was not tested\n")
    assert f" {verdict}" in before
    assert f"products@2 {word} the 3256 items" in before
    assert "What it allows." in before
    assert ("may not be promoted" in before) == (verdict is not Verdict.COMPATIBLE)
    assert "Integrity" in after


def test_everything_that_was_measured_is_there() -> None:
    page = Page(render_html(good_report()))
    for heading in (
        "Compatibility matrix",
        "Queries of products@2 on vectors of products@1",
        "Way back: queries of products@1 on vectors of products@2",
        "Findings",
        "Differences, query by query",
        "Flips",
        "Classes that lost most",
        "Planted controls",
        "Policy in force",
    ):
        assert heading in page.text
    made = good_report().entries[0].certificate
    for digest in (made.digest, made.gallery_digest, made.probe_digest, made.evidence_digest):
        assert digest in page.text
    assert made.query_fingerprint[:19] + "…" in page.text
    assert "valid until" in page.text
    assert "alice" in page.text
    n_maps = 3 * 3  # metrics, and groups with all queries
    n_plots = 2 * (1 + 2)  # a forest and two histograms each
    assert len(page.all("svg")) == n_maps + n_plots


def test_the_page_needs_nothing_and_asks_for_nothing() -> None:
    page = render_html(good_report())
    found = Page(page)
    assert "://" not in page
    assert not {"script", "link", "iframe", "img", "object", "form"} & {
        n for n, _ in found.elements
    }
    assert not re.search(r"url\(|@import", page)
    assert not any(
        name.startswith("on") or name == "src" for _, given in found.elements for name in given
    )
    (policy,) = [m for m in found.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"] == POLICY
    assert POLICY == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_names_from_outside_are_text_wherever_they_stand() -> None:
    clean, hostile = (Page(render_html(r)) for r in (good_report(), hostile_report()))
    assert {name for name, _ in hostile.elements} <= {name for name, _ in clean.elements} | {"a"}
    names = {key for _, given in clean.elements for key in given}
    assert {key for _, given in hostile.elements for key in given} <= names
    shown = HOSTILE.replace("\x07", "\ufffd").replace("\u202e", "\ufffd")
    assert hostile.text.count(shown) > 20
    assert "\u202e" not in hostile.text
    assert all(str(a.get("href")).startswith("#") for a in hostile.all("a"))


def test_who_cannot_see_gets_names_and_headings() -> None:
    page = Page(render_html(good_report()))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    for plot in page.all("svg"):
        if plot.get("role"):
            assert plot["aria-label"]
    n_plots = sum("role" in plot for plot in page.all("svg"))
    n_titles = sum(name == "title" for name, _ in page.elements)
    assert n_titles == n_plots + 1  # the page's own
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(head.get("scope") for head in page.all("th"))
    ids = [str(given["id"]) for _, given in page.elements if "id" in given]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in page.all("a")} <= set(ids)
    labelled = {str(s["aria-labelledby"]) for s in page.all("section") if "aria-labelledby" in s}
    assert labelled <= set(ids)


def test_lost_hits_are_listed_up_to_a_limit() -> None:
    entry = make_entry({**BAD, cell(OLD, OLD): 1.0, cell(NEW, OLD): 0.0})
    page = render_html(Report((entry,), NOW))
    ids = [f"class-query-{row}" for row in range(N)]
    assert re.findall(r"<li><code>(.*?)</code></li>", page) == ids[:MOST_IDS]
    assert f"{N} queries that lost the first hit, the first 100; {N - 100} more are in" in page
    few = render_html(good_report())
    n_lost = len(re.findall(r"<li><code>(.*?)</code></li>", few))
    assert 0 < n_lost < 2 * MOST_IDS
    assert "more are in the evidence" not in few


def test_that_no_hit_was_lost_is_said() -> None:
    entry = make_entry({**GOOD, cell(NEW, OLD): 1.0})
    assert "No query lost its first hit." in render_html(Report((entry,), NOW))


def test_curves_are_drawn_only_if_they_were_measured() -> None:
    report = good_report()
    without = Page(render_html(report)).text
    assert "(ROC) were not measured" in without
    assert "(the backfill curve) were not measured" in without
    assert "Verification by score" not in without
    curves = replace(
        report,
        roc=(RocCurve("products@2 -> products@1", (RocPoint(0.01, 0.9), RocPoint(1.0, 1.0))),),
        backfill=(BackfillCurve("mAP", (BackfillPoint(0, 0.5), BackfillPoint(1, 0.6))),),
    )
    found = Page(render_html(curves))
    assert "Verification by score" in found.text
    assert "Backfilling" in found.text
    assert "not measured" not in found.text
    assert len(found.all("polyline")) == 2


def test_parts_without_numbers_are_left_out() -> None:
    entry = make_entry(GOOD, groups=False)
    bare = replace(entry, evidence=replace(entry.evidence, cells={}))
    text = Page(render_html(Report((bare,), NOW))).text
    for heading in ("Differences, query by query", "Flips", "Classes that lost most"):
        assert heading not in text
    assert "Findings" in text
    assert "No groups of queries were declared" in text
    assert "No groups of queries were declared" not in Page(render_html(good_report())).text


def test_what_stands_against_relying_on_it_is_said_at_the_top() -> None:
    entry = make_entry(GOOD)
    stale = replace(entry, staleness="it expired on 2026-08-01")
    control = replace(entry.certificate.controls[0], found=Verdict.COMPATIBLE)
    made = replace(entry.certificate, controls=(control,), verdict=Verdict.INCONCLUSIVE)
    for report, said in (
        (Report((entry,), NOW, is_dry_run=True), "Dry run: nothing was recorded"),
        (Report((stale,), NOW), "holds no longer, it expired on 2026-08-01"),
        (
            Report((replace(entry, certificate=made),), NOW),
            "the control 'random model' must be INCOMPATIBLE but was COMPATIBLE",
        ),
    ):
        top = top_of(render_html(report))
        assert said in top
        assert said not in Page(render_html(Report((entry,), NOW))).text
    assert "A control misbehaved" in render_html(Report((replace(entry, certificate=made),), NOW))


def test_the_way_back_has_no_say_but_every_version_that_is_held_has() -> None:
    assert good_report().entries[1].certificate.verdict is not Verdict.COMPATIBLE
    assert good_report().verdict is Verdict.COMPATIBLE
    mixed = Report((make_entry(GOOD), make_entry(BAD)), NOW)
    assert mixed.verdict is Verdict.INCOMPATIBLE
    assert mixed.deciding is mixed.entries[1]
    assert "must not search" in top_of(render_html(mixed))


def test_each_version_that_is_held_has_a_matrix_of_its_own() -> None:
    """They are means over different items, so the same cell may hold two numbers."""
    first = make_entry(GOOD)
    other = {name: {"all": {"mAP": 0.9876}} for name in first.certificate.matrix}
    held = replace(first.certificate, baseline_version=NEW, matrix=other)
    text = Page(render_html(Report((first, replace(first, certificate=held)), NOW))).text
    assert "On the items that products@2 made" in text
    assert text.count("0.9876") == 2 * len(other)  # in the map and in the table
    assert f"{first.certificate.matrix[first.cell]['all']['mAP']:.4f}" in text


def test_the_same_report_is_the_same_page() -> None:
    assert render_html(good_report()) == render_html(good_report())
    assert len(good_report().entries[0].evidence.asked.ids) == N
