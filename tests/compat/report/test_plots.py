"""Heat map, forest, histogram and curves: what is drawn, and where."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from compat.report import BackfillCurve, BackfillPoint, RocCurve, RocPoint
from compat.report.curves import backfill_plot, roc_plot
from compat.report.differences import histogram
from compat.report.forest import forest
from compat.report.heat_map import (
    cells_of,
    contrast,
    fill_of,
    groups_of,
    heat_map,
    ink_of,
    metrics_of,
    versions_of,
)
from compat.report.histogram_plot import histogram_plot, summary
from compat.report.svg import Scale, shortened, ticks
from tests.compat.report.builders import BAD, GOOD, make_entry

MATRIX = {
    "products@10 -> products@2": {"all": {"mAP": 0.5, "hit@10": 0.9, "hit@5": 0.8}},
    "products@2 -> products@2": {"b": {"mAP": 0.25}, "all": {"mAP": 0.125, "hit@5": 1.0}},
}


def test_a_value_outside_the_scale_stops_at_its_border() -> None:
    scale = Scale(-1, 1)
    assert [scale(v) for v in (-3, -1, 0, 0.5, 2)] == [
        "0.00%",
        "0.00%",
        "50.00%",
        "75.00%",
        "100.00%",
    ]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.13, 0.44, (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4)),
        (-0.13, 0.74, (0.0, 0.2, 0.4, 0.6)),
        (0, 1, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (-0.011, 0.003, (-0.01, -0.005, 0.0)),
    ],
)
def test_marks_are_round_and_few(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert ticks(low, high) == expected


def test_long_names_are_shortened() -> None:
    assert (shortened("abc", 3), shortened("abcd", 3)) == ("abc", "ab…")


def test_versions_are_in_the_order_of_their_numbers_and_metrics_of_their_depth() -> None:
    assert versions_of(MATRIX) == (("products@2", "products@10"), ("products@2",))
    assert metrics_of(MATRIX) == ("hit@5", "hit@10", "mAP")
    assert groups_of(MATRIX) == ("all", "b")
    assert cells_of(MATRIX) == ("products@2 -> products@2", "products@10 -> products@2")


def test_the_map_has_a_number_in_each_measured_cell_and_a_dash_in_the_others() -> None:
    drawn = ET.fromstring(heat_map(MATRIX, "all", "hit@10", {"products@10 -> products@2"}))
    texts = [found.text for found in drawn.iter("text")]
    assert texts == ["@2", "@2", "@10", "–", "0.9000"]
    assert [rect.get("class") for rect in drawn.iter("rect")] == ["empty", "certified"]


def test_letters_in_every_cell_can_be_read() -> None:
    inks = {"#000000": (0, 0, 0), "#ffffff": (255, 255, 255)}
    for value in np.linspace(0, 1, 101):
        fill = fill_of(float(value))
        assert contrast(fill, inks[ink_of(fill)]) >= 4.5
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)


def test_larger_values_are_darker() -> None:
    sums = [sum(fill_of(v / 10)) for v in range(11)]
    assert all(a > b for a, b in itertools.pairwise(sums))
    assert fill_of(-1) == fill_of(0)
    assert fill_of(2) == fill_of(1)


def test_the_forest_shows_every_finding_by_symbol_word_and_place() -> None:
    for levels, symbol in ((GOOD, "✓"), (BAD, "✗")):
        findings = make_entry(levels).certificate.findings
        drawn = ET.fromstring(forest(findings))
        assert [t.text for t in drawn.iter("tspan")] == [f"{symbol} {f.metric}" for f in findings]
        dots = [float(str(dot.get("cx"))[:-1]) for dot in drawn.iter("circle")]
        order = np.argsort([f.difference for f in findings]).tolist()
        assert np.argsort(dots).tolist() == order
        bars = [found for found in drawn.iter("line") if "bounds" in str(found.get("class"))]
        for finding, place in zip(findings, range(0, len(bars), 3), strict=True):
            left, right = (float(str(bars[place].get(x))[:-1]) for x in ("x1", "x2"))
            assert left < right
            assert finding.low < finding.high
        described = drawn.findtext("desc") or ""
        assert all(f"{f.metric} {f.group}" in described for f in findings)


def test_the_dashed_line_is_the_margin() -> None:
    findings = make_entry(GOOD).certificate.findings
    drawn = ET.fromstring(forest(findings))
    zeros, margins = (
        [str(found.get("x1")) for found in drawn.iter("line") if found.get("class") == css]
        for css in ("zero", "margin")
    )
    for finding, zero, margin in zip(findings, zeros, margins, strict=True):
        assert (float(margin[:-1]) < float(zero[:-1])) == (finding.margin > 0)


def test_bars_on_the_left_are_losses() -> None:
    found = histogram(np.array([-0.5, -0.5, 0.25, 0, 0, 0, 0, 0]))
    drawn = ET.fromstring(histogram_plot(found, "mAP"))
    bars = {str(bar.get("class")): bar for bar in drawn.iter("rect")}
    assert set(bars) == {"worse", "better"}
    assert bars["worse"].get("x") == "0.00%"
    heights = {css: float(str(bar.get("height"))) for css, bar in bars.items()}
    assert heights["worse"] == pytest.approx(2 * heights["better"])
    assert "5 of 8 queries (62.5 %) are unchanged" in summary(found)
    assert [t.text for t in drawn.iter("text")][-2:] == ["◀ 2 worse", "1 better ▶"]


def roc() -> RocCurve:
    rates = ((0.0, 0.1), (1e-3, 0.5), (1e-1, 0.9), (1.0, 1.0))
    return RocCurve("products@2 -> products@1", tuple(RocPoint(*point) for point in rates))


def test_false_match_rates_are_on_a_logarithmic_axis() -> None:
    drawn = ET.fromstring(roc_plot([roc()]))
    (curve,) = drawn.iter("polyline")
    points = [tuple(map(float, p.split(","))) for p in str(curve.get("points")).split()]
    assert points == [
        (0, 90),
        (0, 50),
        (pytest.approx(66.67, abs=0.01), 10),
        (100, 0),
    ]
    assert {"0.001", "0.01", "0.1", "1"} <= {t.text for t in drawn.iter("text")}


def test_every_curve_has_a_style_of_its_own_and_is_named() -> None:
    drawn = roc_plot([roc(), RocCurve("products@1 -> products@1", roc().points)])
    assert len(set(re.findall(r'class="(curve curve-\d)"', drawn))) == 2
    assert "products@1 -&gt; products@1" in drawn


def test_the_backfill_curve_goes_from_left_to_right() -> None:
    points = tuple(BackfillPoint(x, y) for x, y in ((0.0, 0.5), (0.5, 0.4), (1.0, 0.8)))
    drawn = ET.fromstring(backfill_plot([BackfillCurve("mAP", points)]))
    (curve,) = drawn.iter("polyline")
    places = [tuple(map(float, p.split(","))) for p in str(curve.get("points")).split()]
    assert [x for x, _ in places] == [0, 50, 100]
    assert places[1][1] > places[0][1] > places[2][1]  # a dip is lower on the page
