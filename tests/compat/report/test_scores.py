"""Scores, thresholds, verification and backfilling in a report."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from compat.report import Report, backfill_curves, render_html, render_markdown, roc_curves
from compat.report.score_distributions import distribution_plot, distributions, summary
from compat.report.score_section import guarantee_words, threshold_rows
from compat.score_words import times
from compat.scored import OperatingPoint
from registry.domain.certificates import Criterion
from registry.domain.requirements import Requirement
from tests.compat.report.browser import measure, needs_browser
from tests.compat.report.builders import (
    GOOD,
    HOSTILE,
    NEW,
    OLD,
    cell,
    good_report,
    make_entry,
    make_scored,
    scored_report,
)

OWN, CROSS = cell(OLD, OLD), cell(NEW, OLD)


def test_verification_curves_are_those_of_the_evidence() -> None:
    (entry,) = scored_report().entries
    before, after = roc_curves([entry, entry])  # each cell once
    assert (before.cell, after.cell) == (OWN, CROSS)
    curve = entry.evidence.scored[CROSS].curve
    assert [p.false_match_rate for p in after.points] == curve.false_match_rates.tolist()
    assert [p.true_match_rate for p in after.points] == (1 - curve.false_non_match_rates).tolist()
    assert roc_curves([make_entry(GOOD)]) == ()


def test_the_backfill_curve_goes_from_the_old_items_over_mixed_ones_to_the_new() -> None:
    (entry,) = scored_report().entries
    curves = backfill_curves([entry])
    assert [c.metric for c in curves] == [
        "mAP",
        "mAP of products@1 on its own vectors",
        "hit@1",
        "hit@1 of products@1 on its own vectors",
    ]
    matrix = {name: by["all"] for name, by in entry.certificate.matrix.items()}
    cells = [CROSS, *(f"{NEW} -> mixed {share}%" for share in (25, 50, 75)), cell(NEW, NEW)]
    assert curves[0].points == tuple(
        (share, matrix[name]["mAP"])
        for share, name in zip((0, 0.25, 0.5, 0.75, 1), cells, strict=True)
    )
    assert {value for _, value in curves[1].points} == {matrix[OWN]["mAP"]}
    assert backfill_curves([make_entry(GOOD)]) == ()  # no mixed galleries
    back = make_entry(GOOD, OLD, NEW)
    assert backfill_curves([back]) == ()


def test_both_distributions_are_over_one_axis() -> None:
    rng = np.random.default_rng(1)
    cells = [("a", make_scored(rng, 0.0)), ("b", make_scored(rng, 0.3))]
    first, second = distributions(cells)
    assert first.edges.tolist() == second.edges.tolist()
    for found, (_, scored) in zip((first, second), cells, strict=True):
        for shares, scores in ((found.genuine, scored.genuine), (found.impostor, scored.impostor)):
            expected = [
                np.mean((scores >= low) & (scores < high))
                for low, high in zip(found.edges, found.edges[1:], strict=False)
            ]
            assert shares.sum() == pytest.approx(1)
            assert shares[1:-1] == pytest.approx(expected[1:-1], abs=0.006)  # borders of float32
        assert found.overlap == np.mean(scored.impostor >= scored.genuine)


def test_thresholds_stand_where_they_are_and_are_told_apart() -> None:
    (found,) = distributions([("a", make_scored(np.random.default_rng(1), 0.0))])
    drawn = ET.fromstring(distribution_plot(found))
    lines = {str(line.get("class")): line for line in drawn.iter("line")}
    span = found.edges[-1] - found.edges[0]
    for css, at in (("margin", 0.43), ("zero", 0.45)):
        assert float(str(lines[css].get("x1"))[:-1]) == pytest.approx(
            100 * (at - found.edges[0]) / span, abs=0.01
        )
    texts = [text.text for text in drawn.iter("text")]
    assert "a   FAR=0.1: 0.4300, recalibrated" in texts
    assert "b   score=0.45: 0.4500, deployed" in texts
    assert len({line.get("class") for line in drawn.iter("polyline")}) == 2
    assert drawn.findtext("desc") == summary(found)


def test_a_model_that_gives_one_score_is_drawn_too() -> None:
    flat = make_scored(np.random.default_rng(1), 0.0)
    same = np.full(200, 0.5, np.float32)
    (found,) = distributions([("a", replace(flat, genuine=same, impostor=same))])
    assert found.overlap == 1
    assert ET.fromstring(distribution_plot(found)).tag == "svg"


def test_the_page_has_what_thresholds_do() -> None:
    report = scored_report()
    (entry,) = report.entries
    page = render_html(report)
    for heading in ("Scores and thresholds", "Verification by score", "Backfilling"):
        assert f">{heading}<" in page
    assert threshold_rows(entry) == [
        ("FAR=0.1", "0.4300", "0.4800", "0.11", "0.11", ""),
        ("score=0.45", "0.4500", "0.4500", "0.1", "0.15", "1.5 times as many"),
    ]
    assert "1.5 times as many" in page
    assert "40 independent units confirm no FAR below 0.0722" in page
    assert "were not measured" not in page
    assert "guaranteed@1</strong>" not in page  # no map of a single cell
    said = str(guarantee_words(entry))
    assert said.startswith("No-flip guarantee: 25.0 % of the queries (")
    assert said in page.replace("&#x27;", "'")


def test_without_scores_the_page_says_that_there_are_none() -> None:
    page = render_html(good_report())
    for heading in ("Scores and thresholds", "Verification by score", "Backfilling"):
        assert f">{heading}<" not in page
    assert "Score distributions and verification errors (ROC) were not measured." in page
    assert "of other galleries, of score thresholds, or of anything" in page
    assert guarantee_words(make_entry(GOOD)) is None


def test_what_the_verdict_denies_depends_on_what_was_certified() -> None:
    report = scored_report()
    (entry,) = report.entries
    first, *others = entry.certificate.findings
    ratio = replace(first, metric="FAR<=2x@score=0.45", criterion=Criterion.NON_INFERIORITY)
    assert Requirement(ratio.metric, ratio.criterion).metric == ratio.metric
    made = replace(entry.certificate, findings=(ratio, *others))
    changed = Report((replace(entry, certificate=made),), report.written_at)
    page = render_html(changed)
    assert "of score thresholds other than those under &#x27;Findings&#x27;" in page
    for text in (page, render_markdown(changed)):
        assert "1 - r times the FAR before" in text


def test_markdown_has_the_same_in_short() -> None:
    text = render_markdown(scored_report())
    assert "**Thresholds and false accepts, measured**" in text
    assert "| score=0.45 | 0.4500 | 0.4500 | 0.1 | 0.15 | 1.5 times as many |" in text
    assert "**Verification: share of genuine pairs that match**" in text
    row = next(line for line in text.splitlines() if "mAP of products" in line)
    assert re.fullmatch(r"\| mAP of .* \| (0\.\d+) \|  \|  \|  \| \1 \|", row)
    assert "|  | 0% | 25% | 50% | 75% | 100% |" in text
    assert "No-flip guarantee: 25.0 % of the queries" in text
    assert "Thresholds" not in render_markdown(good_report())


def test_names_of_cells_are_shown_and_never_taken_as_markup() -> None:
    page = render_html(scored_report(label=HOSTILE))
    assert "<script" not in page


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (0.1, 0.15, "1.5 times as many"),
        (0.0, 0.1, "none before"),
        (0.0, 0.0, "none, before or after"),
        (0.2, 0.0, "0 times as many"),
    ],
)
def test_how_many_times_as_many(before: float, after: float, said: str) -> None:
    old, new = (OperatingPoint("score=0.5", 0.5, (), rate) for rate in (before, after))
    assert times(old, new) == said


@needs_browser
def test_a_browser_lays_the_plots_out(tmp_path: Path) -> None:
    path = tmp_path / "scores.html"
    path.write_text(render_html(scored_report()), "utf-8")
    for width, seen in measure(path, (390, 1280), scheme="light").items():
        assert seen["scroll"] <= int(width)
        assert (seen["outside"], seen["narrow"]) == (0, 0)
        ratio, where = seen["contrast"]
        assert ratio >= 4.5, where
        assert "Verification by score" in seen["text"]
