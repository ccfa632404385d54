from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compat.report import Entry, render_html, render_markdown
from compat.report.groups import group_changes, worst_group_sentences
from registry.arrays import Float64Array
from tests.compat.report.builders import OLD, N, cell, good_report, make_entry

LEVELS = {cell(OLD, OLD): 0.5, "products@2 -> products@1": 0.7}


def changed(entry: Entry, by_group: dict[str, Any]) -> Entry:
    """Let the candidate differ from the baseline by so much in each group."""
    cells = dict(entry.evidence.cells)
    before = {name: np.full(N, 0.5) for name in cells[entry.baseline_cell]}
    after: Float64Array = np.full(N, 0.5)
    for group, rows in entry.evidence.asked.by_group.items():
        after[rows] += by_group[group]
    cells[entry.baseline_cell] = before
    cells[entry.cell] = dict.fromkeys(before, after)
    return replace(entry, evidence=replace(entry.evidence, cells=cells))


def test_a_group_that_changed_is_told_from_one_that_did_not() -> None:
    entry = changed(make_entry(LEVELS), {"seen": 0.4, "unseen": 0.0})
    found = {(c.group, c.metric): c for c in group_changes(entry)}
    for metric in entry.metrics:
        assert found["seen", metric].difference == pytest.approx(0.4)
        assert found["seen", metric].p_value < 0.02
        assert found["unseen", metric].p_value == 1.0
    assert [c.group for c in group_changes(entry)] == ["seen"] * 2 + ["unseen"] * 2


def test_more_rows_make_each_less_sure() -> None:
    entry = changed(make_entry(LEVELS), {"seen": 0.08, "unseen": 0.08})
    certificate = entry.certificate
    one = tuple(f for f in certificate.findings if f.metric == "mAP")
    fewer = replace(entry, certificate=replace(certificate, findings=one))
    assert group_changes(fewer)[0].p_value < group_changes(entry)[0].p_value


def test_one_group_is_not_compared_with_itself() -> None:
    assert group_changes(make_entry(LEVELS, groups=False)) == ()
    assert worst_group_sentences(make_entry(LEVELS, groups=False).certificate) == []


def test_the_worst_group_has_the_smallest_lower_bound() -> None:
    certificate = make_entry(LEVELS).certificate
    said = worst_group_sentences(certificate)
    low = min(f.low for f in certificate.findings if f.metric == "mAP")
    assert said[0] == f"mAP: at least {low:+.4f} in the worst group."


def test_a_group_that_is_too_small_may_be_the_worst() -> None:
    certificate = make_entry(LEVELS).certificate
    few = tuple(replace(f, n_clusters=3) if f.group == "seen" else f for f in certificate.findings)
    said = worst_group_sentences(replace(certificate, findings=few))
    assert said[0] == "mAP: nothing can be said of the worst group, 'seen' is too small."


def test_both_are_in_the_reports() -> None:
    report = good_report()
    page = render_html(report)
    assert "Groups that changed" in page
    assert "adjusted by Holm" in page
    for text in (page, render_markdown(report)):
        assert "in the worst group" in text
