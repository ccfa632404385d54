"""Reports as a real browser shows them: on a phone and a desk, light and dark, and on paper."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from compat.report import render_html
from registry.domain.certificates import Verdict
from tests.compat.report.browser import measure, needs_browser, visit
from tests.compat.report.builders import good_report, hostile_report

pytestmark = needs_browser
PHONE, DESK, PAPER = 390, 1280, 688  # A4 without its margins
Seen = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_html(good_report()), "utf-8")
    return path


@pytest.fixture(scope="module")
def light(page: Path) -> Seen:
    return measure(page, (PHONE, DESK), scheme="light")


@pytest.fixture(scope="module")
def dark(page: Path) -> Seen:
    return measure(page, (PHONE, DESK), scheme="dark")


def test_the_verdict_is_seen(light: Seen) -> None:
    seen = light[str(DESK)]
    assert seen["verdict"] == f"✓ {Verdict.COMPATIBLE}"
    assert seen["title"].startswith("COMPATIBLE: May products@2 search")
    assert "What was not tested" in seen["text"]


def test_tables_and_plots_are_laid_out(light: Seen) -> None:
    seen = light[str(DESK)]
    assert seen["maps"] == 3 * 3 * 4  # metrics, groups with all queries, cells
    assert seen["plots"] == 9 + 6
    assert seen["rows"] > 40
    assert seen["narrow"] == 0


def test_the_page_is_never_wider_than_the_window(light: Seen) -> None:
    for width in (PHONE, DESK):
        seen = light[str(width)]
        assert seen["inner"] == width
        assert seen["scroll"] <= width
        assert seen["outside"] == 0
    assert light[str(PHONE)]["height"] > light[str(DESK)]["height"]


def test_light_and_dark_differ_and_both_can_be_read(light: Seen, dark: Seen) -> None:
    assert light[str(DESK)]["paper"] == "rgb(255, 255, 255)"
    assert dark[str(DESK)]["paper"] == "rgb(16, 20, 26)"
    for seen in (light, dark):
        ratio, where = seen[str(DESK)]["contrast"]
        assert 4.5 <= ratio < 21, where


def test_it_is_quiet_alone_and_harmless(tmp_path: Path) -> None:
    """The console is empty, though a hostile page would fill it: the last lines show that."""
    path = tmp_path / "hostile.html"
    text = render_html(hostile_report())
    path.write_text(text, "utf-8")
    seen = visit(path, "--dump-dom")
    assert seen.complaints == []
    assert "<script" not in seen.dom
    planted = '<script>document.title = "ran"</script><img src="http://example.invalid/x.png">'
    path.write_text(text.replace("</main>", planted + "</main>"), "utf-8")
    seen = visit(path, "--dump-dom")
    assert len(seen.complaints) >= 2
    assert "<title>ran" not in seen.dom


def test_nothing_is_cut_off_on_paper(page: Path) -> None:
    paper = page.with_name("paper.html")
    paper.write_text(page.read_text("utf-8").replace("@media print", "@media all"), "utf-8")
    seen = measure(paper, (PAPER,), scheme="dark")[str(PAPER)]
    assert seen["clipped"] == 0
    assert seen["scroll"] <= PAPER
    assert seen["paper"] == "rgb(255, 255, 255)"  # whatever the screen prefers
    assert "class-query-" in seen["text"]  # what is folded on the screen is open


def test_it_can_be_printed(page: Path, tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    visit(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    data = paper.read_bytes()
    assert data.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 16
