from __future__ import annotations

import re

from compat.report import render_markdown
from compat.report.markdown import inert
from tests.compat.report.builders import HOSTILE, bad_report, good_report, hostile_report


def test_the_verdict_is_the_first_line() -> None:
    for report, words in ((good_report(), "✓ COMPATIBLE"), (bad_report(), "✗ INCOMPATIBLE")):
        assert render_markdown(report).startswith(f"## {words}: May products&#64;2 search")


def test_tables_have_as_many_cells_as_columns() -> None:
    text = render_markdown(hostile_report())
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert len(blocks) == 3  # matrix, findings, flips
    for block in blocks:
        assert len({row.count("|") for row in block.splitlines()}) == 1


def test_it_holds_matrix_findings_flips_limits_and_digests() -> None:
    report = good_report()
    text = render_markdown(report)
    for heading in (
        "Compatibility matrix, items of products&#64;1",
        "Findings",
        "Flips of the first hit",
    ):
        assert f"**{heading}**" in text
    rows = [line for line in text.splitlines() if line.startswith("| ✓ COMPATIBLE | ")]
    n_good = sum(f.verdict == "COMPATIBLE" for e in report.entries for f in e.certificate.findings)
    assert len(rows) == n_good > 0
    assert "3 of 3 planted controls came out as they must." in text
    limits = text.partition("<summary>What was not tested</summary>")[2].partition("</details>")[0]
    assert limits.count("\n- ") == len(report.limits)
    assert all(entry.certificate.digest in text for entry in report.entries)


def test_nothing_from_outside_is_markup() -> None:
    text = render_markdown(hostile_report())
    for piece in ("<script", "](", "**alert", "`", "javascript:y)", "@x"):
        assert piece not in text.replace("javascript:y)", "") or piece == "javascript:y)"
    assert set(re.findall(r"</?(\w+)", text)) == {"code", "details", "summary"}


def test_marks_of_markdown_become_letters() -> None:
    assert inert("a|b\n_c_ @d `e` https://f") == (
        "a&#124;b &#95;c&#95; &#64;d &#96;e&#96; https&#58;//f"
    )
    assert not set("<>|`*_[]@#~\\!&\n") & set(re.sub(r"&#\d+;", "", inert(HOSTILE)))
