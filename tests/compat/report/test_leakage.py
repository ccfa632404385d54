"""Queries that were trained on, in each form of the report."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np

from compat.report import Entry, Report, render_html, render_junit, render_markdown
from compat.report.integrity import MOST_IDS
from registry.domain.certificates import Control, Verdict
from tests.compat.report.builders import GOOD, HOSTILE, NOW, N, make_entry
from tests.compat.report.test_page import Page, top_of


def leaky(n_leaked: int, *, label: str = "class") -> Report:
    """A report on queries of which the first ones are in the training data."""
    entry = make_entry(GOOD, label=label)
    found = {
        "same id": (np.arange(N) < min(n_leaked, 1)).astype(np.float64),
        "nearest cosine": np.where(np.arange(N) < n_leaked, 0.999, 0.75),
        "nearest row": np.arange(N, dtype=np.float64) + 7,
    }
    verdict = Verdict.INCONCLUSIVE if n_leaked else Verdict.COMPATIBLE
    control = Control("no leakage", Verdict.COMPATIBLE, verdict, n_leaked / N)
    made = replace(
        entry.certificate,
        controls=(*entry.certificate.controls, control),
        training={"n_items": 5000, "digest": "7" * 64},
        verdict=verdict,
    )
    evidence = replace(entry.evidence, planted={"no leakage": found})
    return Report((Entry(made, evidence),), NOW)


SAID = f"3 of {N} queries are in the training data, by id or by a vector of cosine 0.998 or more"


def test_the_page_names_the_first_of_them() -> None:
    page = render_html(leaky(3))
    text = Page(page).text
    assert "the control 'no leakage' must be COMPATIBLE but was INCONCLUSIVE" in top_of(page)
    assert f"{SAID} (1 under the same id); the nearest of the others has 0.7500" in text
    assert "5000 items, " + "7" * 64 in text
    assert "class-query-0 (same id; training row 7, cosine 0.9990)" in text
    assert "class-query-2 (training row 9, cosine 0.9990)" in text
    assert "class-query-3" not in text.partition("3 in the training data")[2]


def test_the_page_stays_short() -> None:
    text = Page(render_html(leaky(MOST_IDS + 5))).text
    assert f"25 in the training data, the nearest first, the first {MOST_IDS}; 5 more are" in text
    assert text.count(", cosine 0.9990)") == MOST_IDS


def test_ids_of_queries_are_no_markup() -> None:
    page = render_html(leaky(3, label=HOSTILE))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_markdown_and_junit_count_them() -> None:
    assert SAID in render_markdown(leaky(3))
    assert "3 of 4 planted controls came out as they must." in render_markdown(leaky(3))
    suite = ET.fromstring(render_junit(leaky(3))).find("testsuite")
    assert suite is not None
    (case,) = [c for c in suite.iter("testcase") if c.get("name") == "control: no leakage"]
    error = case.find("error")
    assert error is not None
    assert SAID in str(error.get("message"))
    (count,) = [p.get("value") for p in suite.iter("property") if p.get("name") == "leaked_queries"]
    assert count == "3"


def test_nothing_found_and_nothing_looked_for_are_not_the_same() -> None:
    clean, unchecked = leaky(0), Report((make_entry(GOOD),), NOW)
    assert f"0 of {N} queries are in the training data" in render_markdown(clean)
    assert "Leakage: not checked." in render_markdown(unchecked)
    assert 'name="leaked_queries" value="0"' in render_junit(clean)
    assert 'name="leaked_queries" value="not checked"' in render_junit(unchecked)
    assert "none were given" in Page(render_html(unchecked)).text
    assert "in the training data, the nearest first" not in render_html(clean)
